//! Figures about a client.

use crate::session::Counters;
use crate::session::counters::Count;

/// What a client and its clones have done so far, and what they are doing now.
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
    /// Operations that have begun and not ended.
    pub operations_running: u64,
    /// Operations that wait for a session just now: for a login, or for their turn.
    pub operations_waiting: u64,
}

#[derive(Debug, Default)]
pub(super) struct Operations {
    pub(super) running: Count,
    pub(super) waiting: Count,
}

impl Metrics {
    pub(super) fn of(counters: &Counters, operations: &Operations) -> Self {
        Self {
            sessions_open: counters.open.get(),
            connects: counters.connects.get(),
            logins: counters.logins.get(),
            commands: counters.commands.get(),
            replies: counters.replies.get(),
            operations_running: operations.running.get(),
            operations_waiting: operations.waiting.get(),
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
