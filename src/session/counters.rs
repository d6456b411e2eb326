//! What the control connections of one client have done so far.

use std::sync::atomic::{AtomicU64, Ordering};

/// Shared by all sessions of a client; only ever read as a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) open: Count,
    pub(crate) connects: Count,
    pub(crate) logins: Count,
    pub(crate) commands: Count,
    pub(crate) replies: Count,
    /// Contents of files and listings, in bytes.
    pub(crate) bytes_received: Count,
    pub(crate) bytes_sent: Count,
    /// Transfers, each file and each listing of a pipeline by itself, by how they ended. What is dropped is neither.
    pub(crate) transfers_done: Count,
    pub(crate) transfers_failed: Count,
}

impl Counters {
    /// Counts bytes of a file or listing that have come in.
    pub(crate) fn received(&self, bytes: usize) {
        self.bytes_received.add(u64::try_from(bytes).unwrap_or(0));
    }

    /// Counts bytes of a file that were handed over to be sent.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes_sent.add(u64::try_from(bytes).unwrap_or(0));
    }
}

/// A number that several threads change and nobody synchronises by.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn one_more(&self) {
        self.add(1);
    }

    pub(crate) fn one_less(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
