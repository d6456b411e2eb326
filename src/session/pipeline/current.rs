//! The file that is being read: its data, the number of its bytes, its final reply.

use bytes::Bytes;

use super::reach::{self, Reach};
use super::{Asked, Item, What, broken};
use crate::channel::ReadRun;
use crate::engine::{BLOCK_BYTES, Failure};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::session::PendingReply;
use crate::session::get::size_of;
use crate::session::watch::{Limits, in_step};

/// Of a listing as many bytes are handed out while it may still be asked for again: its reader knows what it has told already, and
/// need not know much.
const EARLY: u64 = BLOCK_BYTES as u64;

/// The file that is being read.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) index: usize,
    pub(super) item: Item,
    pub(super) run: ReadRun,
    pub(super) transfer: PendingReply,
    pub(super) size: Option<PendingReply>,
    /// Known once the reply to SIZE was read.
    pub(super) expected: Option<u64>,
    pub(super) received: u64,
    /// Data of this file went to the caller: it cannot be asked for again unnoticed.
    pub(super) shown: bool,
    /// Bytes that do not count for that.
    uncounted: u64,
    pub(super) data_ended: bool,
    /// The final reply, once it is there, whatever it says: it comes only once.
    pub(super) last: Option<Reply>,
}

/// Why a file is not read on.
pub(super) enum Stop {
    /// This file failed; the set is well.
    File(Error),
    /// The set failed.
    Set(Error),
    /// Nobody connected, and others take over.
    Unreached,
    /// The server's answers are not those to what it was asked.
    Step(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::File(error)
    }
}

impl Current {
    pub(super) fn new(asked: Asked, run: ReadRun, what: What) -> Self {
        let Asked { item, size, transfer, .. } = asked;
        Self {
            index: item.index,
            item,
            run,
            transfer,
            size,
            expected: None,
            received: 0,
            shown: false,
            uncounted: if let What::Listings { .. } = what { EARLY } else { 0 },
            data_ended: false,
            last: None,
        }
    }

    pub(super) async fn step(
        &mut self,
        limits: Limits,
        reach: Option<Reach<'_>>,
    ) -> Result<Option<(u64, Bytes)>, Stop> {
        while !self.data_ended {
            let arrival = match self.run.try_next() {
                Some(arrival) => arrival,
                None => self.wait(limits, reach).await?,
            };
            match arrival {
                Ok(Some((offset, data))) => {
                    self.received += u64::try_from(data.len()).unwrap_or(u64::MAX);
                    self.shown |= self.received > self.uncounted;
                    return Ok(Some((offset, data)));
                }
                Ok(None) => {
                    self.data_ended = true;
                    self.shown |= self.received > 0;
                }
                Err(failure) => return Err(Stop::Set(broken(failure))),
            }
        }
        if let Some(mut size) = self.size.take() {
            // Asked before RETR, so its reply has been read long ago.
            self.expected = size_of(&size.last().await?);
        }
        let reply = match self.last.take() {
            Some(reply) => reply,
            None => match tokio::time::timeout(limits.stall, self.transfer.last()).await {
                Ok(reply) => reply.map_err(|error| error.with_phase(Phase::Completion))?,
                Err(_) => return Err(Stop::Set(limits.unconfirmed())),
            },
        };
        let reply = in_step(reply).map_err(Stop::Step)?;
        if !reply.is_completion() {
            self.last = Some(reply.clone());
            let error =
                Error::from_reply(reply, Phase::Completion, "the server did not complete the transfer");
            return Err(Stop::Set(error));
        }
        match self.expected {
            Some(expected) if expected != self.received => {
                let message = format!("the server announced {expected} bytes and sent {}", self.received);
                // Bytes too few or too many may be the next file's: nothing that is on this set can be believed any more.
                self.last = Some(reply);
                Err(Stop::Set(Error::new(ErrorKind::Truncated, Phase::Data, message).with_side(Side::Server)))
            }
            // With or without a size: as no byte comes twice, a file without gaps is all of it.
            _ if !self.run.is_gapless(true) => Err(Stop::File(
                Error::new(
                    ErrorKind::Truncated,
                    Phase::Data,
                    "the server ended the transfer, and some bytes of the file have not come",
                )
                .with_side(Side::Server),
            )),
            _ => Ok(None),
        }
    }

    async fn wait(
        &mut self,
        limits: Limits,
        mut reach: Option<Reach<'_>>,
    ) -> Result<Result<Option<(u64, Bytes)>, Failure>, Stop> {
        let (limit, error) = if self.received == 0 {
            (limits.first_byte, limits.first_byte_passed())
        } else {
            (limits.stall, limits.stalled())
        };
        // One limit for all of it: a server that says something now and then sends no data by that.
        let mut over = std::pin::pin!(tokio::time::sleep(limit));
        loop {
            tokio::select! {
                biased;
                arrival = self.run.next() => return Ok(arrival),
                reply = self.transfer.next(), if self.last.is_none() => {
                    let reply = reply.map_err(|error| error.with_phase(Phase::Data))?;
                    if reply.is_completion() {
                        self.last = Some(reply);
                    } else if !reply.is_preliminary() {
                        self.last = Some(reply.clone());
                        return Err(Stop::Set(Error::from_reply(reply, Phase::Data, "the server ended the transfer")));
                    }
                }
                () = reach::time(reach), if reach.is_some() => {
                    if reach.is_some_and(|(_, port)| !port.is_reached()) {
                        return Err(Stop::Unreached);
                    }
                    reach = None;
                }
                () = over.as_mut() => return Err(Stop::Set(error)),
            }
        }
    }
}
