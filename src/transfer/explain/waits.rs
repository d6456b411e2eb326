//! Who waited for what, and what was chosen: counted as it happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Choice, Why};

/// Choices that are kept; of more than these the last one is.
const CHOICES: usize = 64;

/// Counted by everyone who moves data.
#[derive(Debug, Default)]
pub(in crate::transfer) struct Waits {
    network: Waited,
    disk: Waited,
    limit: Waited,
    first_byte: OnceLock<Instant>,
    choices: Mutex<Vec<Choice>>,
}

#[derive(Debug, Default)]
struct Waited(AtomicU64);

impl Waited {
    /// As long as `wait` takes counts, also if it is dropped before its end.
    async fn during<T>(&self, wait: impl Future<Output = T>) -> T {
        struct Since<'a>(&'a Waited, Instant);
        impl Drop for Since<'_> {
            fn drop(&mut self) {
                let nanos = u64::try_from(self.1.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.0.0.fetch_add(nanos, Ordering::Relaxed);
            }
        }
        let _since = Since(self, Instant::now());
        wait.await
    }

    fn add(&self, wait: Duration) {
        self.0.fetch_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn so_far(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

impl Waits {
    pub(in crate::transfer) async fn network<T>(&self, wait: impl Future<Output = T>) -> T {
        self.network.during(wait).await
    }

    pub(in crate::transfer) async fn disk<T>(&self, wait: impl Future<Output = T>) -> T {
        self.disk.during(wait).await
    }

    pub(in crate::transfer) async fn limit<T>(&self, wait: impl Future<Output = T>) -> T {
        self.limit.during(wait).await
    }

    /// Somebody has waited, and counted that himself.
    pub(in crate::transfer) fn waited(&self, network: Duration, disk: Duration) {
        self.network.add(network);
        self.disk.add(disk);
    }

    /// Bytes of a file have moved.
    pub(in crate::transfer) fn moved(&self) {
        // Asked first: setting takes a lock.
        if self.first_byte.get().is_none() {
            self.first_byte.get_or_init(Instant::now);
        }
    }

    pub(in crate::transfer) fn chose(&self, choice: Choice) {
        let mut choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |last: &Choice| (last.sessions, last.streams) == (choice.sessions, choice.streams);
        if choices.last().is_some_and(same) && choice.why != Why::Share {
            return;
        }
        if choices.len() > CHOICES {
            choices.pop();
        }
        choices.push(choice);
    }

    pub(super) fn choices(&self) -> Vec<Choice> {
        self.choices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn so_far(&self) -> (Duration, Duration, Duration) {
        (self.network.so_far(), self.disk.so_far(), self.limit.so_far())
    }

    pub(super) fn first_byte(&self) -> Option<Instant> {
        self.first_byte.get().copied()
    }
}
