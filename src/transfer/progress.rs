//! How far a transfer is: counted by everyone who works on it, shown to whoever looks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::explain::Waits;
use super::report::{Outcome, ReportKind, SkipReason, TransferReport};
use crate::error::Error;

/// How often progress is shown.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// What the rate is taken over.
const WINDOW: Duration = Duration::from_secs(5);

/// Files under way that are named.
const NAMED: usize = 16;

/// How far a transfer is. [`Transfer::progress`](crate::Transfer::progress) gives a new one five times a second.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Entries found at the source so far: files, folders, links and others.
    pub found: u64,
    /// Files among them.
    pub files_found: u64,
    /// The bytes of these files, as far as their sizes are known.
    pub bytes_found: u64,
    /// The whole source has been looked at, so the three numbers above are final.
    pub is_planned: bool,
    /// Files that are at the destination.
    pub files_done: u64,
    /// Bytes of files that have been moved, of those under way as well; bytes that were there from before count.
    pub bytes_done: u64,
    /// Entries that were skipped.
    pub skipped: u64,
    /// Bytes of files that were skipped.
    pub bytes_skipped: u64,
    /// Entries that failed.
    pub failed: u64,
    /// Extras that were deleted.
    pub deleted: u64,
    /// How often something was tried again.
    pub retries: u64,
    /// Bytes a second, over the last five seconds.
    pub bytes_per_second: f64,
    /// Files a second, over the last five seconds.
    pub files_per_second: f64,
    /// How long it will take at this rate, once the source has been looked at and there is a rate.
    pub eta: Option<Duration>,
    /// How long it has taken.
    pub elapsed: Duration,
    /// Sessions that work at the same time.
    pub sessions: usize,
    /// Large files under way, 16 at most.
    pub current: Vec<CurrentFile>,
}

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// It looks at both ends, and has not begun to move data.
    #[default]
    Starting,
    /// Data moves. The source may still be looked at.
    Moving,
    /// Links, times of folders and deletions, which come last.
    Finishing,
    /// It is over.
    Over,
}

/// A file under way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CurrentFile {
    /// Its path below the root of the transfer.
    pub path: Vec<u8>,
    /// How much of it is there.
    pub bytes: u64,
    /// How much there is.
    pub size: Option<u64>,
}

/// What everyone counts in.
#[derive(Debug)]
pub(super) struct Tally {
    begun: Instant,
    pub(super) found: AtomicU64,
    pub(super) files_found: AtomicU64,
    pub(super) bytes_found: AtomicU64,
    pub(super) planned: AtomicBool,
    files_done: AtomicU64,
    /// Bytes that count as there: may go down when something has to be moved again.
    bytes_done: AtomicU64,
    /// Bytes that came over the network, or from disk to disk.
    bytes_moved: AtomicU64,
    retries: AtomicU64,
    pub(super) sessions: AtomicUsize,
    pub(super) finishing: AtomicBool,
    pub(super) waits: Waits,
    current: Mutex<Vec<Arc<Current>>>,
    report: Mutex<TransferReport>,
}

/// A large file under way.
#[derive(Debug)]
pub(super) struct Current {
    path: Vec<u8>,
    size: Option<u64>,
    bytes: AtomicU64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            found: AtomicU64::new(0),
            files_found: AtomicU64::new(0),
            bytes_found: AtomicU64::new(0),
            planned: AtomicBool::new(false),
            files_done: AtomicU64::new(0),
            bytes_done: AtomicU64::new(0),
            bytes_moved: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            sessions: AtomicUsize::new(0),
            finishing: AtomicBool::new(false),
            waits: Waits::default(),
            current: Mutex::default(),
            report: Mutex::default(),
        }
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Something was found at the source.
    pub(super) fn found(&self, file: Option<Option<u64>>) {
        self.found.fetch_add(1, Ordering::Relaxed);
        if let Some(size) = file {
            self.files_found.fetch_add(1, Ordering::Relaxed);
            self.bytes_found.fetch_add(size.unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Bytes of a file came, or went.
    pub(super) fn moved(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.waits.moved();
        self.bytes_moved.fetch_add(bytes, Ordering::Relaxed);
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes are there from an earlier attempt or run.
    pub(super) fn was_there(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that came have to come again.
    pub(super) fn lost(&self, bytes: u64) {
        let less = |done: u64| Some(done.saturating_sub(bytes));
        let _ = self.bytes_done.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(super) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// What the controller goes by: bytes that moved, and files that are done.
    pub(super) fn speed_marks(&self) -> (u64, u64) {
        (self.bytes_moved.load(Ordering::Relaxed), self.files_done.load(Ordering::Relaxed))
    }

    /// A large file is under way until that is dropped.
    pub(super) fn begin(self: &Arc<Self>, path: &[u8], size: Option<u64>) -> Watched {
        let current = Arc::new(Current { path: path.to_vec(), size, bytes: AtomicU64::new(0) });
        self.current.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&current));
        Watched { tally: Arc::clone(self), current }
    }

    fn report(&self) -> std::sync::MutexGuard<'_, TransferReport> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn copied(&self, path: &[u8], kind: ReportKind, bytes: u64) {
        if kind == ReportKind::File {
            self.files_done.fetch_add(1, Ordering::Relaxed);
        }
        self.report().add(path, kind, Outcome::Copied { bytes }, bytes);
    }

    pub(super) fn skipped(&self, path: &[u8], kind: ReportKind, reason: SkipReason, size: Option<u64>) {
        self.report().add(path, kind, Outcome::Skipped(reason), size.unwrap_or(0));
    }

    pub(super) fn failed(&self, path: &[u8], kind: ReportKind, error: Error) {
        tracing::debug!(path = %crate::error::Escaped(path), %error, "an entry of a transfer failed");
        self.report().add(path, kind, Outcome::Failed(error), 0);
    }

    pub(super) fn deleted(&self, path: &[u8], kind: ReportKind) {
        self.report().add(path, kind, Outcome::Deleted, 0);
    }

    /// How many entries failed so far.
    pub(super) fn failures(&self) -> u64 {
        self.report().counts().failed
    }

    /// The report, at the end.
    pub(super) fn take_report(&self, aborted: bool) -> TransferReport {
        let mut report = std::mem::take(&mut *self.report());
        report.retries = self.retries.load(Ordering::Relaxed);
        report.bytes_moved = self.bytes_moved.load(Ordering::Relaxed);
        report.elapsed = self.begun.elapsed();
        report.aborted = aborted;
        report
    }
}

/// A large file that is shown as under way.
#[derive(Debug)]
pub(super) struct Watched {
    tally: Arc<Tally>,
    current: Arc<Current>,
}

impl Watched {
    /// Bytes of it came, or went.
    pub(super) fn moved(&self, bytes: usize) {
        self.tally.moved(bytes);
        self.current.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How much of it is there.
    pub(super) fn bytes(&self) -> u64 {
        self.current.bytes.load(Ordering::Relaxed)
    }

    /// That much is there by now, and what is more than before has moved.
    pub(super) fn has_moved(&self, bytes: u64) {
        let before = self.current.bytes.fetch_max(bytes, Ordering::Relaxed);
        if let Some(more) = bytes.checked_sub(before) {
            self.tally.moved(usize::try_from(more).unwrap_or(usize::MAX));
        }
    }

    /// That much is there, whatever was said before.
    pub(super) fn is_at(&self, bytes: u64) {
        let before = self.current.bytes.swap(bytes, Ordering::Relaxed);
        match bytes.checked_sub(before) {
            Some(more) => self.tally.was_there(more),
            None => self.tally.lost(before - bytes),
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut current = self.tally.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.retain(|other| !Arc::ptr_eq(other, &self.current));
    }
}

/// Shows a tally to whoever looks.
pub(super) struct Ticker {
    tally: Arc<Tally>,
    shown: watch::Sender<Progress>,
    /// When, bytes, files.
    past: VecDeque<(Instant, u64, u64)>,
}

impl Ticker {
    pub(super) fn new(tally: Arc<Tally>, shown: watch::Sender<Progress>) -> Self {
        Self { tally, shown, past: VecDeque::new() }
    }

    /// For as long as nobody ends it.
    pub(super) async fn run(&mut self) {
        loop {
            self.tick(false);
            tokio::time::sleep(TICK).await;
        }
    }

    pub(super) fn tick(&mut self, over: bool) {
        let now = Instant::now();
        let tally = &self.tally;
        let (moved, files_done) = tally.speed_marks();
        self.past.push_back((now, moved, files_done));
        while self.past.len() > 2 && now.duration_since(self.past[1].0) >= WINDOW {
            self.past.pop_front();
        }
        let (bytes_per_second, files_per_second) = match self.past.front() {
            Some((then, bytes, files)) if *then < now => {
                let seconds = now.duration_since(*then).as_secs_f64();
                (per(moved - bytes, seconds), per(files_done - files, seconds))
            }
            _ => (0.0, 0.0),
        };
        let counts = *tally.report().counts();
        let is_planned = tally.planned.load(Ordering::Relaxed);
        let bytes_found = tally.bytes_found.load(Ordering::Relaxed);
        let bytes_done = tally.bytes_done.load(Ordering::Relaxed);
        let left = bytes_found.saturating_sub(bytes_done).saturating_sub(counts.skipped_bytes);
        let stage = if over {
            Stage::Over
        } else if tally.finishing.load(Ordering::Relaxed) {
            Stage::Finishing
        } else if moved > 0 || files_done > 0 {
            Stage::Moving
        } else {
            Stage::Starting
        };
        let current = tally.current.lock().unwrap_or_else(PoisonError::into_inner);
        let named = |file: &Arc<Current>| CurrentFile {
            path: file.path.clone(),
            bytes: file.bytes.load(Ordering::Relaxed),
            size: file.size,
        };
        let current: Vec<_> = current.iter().take(NAMED).map(named).collect();
        self.shown.send_replace(Progress {
            stage,
            found: tally.found.load(Ordering::Relaxed),
            files_found: tally.files_found.load(Ordering::Relaxed),
            bytes_found,
            is_planned,
            files_done,
            bytes_done,
            skipped: counts.skipped,
            bytes_skipped: counts.skipped_bytes,
            failed: counts.failed,
            deleted: counts.deleted,
            retries: tally.retries.load(Ordering::Relaxed),
            bytes_per_second,
            files_per_second,
            eta: eta(left, bytes_per_second, is_planned && !over),
            elapsed: tally.begun.elapsed(),
            sessions: tally.sessions.load(Ordering::Relaxed),
            current,
        });
    }
}

/// Counts are far below what a float of this size can tell apart, and these are shown to people.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn per(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(0.001)
}

fn eta(left: u64, bytes_per_second: f64, known: bool) -> Option<Duration> {
    if !known || bytes_per_second < 1.0 {
        return None;
    }
    Duration::try_from_secs_f64(per(left, 1.0) / bytes_per_second).ok()
}
