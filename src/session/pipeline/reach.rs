//! Whether the server reaches this client at all: in extended block mode the sender connects, and between the two may be what
//! swallows that (NAT, a firewall). Then the server says 150 and nothing more, or, if it connects before it accepts, nothing.
//!
//! While it is not known and there is another way, only a part of the limits is waited for the first connection. Once somebody
//! has connected, the ordinary limits are final.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Pipeline, What};
use crate::channel::{DataPort, ReadRun};
use crate::error::{Error, ErrorKind, Result};
use crate::session::PendingReply;

/// Until when somebody is waited for to connect to a port.
pub(super) type Reach<'a> = (Instant, &'a DataPort);

/// How long the server has been waited for.
#[derive(Debug, Default)]
pub(super) struct Wait {
    /// When the first command was sent for this set.
    pub(super) begun: Option<Instant>,
    /// How long that was when it was given up.
    given_up: Option<Duration>,
}

impl Pipeline {
    /// How long the server was waited for, if the pipeline has ended because it did not connect.
    pub(crate) fn unreached(&self) -> Option<Duration> {
        self.wait.given_up
    }

    /// Whether nothing has come, and nobody has connected: another way may do.
    pub(crate) fn is_out_of_reach_so_far(&self) -> bool {
        self.unreached().is_some()
            || matches!(self.what, What::Files { proven: false, fall_back: true, .. }) && !self.is_reached()
    }

    /// Until when somebody is waited for to connect, while that is the question.
    pub(super) fn reach_by(&self) -> Option<Instant> {
        let (What::Listings { proven: false, fall_back: true }
        | What::Files { proven: false, fall_back: true, .. }) = self.what
        else {
            return None;
        };
        if self.is_reached() { None } else { self.wait.begun?.checked_add(self.limits.reach()) }
    }

    pub(super) fn is_reached(&self) -> bool {
        self.ready.as_ref().is_none_or(|ready| ready.port.is_reached())
    }

    /// Whether a refusal may be about the connection that is not there, instead of the folder.
    pub(super) fn is_out_of_reach(&self, error: &Error) -> bool {
        self.reach_by().is_some() && matches!(error.kind(), ErrorKind::ConnectionLost | ErrorKind::Refused)
    }

    /// The server did not connect in time.
    pub(super) fn never_reached(&mut self) -> Error {
        self.wait.given_up = self.wait.begun.map(|begun| begun.elapsed());
        self.limits.unreached()
    }

    /// [`Self::first_reply`], or none when the server should have connected by now and has not: some connect before they
    /// accept.
    pub(super) async fn reached_reply(&self, transfer: &mut PendingReply) -> Option<Result<ReadRun>> {
        if let Some(at) = self.reach_by() {
            match timeout_at(at, self.first_reply(transfer)).await {
                Ok(first) => return Some(first),
                Err(_) if !self.is_reached() => return None,
                Err(_) => {}
            }
        }
        Some(self.first_reply(transfer).await)
    }
}

/// Ready when it is that time.
pub(super) async fn time(reach: Option<Reach<'_>>) {
    if let Some((at, _)) = reach {
        tokio::time::sleep_until(at).await;
    }
}
