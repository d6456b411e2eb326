//! One STOR (or APPE, ESTO): from the command to the server's last word.

mod account;
mod file;
mod plan;

use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::time::Instant;

use crate::channel::WriteRun;
use crate::engine::{Direction, Failure};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::protocol::ascii::{GLOBUS_BLOCK_BYTES, ToWire};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::command::Command;
use crate::session::channel::Ready;
use crate::session::control::{Control, WINDOW};
use crate::session::get::size_of;
use crate::session::watch::{EXPLANATION_LIMIT, Limits, Patience, explain_early, explained, in_step};
use crate::session::{PendingReply, Session};
use crate::types::{FeatureSet, RestartMarker};

pub(crate) use crate::channel::{Outgoing, Stretch, Supply};
use account::Account;
pub(crate) use file::NotSent;
pub(crate) use plan::{Placement, PutRequest};

/// Longest piece that is handed to C at once, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// A file on its way out.
#[derive(Debug)]
pub(crate) struct ActivePut {
    run: WriteRun,
    pending: PendingReply,
    /// The size the file has afterwards.
    check: Option<Check>,
    ready: Option<Ready>,
    limits: Limits,
    path: Bytes,
    /// LF becomes CR LF.
    text: Option<ToWire>,
    account: Account,
    finished: bool,
    /// The final reply to the transfer, once it is there.
    confirmed: Option<Reply>,
    /// Why that reply will never come.
    lost: Option<Error>,
    /// The server's file is shorter than what was sent, whatever the server called it.
    short: bool,
    /// How long nothing may move of a file that is sent as such.
    patience: Option<Patience<(u64, u64)>>,
}

/// The question for the size of a file that was stored.
#[derive(Debug)]
enum Check {
    /// Asked behind the transfer, so that it costs no round trip.
    Asked(PendingReply),
    /// To be asked once the transfer is over.
    Later(Control, Command),
}

/// Whether the server is a GridFTP server. Those leave commands unread until a transfer is over; some plain FTP servers
/// (pyftpdlib) answer them at once, and would tell the size of what has arrived so far, in place of the final reply.
fn answers_in_order(features: &FeatureSet) -> bool {
    features.esto() || features.eret() || features.spas()
}

impl Session {
    /// From a transfer's command on, a plain server gets the next command only when the one before is answered, also when
    /// the transfer is given up and others use the session: a PASV while data still goes out makes pyftpdlib forget the
    /// final reply, and every later one would belong to the wrong command.
    pub(crate) fn speak_in_turn(&self) {
        if !answers_in_order(&self.features) {
            self.control.set_window(1);
        }
    }

    /// The transfer has ended, and with it what [`Self::speak_in_turn`] is for.
    pub(crate) fn speak_freely(&self) {
        if !self.sequential {
            self.control.set_window(WINDOW);
        }
    }

    /// Asks to store a file; returns when the server has accepted.
    pub(crate) async fn start_put(&mut self, request: PutRequest) -> Result<ActivePut> {
        let text = request.options.ascii;
        let started = self.start_storing(request).await;
        if text && started.is_err() {
            self.leave_text();
        }
        started
    }

    async fn start_storing(&mut self, request: PutRequest) -> Result<ActivePut> {
        let extended_block = request.options.extended_block();
        let mut first = request.hints()?;
        let asks_size = request.asks_size(&self.features);
        if asks_size {
            first.push(Command::with("SIZE", &request.path)?);
        }
        let (mut ready, mut replies) =
            self.make_ready(Direction::Write, &request.options, extended_block, first).await?;
        let told = match replies.pop().filter(|_| asks_size) {
            Some(mut pending) => Some(pending.last().await?),
            None => None,
        };
        let plan = match request.plan(&self.features, told) {
            Ok(plan) => plan,
            Err(error) => {
                self.give_back(ready);
                return Err(error);
            }
        };
        if let Some(restart) = plan.restart {
            let reply = self.control.command(restart).await?;
            if !reply.is_intermediate() {
                self.give_back(ready);
                let what = "the server does not go on with a file";
                return Err(Error::from_reply(reply, Phase::Command, what));
            }
        }
        let PutRequest { path, check_size, options, limits, .. } = request;
        // The server says 150 only once it is connected.
        self.speak_in_turn();
        let mut pending = self.control.send(plan.store);
        if ready.delayed {
            self.aim_by(&mut ready, &mut pending, "the server does not take the file").await?;
        } else {
            ready.port.connect(Direction::Write);
        }
        let run = ready.port.write(options.window_blocks);
        let reply = tokio::select! {
            biased;
            reply = pending.next() => reply?,
            failure = run.failed() => return Err(explain_early(failure, &mut pending).await),
        };
        if !reply.is_preliminary() {
            // Nothing was sent: an extended block set serves the next file.
            run.withdraw();
            self.give_back(ready);
            return Err(refusal(reply));
        }
        pending.within(None);
        if options.ascii {
            // Ahead of SIZE, which counts by it at some servers.
            self.leave_text();
        }
        let layout = plan.layout;
        let check = (check_size && layout.size_after(layout.end).is_some() && self.features.size())
            .then(|| Command::with("SIZE", &path))
            .transpose()?
            .map(|command| {
                if !answers_in_order(&self.features) {
                    return Check::Later(self.control.clone(), command);
                }
                let check = self.control.send(command);
                check.within(None);
                Check::Asked(check)
            });
        Ok(ActivePut {
            run,
            pending,
            check,
            ready: Some(ready),
            limits,
            path,
            text: options.ascii.then(|| ToWire::new(self.features.has("DSI").then_some(GLOBUS_BLOCK_BYTES))),
            account: Account::new(layout, extended_block),
            finished: false,
            confirmed: None,
            lost: None,
            short: false,
            patience: None,
        })
    }

    /// Ends a put that is not finished and leaves the file as it is; tells what of it is there.
    pub(crate) async fn abort_put(&self, put: ActivePut) -> Result<RestartMarker> {
        let ActivePut { run, mut pending, check, ready, limits, path, confirmed, lost, mut account, .. } =
            put;
        drop((run, ready));
        if let Some(error) = lost {
            return Err(error);
        }
        pending.within(limits.reply);
        let told = async {
            while confirmed.is_none() {
                let reply = pending.next().await?;
                account.hear(&reply);
                if !reply.is_preliminary() {
                    break;
                }
            }
            if account.extended_block || account.layout.shift.is_none() || !self.features.size() {
                return Ok(None);
            }
            // After the final reply: the server has written what it will ever write.
            let reply = match check {
                Some(Check::Asked(mut check)) => {
                    check.within(limits.reply);
                    check.last().await?
                }
                Some(Check::Later(..)) | None => self.control.command(Command::with("SIZE", &path)?).await?,
            };
            Ok(size_of(&reply))
        };
        let size =
            tokio::time::timeout(limits.reply, told).await.unwrap_or_else(|_| Err(limits.not_ended()))?;
        Ok(account.marker_at_rest(size))
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
        self.account.sent
    }

    /// Bytes that have gone out to the network so far.
    pub(crate) fn written(&self) -> u64 {
        self.run.written()
    }

    /// What shows that the put moves: bytes that went out, and what the server told of more than before. A server goes on
    /// telling of the same bytes (112, every five seconds) when nothing arrives any more.
    fn signs(&self) -> (u64, u64) {
        (self.run.written(), self.account.news())
    }

    /// The next byte's place for [`Self::write`] without an offset.
    pub(crate) fn position(&self) -> u64 {
        self.account.position
    }

    /// Whether the server called the file complete, and nothing is known that speaks against it.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed.as_ref().is_some_and(Reply::is_completion) && !self.short
    }

    /// What is in the file for certain.
    pub(crate) fn restart_marker(&mut self) -> RestartMarker {
        self.look();
        self.account.marker()
    }

    /// Takes in the replies that are there, without waiting.
    fn look(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while self.confirmed.is_none() && self.lost.is_none() {
            match self.pending.poll_next(&mut cx) {
                // A connection that broke shows in what comes next.
                Poll::Pending => return,
                Poll::Ready(reply) => {
                    if self.hear(reply).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn hear(&mut self, reply: Result<Reply>) -> Result<()> {
        let phase = if self.finished { Phase::Completion } else { Phase::Data };
        let reply = reply.and_then(in_step).map_err(|error| error.with_phase(phase));
        let reply = reply.inspect_err(|error| self.lost = Some(error.clone()))?;
        self.account.hear(&reply);
        if !reply.is_preliminary() {
            self.confirmed = Some(reply);
        }
        Ok(())
    }

    /// Waits for a reply and takes it in. Cancel safe.
    async fn next_reply(&mut self) -> Result<()> {
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        let reply = self.pending.next().await;
        self.hear(reply)
    }

    /// Why the data channel failed: the server's words, if they come soon.
    async fn reason(&mut self, failure: Failure) -> Error {
        let last = async { while self.confirmed.is_none() && self.next_reply().await.is_ok() {} };
        // Without an answer it is the channel's own failure.
        let _ = tokio::time::timeout(EXPLANATION_LIMIT, last).await;
        explained(failure, self.confirmed.clone())
    }

    /// Sends bytes for `offset`; waits while the window is full.
    ///
    /// Cancel safe in this sense: of `data`, the part that was accepted is removed from its front.
    pub(crate) async fn write(&mut self, offset: u64, data: &mut Bytes) -> Result<()> {
        if self.finished {
            return Err(Error::invalid("the file was finished; nothing can be written any more"));
        }
        if !self.account.extended_block && offset != self.account.position {
            return Err(Error::invalid(format!(
                "stream mode sends bytes in order: expected offset {}, got {offset}",
                self.account.position
            )));
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if offset.checked_add(length).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(Error::invalid(format!("{length} bytes at offset {offset} end beyond 2^63")));
        }
        let mut at = offset;
        let mut patience = Patience::new(self.signs(), self.limits.stall);
        while !data.is_empty() {
            let piece = data.slice(..data.len().min(PIECE_BYTES));
            let size = piece.len();
            let mut text = self.text.clone();
            let piece = text.as_mut().map_or_else(|| piece.clone(), |text| text.take(&piece));
            match self.run.post(at, piece) {
                Ok(true) => {
                    self.text = text;
                    drop(data.split_to(size));
                    let size = u64::try_from(size).unwrap_or(u64::MAX);
                    self.account.sent(at, size);
                    at += size;
                }
                Ok(false) => {
                    patience.look(self.signs(), self.limits.stall);
                    self.room(patience.end()).await?;
                }
                Err(failure) => return Err(self.reason(failure).await),
            }
        }
        Ok(())
    }

    /// Waits for room in the window, for the server's veto, or for the limit.
    async fn room(&mut self, until: Instant) -> Result<()> {
        if let Some(reply) = &self.confirmed {
            return Err(ended_early(reply.clone()));
        }
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        tokio::select! {
            biased;
            ready = self.run.ready() => match ready {
                Ok(()) => Ok(()),
                Err(failure) => Err(self.reason(failure).await),
            },
            reply = self.pending.next() => {
                self.hear(reply)?;
                self.confirmed.clone().map_or(Ok(()), |reply| Err(ended_early(reply)))
            }
            () = tokio::time::sleep_until(until) => Err(self.limits.stalled()),
        }
    }

    /// Sends the end of the file and waits for the server's confirmation, and for its word on the size.
    ///
    /// Cancel safe: may be called again.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        self.finished = true;
        let stall = self.limits.stall;
        // Nothing tells of written bytes, so they are looked for.
        let tick = self.limits.tick();
        let mut patience = Patience::new(self.signs(), stall);
        loop {
            tokio::select! {
                biased;
                end = self.run.finish() => match end {
                    Ok(()) => break,
                    // The end may have been among what arrived, or the server may take a broken stream for one that ended.
                    Err(failure) => return Err(self.reason(failure).await.with_may_have_applied()),
                },
                reply = self.pending.next(), if self.confirmed.is_none() && self.lost.is_none() => {
                    self.hear(reply)?;
                    if let Some(reply) = self.confirmed.clone().filter(|reply| !reply.is_completion()) {
                        return Err(ended_early(reply));
                    }
                    patience.look(self.signs(), stall);
                }
                () = tokio::time::sleep(tick) => {
                    if !patience.look(self.signs(), stall) && patience.end() <= Instant::now() {
                        return Err(self.limits.stalled());
                    }
                }
            }
        }
        // Markers (111, 112) of more bytes than before, or of all of them, show that the server still works on it.
        let mut patience = Patience::new(self.signs(), stall);
        let reply = loop {
            if let Some(reply) = &self.confirmed {
                break reply.clone();
            }
            match tokio::time::timeout_at(patience.end(), self.next_reply()).await {
                Ok(result) => result?,
                Err(_) => return Err(self.limits.unconfirmed()),
            }
            patience.look(self.signs(), stall);
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

    /// The file's size at the server must be what follows from our last byte.
    async fn verify(&mut self) -> Result<()> {
        if let Some(Check::Later(control, command)) = &self.check {
            self.check = Some(Check::Asked(control.send(command.clone())));
        }
        let Some(Check::Asked(check)) = &mut self.check else { return Ok(()) };
        check.within(self.limits.reply);
        let reply = check.last().await?;
        self.check = None;
        if kind_of_reply(&reply) == ErrorKind::NotFound {
            // Removed or renamed by somebody while it was written, or another put's cleaning up.
            let message = "the server called the file complete, and has no such file";
            return Err(Error::from_reply(reply, Phase::Verify, message).with_may_have_applied());
        }
        let end = self.account.end;
        let Some((size, expected)) = size_of(&reply).zip(self.account.layout.size_after(end)) else {
            // A server may not tell sizes of what it does not let us read.
            return Ok(());
        };
        // Lines end at the server as its system has them: with LF at one that is known, elsewhere with CR LF perhaps.
        let lines = self.text.as_ref().filter(|text| !text.is_for_globus()).map_or(0, ToWire::lines);
        if size == expected || self.account.layout.size_after(end.saturating_add(lines)) == Some(size) {
            return Ok(());
        }
        // A longer one is not this put's alone.
        self.short = size < expected;
        Err(Error::new(
            ErrorKind::Truncated,
            Phase::Verify,
            format!(
                "{} bytes were sent, after which the server's file must have {expected}; it has {size}",
                self.account.sent
            ),
        )
        .with_side(Side::Server)
        .with_may_have_applied())
    }

    /// The data channels of a transfer that ended well, for [`Session::give_back`].
    pub(crate) fn finished(&mut self) -> Option<Ready> {
        self.ready.take()
    }

    /// Ends the data connection, at once; what is returned waits for the final reply, if that is still to come.
    ///
    /// # Errors
    /// Why it will never come.
    pub(crate) fn cancel(self) -> impl Future<Output = Result<()>> + Send + use<> {
        let Self { run, mut pending, ready, limits, confirmed, lost, .. } = self;
        drop((run, ready));
        pending.within(limits.reply);
        async move {
            match (lost, confirmed) {
                (Some(error), _) => Err(error),
                (None, Some(_)) => Ok(()),
                // Markers (112) go on where the end of the connection is not noticed, and would keep this waiting for ever.
                (None, None) => match tokio::time::timeout(limits.reply, pending.last()).await {
                    Ok(last) => last.map(drop),
                    Err(_) => Err(limits.not_ended()),
                },
            }
        }
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
