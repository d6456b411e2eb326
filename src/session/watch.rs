//! Deadlines of a running transfer, and the search for the reason when its data channel fails.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime;
use tokio::time::{Instant, Sleep};

use crate::engine::Failure;
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
use crate::session::PendingReply;

/// How long the server's own words are waited for when the data channel failed: they say more than "connection reset".
pub(crate) const EXPLANATION_LIMIT: Duration = Duration::from_secs(2);

/// Nobody who can connect needs longer.
const REACH: Duration = Duration::from_secs(5);

/// The limits of a transfer in progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) reply: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) stall: Duration,
}

impl Limits {
    pub(crate) fn first_byte_passed(self) -> Error {
        timed_out(
            TimeoutKind::FirstByte,
            Phase::Data,
            format!("no data came within {:?} after the transfer was accepted", self.first_byte),
        )
    }

    /// How long somebody is waited for who does not connect, where the same can be had in another way: the other way needs
    /// what is left.
    pub(crate) fn reach(self) -> Duration {
        (self.reply.min(self.first_byte) / 4).min(REACH)
    }

    pub(crate) fn unreached(self) -> Error {
        let message = format!("the server did not connect to this client within {:?}", self.reach());
        timed_out(TimeoutKind::FirstByte, Phase::Data, message)
    }

    /// How often it is looked for whether something moves, where nothing tells.
    pub(crate) fn tick(self) -> Duration {
        (self.stall / 16).clamp(Duration::from_millis(5), Duration::from_secs(1)).min(self.stall)
    }

    pub(crate) fn stalled(self) -> Error {
        timed_out(TimeoutKind::Stall, Phase::Data, format!("no data moved for {:?}", self.stall))
    }

    pub(crate) fn not_ended(self) -> Error {
        timed_out(
            TimeoutKind::Reply,
            Phase::Completion,
            format!("the server did not end a transfer that was cut off within {:?}", self.reply),
        )
        .with_may_have_applied()
    }

    pub(crate) fn unconfirmed(self) -> Error {
        timed_out(
            TimeoutKind::Stall,
            Phase::Completion,
            format!("all data moved, but the server did not confirm the transfer within {:?}", self.stall),
        )
        .with_may_have_applied()
    }
}

/// A point in time that wakes whoever waits for it, in whichever runtime that is.
///
/// What tokio offers belongs to the runtime it was made in, and panics when that was shut down and somebody asks from another
/// one. Outside of any runtime this is a look at the clock, which wakes nobody.
#[derive(Debug)]
pub(crate) struct Alarm {
    at: Instant,
    sleep: Option<(runtime::Id, Pin<Box<Sleep>>)>,
}

impl Alarm {
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, sleep: None }
    }

    /// `limit` from now.
    pub(crate) fn after(limit: Duration) -> Self {
        Self::at(deadline(limit))
    }

    pub(crate) fn time(&self) -> Instant {
        self.at
    }

    /// Another time instead.
    pub(crate) fn reset(&mut self, at: Instant) {
        self.at = at;
        if let Some((owner, sleep)) = &mut self.sleep {
            if here() == Some(*owner) {
                sleep.as_mut().reset(at);
            } else {
                self.sleep = None;
            }
        }
    }

    /// Ready when it is time.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(here) = here() else {
            return if Instant::now() >= self.at { Poll::Ready(()) } else { Poll::Pending };
        };
        match &mut self.sleep {
            Some((owner, sleep)) if *owner == here => sleep.as_mut().poll(cx),
            other => {
                let (_, sleep) = other.insert((here, Box::pin(tokio::time::sleep_until(self.at))));
                sleep.as_mut().poll(cx)
            }
        }
    }
}

fn here() -> Option<runtime::Id> {
    runtime::Handle::try_current().ok().map(|handle| handle.id())
}

/// A limit on a wait that is polled by hand. It runs only while somebody waits: a pause of the caller's does not count.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    alarm: Option<Alarm>,
    running: bool,
}

impl Timer {
    /// Ready when `limit` has passed since the wait began.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let alarm = match &mut self.alarm {
            Some(alarm) => {
                if !self.running {
                    alarm.reset(deadline(limit));
                }
                alarm
            }
            empty => empty.insert(Alarm::after(limit)),
        };
        self.running = true;
        alarm.poll(cx)
    }

    /// The wait is over; the next one begins anew.
    pub(crate) fn stop(&mut self) {
        self.running = false;
    }
}

/// The limit of a wait that goes on for as long as something moves, whatever else is heard meanwhile.
#[derive(Debug)]
pub(crate) struct Patience<T> {
    seen: T,
    end: Instant,
}

impl<T: PartialEq> Patience<T> {
    pub(crate) fn new(seen: T, limit: Duration) -> Self {
        Self { seen, end: deadline(limit) }
    }

    pub(crate) fn end(&self) -> Instant {
        self.end
    }

    /// Begins anew if that is something else than before; tells whether it is.
    pub(crate) fn look(&mut self, seen: T, limit: Duration) -> bool {
        let moved = self.seen != seen;
        if moved {
            *self = Self::new(seen, limit);
        }
        moved
    }
}

/// `limit` from now; a limit without end is some decades.
fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(30 * 365 * 86_400))
}

fn timed_out(kind: TimeoutKind, phase: Phase, message: String) -> Error {
    Error::new(ErrorKind::Timeout(kind), phase, message).with_side(Side::Server)
}

/// The error of a transfer that the server had not accepted yet when its data channel failed. Where both connections are lost
/// it is the control connection's, whichever of them was looked at first.
pub(crate) async fn explain_early(failure: Failure, pending: &mut PendingReply) -> Error {
    if failure.is_ours() {
        return explain(failure, pending, None).await;
    }
    match tokio::time::timeout(EXPLANATION_LIMIT, pending.last()).await {
        Ok(Ok(reply)) => explained(failure, Some(reply)),
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionLost => error,
        // No answer in time says less than what broke.
        Ok(Err(_)) | Err(_) => {
            // It may wait for a data connection that never comes, and whoever used the session next would wait for it.
            pending.give_up();
            explained(failure, None)
        }
    }
}

/// The error of a transfer whose data channel failed: the server's, if it says something soon, else the channel's.
pub(crate) async fn explain(failure: Failure, pending: &mut PendingReply, told: Option<Reply>) -> Error {
    let reply = match told {
        Some(reply) => Some(reply),
        // What this process lacks the server knows nothing about.
        None if failure.is_ours() => None,
        // What is known already, without waiting.
        None => match tokio::time::timeout(Duration::ZERO, pending.last()).await {
            Ok(Ok(reply)) => Some(reply),
            // The control connection was given up, and the server answered by closing the other one.
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::Timeout(_)) => return error,
            Ok(Err(_)) => None,
            Err(_) => match tokio::time::timeout(EXPLANATION_LIMIT, pending.last()).await {
                Ok(Ok(reply)) => Some(reply),
                Ok(Err(_)) | Err(_) => None,
            },
        },
    };
    if reply.is_none() {
        // It may wait for a data connection that never comes, and whoever used the session next would wait for it.
        pending.give_up();
    }
    explained(failure, reply)
}

/// The error of a transfer whose data channel failed, and of which the server said this in the end.
pub(crate) fn explained(failure: Failure, told: Option<Reply>) -> Error {
    match told {
        // What this process lacks is the reason; the server only saw what came of it.
        Some(reply) if !reply.is_completion() && !failure.is_ours() => {
            Error::from_reply(reply, Phase::Data, "the server ended the transfer").with_source(failure)
        }
        _ => failure.into_data_error(Phase::Data, "the data connection broke"),
    }
}

/// The final reply of a transfer, unless it is one that answers a question (x1z, RFC 959 §4.2.1): then the transfer's own was
/// left out, and this one belongs to a command behind it.
///
/// # Errors
/// As said. Nothing that this connection says can be believed any more.
pub(crate) fn in_step(reply: Reply) -> Result<Reply> {
    if reply.is_completion() && reply.code() / 10 == 21 {
        let message = "the server answered the next command and never ended the transfer";
        return Err(Error::new(ErrorKind::Protocol, Phase::Completion, message)
            .with_side(Side::Server)
            .with_reply(reply));
    }
    Ok(reply)
}

/// Whether a session of the pool turned out to be dead before anything could be done with it.
pub(crate) fn died(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionLost) && error.phase() == Phase::Command
}

/// Whether what is left of many files may be asked for again on another session.
///
/// Not after a deadline: a server that is silent would be waited for again and again, and the caller with it.
pub(crate) fn may_go_on(error: &Error) -> bool {
    died(error) || (error.is_transient() && !matches!(error.kind(), ErrorKind::Timeout(_)))
}

/// Runs `work` until the deadline of the whole operation.
pub(crate) async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match deadline {
        None => work.await,
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(too_long())),
    }
}

pub(crate) fn too_long() -> Error {
    Error::new(
        ErrorKind::Timeout(TimeoutKind::Total),
        Phase::Data,
        "the whole operation took longer than its limit",
    )
    .with_side(Side::Server)
}
