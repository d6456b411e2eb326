//! Figures about a client.

use super::process::{EngineMetrics, engine_metrics};
use crate::session::Counters;
use crate::session::counters::Count;

/// What a client, its clones and its views have done so far, and what they are doing now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Control connections that are open now, logging in included.
    pub sessions_open: u64,
    /// Control connections made so far.
    pub connects: u64,
    /// Logins that succeeded so far.
    pub logins: u64,
    /// Commands sent so far.
    pub commands: u64,
    /// Replies received so far.
    pub replies: u64,
    /// Bytes of files and listings received so far on data channels.
    pub bytes_received: u64,
    /// Bytes of files handed over so far to be sent on data channels.
    pub bytes_sent: u64,
    /// Operations without data channels that have begun and not ended.
    pub operations_running: u64,
    /// Operations that wait for a session just now: for a login, or for their turn.
    pub operations_waiting: u64,
    /// Operations that ended well so far; each transfer counts, also each file and each listing of a pipeline.
    pub operations_done: u64,
    /// Operations that ended so far with an error or a refusal of the server; asking for something that is not there
    /// ([`Client::stat`](crate::Client::stat)) is answered by "no" and counts as done. What was dropped before its end is in
    /// neither number.
    pub operations_failed: u64,
    /// The engine below, which all clients of the process share: its data ports, credentials and buffers, how often it was
    /// woken, and what it could not free.
    pub engine: EngineMetrics,
}

#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) running: Count,
    pub(super) waiting: Count,
    pub(super) done: Count,
    pub(super) failed: Count,
}

impl Operations {
    /// Counts how one ended.
    pub(super) fn ended(&self, well: bool) {
        if well { self.done.one_more() } else { self.failed.one_more() }
    }
}

impl Metrics {
    pub(super) fn of(counters: &Counters, operations: &Operations) -> Self {
        Self {
            sessions_open: counters.open.get(),
            connects: counters.connects.get(),
            logins: counters.logins.get(),
            commands: counters.commands.get(),
            replies: counters.replies.get(),
            bytes_received: counters.bytes_received.get(),
            bytes_sent: counters.bytes_sent.get(),
            operations_running: operations.running.get(),
            operations_waiting: operations.waiting.get(),
            operations_done: operations.done.get() + counters.transfers_done.get(),
            operations_failed: operations.failed.get() + counters.transfers_failed.get(),
            engine: engine_metrics(),
        }
    }
}

/// Counts one for as long as it lives.
pub(super) struct Counted<'a>(&'a Count);

impl<'a> Counted<'a> {
    pub(super) fn new(count: &'a Count) -> Self {
        count.one_more();
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.one_less();
    }
}
