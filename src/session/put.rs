//! One STOR (or APPE, ESTO): from the command to the server's last word.

use bytes::Bytes;

use crate::engine::{Direction, WriteRun};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::DataOptions;
use crate::protocol::command::Command;
use crate::session::channel::Ready;
use crate::session::get::size_of;
use crate::session::watch::{Limits, explain};
use crate::session::{PendingReply, Session};

/// Longest piece that is handed to C at once, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Where and how to store.
#[derive(Debug, Clone)]
pub(crate) struct PutRequest {
    /// The path as the server takes it.
    pub(crate) path: Bytes,
    /// Write into an existing file from here on, instead of replacing it.
    pub(crate) offset: Option<u64>,
    /// Ask for the size afterwards, and compare.
    pub(crate) check_size: bool,
    pub(crate) options: DataOptions,
    pub(crate) limits: Limits,
}

/// A file on its way out.
#[derive(Debug)]
pub(crate) struct ActivePut {
    run: WriteRun,
    pending: PendingReply,
    /// The size the file has afterwards; asked for behind the transfer, so that it costs no round trip.
    check: Option<PendingReply>,
    ready: Option<Ready>,
    limits: Limits,
    extended_block: bool,
    /// Where the next byte of a stream goes, in the caller's count.
    position: u64,
    sent: u64,
    end: u64,
    finished: bool,
    /// The final reply to the transfer, once it is there.
    confirmed: Option<Reply>,
}

impl Session {
    /// Asks to store a file; returns when the server has accepted.
    pub(crate) async fn start_put(&mut self, request: PutRequest) -> Result<ActivePut> {
        let PutRequest { path, offset, check_size, options, limits } = request;
        let extended_block = options.extended_block();
        let command = match offset {
            None => Command::with("STOR", &path)?,
            Some(offset) if self.features.esto() => {
                let mut argument = format!("A {offset} ").into_bytes();
                argument.extend_from_slice(&path);
                Command::with("ESTO", argument)?
            }
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    Phase::Command,
                    "the server cannot write into the middle of a file (ESTO)",
                )
                .with_side(Side::Server));
            }
        };
        let (ready, _) = self.make_ready(Direction::Write, &options, extended_block, Vec::new()).await?;
        // The server says 150 only once it is connected.
        ready.port.connect(Direction::Write);
        let run = ready.port.write(options.window_blocks);
        let mut pending = self.control.send(command);
        let reply = tokio::select! {
            biased;
            reply = pending.next() => reply?,
            failure = run.failed() => return Err(explain(failure, &mut pending, None).await),
        };
        if !reply.is_preliminary() {
            // Nothing was sent: an extended block set serves the next file.
            run.withdraw();
            self.give_back(ready);
            return Err(refusal(reply));
        }
        pending.within(None);
        let check = (check_size && offset.is_none() && self.features.size())
            .then(|| Command::with("SIZE", &path))
            .transpose()?
            .map(|command| {
                let check = self.control.send(command);
                check.within(None);
                check
            });
        Ok(ActivePut {
            run,
            pending,
            check,
            ready: Some(ready),
            limits,
            extended_block,
            position: 0,
            sent: 0,
            end: 0,
            finished: false,
            confirmed: None,
        })
    }
}

fn refusal(reply: Reply) -> Error {
    if reply.is_completion() {
        Error::new(ErrorKind::Protocol, Phase::Command, "the server ended a transfer that had not begun")
            .with_side(Side::Server)
            .with_reply(reply)
    } else {
        Error::from_reply(reply, Phase::Command, "the server does not take the file")
    }
}

impl ActivePut {
    /// Bytes handed over so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes that have gone out to the network so far.
    pub(crate) fn written(&self) -> u64 {
        self.run.written()
    }

    /// The next byte's place for [`Self::write`] without an offset.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Sends bytes for `offset`; waits while the window is full.
    ///
    /// Cancel safe in this sense: of `data`, the part that was accepted is removed from its front.
    pub(crate) async fn write(&mut self, offset: u64, data: &mut Bytes) -> Result<()> {
        if self.finished {
            return Err(Error::invalid("the file was finished; nothing can be written any more"));
        }
        if !self.extended_block && offset != self.position {
            return Err(Error::invalid(format!(
                "stream mode sends bytes in order: expected offset {}, got {offset}",
                self.position
            )));
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if offset.checked_add(length).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(Error::invalid(format!("{length} bytes at offset {offset} end beyond 2^63")));
        }
        let mut at = offset;
        while !data.is_empty() {
            let piece = data.slice(..data.len().min(PIECE_BYTES));
            let size = piece.len();
            match self.run.post(at, piece) {
                Ok(true) => {
                    drop(data.split_to(size));
                    let size = u64::try_from(size).unwrap_or(u64::MAX);
                    at += size;
                    self.sent += size;
                    self.position = at;
                    self.end = self.end.max(at);
                }
                Ok(false) => self.room().await?,
                Err(failure) => return Err(explain(failure, &mut self.pending, None).await),
            }
        }
        Ok(())
    }

    /// Waits for room in the window, for the server's veto, or for the limit.
    async fn room(&mut self) -> Result<()> {
        tokio::select! {
            biased;
            ready = self.run.ready() => match ready {
                Ok(()) => Ok(()),
                Err(failure) => Err(explain(failure, &mut self.pending, None).await),
            },
            reply = self.pending.next() => {
                let reply = reply?;
                if reply.is_preliminary() { Ok(()) } else { Err(ended_early(reply)) }
            }
            () = tokio::time::sleep(self.limits.stall) => Err(self.limits.stalled()),
        }
    }

    /// Sends the end of the file and waits for the server's confirmation, and for its word on the size.
    ///
    /// Cancel safe: may be called again.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.finished = true;
        let mut seen = self.run.written();
        loop {
            tokio::select! {
                biased;
                end = self.run.finish() => match end {
                    Ok(()) => break,
                    Err(failure) => {
                        let told = self.confirmed.take();
                        return Err(explain(failure, &mut self.pending, told).await);
                    }
                },
                reply = self.pending.next(), if self.confirmed.is_none() => {
                    let reply = reply?;
                    if reply.is_completion() {
                        self.confirmed = Some(reply);
                    } else if !reply.is_preliminary() {
                        return Err(ended_early(reply));
                    }
                }
                () = tokio::time::sleep(self.limits.stall) => {
                    let written = self.run.written();
                    if written == seen {
                        return Err(self.limits.stalled());
                    }
                    seen = written;
                }
            }
        }
        // Markers (111, 112) show that the server still works on it.
        let reply = loop {
            if let Some(reply) = &self.confirmed {
                break reply.clone();
            }
            match tokio::time::timeout(self.limits.stall, self.pending.next()).await {
                Ok(reply) => {
                    let reply = reply?;
                    if !reply.is_preliminary() {
                        self.confirmed = Some(reply);
                    }
                }
                Err(_) => return Err(self.limits.unconfirmed()),
            }
        };
        if !reply.is_completion() {
            return Err(Error::from_reply(
                reply,
                Phase::Completion,
                "the server did not complete the transfer",
            ));
        }
        self.verify().await
    }

    /// The file's size at the server must be where our last byte ended.
    async fn verify(&mut self) -> Result<()> {
        let Some(check) = &mut self.check else { return Ok(()) };
        check.within(self.limits.reply);
        let reply = check.last().await?;
        self.check = None;
        match size_of(&reply) {
            Some(size) if size != self.end => Err(Error::new(
                ErrorKind::Truncated,
                Phase::Verify,
                format!("{} bytes were sent, and the server's file has {size}", self.end),
            )
            .with_side(Side::Server)
            .with_may_have_applied()),
            // A server may not tell sizes of what it does not let us read.
            _ => Ok(()),
        }
    }

    /// The data channels of a transfer that ended well, for [`Session::give_back`].
    pub(crate) fn finished(&mut self) -> Option<Ready> {
        self.ready.take()
    }

    /// Ends the data connection and hands over the wait for the final reply.
    pub(crate) fn cancel(self) -> PendingReply {
        let Self { run, pending, ready, limits, .. } = self;
        drop((run, ready));
        pending.within(limits.reply);
        pending
    }
}

fn ended_early(reply: Reply) -> Error {
    if reply.is_completion() {
        Error::new(
            ErrorKind::Protocol,
            Phase::Data,
            "the server called the file complete before all of it was sent",
        )
        .with_side(Side::Server)
        .with_reply(reply)
    } else {
        Error::from_reply(reply, Phase::Data, "the server ended the transfer")
    }
}
