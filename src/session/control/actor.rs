//! The task that owns the socket of a control connection, or the pipes to the process that stands for one.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};
use tracing::Span;

use super::slot::{MAX_UNREAD, Slot, TRACE, orphaned};
use super::{Request, Shared, lost};
use crate::engine::fork;
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
use crate::protocol::command::Command;
use crate::protocol::reply::{Limits, ReplyParser};
use crate::session::protect::Protection;
use crate::session::ssh::Process;

/// Bytes that may wait for the socket before more commands are taken from the queue.
const MAX_OUT: usize = 64 * 1024;

/// Room made for each read.
const READ: usize = 8 * 1024;

const QUIT: &str = "QUIT";

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

pub(super) struct Actor {
    shared: Arc<Shared>,
    unanswered: VecDeque<Unanswered>,
    out: BytesMut,
    /// Bytes ever put into `out`, and bytes of those that the socket has taken.
    produced: u64,
    flushed: u64,
    input: BytesMut,
    parser: ReplyParser,
    protection: Option<Protection>,
    /// The last progress: a reply, or a command where none was waiting.
    since: Instant,
    /// When a farewell that was asked for is over, answered or not.
    farewell: Option<Instant>,
    quit_sent: bool,
    /// The server has said something.
    answered: bool,
    over: bool,
}

/// A command that has been given its place on the wire.
struct Unanswered {
    slot: Arc<Slot>,
    verb: &'static str,
    /// Where its first byte stands in the stream; none of it is sent before `flushed` is beyond.
    start: u64,
}

/// Stands for a command that has no place on the wire yet.
const UNPLACED: u64 = u64::MAX;

/// Why the connection ends.
struct Ended {
    reason: Error,
    /// Every command that was sent gets the reason itself, not only the first.
    for_all: bool,
}

impl Ended {
    fn first(reason: Error) -> Self {
        Self { reason, for_all: false }
    }

    fn all(reason: Error) -> Self {
        Self { reason, for_all: true }
    }
}

impl Actor {
    pub(super) fn new(shared: Arc<Shared>, greeting: Arc<Slot>) -> Self {
        shared.counters.open.one_more();
        let mut unanswered = VecDeque::with_capacity(4);
        // The greeting is a reply to the connection itself, which counts as sent.
        unanswered.push_back(Unanswered { slot: greeting, verb: "the greeting", start: 0 });
        Self {
            shared,
            unanswered,
            out: BytesMut::new(),
            produced: 1,
            flushed: 1,
            input: BytesMut::new(),
            parser: ReplyParser::new(Limits::CLEAR),
            protection: None,
            since: Instant::now(),
            farewell: None,
            quit_sent: false,
            answered: false,
            over: false,
        }
    }

    /// Serves the connection to its end, and that of the process behind it.
    pub(super) async fn run(
        mut self,
        reader: impl AsyncRead + Send + Unpin,
        writer: impl AsyncWrite + Send + Unpin,
        process: Option<Process>,
    ) {
        let Err(mut ended) = self.serve(reader, writer).await;
        let Some(mut process) = process else { return self.close(ended) };
        ended.reason = process.explain(ended.reason, self.answered, self.is_left()).await;
        self.close(ended);
        process.end().await;
    }

    async fn serve(
        &mut self,
        mut reader: impl AsyncRead + Send + Unpin,
        mut writer: impl AsyncWrite + Send + Unpin,
    ) -> Result<std::convert::Infallible, Ended> {
        let shared = Arc::clone(&self.shared);
        let mut timer = pin!(sleep_until(self.since));
        // When the timer will fire; it may be earlier than needed, never later.
        let mut armed: Option<Instant> = None;
        loop {
            self.fill().await?;
            if let Some(deadline) = self.deadline()
                && armed.is_none_or(|armed| deadline < armed)
            {
                timer.as_mut().reset(deadline);
                armed = Some(deadline);
            }
            let reading = shared.unread.load(Ordering::Acquire) < MAX_UNREAD;
            if reading && self.input.capacity() - self.input.len() < READ / 2 {
                self.input.reserve(READ);
            }
            tokio::select! {
                biased;
                written = writer.write_buf(&mut self.out), if !self.out.is_empty() => match written {
                    Ok(0) => return Err(Ended::all(self.broken("takes no more bytes"))),
                    Ok(count) => self.flushed += u64::try_from(count).unwrap_or(0),
                    Err(source) => {
                        // The server may have said why it leaves, and the reason is worth more than the broken pipe.
                        self.read_the_rest(&mut reader).await?;
                        return Err(Ended::all(self.broken("broke the connection").with_source(source)));
                    }
                },
                read = reader.read_buf(&mut self.input), if reading => match read {
                    Ok(0) => return Err(Ended::all(self.broken(if self.parser.in_reply() || !self.input.is_empty() {
                        "closed the connection in the middle of a reply"
                    } else {
                        "closed the connection"
                    }))),
                    Ok(_) => self.take_replies().await?,
                    Err(source) => {
                        return Err(Ended::all(self.broken("broke the connection").with_source(source)));
                    }
                },
                () = shared.wake.notified() => {}
                () = timer.as_mut(), if armed.is_some() => {
                    armed = None;
                    self.check_deadline()?;
                }
            }
        }
    }

    /// Takes what arrived before a write failed. Does not wait for more.
    async fn read_the_rest(&mut self, reader: &mut (impl AsyncRead + Send + Unpin)) -> Result<(), Ended> {
        loop {
            tokio::select! {
                biased;
                Ok(1..) = reader.read_buf(&mut self.input) => {
                    self.take_replies().await?;
                    self.input.reserve(READ);
                }
                () = std::future::ready(()) => return Ok(()),
            }
        }
    }

    /// Moves commands from the queue to the wire, as many as the window allows, all in one go.
    async fn fill(&mut self) -> Result<(), Ended> {
        if self.shared.touched.swap(false, Ordering::AcqRel) {
            self.since = Instant::now();
        }
        let mut batch = Vec::new();
        self.take_from_queue(&mut batch)?;
        if batch.is_empty() { Ok(()) } else { self.place(batch).await }
    }

    fn take_from_queue(&mut self, batch: &mut Vec<(Command, Arc<Slot>)>) -> Result<(), Ended> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if state.abandoned && !state.quitting {
            return Err(Ended::first(lost("this client closed the session")));
        }
        if state.quitting && self.farewell.is_none() {
            self.farewell = Some(Instant::now() + FAREWELL);
        }
        let window = shared.window.load(Ordering::Relaxed);
        let mut length = self.out.len();
        while self.unanswered.len() + batch.len() < window && length < MAX_OUT {
            match state.queue.pop_front() {
                Some(Request::Command(command, slot)) => {
                    if !slot.is_withdrawn() {
                        length += command.as_bytes().len();
                        batch.push((command, slot));
                    }
                }
                Some(Request::Protect(context)) => {
                    if !self.unanswered.is_empty() || !batch.is_empty() {
                        state.queue.push_front(Request::Protect(context));
                        break;
                    }
                    self.begin_protection(Protection::new(*context))?;
                }
                None => {
                    if state.quitting && !self.quit_sent {
                        self.quit_sent = true;
                        batch.push((Command::new(QUIT), Arc::new(Slot::new(FAREWELL))));
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    fn begin_protection(&mut self, protection: Protection) -> Result<(), Ended> {
        if self.parser.in_reply() || !self.input.is_empty() {
            return Err(Ended::first(violation(
                "the server went on in clear text on a connection that is protected by now".to_owned(),
            )));
        }
        self.protection = Some(protection);
        self.parser = ReplyParser::new(Limits::PROTECTED);
        Ok(())
    }

    async fn place(&mut self, batch: Vec<(Command, Arc<Slot>)>) -> Result<(), Ended> {
        if self.unanswered.is_empty() {
            self.since = Instant::now();
        }
        self.shared.counters.commands.add(u64::try_from(batch.len()).unwrap_or(0));
        let first = self.unanswered.len();
        let mut commands = Vec::with_capacity(batch.len());
        for (command, slot) in batch {
            tracing::debug!(target: TRACE, parent: slot.span(), peer = %self.shared.peer, "> {command}");
            self.unanswered.push_back(Unanswered { slot, verb: command.verb(), start: UNPLACED });
            commands.push(command);
        }
        let Some(protection) = &mut self.protection else {
            for (index, command) in commands.iter().enumerate() {
                self.append(first + index, command.as_bytes(), b"\r\n");
            }
            return Ok(());
        };
        let lines = protection.wrap(commands).await.map_err(Ended::first)?;
        for (index, line) in lines.iter().enumerate() {
            self.append(first + index, line, b"");
        }
        Ok(())
    }

    /// Puts one command's line into the output.
    fn append(&mut self, index: usize, line: &[u8], end: &[u8]) {
        self.unanswered[index].start = self.produced;
        self.out.reserve(line.len() + end.len());
        self.out.put_slice(line);
        self.out.put_slice(end);
        self.produced += u64::try_from(line.len() + end.len()).unwrap_or(0);
    }

    /// Gives out every complete reply in the input.
    async fn take_replies(&mut self) -> Result<(), Ended> {
        if self.protection.is_none() {
            while let Some(reply) = self.parser.next(&mut self.input).map_err(Ended::first)? {
                if reply.code() >= 600 {
                    return Err(Ended::first(violation(format!(
                        "the server sent a protected reply on a connection that is not protected: {reply}"
                    ))));
                }
                self.deliver(reply)?;
            }
            return Ok(());
        }
        let mut wrapped = Vec::new();
        let mut stray = None;
        loop {
            match self.parser.next(&mut self.input) {
                Ok(Some(reply)) if matches!(reply.code(), 631..=633) => wrapped.push(reply),
                #[cfg(test)]
                Ok(Some(reply)) if crate::hooks::without("C5") => self.deliver(reply)?,
                Ok(Some(reply)) => {
                    stray = Some(unprotected(reply));
                    break;
                }
                Ok(None) => break,
                Err(error) => {
                    stray = Some(error);
                    break;
                }
            }
        }
        if !wrapped.is_empty()
            && let Some(protection) = &mut self.protection
        {
            for reply in protection.unwrap(wrapped).await.map_err(Ended::first)? {
                self.deliver(reply)?;
            }
        }
        stray.map_or(Ok(()), |error| Err(Ended::first(error)))
    }

    /// Gives one reply to the command it belongs to.
    fn deliver(&mut self, reply: Reply) -> Result<(), Ended> {
        self.shared.counters.replies.one_more();
        self.answered = true;
        let nobody = Span::none();
        let span = self.unanswered.front().map_or(&nobody, |head| head.slot.span());
        tracing::debug!(target: TRACE, parent: span, peer = %self.shared.peer, "< {reply}");
        if reply.code() == 421 {
            return Err(Ended::first(Error::from_reply(
                reply,
                Phase::Command,
                self.named("the server leaves"),
            )));
        }
        let Some(head) = self.unanswered.front().filter(|head| self.is_sent(head)) else {
            return Err(Ended::first(violation(format!(
                "the server sent a reply that nothing had asked for: {reply}"
            ))));
        };
        if !reply.is_preliminary() || works_long(head.verb) {
            self.since = Instant::now();
        }
        if reply.is_preliminary() {
            return head.slot.preliminary(reply, &self.shared).map_err(Ended::first);
        }
        let farewell = head.verb == QUIT;
        if let Some(head) = self.unanswered.pop_front() {
            head.slot.finish(Ok(reply), &self.shared);
        }
        if farewell { Err(Ended::first(lost("this client closed the session"))) } else { Ok(()) }
    }

    fn is_sent(&self, command: &Unanswered) -> bool {
        #[cfg(test)]
        if crate::hooks::without("C3") {
            return true;
        }
        command.start < self.flushed
    }

    /// When the connection counts as dead if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        let limit = self.unanswered.front().and_then(|head| head.slot.limit());
        let reply = limit.and_then(|limit| self.since.checked_add(limit));
        match (reply, self.farewell) {
            (Some(reply), Some(farewell)) => Some(reply.min(farewell)),
            (reply, farewell) => reply.or(farewell),
        }
    }

    fn check_deadline(&self) -> Result<(), Ended> {
        // A limit that was changed just now is counted anew by the next round.
        if self.shared.touched.load(Ordering::Acquire) || self.deadline().is_none_or(|at| Instant::now() < at)
        {
            return Ok(());
        }
        if self.farewell.is_some_and(|at| Instant::now() >= at) {
            return Err(Ended::first(lost("this client closed the session")));
        }
        let verb = self.unanswered.front().map_or("a command", |head| head.verb);
        let limit = self.unanswered.front().and_then(|head| head.slot.limit()).unwrap_or_default();
        let message = format!("no reply to {verb} within {limit:?} from {}", self.shared.peer);
        let error = Error::new(ErrorKind::Timeout(TimeoutKind::Reply), Phase::Command, message);
        Err(Ended::all(error.with_side(Side::Server)))
    }

    /// Whether the connection ends because nobody here wants it any more.
    fn is_left(&self) -> bool {
        let state = self.shared.lock();
        state.abandoned || state.quitting
    }

    fn broken(&self, what: &'static str) -> Error {
        let verb = match self.unanswered.front() {
            Some(head) => format!(" while {} waited for its reply", head.verb),
            None => String::new(),
        };
        lost(format!("the server {} {what}{verb}", self.shared.peer))
    }

    fn named(&self, what: &'static str) -> String {
        match self.unanswered.front() {
            Some(head) => format!("{what} while {} waited for its reply", head.verb),
            None => what.to_owned(),
        }
    }

    /// Ends every command that waits, each with an error of its own, and lets none in after them.
    fn close(&mut self, ended: Ended) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        #[cfg(test)]
        if crate::hooks::without("lost with commands queued") {
            return;
        }
        tracing::debug!(peer = %self.shared.peer, "control connection ends: {}", ended.reason);
        let queue = {
            let mut state = self.shared.lock();
            state.closed = Some(ended.reason.clone());
            std::mem::take(&mut state.queue)
        };
        for (index, command) in std::mem::take(&mut self.unanswered).into_iter().enumerate() {
            let sent = self.is_sent(&command);
            let error = if sent && (index == 0 || ended.for_all) {
                ended.reason.clone().with_may_have_applied()
            } else {
                orphaned(command.verb, sent).with_source(ended.reason.clone())
            };
            command.slot.finish(Err(error), &self.shared);
        }
        for request in queue {
            if let Request::Command(command, slot) = request {
                let error = orphaned(command.verb(), false).with_source(ended.reason.clone());
                slot.finish(Err(error), &self.shared);
            }
        }
        self.shared.counters.open.one_less();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // A child has the runtime of its parent, and not the threads that may hold the locks.
        if fork::is_child() {
            return;
        }
        // Only reached without an end when the runtime throws the task away.
        self.close(Ended::first(lost("the runtime that drove the connection was shut down")));
    }
}

/// A reply in clear text on a protected connection may come from anybody on the way: it ends the connection, and is never
/// taken for the answer to a command.
fn unprotected(reply: Reply) -> Error {
    if reply.code() == 421 {
        return Error::from_reply(reply, Phase::Command, "the server leaves (it said so without protection)");
    }
    violation(format!("a reply in clear text on a protected connection, it cannot be trusted: {reply}"))
}

fn violation(message: String) -> Error {
    Error::new(ErrorKind::Protocol, Phase::Command, message).with_side(Side::Server)
}

/// Whether a server that says something in between shows that it is at work. With any other command it only puts the answer
/// off, which it could do for ever.
fn works_long(verb: &str) -> bool {
    matches!(
        verb,
        "RETR"
            | "ERET"
            | "STOR"
            | "ESTO"
            | "APPE"
            | "LIST"
            | "NLST"
            | "MLSD"
            | "MLSR"
            | "STAT"
            | "CKSM"
            | "SITE"
    )
}
