//! From the command to the server's yes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::channel::ReadRun;
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::session::PendingReply;
use crate::session::watch::explain_early;

/// Blocks that are taken before the reply that announces them: of up to 256 KiB each.
const MAX_EARLY: usize = 64;

/// Waits for the first 1yz reply, while a stream's data may come already.
pub(super) async fn accepted(
    mut run: Option<ReadRun>,
    pending: &mut PendingReply,
) -> Result<(Option<ReadRun>, VecDeque<(u64, Bytes)>)> {
    let mut early = VecDeque::new();
    loop {
        let Some(active) = &mut run else {
            let reply = pending.next().await?;
            started(&reply)?;
            return Ok((run, early));
        };
        tokio::select! {
            biased;
            reply = pending.next() => {
                started(&reply?)?;
                return Ok((run, early));
            }
            // The rest waits at the server: one that never answers must not fill the memory.
            block = active.next(), if early.len() < MAX_EARLY => match block {
                Ok(Some(block)) => early.push_back(block),
                // All of a small file is here before the reply is read.
                Ok(None) => {
                    started(&pending.next().await?)?;
                    return Ok((run, early));
                }
                Err(failure) => return Err(explain_early(failure, pending).await),
            },
        }
    }
}

fn started(reply: &Reply) -> Result<()> {
    if reply.is_preliminary() {
        return Ok(());
    }
    if reply.is_completion() {
        return Err(Error::new(
            ErrorKind::Protocol,
            Phase::Command,
            "the server ended a transfer that had not begun",
        )
        .with_side(Side::Server)
        .with_reply(reply.clone()));
    }
    Err(Error::from_reply(reply.clone(), Phase::Command, "the server does not send the file"))
}
