//! One file on its way to its temporary name.

use std::collections::VecDeque;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::item::{Item, Question};
use super::naming::Verified;
use crate::channel::DataPort;
use crate::channel::WriteRun;
use crate::engine::Failure;
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::protocol::classify::kind_of_reply;
use crate::protocol::markers;
use crate::protocol::value::checksum_reply;
use crate::session::get::size_of;
use crate::session::watch::in_step;
use crate::session::{Counters, PendingReply};
use crate::types::Marker;

/// Longest piece that is handed to C at once, in bytes, unless there would be too many of them.
const PIECE_BYTES: usize = 1 << 20;

/// Most pieces of one file.
const PIECES: usize = 128;

/// A file on its way.
#[derive(Debug)]
pub(super) struct Moving<K> {
    pub(super) item: Item<K>,
    pub(super) temporary: Bytes,
    pub(super) order: u64,
    /// Its data, once that is posted.
    pub(super) run: Option<WriteRun>,
    /// How the run ended.
    sent: Option<Result<(), Failure>>,
    store: PendingReply,
    accepted: bool,
    /// The final reply to STOR.
    last: Option<Reply>,
    questions: VecDeque<(Question, PendingReply)>,
    attributes: Result<()>,
    /// Bytes that the server told of, and how often it told of more, or of all.
    told: u64,
    ranges: u64,
    news: u64,
}

/// What is wrong.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) error: Error,
    /// The file's own reason: it would only be refused again.
    pub(super) own: bool,
    /// The channel's, of which the server may have more to say.
    pub(super) failure: Option<Failure>,
}

/// What comes next for the file at the head.
#[derive(Debug)]
pub(super) enum Step {
    Accepted,
    /// The server said something.
    Alive,
    /// It is stored, and is what it has to be.
    Verified,
    Wrong(Fault),
    /// The session is of no more use.
    Lost(Error),
}

impl<K> Moving<K> {
    pub(super) fn new(
        item: Item<K>,
        temporary: Bytes,
        order: u64,
        questions: Vec<Question>,
        replies: &mut impl Iterator<Item = PendingReply>,
        checksum_limit: Duration,
    ) -> Result<Self> {
        let short = || Error::new(ErrorKind::Internal, Phase::Command, "not one reply for each command");
        let store = replies.next().ok_or_else(short)?;
        // It is watched by what moves.
        store.within(None);
        let mut asked = VecDeque::new();
        for question in questions {
            let pending = replies.next().ok_or_else(short)?;
            if matches!(question, Question::Checksum) {
                pending.within(checksum_limit);
            }
            asked.push_back((question, pending));
        }
        Ok(Self {
            item,
            temporary,
            order,
            run: None,
            sent: None,
            store,
            accepted: false,
            last: None,
            questions: asked,
            attributes: Ok(()),
            told: 0,
            ranges: 0,
            news: 0,
        })
    }

    /// Posts all of it and its end, without waiting; once.
    pub(super) fn post(&mut self, port: &DataPort, counters: &Counters) {
        if self.is_posted() {
            return;
        }
        let contents = &self.item.contents;
        let piece = PIECE_BYTES.max(contents.len().div_ceil(PIECES));
        // Room for all of it: it is in memory anyway.
        let mut run = port.write(contents.len().div_ceil(piece));
        for at in (0..contents.len()).step_by(piece) {
            let data = contents.slice(at..contents.len().min(at + piece));
            let offset = u64::try_from(at).unwrap_or(u64::MAX);
            // A failure comes back with the run's end.
            let Ok(true) = run.post(offset, data) else { break };
        }
        counters.sent(contents.len());
        if let Poll::Ready(end) = pin!(run.finish()).poll(&mut Context::from_waker(Waker::noop())) {
            self.sent = Some(end);
        }
        self.run = Some(run);
    }

    pub(super) fn is_posted(&self) -> bool {
        self.run.is_some()
    }

    /// Whether data may still move, which nobody but the caller watches.
    pub(super) fn is_storing(&self) -> bool {
        self.last.is_none() || self.sent.is_none()
    }

    /// Bytes of it that went out to the network.
    pub(super) fn written(&self) -> u64 {
        self.run.as_ref().map_or(0, WriteRun::written)
    }

    /// Changes with each sign of the server's that it has more of it, or has all of it in hand.
    pub(super) fn news(&self) -> u64 {
        self.news
    }

    pub(super) fn last(&self) -> Option<&Reply> {
        self.last.as_ref()
    }

    pub(super) fn into_verified(self) -> Verified<K> {
        Verified { item: self.item, temporary: self.temporary, attributes: self.attributes }
    }

    /// The file, and the reply to STOR if that is still to come.
    pub(super) fn into_parts(self) -> (Item<K>, Option<PendingReply>) {
        (self.item, self.last.is_none().then_some(self.store))
    }

    /// Closes the channel under it.
    pub(super) fn cut(&mut self) {
        self.run = None;
    }

    /// Waits for the final reply to STOR, for as long as it takes.
    pub(super) async fn hear_out(&mut self, limit: Duration) -> Result<()> {
        self.store.within(limit);
        if self.last.is_none() {
            self.last = Some(self.store.last().await?);
        }
        Ok(())
    }

    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.last.is_none()
            && let Poll::Ready(reply) = self.store.poll_next(cx)
            && let Some(step) = self.hear(reply)
        {
            return Poll::Ready(step);
        }
        if let (Some(run), None) = (&mut self.run, &self.sent)
            && let Poll::Ready(end) = pin!(run.finish()).poll(cx)
        {
            self.sent = Some(end);
        }
        match &self.sent {
            Some(Err(failure)) => return Poll::Ready(Step::Wrong(Fault::broken(failure.clone()))),
            Some(Ok(())) if self.last.is_some() => {}
            _ => return Poll::Pending,
        }
        while let Some((question, pending)) = self.questions.front_mut() {
            let question = *question;
            let reply = match pending.poll_next(cx) {
                Poll::Ready(Ok(reply)) => reply,
                Poll::Ready(Err(error)) => return Poll::Ready(Step::Lost(error)),
                Poll::Pending => return Poll::Pending,
            };
            if reply.is_preliminary() {
                continue;
            }
            self.questions.pop_front();
            if let Err(fault) = self.answered(question, reply) {
                return Poll::Ready(Step::Wrong(fault));
            }
        }
        Poll::Ready(Step::Verified)
    }

    /// Takes in a reply to STOR; what is not told needs nothing to be done yet.
    fn hear(&mut self, reply: Result<Reply>) -> Option<Step> {
        let reply = match reply.and_then(in_step) {
            Ok(reply) => reply,
            Err(error) => return Some(Step::Lost(error)),
        };
        if reply.is_preliminary() {
            self.count(&reply);
            return Some(if std::mem::replace(&mut self.accepted, true) {
                Step::Alive
            } else {
                Step::Accepted
            });
        }
        self.last = Some(reply.clone());
        let doing = match (self.accepted, reply.is_completion()) {
            (true, true) => return None,
            (false, true) => {
                let message = "the server ended a transfer that had not begun";
                let error = Error::new(ErrorKind::Protocol, Phase::Command, message)
                    .with_side(Side::Server)
                    .with_reply(reply);
                return Some(Step::Wrong(Fault { error, own: true, failure: None }));
            }
            (false, false) => (Phase::Command, "the server does not take the file"),
            (true, false) => (Phase::Completion, "the server did not complete the transfer"),
        };
        Some(Step::Wrong(Fault::refused(Error::from_reply(reply, doing.0, doing.1))))
    }

    fn count(&mut self, reply: &Reply) {
        let told = match markers::parse(reply) {
            Some(Marker::Range(ranges)) => {
                self.ranges = self.ranges.saturating_add(ranges.total_bytes());
                self.ranges
            }
            Some(Marker::Performance(marker)) => marker.bytes,
            _ => return,
        };
        // With all of it there, whatever the server says is that it is at work on the rest.
        self.news += u64::from(told > self.told || told >= self.item.length());
        self.told = self.told.max(told);
    }

    fn answered(&mut self, question: Question, reply: Reply) -> Result<(), Fault> {
        let again = |error| Fault { error, own: false, failure: None };
        match question {
            Question::Size => match size_of(&reply) {
                Some(size) if size != self.item.length() => {
                    let message = format!("{} bytes were sent, and {size} were stored", self.item.length());
                    let error = Error::new(ErrorKind::Truncated, Phase::Verify, message);
                    Err(again(error.with_side(Side::Server)))
                }
                None if kind_of_reply(&reply) == ErrorKind::NotFound => {
                    let message = "the server called the file complete, and has no such file";
                    Err(again(Error::from_reply(reply, Phase::Verify, message)))
                }
                // A server may not tell sizes of what it does not let us read.
                _ => Ok(()),
            },
            Question::Checksum => {
                let Some(expected) = &self.item.checksum else { return Ok(()) };
                if !reply.is_completion() {
                    let doing = "computing the checksum of the stored file";
                    return Err(Fault::refused(Error::from_reply(reply, Phase::Verify, doing)));
                }
                let stored = checksum_reply(&reply, expected.algorithm()).map_err(|error| Fault {
                    error,
                    own: true,
                    failure: None,
                })?;
                if stored == *expected {
                    return Ok(());
                }
                let message =
                    format!("the stored file has the checksum {stored}, and {expected} was expected");
                let error = Error::new(ErrorKind::ChecksumMismatch, Phase::Verify, message);
                Err(again(error.with_side(Side::Server)))
            }
            Question::Attribute(doing) => {
                if !reply.is_completion() && self.attributes.is_ok() {
                    self.attributes = Err(Error::from_reply(reply, Phase::Command, doing));
                }
                Ok(())
            }
        }
    }
}

impl Fault {
    /// A refusal: one that gives no reason, or names the connection or the server's load, need not be about the file.
    pub(super) fn refused(error: Error) -> Self {
        let own = is_own(error.kind());
        Self { error, own, failure: None }
    }

    fn broken(failure: Failure) -> Self {
        let error = failure.clone().into_data_error(Phase::Data, "the data connection broke");
        Self { error, own: false, failure: Some(failure) }
    }
}

/// Whether a refusal of this kind is about the file. globus-gridftp-server says "500 Command failed" to all that was asked
/// for when its connection broke.
pub(super) fn is_own(kind: ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Refused | ErrorKind::ConnectionLost | ErrorKind::ServerBusy | ErrorKind::Timeout(_)
    )
}
