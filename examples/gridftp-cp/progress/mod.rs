//! How far everything is: the board that all tasks write on, and those who read it to the user.

mod picture;
mod shown;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gridftp::transfer::{Progress, Stage};
use tokio::sync::watch;

use crate::stream::Meter;

#[allow(unused_imports, reason = "the tests of this module use less")]
pub(crate) use shown::{Shown, say, warn};

/// What is going on, written by tasks.
#[derive(Debug)]
pub(crate) struct Board {
    begun: Instant,
    /// How many tasks there are.
    tasks: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<usize, Running>,
    begun: usize,
    /// Of tasks that are over.
    over: Snapshot,
}

#[derive(Debug)]
enum Running {
    Transfer(watch::Receiver<Progress>),
    Stream(Arc<Meter>),
}

/// All of it at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    pub(crate) elapsed: Duration,
    pub(crate) files_found: u64,
    pub(crate) files_done: u64,
    pub(crate) bytes_found: u64,
    pub(crate) bytes_done: u64,
    /// Whether that is all there is.
    pub(crate) is_planned: bool,
    pub(crate) skipped: u64,
    pub(crate) bytes_skipped: u64,
    pub(crate) failed: u64,
    pub(crate) retries: u64,
    pub(crate) sessions: usize,
    pub(crate) finishing: bool,
    /// Files under way: name, bytes, size.
    pub(crate) current: Vec<(String, u64, Option<u64>)>,
}

impl Snapshot {
    fn add(&mut self, progress: &Progress) {
        self.files_found += progress.files_found;
        self.files_done += progress.files_done;
        self.bytes_found += progress.bytes_found;
        self.bytes_done += progress.bytes_done;
        self.skipped += progress.skipped;
        self.bytes_skipped += progress.bytes_skipped;
        self.failed += progress.failed;
        self.retries += progress.retries;
    }

    fn add_stream(&mut self, meter: &Meter) {
        self.files_found += 1;
        self.bytes_found += meter.total().unwrap_or(0);
        self.bytes_done += meter.bytes();
    }

    /// Bytes that are still to come, as far as that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        let left = self.bytes_found.saturating_sub(self.bytes_done).saturating_sub(self.bytes_skipped);
        (self.is_planned && self.bytes_found > 0).then_some(left)
    }
}

impl Board {
    pub(crate) fn new(tasks: usize) -> Self {
        Self { begun: Instant::now(), tasks, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, task: usize, running: Running) {
        let mut state = self.lock();
        state.begun += 1;
        state.running.insert(task, running);
    }

    pub(crate) fn transfer(&self, task: usize, progress: watch::Receiver<Progress>) {
        self.begin(task, Running::Transfer(progress));
    }

    pub(crate) fn stream(&self, task: usize, meter: &Arc<Meter>) {
        self.begin(task, Running::Stream(Arc::clone(meter)));
    }

    /// A task is over, and has its last figures on the board.
    pub(crate) fn ended(&self, task: usize) {
        let mut state = self.lock();
        match state.running.remove(&task) {
            Some(Running::Transfer(progress)) => {
                let last = progress.borrow().clone();
                state.over.add(&last);
            }
            Some(Running::Stream(meter)) => {
                state.over.add_stream(&meter);
                state.over.files_done += 1;
            }
            None => {}
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        let mut all = state.over.clone();
        all.elapsed = self.begun.elapsed();
        all.is_planned = state.begun == self.tasks;
        all.finishing = !state.running.is_empty();
        for running in state.running.values() {
            match running {
                Running::Transfer(progress) => {
                    let now = progress.borrow();
                    all.add(&now);
                    all.is_planned &= now.is_planned;
                    all.sessions += now.sessions;
                    all.finishing &= now.stage == Stage::Finishing;
                    for file in &now.current {
                        let name = String::from_utf8_lossy(&file.path).into_owned();
                        all.current.push((name, file.bytes, file.size));
                    }
                }
                Running::Stream(meter) => {
                    all.add_stream(meter);
                    all.is_planned &= meter.total().is_some();
                    all.finishing = false;
                }
            }
        }
        all
    }
}
