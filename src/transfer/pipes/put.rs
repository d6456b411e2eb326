//! Small files to a server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Leave, ended, failed};
use crate::data::{PutFile, PutManySender};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::transfer::hash::hash;
use crate::transfer::job::{Job, Room, SMALL};
use crate::transfer::local;
use crate::transfer::local_end::{LocalEnd, blocking};
use crate::transfer::queue::Item;
use crate::transfer::remote::Remote;
use crate::transfer::{End, Overwrite};
use crate::types::Checksum;

/// Files that are read at the same time.
const READING: usize = 8;

/// Those that are on their way, by their number.
type Asked = Mutex<HashMap<u64, File>>;

/// A file on its way.
struct File {
    item: Item,
    bytes: u64,
    checksum: Option<Checksum>,
    /// For its contents, until they are stored.
    room: Option<Room>,
}

pub(super) async fn run(job: &Arc<Job>, leave: &Leave<'_>) {
    let (End::Local(from), End::Remote(to)) = (&job.sources[0], &job.to) else { return };
    let channels = &job.channels;
    let starting = to
        .client
        .put_many(&to.root)
        .checksum(job.algorithm.clone())
        .replace(job.choices.overwrite != Overwrite::Never)
        .tag(job.run_tag())
        .protection(channels.protection)
        .dcau(channels.dcau.clone())
        .tcp_buffer(channels.tcp_buffer);
    let mut many = match job.unless_ended(starting.into_future()).await {
        Ok(many) => many,
        Err(error) => {
            let items: Vec<_> = std::iter::from_fn(|| job.queue.small()).collect();
            return ended(job, items, &error);
        }
    };
    let asked = Asked::default();
    let sender = many.sender();
    let feeding = job.unless_ended(async {
        feed(job, leave, from, to, sender, &asked).await;
        Ok(())
    });
    let outcomes = job.unless_ended(async {
        while let Some(outcome) = many.next_outcome().await {
            let Some(File { item, bytes, checksum, room }) = take(&asked, outcome.index) else { continue };
            drop(room);
            match outcome.result {
                Ok(_) => {
                    if let Err(error) = outcome.attributes {
                        tracing::warn!(url = %outcome.url, %error, "attributes were not kept");
                    }
                    job.copied(&item, bytes, checksum);
                }
                Err(error) => {
                    job.tally.lost(bytes);
                    failed(job, item, error);
                }
            }
        }
        Ok(())
    });
    let _ = tokio::join!(feeding, outcomes);
    let left: Vec<_> =
        asked.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, file)| file.item).collect();
    if !left.is_empty() {
        let forgotten = || {
            Error::new(ErrorKind::Internal, Phase::Data, "a file of a pipeline was forgotten")
                .with_transient(true)
        };
        let error = job.stopped().map_or_else(forgotten, Job::ended_early);
        ended(job, left, &error);
    }
}

fn take(asked: &Asked, index: u64) -> Option<File> {
    asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&index)
}

/// Reads files ahead, and hands them over as there is room. Every file is among those asked for from the moment it is taken
/// from the queue: this may be thrown away at any point.
async fn feed(
    job: &Arc<Job>,
    leave: &Leave<'_>,
    from: &LocalEnd,
    to: &Remote,
    sender: PutManySender,
    asked: &Asked,
) {
    let lock = || asked.lock().unwrap_or_else(PoisonError::into_inner);
    let waits = &job.tally.waits;
    let mut reading = JoinSet::new();
    let mut next = 0;
    loop {
        while reading.len() < READING
            && leave.goes_on(job)
            && let Some(item) = job.queue.small()
        {
            let path = from.path(&item.path);
            let algorithm = job.algorithm.clone();
            let number = next;
            next += 1;
            let size = item.size.unwrap_or(SMALL);
            lock().insert(number, File { item, bytes: 0, checksum: None, room: None });
            let room = job.room(size).await;
            if let Some(file) = lock().get_mut(&number) {
                file.room = room;
            }
            reading.spawn(async move {
                let read = blocking(move || {
                    let (contents, facts) = local::read_small(&path)?;
                    let checksum = algorithm.map(|algorithm| hash(&algorithm, &contents)).transpose()?;
                    Ok((contents, facts, checksum))
                });
                (number, read.await)
            });
        }
        let Some(read) = waits.disk(reading.join_next()).await else { return };
        let Ok((number, read)) = read else { continue };
        let file = {
            let mut asked = lock();
            let Some(File { item, bytes, checksum: sum, .. }) = asked.get_mut(&number) else { continue };
            read.and_then(|(contents, facts, checksum): (Bytes, local::Facts, Option<Checksum>)| {
                (item.size, item.modified, item.mode) =
                    (Some(facts.size), Some(facts.modified), Some(facts.mode));
                (*bytes, *sum) = (facts.size, checksum.clone());
                put_file(job, to, item, contents, checksum)
            })
        };
        let sent = match file {
            Ok(file) => {
                let bytes = file.contents.len();
                waits.network(sender.send(number, file)).await.map(|()| bytes)
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(bytes) => {
                job.tally.moved(bytes);
                job.pace(bytes).await;
            }
            Err(error) => {
                if let Some(file) = take(asked, number) {
                    failed(job, file.item, error);
                }
            }
        }
    }
}

fn put_file(
    job: &Job,
    to: &Remote,
    item: &Item,
    contents: Bytes,
    checksum: Option<Checksum>,
) -> Result<PutFile> {
    let preserve = job.choices.preserve;
    let mut file = PutFile::new(to.url(&item.path)?, contents);
    file.mode = item.mode.filter(|_| preserve.mode);
    file.modified = item.modified.filter(|_| preserve.modified);
    file.checksum = checksum;
    Ok(file)
}
