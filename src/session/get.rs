//! One RETR (or ERET): from the command to the server's last word.

mod accepted;
mod plan;

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::channel::ReadRun;
use crate::engine::{Direction, Failure, fork};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::DataOptions;
use crate::protocol::ascii::FromWire;
use crate::protocol::command::Command;
use crate::session::channel::{Ready, setup_failed};
use crate::session::watch::{Limits, Timer, explain, in_step};
use crate::session::{PendingReply, Session};
use crate::types::{RangeSet, RestartMarker};

use accepted::accepted;
pub(crate) use plan::GetRequest;
use plan::Plan;
pub(crate) use plan::{shorter, told, with_path};

/// Stretches of bytes that are kept account of at most: a server that sends single bytes here and there must not make
/// memory grow. A marker that tells less than what is here does no harm.
const MAX_STRETCHES: usize = 65_536;

/// A file on its way in.
pub(crate) struct ActiveGet {
    /// None when the range is empty: nothing was asked of the server.
    flow: Option<Flow>,
    /// The set, to be given back when the transfer ended well.
    ready: Option<Ready>,
    limits: Limits,
    extended_block: bool,
    /// Where the first byte of a stream stands in the file.
    base_offset: u64,
    /// The file's size as the server told it before the transfer.
    size: Option<u64>,
    /// Bytes that must arrive, where that is known.
    expected: Option<u64>,
    /// Bytes of a stream beyond which the rest is not wanted (a range without ERET).
    wanted: Option<u64>,
    /// Where blocks may lie, if that is known.
    missing: Option<RangeSet>,
    /// What was here before, and what was handed out.
    here: RangeSet,
    /// Not everything that was handed out is among it, for lack of room.
    uncounted: bool,
    /// Lines end with CR LF on the wire.
    text: Option<FromWire>,
    received: u64,
    timer: Timer,
    /// The search for the reason of a failed data channel, while it is on.
    reason: Option<Reason>,
    failed: Option<Error>,
}

type Reason = Pin<Box<dyn Future<Output = Error> + Send + Sync>>;

/// Bytes of a file.
#[derive(Debug)]
pub(crate) enum Taken {
    /// They are here.
    Block(Bytes),
    /// So many of them are in the pipe.
    Piped(usize),
}

#[derive(Debug)]
struct Flow {
    run: ReadRun,
    pending: PendingReply,
    /// Blocks that came before the server's 150 was read.
    early: VecDeque<(u64, Bytes)>,
    /// The final reply, once it is there.
    last: Option<Reply>,
    data_ended: bool,
}

impl Flow {
    fn poll_run(
        &mut self,
        cx: &mut Context<'_>,
        pipe: Option<(BorrowedFd<'_>, usize)>,
    ) -> Poll<std::result::Result<Option<(u64, Taken)>, Failure>> {
        match pipe {
            Some((pipe, most)) if self.run.can_splice() => {
                let moved = self.run.poll_splice(cx, pipe, most);
                moved.map_ok(|moved| moved.map(|(offset, count)| (offset, Taken::Piped(count))))
            }
            _ => {
                let block = self.run.poll_next(cx);
                block.map_ok(|block| block.map(|(offset, data)| (offset, Taken::Block(data))))
            }
        }
    }
}

impl Session {
    /// Asks for a file; returns when the server has accepted.
    pub(crate) async fn start_get(&mut self, request: GetRequest) -> Result<ActiveGet> {
        let text = request.options.ascii;
        let started = self.start_transfer(&request).await;
        if text {
            self.leave_text();
        }
        started
    }

    async fn start_transfer(&mut self, request: &GetRequest) -> Result<ActiveGet> {
        let GetRequest { path, options, limits, .. } = request;
        let extended_block = options.extended_block();
        let first = if self.features.size() { vec![Command::with("SIZE", path)?] } else { Vec::new() };
        let (ready, mut replies) = self.make_ready(Direction::Read, options, extended_block, first).await?;
        let told = match replies.pop() {
            Some(mut pending) => Some(pending.last().await?),
            None => None,
        };
        let size = told.as_ref().and_then(size_of);
        let plan = Plan::new(request, &self.features, size)?;
        if let (None, Some(reply)) = (&plan.commands, told)
            && !reply.is_completion()
        {
            // Nothing has to be fetched, so this is all that is ever heard of a file that is not there.
            return Err(Error::from_reply(reply, Phase::Command, "the server does not send the file"));
        }
        let mut active = ActiveGet {
            base_offset: plan.base_offset,
            size,
            expected: plan.expected,
            wanted: plan.wanted,
            missing: plan.missing,
            here: plan.here,
            text: options.ascii.then(FromWire::default),
            ..ActiveGet::new(ready, extended_block, *limits)
        };
        if let Some(commands) = plan.commands {
            self.begin(&mut active, commands, options, extended_block).await?;
        }
        Ok(active)
    }

    /// Asks for a listing (MLSD, LIST, NLST …): data whose length nobody knows before.
    pub(crate) async fn start_listing(
        &mut self,
        command: Command,
        options: &DataOptions,
        limits: Limits,
    ) -> Result<ActiveGet> {
        let extended_block = options.extended_block();
        let (ready, _) = self.make_ready(Direction::Read, options, extended_block, Vec::new()).await?;
        let mut active = ActiveGet::new(ready, extended_block, limits);
        self.begin(&mut active, vec![command], options, extended_block).await?;
        Ok(active)
    }

    /// Sends the commands of a transfer, the last of which starts it, and waits until the server has accepted.
    async fn begin(
        &self,
        active: &mut ActiveGet,
        commands: Vec<Command>,
        options: &DataOptions,
        extended_block: bool,
    ) -> Result<()> {
        let Some(ready) = &mut active.ready else { return Ok(()) };
        if !ready.delayed {
            ready.port.connect(Direction::Read);
        }
        // A stream's reads may wait for the connection. An extended block set must not read before the file is accepted: a
        // refusal would leave them to the next file.
        let mut run = (!extended_block && !ready.delayed).then(|| ready.port.read(options.window_blocks));
        self.speak_in_turn();
        let mut pending = self.control.send_all(commands);
        let Some(mut transfer) = pending.pop() else {
            return Err(Error::new(ErrorKind::Internal, Phase::Command, "no reply was expected for RETR"));
        };
        // Part of it may have gone by in another way of doing the same.
        transfer.within_at_most(active.limits.reply);
        for mut restart in pending {
            let reply = restart.last().await?;
            if !reply.is_intermediate() {
                return Err(Error::from_reply(
                    reply,
                    Phase::Command,
                    "the server does not start at an offset",
                ));
            }
        }
        if ready.delayed {
            self.aim_by(ready, &mut transfer, "the server does not send the file").await?;
            run = (!extended_block).then(|| ready.port.read(options.window_blocks));
        }
        let (run, early) = match accepted(run, &mut transfer).await {
            Ok(accepted) => accepted,
            Err(refused) => {
                // The server was refused by our own end, and can only say that.
                return match ready.port.check().await {
                    Err(failure) if failure.is_ours() => Err(setup_failed(failure)),
                    _ => Err(refused),
                };
            }
        };
        let run = run.unwrap_or_else(|| ready.port.read(options.window_blocks));
        transfer.within(None);
        active.flow = Some(Flow { run, pending: transfer, early, last: None, data_ended: false });
        Ok(())
    }
}

/// The number of a 213 reply to SIZE.
pub(crate) fn size_of(reply: &Reply) -> Option<u64> {
    let text = (reply.code() == 213).then(|| reply.lines().next())??;
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

impl ActiveGet {
    fn new(ready: Ready, extended_block: bool, limits: Limits) -> Self {
        Self {
            flow: None,
            ready: Some(ready),
            limits,
            extended_block,
            base_offset: 0,
            size: None,
            expected: None,
            wanted: None,
            missing: None,
            here: RangeSet::new(),
            uncounted: false,
            text: None,
            received: 0,
            timer: Timer::default(),
            reason: None,
            failed: None,
        }
    }

    /// The size of the whole file, where the server told it.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes that must arrive, where that is known before.
    pub(crate) fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// Where the range begins in the file.
    pub(crate) fn base_offset(&self) -> u64 {
        self.base_offset
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// What lies between the bytes that are asked for, and before them.
    pub(crate) fn left_out(&self) -> RangeSet {
        let missing = self.missing.as_ref();
        let end = missing.and_then(|missing| missing.iter().last()).map_or(0, |range| range.end);
        missing.map(|missing| missing.complement(end)).unwrap_or_default()
    }

    /// What was here before, and what was handed out since.
    pub(crate) fn restart_marker(&self) -> RestartMarker {
        if self.text.is_some() {
            // Nothing can be asked for from the middle of a text on.
            return RestartMarker::Stream { offset: 0 };
        }
        let offset = self.here.contiguous_from(0);
        if self.extended_block || offset != self.here.total_bytes() {
            RestartMarker::Extended(self.here.clone())
        } else {
            RestartMarker::Stream { offset }
        }
    }

    /// Ends the data connection; gives the wait for the final reply, if that is still to come.
    pub(crate) fn cancel(&mut self) -> Option<PendingReply> {
        self.ready = None;
        let Flow { run, pending, last, .. } = self.flow.take()?;
        drop(run);
        pending.within(self.limits.reply);
        last.is_none().then_some(pending)
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The next block, with its offset in the file. None once everything arrived and the server confirmed it.
    ///
    /// After an error the transfer is over, and the same error comes again.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(u64, Bytes)>>> {
        self.poll_piece(cx, None).map_ok(|piece| {
            piece.map(|(offset, piece)| match piece {
                Taken::Block(data) => (offset, data),
                // There is no pipe that they could be in.
                Taken::Piped(_) => (offset, Bytes::new()),
            })
        })
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        pipe: Option<(BorrowedFd<'_>, usize)>,
    ) -> Poll<Result<Option<(u64, Taken)>>> {
        fork::check()?;
        if let Some(error) = &self.failed {
            return Poll::Ready(Err(error.clone()));
        }
        let result = ready!(self.poll_flow(cx, pipe));
        self.timer.stop();
        if let Err(error) = &result {
            self.failed = Some(error.clone());
            // Ends the data connections; the final reply is read by the control connection.
            self.flow = None;
            self.ready = None;
        }
        Poll::Ready(result)
    }

    /// Whether [`Self::poll_splice`] can be asked: bytes come as they are in the file, and nobody has to look at them.
    pub(crate) fn can_splice(&self) -> bool {
        let plain = self.text.is_none() && self.wanted.is_none();
        plain && self.flow.as_ref().is_some_and(|flow| flow.run.can_splice())
    }

    /// As [`Self::poll_next`], but bytes that have not been read yet go into an empty pipe, at most so many.
    pub(crate) fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        pipe: BorrowedFd<'_>,
        most: usize,
    ) -> Poll<Result<Option<(u64, Taken)>>> {
        self.poll_piece(cx, Some((pipe, most)))
    }

    /// How many blocks may be on their way, or wait to be taken.
    pub(crate) fn window_blocks(&self) -> usize {
        self.ready.as_ref().map_or(0, |ready| ready.window_blocks())
    }

    /// The caller reads in order, and holds what comes before `offset`; connections that are further wait.
    pub(crate) fn hold_from(&self, offset: u64) {
        // Text has other offsets on the wire than here; it comes in one stream, and in order.
        if let (Some(flow), None) = (&self.flow, &self.text) {
            flow.run.hold_from(offset.saturating_sub(self.base_offset));
        }
    }

    fn poll_flow(
        &mut self,
        cx: &mut Context<'_>,
        pipe: Option<(BorrowedFd<'_>, usize)>,
    ) -> Poll<Result<Option<(u64, Taken)>>> {
        if let Some(reason) = &mut self.reason {
            return reason.as_mut().poll(cx).map(Err);
        }
        loop {
            let Some(flow) = &mut self.flow else { return Poll::Ready(Ok(None)) };
            if !flow.data_ended {
                let arrival = match flow.early.pop_front() {
                    Some((offset, data)) => Poll::Ready(Ok(Some((offset, Taken::Block(data))))),
                    None => flow.poll_run(cx, pipe),
                };
                match arrival {
                    Poll::Ready(Ok(Some((offset, piece)))) => {
                        if let Some(block) = self.accept(offset, piece)? {
                            return Poll::Ready(Ok(Some(block)));
                        }
                        continue;
                    }
                    Poll::Ready(Ok(None)) => {
                        flow.data_ended = true;
                        self.timer.stop();
                        if let Some(rest) = self.text.as_mut().and_then(FromWire::end) {
                            return Poll::Ready(Ok(self.line(rest)));
                        }
                        continue;
                    }
                    Poll::Ready(Err(failure)) => return self.look_for_reason(failure, cx),
                    Poll::Pending => {}
                }
            }
            if flow.last.is_none()
                && let Poll::Ready(reply) = flow.pending.poll_next(cx)
            {
                let phase = if flow.data_ended { Phase::Completion } else { Phase::Data };
                let reply = reply.and_then(in_step).map_err(|error| error.with_phase(phase))?;
                if reply.is_completion() {
                    flow.last = Some(reply);
                } else if !reply.is_preliminary() {
                    return Poll::Ready(Err(Error::from_reply(
                        reply,
                        phase,
                        "the server ended the transfer",
                    )));
                }
                continue;
            }
            let confirmed = flow.last.is_some();
            #[cfg(test)]
            let confirmed = confirmed || crate::hooks::without("confirmation");
            if flow.data_ended && confirmed {
                self.flow = None;
                return Poll::Ready(self.complete().map(|()| None));
            }
            let (data_ended, limits, none_yet) = (flow.data_ended, self.limits, self.received == 0);
            ready!(
                self.timer.poll(cx, if none_yet && !data_ended { limits.first_byte } else { limits.stall })
            );
            return Poll::Ready(Err(match (data_ended, none_yet) {
                (true, _) => limits.unconfirmed(),
                (false, true) => limits.first_byte_passed(),
                (false, false) => limits.stalled(),
            }));
        }
    }

    /// The data channel failed: the server's words, if they come soon, say why.
    fn look_for_reason(
        &mut self,
        failure: Failure,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<(u64, Taken)>>> {
        self.timer.stop();
        let Some(Flow { run, mut pending, last, .. }) = self.flow.take() else {
            return Poll::Ready(Ok(None));
        };
        drop(run);
        let reason = self.reason.insert(Box::pin(async move { explain(failure, &mut pending, last).await }));
        reason.as_mut().poll(cx).map(Err)
    }

    /// Checks a block against what was announced, and places it in the file.
    fn accept(&mut self, offset: u64, piece: Taken) -> Result<Option<(u64, Taken)>> {
        let mut data = match piece {
            Taken::Block(data) => data,
            Taken::Piped(count) => {
                let length = u64::try_from(count).unwrap_or(u64::MAX);
                return self.place(offset, length).map(|at| Some((at, piece)));
            }
        };
        if let Some(wanted) = self.wanted {
            let room = usize::try_from(wanted.saturating_sub(self.received)).unwrap_or(usize::MAX);
            data.truncate(room);
            if data.is_empty() {
                // The rest of the stream is not wanted: end it here. The set is of no more use.
                self.flow = None;
                self.ready = None;
                return Ok(None);
            }
        }
        if let Some(text) = &mut self.text {
            let data = text.take(&data);
            return Ok(self.line(data));
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        self.place(offset, length).map(|at| Some((at, Taken::Block(data))))
    }

    /// Where in the file so many bytes belong that came at an offset of the transfer; an error if nowhere.
    fn place(&mut self, offset: u64, length: u64) -> Result<u64> {
        self.received = self.received.saturating_add(length);
        if let Some(expected) = self.expected
            && self.received > expected
        {
            return Err(self.wrong_length(expected));
        }
        let at = self.base_offset.checked_add(offset);
        let end = at.and_then(|at| at.checked_add(length));
        let asked_for = |at: u64, end: u64| {
            self.missing.as_ref().is_none_or(|missing| missing.contiguous_from(at) >= end)
        };
        match (at, end) {
            (Some(at), Some(end)) if asked_for(at, end) => {
                if self.here.len() < MAX_STRETCHES || self.here.contains(at.saturating_sub(1)) {
                    self.here.insert(at..end);
                } else {
                    self.uncounted = true;
                }
                Ok(at)
            }
            _ => Err(Error::new(
                ErrorKind::Protocol,
                Phase::Data,
                format!("the server sent {length} bytes at offset {offset}, which it was not asked for"),
            )
            .with_side(Side::Server)),
        }
    }

    /// Places a piece of text, which has no place at the server.
    fn line(&mut self, data: Bytes) -> Option<(u64, Taken)> {
        let at = self.received;
        self.received = at.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        (!data.is_empty()).then_some((at, Taken::Block(data)))
    }

    /// Everything is here and confirmed: is it all?
    fn complete(&self) -> Result<()> {
        #[cfg(test)]
        if crate::hooks::without("size") {
            return Ok(());
        }
        match self.expected {
            Some(expected) if self.received != expected => Err(self.wrong_length(expected)),
            _ if self.has_holes() => Err(Error::new(
                ErrorKind::Truncated,
                Phase::Data,
                "the server ended the transfer, and some bytes of the file have not come",
            )
            .with_side(Side::Server)),
            _ => Ok(()),
        }
    }

    /// Whether something that was asked for is not here, as far as account was kept. Where the file's end is not known, its
    /// last byte that is here counts as that.
    fn has_holes(&self) -> bool {
        if !self.extended_block || self.uncounted {
            return false;
        }
        let Some(missing) = &self.missing else {
            // Only a module knows where what it makes begins.
            return self.here.len() > 1;
        };
        let end = match self.expected {
            Some(_) => u64::MAX,
            None => self.here.iter().last().map_or(0, |range| range.end),
        };
        missing
            .iter()
            .any(|range| range.start < end && self.here.contiguous_from(range.start) < range.end.min(end))
    }

    fn wrong_length(&self, expected: u64) -> Error {
        Error::new(
            ErrorKind::Truncated,
            Phase::Data,
            format!("the server announced {expected} bytes and sent {}", self.received),
        )
        .with_side(Side::Server)
    }

    /// The data channels of a transfer that ended well, for [`Session::give_back`].
    pub(crate) fn finished(&mut self) -> Option<Ready> {
        if self.flow.is_some() || self.failed.is_some() { None } else { self.ready.take() }
    }
}

impl fmt::Debug for ActiveGet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveGet")
            .field("received", &self.received)
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}
