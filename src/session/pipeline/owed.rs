//! The replies that a server owes to what it was asked for, when its set of channels was lost.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Asked, is_lost, refusal};
use crate::error::{Error, Result};
use crate::session::{PendingReply, Session};

/// How the server's last words on what it was asked for failed to come.
pub(super) enum Heard {
    /// On the file that was being read.
    Own(Error),
    /// On one that was asked for behind it.
    Other(Error),
}

impl Heard {
    pub(super) fn into_error(self) -> Error {
        let (Self::Own(error) | Self::Other(error)) = self;
        error
    }
}

/// Reads all replies that the server still owes, to what it had accepted and what not, until it is in order again.
pub(super) async fn hear_out(
    session: &Session,
    transfer: Option<&mut PendingReply>,
    asked: &mut VecDeque<Asked>,
    limit: Duration,
) -> Result<(), Heard> {
    if let Some(transfer) = transfer {
        transfer.within(limit);
        transfer.last().await.map_err(Heard::Own)?;
    }
    for asked in asked {
        let first = match asked.first.take() {
            Some(first) => first.map(drop),
            None => asked.transfer.next().await.and_then(|reply| match reply.is_preliminary() {
                true => Ok(()),
                false => Err(refusal(reply)),
            }),
        };
        match first {
            Ok(()) => {
                asked.transfer.within(limit);
                asked.transfer.last().await.map_err(Heard::Other)?;
            }
            Err(error) if is_lost(session, &error) => return Err(Heard::Other(error)),
            Err(_) => {}
        }
    }
    Ok(())
}
