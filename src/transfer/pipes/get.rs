//! Small files from a server.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

use super::{Leave, ended, failed};
use crate::data::ManyFile;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::transfer::hash::hash;
use crate::transfer::job::{Job, Room, SMALL};
use crate::transfer::local::{self, Attributes};
use crate::transfer::queue::Item;
use crate::transfer::{End, Overwrite};
use crate::types::Checksum;

/// Files that are asked for and not here.
const AHEAD: usize = 400;

/// Files that are written at the same time.
const WRITING: usize = 64;

/// Files whose checksums are asked for together, and their bytes.
const COMPARED: usize = 128;
const COMPARED_BYTES: usize = 8 << 20;

/// Groups of them at the same time.
const GROUPS: usize = 2;

/// A file's contents, and the room that they take.
struct Held {
    contents: Bytes,
    _room: Option<Room>,
}

pub(super) async fn run(job: &Arc<Job>, leave: &Leave<'_>) {
    let End::Remote(from) = &job.sources[0] else { return };
    let mut asked: HashMap<usize, Item> = HashMap::new();
    let mut storing = JoinSet::new();
    let mut comparing = Vec::new();
    let mut compared_bytes = 0;
    let Some(first) = job.queue.small() else { return };
    let url = match from.url(&first.path) {
        Ok(url) => url,
        Err(error) => return failed(job, first, error),
    };
    let channels = &job.channels;
    let starting = from
        .client
        .get_many([url])
        .fall_back(true)
        .protection(channels.protection)
        .dcau(channels.dcau.clone())
        .tcp_buffer(channels.tcp_buffer);
    asked.insert(0, first);
    let mut next = 1;
    let mut many = match job.unless_ended(starting.into_future()).await {
        Ok(many) => many,
        Err(error) => return ended(job, asked.into_values(), &error),
    };
    let waits = &job.tally.waits;
    let over = loop {
        while asked.len() < AHEAD
            && leave.goes_on(job)
            && let Some(item) = job.queue.small()
        {
            match from.url(&item.path).and_then(|url| many.push(url)) {
                Ok(()) => {
                    asked.insert(next, item);
                    next += 1;
                }
                Err(error) => failed(job, item, error),
            }
        }
        let mut file = match waits.network(job.unless_ended(many.next_file())).await {
            Ok(Some(file)) => file,
            Ok(None) if asked.is_empty() => break None,
            // All that was asked for had its turn.
            Ok(None) => break Some(forgotten()),
            Err(error) => break Some(error),
        };
        let index = file.index();
        let Some(mut item) = asked.remove(&index) else { continue };
        let mut came = 0;
        match job.unless_ended(contents(job, &mut file, &mut came)).await {
            Ok(contents) => {
                // What it is by now is what was copied.
                item.size = Some(came);
                let room = match job.room_now(came) {
                    Some(room) => Some(room),
                    None => {
                        // What waits here must go on, or nobody would make room.
                        if !comparing.is_empty() {
                            storing.spawn(compare(Arc::clone(job), std::mem::take(&mut comparing)));
                            compared_bytes = 0;
                        }
                        waits.disk(job.room(came)).await
                    }
                };
                let held = Held { contents, _room: room };
                if job.algorithm.is_some() {
                    compared_bytes += held.contents.len();
                    comparing.push((item, held));
                } else {
                    storing.spawn(store_one(Arc::clone(job), item, held, None));
                }
            }
            Err(error) => {
                job.tally.lost(came);
                failed(job, item, error);
            }
        }
        if comparing.len() >= COMPARED || compared_bytes >= COMPARED_BYTES {
            storing.spawn(compare(Arc::clone(job), std::mem::take(&mut comparing)));
            compared_bytes = 0;
        }
        let most = if job.algorithm.is_some() { GROUPS } else { WRITING };
        while storing.len() > most {
            waits.disk(storing.join_next()).await;
        }
        while storing.try_join_next().is_some() {}
    };
    if let Some(error) = over {
        if many.unreached() {
            from.no_pipelines();
            for mut item in asked.into_values() {
                item.alone = true;
                job.queue.put_back(item, false);
            }
        } else {
            ended(job, asked.into_values(), &error);
        }
    }
    drop(many);
    if !comparing.is_empty() {
        storing.spawn(compare(Arc::clone(job), comparing));
    }
    while storing.join_next().await.is_some() {}
}

fn forgotten() -> Error {
    Error::new(ErrorKind::Internal, Phase::Data, "a file of a pipeline was forgotten").with_transient(true)
}

/// Collects a file, which was small when it was planned.
async fn contents(job: &Job, file: &mut ManyFile<'_>, at: &mut u64) -> Result<Bytes> {
    let mut only = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(block) = job.tally.waits.network(file.next_block()).await? {
        if block.offset != *at {
            let message = "the bytes of a small file did not come in order";
            return Err(Error::new(ErrorKind::Unsupported, Phase::Data, message).with_side(Side::Source));
        }
        job.tally.moved(block.data.len());
        job.pace(block.data.len()).await;
        *at += u64::try_from(block.data.len()).unwrap_or(u64::MAX);
        if *at > 4 * SMALL {
            let message = "the file has grown; it goes by itself";
            return Err(Error::new(ErrorKind::Unsupported, Phase::Data, message).with_side(Side::Source));
        }
        if whole.is_empty() && only.is_empty() {
            only = block.data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&std::mem::take(&mut only));
            }
            whole.extend_from_slice(&block.data);
        }
    }
    Ok(if whole.is_empty() { only } else { whole.freeze() })
}

/// Has the server compute the checksums of files that are here, and stores those that are right.
async fn compare(job: Arc<Job>, files: Vec<(Item, Held)>) {
    let (End::Remote(from), Some(algorithm)) = (&job.sources[0], job.algorithm.clone()) else { return };
    let mut asked = Vec::with_capacity(files.len());
    let mut urls = Vec::with_capacity(files.len());
    for (item, contents) in files {
        match from.url(&item.path) {
            Ok(url) => {
                urls.push(url);
                asked.push(Some((item, contents)));
            }
            Err(error) => failed(&job, item, error),
        }
    }
    let mut many =
        match job.unless_ended(from.client.checksum_many(urls, algorithm.clone()).into_future()).await {
            Ok(many) => many,
            Err(error) => return ended(&job, asked.into_iter().flatten().map(|(item, _)| item), &error),
        };
    let mut writing = JoinSet::new();
    while let Ok(Some(outcome)) = job.unless_ended(async { Ok(many.next_outcome().await) }).await {
        let Some((item, contents)) = asked.get_mut(outcome.index).and_then(Option::take) else { continue };
        match outcome.result {
            Ok(theirs) => {
                writing.spawn(store_one(Arc::clone(&job), item, contents, Some(theirs)));
            }
            Err(error) => failed(&job, item, error),
        }
    }
    let left: Vec<_> = asked.into_iter().flatten().map(|(item, _)| item).collect();
    if !left.is_empty() {
        let error = job.stopped().map_or_else(forgotten, Job::ended_early);
        ended(&job, left, &error);
    }
    while writing.join_next().await.is_some() {}
}

/// Gives a file its contents and its name, if its checksum is right.
async fn store_one(job: Arc<Job>, item: Item, held: Held, theirs: Option<Checksum>) {
    let End::Local(to) = &job.to else { return };
    let attributes = Attributes::of(&item, job.choices.preserve);
    let (tag, fsync) = (job.tag, job.choices.fsync);
    let replace = job.choices.overwrite != Overwrite::Never;
    let bytes = u64::try_from(held.contents.len()).unwrap_or(u64::MAX);
    let expected = theirs.clone();
    let stored = to.at(&item.path, move |root, path| {
        let contents = &held.contents;
        if let Some(theirs) = expected {
            let ours = hash(theirs.algorithm(), contents)?;
            if ours != theirs {
                let message =
                    format!("what came differs: the source's checksum is {theirs}, that of the copy {ours}");
                return Err(
                    Error::new(ErrorKind::ChecksumMismatch, Phase::Verify, message).with_side(Side::Local)
                );
            }
        }
        local::write_small(root, path, tag, contents, attributes, replace, fsync)
    });
    match stored.await {
        Ok(()) => job.copied(&item, bytes, theirs),
        Err(error) => {
            job.tally.lost(bytes);
            failed(&job, item, error);
        }
    }
}
