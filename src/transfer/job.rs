//! What everyone who works on one transfer shares, and what becomes of a file whose turn is over.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::builder::Login;
use super::channels::Channels;
use super::choices::Choices;
use super::journal::{Identity, Journal, Manner, Record, State};
use super::progress::Tally;
use super::queue::{Half, Item, Queue};
use super::report::{ReportKind, SkipReason};
use super::{End, Route};
use crate::client::Client;
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
use crate::types::{Checksum, ChecksumAlgorithm, RangeSet};

/// Files of up to that many bytes go through pipelines.
pub(super) const SMALL: u64 = 1 << 20;

/// Why a transfer ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    Aborted,
    TimeLimit(Duration),
}

/// What comes last.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// Links to be made: path, target.
    pub(super) links: Vec<(Vec<u8>, Vec<u8>)>,
    /// Folders whose attributes are to be set.
    pub(super) folders: Vec<Folder>,
}

#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: Vec<u8>,
    pub(super) mode: Option<u32>,
    pub(super) modified: Option<std::time::SystemTime>,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) route: Route,
    pub(super) single: bool,
    pub(super) client: Client,
    /// Who logs in at the source, and at the destination.
    pub(super) logins: (Login, Login),
    /// The places that files can be had from; the first one is planned by.
    pub(super) sources: Vec<End>,
    pub(super) to: End,
    pub(super) choices: Choices,
    pub(super) channels: Channels,
    pub(super) tally: Arc<Tally>,
    pub(super) queue: Arc<Queue>,
    pub(super) journal: Option<Journal>,
    pub(super) before: Mutex<State>,
    /// Part of temporary names: of one transfer always the same, so that half files are found again.
    pub(super) tag: u64,
    /// What checksums are computed by, where they are compared.
    pub(super) algorithm: Option<ChecksumAlgorithm>,
    pub(super) deferred: Mutex<Deferred>,
    /// A part of the source could not be looked at.
    pub(super) incomplete: AtomicBool,
    /// How often a server had too much to do.
    pub(super) busy: AtomicU64,
    /// Connections of each piece that is asked for from now on, where that is more than was chosen at first.
    pub(super) streams: AtomicU16,
    /// A server did not take a file over several connections: one has to do from now on.
    pub(super) narrow: AtomicBool,
    pub(super) stop: watch::Sender<Option<Stop>>,
    /// Room for the contents of small files, in KiB.
    pub(super) memory: Arc<Semaphore>,
}

/// Contents of small files that are held at the same time, in KiB.
const MEMORY_KIB: u32 = 48 << 10;

/// Room for contents, until it is dropped.
pub(super) type Room = OwnedSemaphorePermit;

impl Job {
    pub(super) fn memory() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(usize::try_from(MEMORY_KIB).unwrap_or(0)))
    }

    /// Waits until there is room for so many bytes of contents.
    pub(super) async fn room(&self, bytes: u64) -> Option<Room> {
        // It is never closed.
        Arc::clone(&self.memory).acquire_many_owned(kib(bytes)).await.ok()
    }

    /// The same, if there is room now.
    pub(super) fn room_now(&self, bytes: u64) -> Option<Room> {
        Arc::clone(&self.memory).try_acquire_many_owned(kib(bytes)).ok()
    }

    /// Waits as long as so many bytes should have taken, where there is a limit.
    pub(super) async fn pace(&self, bytes: usize) {
        if let Some(limit) = &self.choices.rate_limit {
            let pause = limit.moved(u64::try_from(bytes).unwrap_or(u64::MAX));
            self.tally.waits.limit(pause).await;
        }
    }

    /// Whether it is one file, and not a tree.
    pub(super) fn is_single(&self) -> bool {
        self.single
    }

    /// Part of the temporary names of a pipeline: no two ever write to one file, and all begin like those of this transfer.
    pub(super) fn run_tag(&self) -> String {
        format!("{:016x}-{:08x}", self.tag, fastrand::u32(..))
    }

    pub(super) fn source(&self, item: &Item) -> &End {
        &self.sources[item.source.min(self.sources.len() - 1)]
    }

    /// Ready when the transfer is to end before its end.
    pub(super) async fn ended(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        match stop.wait_for(Option::is_some).await {
            Ok(stop) => stop.unwrap_or(Stop::Aborted),
            Err(_) => Stop::Aborted,
        }
    }

    pub(super) fn stopped(&self) -> Option<Stop> {
        *self.stop.borrow()
    }

    /// The error of what was not done because of that.
    pub(super) fn ended_early(stop: Stop) -> Error {
        match stop {
            Stop::Aborted => {
                Error::new(ErrorKind::Aborted, Phase::Data, "the transfer was ended before its end")
                    .with_side(Side::Local)
            }
            Stop::TimeLimit(limit) => {
                let message = format!("not done within {limit:?}, the limit for the whole transfer");
                Error::new(ErrorKind::Timeout(TimeoutKind::Total), Phase::Data, message)
                    .with_side(Side::Local)
            }
        }
    }

    /// Runs something until the transfer is to end.
    pub(super) async fn unless_ended<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            stop = self.ended() => Err(Self::ended_early(stop)),
            result = work => result,
        }
    }

    /// A file is at the destination.
    pub(super) fn copied(&self, item: &Item, bytes: u64, checksum: Option<Checksum>) {
        if let Some(journal) = &self.journal {
            journal.append(Record::Done { path: item.path.clone(), source: identity(item), checksum });
        }
        self.tally.copied(&item.path, ReportKind::File, bytes);
        self.queue.done();
    }

    fn retries(&self, item: &Item, error: &Error, tries: u32) -> bool {
        let retry = &self.choices.retry;
        let now = Instant::now();
        let first = item.first_failure.unwrap_or(now);
        let in_time = retry.within.is_none_or(|limit| now.duration_since(first) < limit);
        error.is_transient() && in_time && tries < retry.attempts
    }

    fn has_other_source(&self, item: &Item, error: &Error) -> bool {
        item.source + 1 < self.sources.len() && error.side() != Some(Side::Destination)
    }

    /// A file was not moved: it is tried again, or has failed. `new_bytes` says that the attempt brought some.
    pub(super) fn failed(&self, item: Item, error: Error, new_bytes: bool) {
        if let Some(item) = self.again(item, &error, new_bytes) {
            self.gave_up(&item, error);
        }
    }

    /// Has a file that failed tried again, from there or from another place; or gives it back, if that is not to be.
    pub(super) fn again(&self, mut item: Item, error: &Error, new_bytes: bool) -> Option<Item> {
        let refused_for_now = error.is_transient() && error.reply().is_some_and(Reply::is_transient_negative);
        if refused_for_now || matches!(error.kind(), ErrorKind::ServerBusy | ErrorKind::TooManyOpenFiles) {
            self.busy.fetch_add(1, Ordering::Relaxed);
        }
        item.first_failure.get_or_insert_with(Instant::now);
        item.tries = if new_bytes { 1 } else { item.tries + 1 };
        if self.stopped().is_some() {
            return Some(item);
        }
        let shown = crate::error::Escaped(&item.path);
        if self.retries(&item, error, item.tries) {
            tracing::debug!(path = %shown, %error, tries = item.tries, "a file is tried again");
            self.tally.retried();
            let pause = self.choices.retry.pause(item.tries + 1);
            let small = item.size.is_some_and(|size| size <= SMALL) && item.half.is_none();
            self.queue.again(item, small, pause);
            return None;
        }
        if self.has_other_source(&item, error) {
            tracing::debug!(path = %shown, %error, "a file is tried from another place");
            item.source += 1;
            (item.tries, item.first_failure, item.alone) = (0, None, true);
            self.queue.put_back(item, false);
            return None;
        }
        Some(item)
    }

    /// A file is not copied in this transfer.
    pub(super) fn gave_up(&self, item: &Item, error: Error) {
        if error.kind() == ErrorKind::Aborted && self.stopped() == Some(Stop::Aborted) {
            self.tally.skipped(&item.path, ReportKind::File, SkipReason::Aborted, item.size);
        } else {
            self.tally.failed(&item.path, ReportKind::File, error);
        }
        self.queue.done();
    }

    /// Remembers what there is of a file, for a later run.
    pub(super) fn remember(&self, item: &Item, ranges: &RangeSet, manner: Manner) {
        if let Some(journal) = &self.journal {
            journal.append(Record::Part {
                path: item.path.clone(),
                source: identity(item),
                ranges: ranges.clone(),
                manner,
            });
        }
    }

    /// The same, by path and source.
    pub(super) fn remember_as(
        &self,
        (path, source): &(Vec<u8>, Identity),
        ranges: &RangeSet,
        manner: Manner,
    ) {
        if let Some(journal) = &self.journal {
            let (path, source, ranges) = (path.clone(), source.clone(), ranges.clone());
            journal.append(Record::Part { path, source, ranges, manner });
        }
    }

    /// The half file is gone.
    pub(super) fn forget(&self, item: &Item) {
        if let Some(journal) = &self.journal {
            journal.append(Record::Dropped { path: item.path.clone() });
        }
    }

    /// Whether half files stay when the transfer ends before its end.
    pub(super) fn keeps_halves(&self) -> bool {
        self.journal.is_some()
    }

    /// What an earlier run left of a file, if the source is the same still.
    pub(super) fn half_of(&self, item: &Item) -> Option<Half> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let part = before.part(&item.path).filter(|part| part.source == identity(item))?;
        Some(Half {
            size: item.size,
            modified: item.modified,
            ranges: part.ranges.clone(),
            manner: part.manner,
        })
    }

    pub(super) fn deferred(&self) -> std::sync::MutexGuard<'_, Deferred> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn kib(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).clamp(1, MEMORY_KIB)
}

/// What tells a file of the source from a later one of its name.
pub(super) fn identity(item: &Item) -> Identity {
    let modified = item.modified.and_then(|time| match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).ok(),
        Err(before) => i128::try_from(before.duration().as_nanos()).ok().map(|nanos| -nanos),
    });
    Identity { size: item.size, modified_nanos: modified.and_then(|nanos| i64::try_from(nanos).ok()) }
}
