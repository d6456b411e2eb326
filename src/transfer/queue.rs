//! Files that wait to be moved, and who gets which.
//!
//! What is planned and not done is bounded: whoever plans waits for room. Small files go through pipelines, which take them
//! as they drain; a large one is a piece of work for one worker, in which others can join.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::journal::Manner;
use super::large::Shared;
use crate::types::RangeSet;

/// How often those who have nothing to do look whether they can help.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Files that are planned and not done.
pub(super) const ROOM: usize = 4096;

/// A file to be moved.
#[derive(Debug)]
pub(super) struct Item {
    /// Below the root; empty for the root itself.
    pub(super) path: Vec<u8>,
    pub(super) size: Option<u64>,
    pub(super) modified: Option<SystemTime>,
    pub(super) mode: Option<u32>,
    /// Attempts that brought nothing.
    pub(super) tries: u32,
    pub(super) first_failure: Option<Instant>,
    /// What an earlier attempt, or run, left.
    pub(super) half: Option<Half>,
    /// It failed in a pipeline for a reason that is not clear, and goes alone now.
    pub(super) alone: bool,
    /// Which of the sources is read; the others are tried when that fails.
    pub(super) source: usize,
    /// Its place in the plan.
    pub(super) order: u64,
}

/// What is there of a file, under its temporary name.
#[derive(Debug, Clone)]
pub(super) struct Half {
    /// Of a source of that size.
    pub(super) size: Option<u64>,
    pub(super) modified: Option<SystemTime>,
    pub(super) ranges: RangeSet,
    pub(super) manner: Manner,
}

/// What a worker does next.
#[derive(Debug)]
pub(super) enum Work {
    /// Small files wait: a pipeline takes them from the queue.
    Pipeline,
    /// A file by itself.
    Alone(Item),
    /// A file of somebody else's, with enough left for two.
    Help(Arc<dyn Shared>),
    /// There is nothing left, and nothing to come.
    Over,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Notify,
    room: Semaphore,
    stopped: AtomicBool,
    /// Whether several may work on one file.
    helping: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Waiting {
    small: VecDeque<Item>,
    alone: VecDeque<Item>,
    shared: Vec<Arc<dyn Shared>>,
    /// To be tried again after a pause.
    paused: Vec<(u64, Item, bool)>,
    /// Given out or waiting, and not done.
    open: usize,
    /// Nothing more is planned.
    planned: bool,
    next_order: u64,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            changed: Notify::new(),
            room: Semaphore::new(ROOM),
            stopped: AtomicBool::new(false),
            helping: watch::Sender::new(true),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more file may wait.
    pub(super) async fn room(&self) {
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
    }

    /// Adds a file, for which there is [room](Self::room).
    pub(super) fn push(&self, mut item: Item, small: bool) {
        {
            let mut waiting = self.lock();
            waiting.open += 1;
            waiting.next_order += 1;
            item.order = waiting.next_order;
            let queue = if small { &mut waiting.small } else { &mut waiting.alone };
            queue.push_back(item);
        }
        self.changed.notify_waiters();
    }

    /// A file is done with, for better or worse.
    pub(super) fn done(&self) {
        let over = {
            let mut waiting = self.lock();
            waiting.open -= 1;
            waiting.open == 0 && waiting.planned
        };
        self.room.add_permits(1);
        if over {
            self.changed.notify_waiters();
        }
    }

    /// A file comes back, to be tried again after a pause.
    pub(super) fn again(self: &Arc<Self>, item: Item, small: bool, pause: Duration) {
        let number = {
            let mut waiting = self.lock();
            waiting.next_order += 1;
            let number = waiting.next_order;
            waiting.paused.push((number, item, small));
            number
        };
        let queue = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            // Unless the transfer has ended meanwhile, which takes all that waits.
            let due = {
                let mut waiting = queue.lock();
                let at = waiting.paused.iter().position(|(other, ..)| *other == number);
                at.map(|at| waiting.paused.swap_remove(at))
            };
            if let Some((_, item, small)) = due {
                queue.put_back(item, small);
            }
        });
    }

    /// A file comes back at once, before those that were planned after it.
    pub(super) fn put_back(&self, item: Item, small: bool) {
        {
            let mut waiting = self.lock();
            let queue = if small && !item.alone { &mut waiting.small } else { &mut waiting.alone };
            let at = queue.partition_point(|other| other.order < item.order);
            queue.insert(at, item);
        }
        self.changed.notify_waiters();
    }

    /// Nothing more is planned.
    pub(super) fn planned(&self) {
        self.lock().planned = true;
        self.changed.notify_waiters();
    }

    /// Nobody is to begin anything any more.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// What waits, when nobody is going to take it any more.
    pub(super) fn drain(&self) -> Vec<Item> {
        let mut waiting = self.lock();
        let mut items: Vec<_> = std::mem::take(&mut waiting.small).into();
        items.extend(std::mem::take(&mut waiting.alone));
        items.extend(std::mem::take(&mut waiting.paused).into_iter().map(|(_, item, _)| item));
        waiting.open = waiting.open.saturating_sub(items.len());
        items
    }

    /// The next small file, for a pipeline that has room.
    pub(super) fn small(&self) -> Option<Item> {
        if self.is_stopped() {
            return None;
        }
        self.lock().small.pop_front()
    }

    /// Waits until small files may be there, or nothing is to come any more.
    pub(super) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// A file in which others may join, until it is [withdrawn](Self::withdraw).
    pub(super) fn share(&self, file: Arc<dyn Shared>) {
        self.lock().shared.push(file);
        self.changed.notify_waiters();
    }

    pub(super) fn withdraw(&self, file: &Arc<dyn Shared>) {
        self.lock().shared.retain(|other| !std::ptr::addr_eq(Arc::as_ptr(other), Arc::as_ptr(file)));
    }

    /// Whether several may work on one file: those who do already end when they may not.
    pub(super) fn help(&self, may: bool) {
        self.helping.send_replace(may);
        self.look_again();
    }

    pub(super) fn helps(&self) -> bool {
        *self.helping.borrow()
    }

    /// Ready when nobody is to help any more.
    pub(super) async fn no_more_help(&self) {
        let mut helping = self.helping.subscribe();
        if helping.wait_for(|may| !may).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Somebody may find something to help with now.
    pub(super) fn look_again(&self) {
        self.changed.notify_waiters();
    }

    /// Ready when there is nothing left and nothing to come.
    pub(super) async fn over(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed());
            changed.as_mut().enable();
            let over = {
                let waiting = self.lock();
                waiting.open == 0 && waiting.planned
            };
            if over || self.is_stopped() {
                return;
            }
            changed.await;
        }
    }

    /// What the worker with that number does next; waits for it.
    pub(super) async fn next(&self, worker: usize) -> Work {
        loop {
            let mut changed = std::pin::pin!(self.changed());
            // Before the look, or what comes in between would be missed.
            changed.as_mut().enable();
            if let Some(work) = self.pick(worker) {
                return work;
            }
            // Now and then even if nobody says so: whether a file is worth sharing changes with time.
            let _ = tokio::time::timeout(LOOK_AGAIN, changed).await;
        }
    }

    /// Whether there is a file that several could work on.
    pub(super) fn has_shared(&self) -> bool {
        !self.lock().shared.is_empty()
    }

    /// Has those who move large files leave them to others.
    pub(super) fn hand_over(&self) {
        for file in &self.lock().shared {
            file.hand_over();
        }
    }

    fn pick(&self, worker: usize) -> Option<Work> {
        if self.is_stopped() {
            return Some(Work::Over);
        }
        let mut waiting = self.lock();
        let small = waiting.small.front().map(|item| item.order);
        let alone = waiting.alone.front().map(|item| item.order);
        match (small, alone) {
            // Half of them each, so that neither kind waits for the other's end.
            (Some(_), Some(_)) if worker % 2 == 1 => waiting.alone.pop_front().map(Work::Alone),
            (Some(small), Some(alone)) if worker == 0 && alone < small => {
                waiting.alone.pop_front().map(Work::Alone)
            }
            (Some(_), _) => Some(Work::Pipeline),
            (None, Some(_)) => waiting.alone.pop_front().map(Work::Alone),
            (None, None) if waiting.open == 0 && waiting.planned => Some(Work::Over),
            (None, None) if !self.helps() => None,
            (None, None) => {
                waiting.shared.iter().find(|file| file.has_room()).map(|file| Work::Help(Arc::clone(file)))
            }
        }
    }
}
