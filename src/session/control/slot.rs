//! Where the replies to one command arrive.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tracing::Span;

use super::{Shared, lost};
use crate::engine::fork;
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};

/// Preliminary replies to one command that may wait unread: markers of a transfer come every few seconds.
const MAX_PRELIMINARY: usize = 4096;

/// What the trace of commands and replies goes by.
pub(super) const TRACE: &str = "gridftp::protocol";

/// Whether anybody wants to see commands and replies.
fn traced() -> bool {
    tracing::enabled!(target: TRACE, tracing::Level::DEBUG)
}

/// No limit: the caller watches the transfer itself.
const SUSPENDED: u64 = u64::MAX;

/// One command's place in the order of replies.
pub(super) struct Slot {
    state: Mutex<SlotState>,
    /// Milliseconds, [`SUSPENDED`] for none.
    limit: AtomicU64,
    /// Not to be sent if that has not happened yet.
    withdrawn: AtomicBool,
    /// The operation that the command belongs to, for its trace.
    span: Span,
}

struct SlotState {
    preliminary: VecDeque<Reply>,
    end: End,
    waker: Option<Waker>,
    /// Only the final reply is of interest.
    only_last: bool,
    /// Nobody will ask.
    dropped: bool,
}

enum End {
    Waiting,
    Ready(Result<Reply>),
    Taken,
}

impl Slot {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            state: Mutex::new(SlotState {
                preliminary: VecDeque::new(),
                end: End::Waiting,
                waker: None,
                only_last: false,
                dropped: false,
            }),
            limit: AtomicU64::new(millis(limit)),
            withdrawn: AtomicBool::new(false),
            span: if traced() { Span::current() } else { Span::none() },
        }
    }

    /// The operation's span; none when nobody listens.
    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the command may wait once it is the first without an answer.
    pub(super) fn limit(&self) -> Option<Duration> {
        match self.limit.load(Ordering::Acquire) {
            SUSPENDED => None,
            millis => Some(Duration::from_millis(millis)),
        }
    }

    /// Whether its command need not be sent any more.
    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }

    /// Delivers a preliminary reply.
    ///
    /// # Errors
    /// `Protocol` when too many wait unread.
    pub(super) fn preliminary(&self, reply: Reply, shared: &Shared) -> Result<()> {
        let waker = {
            let mut state = self.lock();
            if state.dropped || state.only_last {
                return Ok(());
            }
            if state.preliminary.len() >= MAX_PRELIMINARY {
                let message = format!(
                    "the server sent more than {MAX_PRELIMINARY} preliminary replies to one command, the last one {reply}"
                );
                return Err(Error::new(ErrorKind::Protocol, Phase::Command, message).with_side(Side::Server));
            }
            shared.unread.fetch_add(weight(&reply), Ordering::AcqRel);
            state.preliminary.push_back(reply);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Delivers the end; the first one counts.
    pub(super) fn finish(&self, end: Result<Reply>, shared: &Shared) {
        let waker = {
            let mut state = self.lock();
            if state.dropped || !matches!(state.end, End::Waiting) {
                return;
            }
            if let Ok(reply) = &end {
                shared.unread.fetch_add(weight(reply), Ordering::AcqRel);
            }
            state.end = End::Ready(end);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The replies to one command: preliminary ones, then the final one.
///
/// Dropping it is always fine: the command is sent and its replies are read and thrown away.
pub(crate) struct PendingReply {
    slot: Arc<Slot>,
    shared: Arc<Shared>,
    withdraw: bool,
}

impl PendingReply {
    pub(super) fn new(slot: Arc<Slot>, shared: Arc<Shared>) -> Self {
        Self { slot, shared, withdraw: false }
    }

    /// The next reply: preliminary ones one by one, then the final one.
    ///
    /// # Errors
    /// What broke the connection before the final reply came; `Internal` when that was taken before.
    ///
    /// # Cancel safety
    /// Cancel safe: a reply that was not returned is returned by the next call.
    pub(crate) async fn next(&mut self) -> Result<Reply> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`PendingReply::next`] for hand-written futures.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply>> {
        fork::check()?;
        let mut state = self.slot.lock();
        let reply = if let Some(reply) = state.preliminary.pop_front() {
            Ok(reply)
        } else {
            match std::mem::replace(&mut state.end, End::Taken) {
                End::Ready(end) => end,
                End::Taken => Err(Error::new(
                    ErrorKind::Internal,
                    Phase::Command,
                    "the final reply of a command was asked for twice",
                )),
                End::Waiting => {
                    state.end = End::Waiting;
                    match &mut state.waker {
                        Some(waker) => waker.clone_from(cx.waker()),
                        empty => *empty = Some(cx.waker().clone()),
                    }
                    return Poll::Pending;
                }
            }
        };
        drop(state);
        if let Ok(reply) = &reply {
            release(&self.shared, weight(reply));
        }
        Poll::Ready(reply)
    }

    /// The first reply that is not preliminary, whatever its code.
    ///
    /// # Errors
    /// As [`PendingReply::next`].
    ///
    /// # Cancel safety
    /// Cancel safe, but preliminary replies are thrown away from the first call on.
    pub(crate) async fn last(&mut self) -> Result<Reply> {
        fork::check()?;
        let thrown: usize = {
            let mut state = self.slot.lock();
            state.only_last = true;
            std::mem::take(&mut state.preliminary).iter().map(weight).sum()
        };
        release(&self.shared, thrown);
        self.next().await
    }

    /// Gives this command its own limit instead of the connection's, counted from now; `None` suspends it.
    ///
    /// The limit applies while the command is the first one that waits. Suspend it only while the caller watches a
    /// running transfer itself; when the reply is dropped, the ordinary limit comes back.
    pub(crate) fn within(&self, limit: impl Into<Option<Duration>>) {
        self.slot.limit.store(limit.into().map_or(SUSPENDED, millis), Ordering::Release);
        self.shared.touched.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }

    /// [`Self::within`] that limit, if it is shorter than the connection's.
    pub(crate) fn within_at_most(&self, limit: Duration) {
        if limit < self.shared.reply_limit {
            self.within(limit);
        }
    }

    /// Closes the connection: the reply may never come, and nobody shall wait behind it.
    pub(crate) fn give_up(&self) {
        self.shared.lock().abandoned = true;
        self.shared.wake.notify_one();
    }

    /// If this is dropped before the command was sent, the command is not sent at all.
    pub(crate) fn withdraw_on_drop(mut self) -> Self {
        self.withdraw = true;
        self
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        let (waiting, unread) = {
            let mut state = self.slot.lock();
            state.dropped = true;
            state.waker = None;
            let mut unread: usize = std::mem::take(&mut state.preliminary).iter().map(weight).sum();
            let waiting = matches!(state.end, End::Waiting);
            if let End::Ready(Ok(reply)) = std::mem::replace(&mut state.end, End::Taken) {
                unread += weight(&reply);
            }
            (waiting, unread)
        };
        release(&self.shared, unread);
        if waiting {
            if self.withdraw {
                self.slot.withdrawn.store(true, Ordering::Release);
            }
            if self.slot.limit() != Some(self.shared.reply_limit) {
                self.within(self.shared.reply_limit);
            }
        }
    }
}

impl fmt::Debug for PendingReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingReply").field("peer", &self.shared.peer).finish_non_exhaustive()
    }
}

/// Bytes of unread replies beyond which the actor reads no further, until somebody takes some.
pub(super) const MAX_UNREAD: usize = 4 * 1024 * 1024;

fn release(shared: &Shared, bytes: usize) {
    if bytes > 0 {
        let before = shared.unread.fetch_sub(bytes, Ordering::AcqRel);
        if before >= MAX_UNREAD && before - bytes < MAX_UNREAD {
            shared.wake.notify_one();
        }
    }
}

/// What a stored reply costs, in bytes.
fn weight(reply: &Reply) -> usize {
    size_of::<Reply>() + reply.lines().map(|line| line.len() + size_of::<bytes::Bytes>()).sum::<usize>()
}

fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(SUSPENDED)
}

/// The error of a command that can never be answered.
pub(super) fn orphaned(verb: &str, sent: bool) -> Error {
    let error = lost(format!("the connection was given up while {verb} waited for its reply"));
    if sent { error.with_may_have_applied() } else { error }
}
