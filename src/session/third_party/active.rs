//! What is heard of a file that goes from server to server.

use std::collections::BTreeMap;
use std::task::{Context, Poll};

use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::protocol::markers;
use crate::session::PendingReply;
use crate::session::third_party::{Plan, of_side};
use crate::types::{Marker, RangeSet, RestartMarker};

/// Most stripes whose progress is looked at.
const MAX_STRIPES: usize = 1024;

/// Most ranges that are remembered; more are forgotten, so that at worst something is moved twice.
const MAX_RANGES: usize = 64 * 1024;

/// A file on its way between two servers.
#[derive(Debug)]
pub(crate) struct Active {
    source: Leg,
    destination: Leg,
    extended_block: bool,
    /// Where the destination's offsets begin in the file.
    base: u64,
    /// What was there before.
    before: RestartMarker,
    /// What the destination says it has stored since.
    stored: RangeSet,
    bytes: BTreeMap<u32, u64>,
    /// The file's size at the source.
    size: Option<u64>,
    /// Where the last byte that is moved must lie, if that is known, and whether the file must end there.
    end: Option<(u64, bool)>,
    /// The destination's file grows from `before` on, so that its size tells what is there.
    grows: bool,
}

/// One side of a transfer.
#[derive(Debug)]
struct Leg {
    pending: PendingReply,
    accepted: bool,
    last: Option<Result<Reply>>,
}

/// What was heard of a running transfer.
#[derive(Debug)]
pub(crate) enum Event {
    /// A marker, and whether it shows that something moved.
    Marker(Marker, bool),
    /// A server accepted, or said something else on the way.
    Sign,
    /// One side is through with it.
    Ended,
}

impl Leg {
    fn new(pending: PendingReply) -> Self {
        // Whoever waits for the transfer watches it: the connection's own limit is for commands.
        pending.within(None);
        Self { pending, accepted: false, last: None }
    }

    fn failed(&self) -> bool {
        self.last.as_ref().is_some_and(|last| !last.as_ref().is_ok_and(Reply::is_completion))
    }
}

impl Active {
    /// One file, as it was planned.
    pub(super) fn of_one(
        store: PendingReply,
        retrieve: PendingReply,
        extended_block: bool,
        plan: &Plan,
        size: Option<u64>,
    ) -> Self {
        Self {
            source: Leg::new(retrieve),
            destination: Leg::new(store),
            extended_block,
            base: plan.base,
            before: plan.before.clone(),
            stored: RangeSet::new(),
            bytes: BTreeMap::new(),
            size,
            end: plan.end,
            grows: plan.grows,
        }
    }

    /// One of many whole files, over channels that stay open.
    pub(crate) fn of_many(store: PendingReply, retrieve: PendingReply) -> Self {
        Self {
            source: Leg::new(retrieve),
            destination: Leg::new(store),
            extended_block: true,
            base: 0,
            before: RestartMarker::Stream { offset: 0 },
            stored: RangeSet::new(),
            bytes: BTreeMap::new(),
            size: None,
            end: None,
            grows: true,
        }
    }

    /// Whether both sides refused it, so that nothing of it is or will be on the channels.
    pub(crate) fn both_refused(&self) -> bool {
        [&self.source, &self.destination].into_iter().all(|leg| leg.failed() && !leg.accepted)
    }

    /// Whether both sides have said at least whether they take part.
    pub(crate) fn both_heard(&self) -> bool {
        [&self.source, &self.destination].into_iter().all(|leg| leg.accepted || leg.last.is_some())
    }

    /// Whether a control connection broke.
    pub(crate) fn is_lost(&self) -> bool {
        [&self.source, &self.destination].into_iter().any(|leg| matches!(leg.last, Some(Err(_))))
    }

    /// The next thing that is heard of the transfer. Not to be asked once [`Self::is_over`].
    pub(crate) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        for side in [Side::Destination, Side::Source] {
            let leg = if side == Side::Source { &mut self.source } else { &mut self.destination };
            if leg.last.is_some() {
                continue;
            }
            let Poll::Ready(result) = leg.pending.poll_next(cx) else { continue };
            return Poll::Ready(match result {
                Ok(reply) if reply.is_preliminary() => {
                    leg.accepted |= !matches!(reply.code(), 111 | 112);
                    let marker = (side == Side::Destination).then(|| markers::parse(&reply)).flatten();
                    marker.map_or(Event::Sign, |marker| self.note(marker))
                }
                last => {
                    leg.last = Some(last);
                    Event::Ended
                }
            });
        }
        Poll::Pending
    }

    fn note(&mut self, marker: Marker) -> Event {
        match marker {
            Marker::Performance(marker) => {
                let known = self.bytes.len() < MAX_STRIPES || self.bytes.contains_key(&marker.stripe);
                let before =
                    if known { self.bytes.insert(marker.stripe, marker.bytes) } else { Some(marker.bytes) };
                Event::Marker(Marker::Performance(marker), before.unwrap_or(0) != marker.bytes)
            }
            Marker::Range(told) => {
                let base = self.base;
                let place = |at: u64| at.saturating_add(base);
                let ranges: RangeSet =
                    told.iter().map(|range| place(range.start)..place(range.end)).collect();
                let before = self.stored.total_bytes();
                for range in ranges.iter().take(MAX_RANGES.saturating_sub(self.stored.len())) {
                    self.stored.insert(range);
                }
                Event::Marker(Marker::Range(ranges), self.stored.total_bytes() != before)
            }
        }
    }

    /// Whether both sides are through with it.
    pub(crate) fn is_over(&self) -> bool {
        self.has_ended(Side::Source) && self.has_ended(Side::Destination)
    }

    pub(crate) fn has_ended(&self, side: Side) -> bool {
        if side == Side::Source { self.source.last.is_some() } else { self.destination.last.is_some() }
    }

    /// Whether a side failed, and so for a reason of its own: then nothing the other one may say changes it.
    pub(crate) fn failure(&self) -> Option<bool> {
        let failed = [&self.source, &self.destination].into_iter().filter(|leg| leg.failed());
        failed.map(|leg| !leg.last.as_ref().is_some_and(is_consequence)).reduce(|one, other| one || other)
    }

    /// The error of a transfer that failed: that of the side which has a reason of its own, else of the one that sends.
    pub(crate) fn reason(&self) -> Error {
        let source = self.source.failed();
        let own = |leg: &Leg| leg.last.as_ref().is_some_and(|last| !is_consequence(last));
        let side = match (source, self.destination.failed()) {
            (true, true) if own(&self.source) == own(&self.destination) => Side::Source,
            (true, true) if own(&self.destination) => Side::Destination,
            (true, _) => Side::Source,
            (false, _) => Side::Destination,
        };
        let leg = if side == Side::Source { &self.source } else { &self.destination };
        let (doing, phase) = match (side, leg.accepted) {
            (Side::Source, false) => ("the source does not send the file", Phase::Command),
            (Side::Source, true) => ("the source ended the transfer", Phase::Data),
            (_, false) => ("the destination does not take the file", Phase::Command),
            (_, true) => ("the destination ended the transfer", Phase::Data),
        };
        of_side(side)(match &leg.last {
            Some(Ok(reply)) => Error::from_reply(reply.clone(), phase, doing),
            Some(Err(error)) => error.clone().with_may_have_applied(),
            None => Error::new(ErrorKind::Internal, phase, "a transfer failed on neither side"),
        })
    }

    /// The file's size at the source, where it told it.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// Bytes that the destination says it has received, where it says so.
    pub(crate) fn received(&self) -> u64 {
        self.bytes.values().copied().fold(0, u64::saturating_add).max(self.stored.total_bytes())
    }

    /// Where the moved bytes must end, and whether the file must end there as well.
    pub(crate) fn end(&self) -> Option<(u64, bool)> {
        self.end
    }

    /// What is at the destination as far as markers and `size`, that of its file, tell.
    pub(crate) fn marker(&self, size: Option<u64>) -> RestartMarker {
        if self.extended_block {
            let mut ranges = self.before.ranges();
            ranges.extend(self.stored.iter());
            return RestartMarker::Extended(ranges);
        }
        match (size, &self.before) {
            (Some(size), before) if self.grows => {
                RestartMarker::Stream { offset: size.max(before.contiguous()) }
            }
            (_, before) => RestartMarker::Stream { offset: before.contiguous() },
        }
    }

    /// Whether the size of the destination's file says how much of a stream is there.
    pub(crate) fn wants_size(&self) -> bool {
        // Before the destination has taken the file, its size is that of what stood there before.
        !self.extended_block && self.grows && self.destination.accepted
    }

    /// Waits for the destination's last word.
    pub(crate) async fn destination_ends(&mut self) {
        while !self.has_ended(Side::Destination) {
            // The source may end meanwhile, which is of no interest.
            std::future::poll_fn(|cx| match self.destination.pending.poll_next(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(reply)) if reply.is_preliminary() => {
                    self.destination.accepted |= !matches!(reply.code(), 111 | 112);
                    if let Some(marker) = markers::parse(&reply) {
                        self.note(marker);
                    }
                    Poll::Ready(())
                }
                Poll::Ready(last) => {
                    self.destination.last = Some(last);
                    Poll::Ready(())
                }
            })
            .await;
        }
    }

    /// Whether the destination refused the file before it took any of it, so that what its name held before is still there.
    /// A data connection that was not made is no such refusal: the file may have been opened, and emptied, by then.
    pub(crate) fn destination_refused(&self) -> bool {
        let leg = &self.destination;
        let refused = |last: &Result<Reply>| last.is_ok() && !is_consequence(last);
        leg.failed() && !leg.accepted && leg.last.as_ref().is_some_and(refused)
    }

    /// Whether the destination still answers commands: it had its last word, and that was one.
    pub(crate) fn destination_answers(&self) -> bool {
        matches!(self.destination.last, Some(Ok(_)))
    }
}

/// Whether a side failed only because the data connection did, which may have been the other's doing.
fn is_consequence(last: &Result<Reply>) -> bool {
    let Ok(reply) = last else { return false };
    if matches!(reply.code(), 425 | 426) {
        return true;
    }
    let words: [&[u8]; 7] = [
        b"end-of-file",
        b"end of file",
        b"connection reset",
        b"broken pipe",
        b"connection closed",
        b"data connection",
        b"handle not in the proper state",
    ];
    reply.lines().any(|line| {
        let line = line.to_ascii_lowercase();
        words.iter().any(|words| line.windows(words.len()).any(|part| part == *words))
    })
}
