//! Small files to a server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Leave, ended, failed};
use crate::data::{PutFile, PutManySender};
use crate::error::{Error, ErrorKind, Phase, Result};
use crate::transfer::hash::hash;
use crate::transfer::job::Job;
use crate::transfer::local;
use crate::transfer::local_end::{LocalEnd, blocking};
use crate::transfer::queue::Item;
use crate::transfer::remote::Remote;
use crate::transfer::{End, Overwrite};
use crate::types::Checksum;

/// Files that are read at the same time.
const READING: usize = 8;

/// Those that are on their way, by their number.
type Asked = Mutex<HashMap<u64, (Item, u64, Option<Checksum>)>>;

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
            let Some((item, bytes, checksum)) = take(&asked, outcome.index) else { continue };
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
        asked.lock().unwrap_or_else(PoisonError::into_inner).drain().map(|(_, (item, ..))| item).collect();
    if !left.is_empty() {
        let forgotten = || {
            Error::new(ErrorKind::Internal, Phase::Data, "a file of a pipeline was forgotten")
                .with_transient(true)
        };
        let error = job.stopped().map_or_else(forgotten, Job::ended_early);
        ended(job, left, &error);
    }
}

fn take(asked: &Asked, index: u64) -> Option<(Item, u64, Option<Checksum>)> {
    asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&index)
}

/// Reads files ahead, and hands them over as there is room.
async fn feed(
    job: &Arc<Job>,
    leave: &Leave<'_>,
    from: &LocalEnd,
    to: &Remote,
    sender: PutManySender,
    asked: &Asked,
) {
    let mut reading = JoinSet::new();
    let mut next = 0;
    loop {
        while reading.len() < READING
            && leave.goes_on(job)
            && let Some(item) = job.queue.small()
        {
            let path = from.path(&item.path);
            let algorithm = job.algorithm.clone();
            reading.spawn(async move {
                let read = blocking(move || {
                    let (contents, facts) = local::read_small(&path)?;
                    let checksum = algorithm.map(|algorithm| hash(&algorithm, &contents)).transpose()?;
                    Ok((contents, facts, checksum))
                });
                (item, read.await)
            });
        }
        let Some(read) = reading.join_next().await else { return };
        let Ok((mut item, read)) = read else { continue };
        let (contents, facts, checksum): (Bytes, local::Facts, Option<Checksum>) = match read {
            Ok(read) => read,
            Err(error) => {
                failed(job, item, error);
                continue;
            }
        };
        (item.size, item.modified, item.mode) = (Some(facts.size), Some(facts.modified), Some(facts.mode));
        let file = match put_file(job, to, &item, contents, checksum.clone()) {
            Ok(file) => file,
            Err(error) => {
                failed(job, item, error);
                continue;
            }
        };
        let bytes = facts.size;
        asked.lock().unwrap_or_else(PoisonError::into_inner).insert(next, (item, bytes, checksum));
        if let Err(error) = sender.send(next, file).await {
            // It is over: the others have their outcomes.
            if let Some((item, ..)) = take(asked, next) {
                job.failed(item, error, false);
            }
        } else {
            job.tally.moved(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        next += 1;
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
