//! A large file in pieces: who moves which bytes of it.
//!
//! A file begins as one piece, or as the gaps that an earlier attempt left. Whoever joins takes a gap that nobody has, or the
//! second half of the piece of which most is left; who moves that one is told, by its next block, that it ends earlier.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::types::RangeSet;

/// What is left of a piece that two may share, whatever its speed. Asking for a part costs a few round trips and a new
/// connection.
pub(super) const WORTH_SHARING: u64 = 64 << 20;

/// Less than that is shared only if it would take long: a connection that has lost its speed is not waited for to the end.
const LEAST: u64 = 4 << 20;

/// What is long.
const LONG: Duration = Duration::from_secs(2);

/// What is little to be missing of a piece, towards its end.
const ENDING: u64 = 16 << 20;

/// How long that may take, besides twice what it should, before somebody else fetches it.
const LATE: Duration = Duration::from_millis(300);

/// Where pieces are divided.
const ALIGNED: u64 = 1 << 20;

/// The bytes of a file that are to be moved.
#[derive(Debug)]
pub(super) struct Pieces {
    inner: Mutex<Inner>,
    /// Something was taken away from whoever moved it.
    taken: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Each is what is missing of a stretch.
    waiting: Vec<RangeSet>,
    moving: Vec<Moving>,
    next: usize,
    /// Pieces may be divided: the bytes of each come in order, and ends are known.
    divisible: bool,
}

#[derive(Debug)]
struct Moving {
    id: usize,
    start: u64,
    since: Instant,
    /// What is moved of it, and all before it.
    moved: RangeSet,
    end: u64,
    /// Its bytes come over several connections: there were gaps between them.
    scattered: bool,
    /// Since when only a little is missing, and how much it was then.
    ending: Option<(Instant, u64)>,
    /// What was missing of it is somebody else's.
    taken: bool,
}

impl Moving {
    /// From here on nothing has come yet. Over one connection that is where it is; over several there may be gaps before.
    fn position(&self) -> u64 {
        self.moved.iter().last().map_or(self.start, |range| range.end).max(self.start)
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.position())
    }

    /// What of it has not been moved.
    fn missing(&self) -> RangeSet {
        self.moved.complement(self.end)
    }

    /// How much that is: nothing behind the end is ever noted.
    fn missing_bytes(&self) -> u64 {
        self.end.saturating_sub(self.moved.total_bytes())
    }

    fn note(&mut self, offset: u64, bytes: u64) -> u64 {
        let own = bytes.min(self.end.saturating_sub(offset));
        if own > 0 {
            self.moved.insert(offset..offset + own);
            self.scattered |= self.moved.len() > 1;
            if self.scattered && self.ending.is_none() {
                let missing = self.missing_bytes();
                self.ending = (missing <= ENDING).then(|| (Instant::now(), missing));
            }
        }
        own
    }

    /// Whether two would be through with it sooner.
    fn is_worth_sharing(&self) -> bool {
        let moved = self.position() - self.start;
        // How long the rest takes at the speed so far, without a division by nothing.
        let long =
            u128::from(self.left()) * self.since.elapsed().as_nanos() > u128::from(moved) * LONG.as_nanos();
        self.left() >= WORTH_SHARING || self.left() >= LEAST && self.since.elapsed() >= LONG && long
    }

    /// Whether only connections that have lost their speed still bring something: the last bytes take far longer than the
    /// others did.
    fn is_late(&self) -> bool {
        let Some((since, missing)) = self.ending.filter(|_| !self.taken) else { return false };
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let ratio = |a: u64, b: u64| a as f64 / b.max(1) as f64;
        let (moved, took) = (self.moved.total_bytes() - self.start, since.duration_since(self.since));
        let usual = took.as_secs_f64() * ratio(missing, moved);
        since.elapsed() >= LATE + Duration::from_secs_f64(2.0 * usual) && self.missing_bytes() > 0
    }

    /// Takes away what is missing.
    fn take_away(&mut self) -> Option<RangeSet> {
        let missing = self.missing();
        let start = missing.iter().next()?.start;
        self.taken = true;
        (self.end, self.moved) = (start, std::iter::once(0..start).filter(|all| !all.is_empty()).collect());
        Some(missing)
    }
}

/// A piece that somebody moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: usize,
    pub(super) range: Range<u64>,
    /// What of it is there already.
    pub(super) there: RangeSet,
}

impl Inner {
    fn divide(&mut self) -> Option<RangeSet> {
        if !self.divisible {
            return None;
        }
        let worth = self.moving.iter_mut().filter(|moving| moving.is_worth_sharing());
        let most = worth.max_by_key(|moving| moving.left())?;
        let left = most.left();
        let middle = (most.position() + left / 2) / ALIGNED * ALIGNED;
        let range = middle..most.end;
        most.end = middle;
        Some(std::iter::once(range).collect())
    }

    fn take_late(&mut self) -> Option<RangeSet> {
        self.moving.iter_mut().find(|moving| moving.is_late())?.take_away()
    }
}

impl Pieces {
    /// What is missing of a file of that size. Without one it is a single piece that nobody shares.
    pub(super) fn new(size: Option<u64>, there: &RangeSet, divisible: bool) -> Self {
        let waiting = match size {
            // An empty file has to be made as well.
            Some(0) => vec![RangeSet::new()],
            Some(size) => there.complement(size).iter().map(one).collect(),
            None => vec![one(0..u64::MAX)], // As far as a set goes.
        };
        let inner = Mutex::new(Inner {
            waiting,
            moving: Vec::new(),
            next: 0,
            divisible: divisible && size.is_some(),
        });
        Self { inner, taken: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece for whoever asks.
    pub(super) fn take(&self) -> Option<Piece> {
        let mut inner = self.lock();
        let missing = match inner.waiting.pop() {
            Some(missing) => missing,
            None => match inner.divide() {
                Some(half) => half,
                None => {
                    let late = inner.take_late()?;
                    self.taken.notify_waiters();
                    late
                }
            },
        };
        let id = inner.next;
        inner.next += 1;
        let start = missing.iter().next().map_or(0, |range| range.start);
        let end = missing.iter().last().map_or(0, |range| range.end);
        let moved = missing.complement(end);
        let there = moved.iter().filter(|range| range.start >= start).collect();
        inner.moving.push(Moving {
            id,
            start,
            since: Instant::now(),
            moved,
            end,
            scattered: false,
            ending: None,
            taken: false,
        });
        Some(Piece { id, range: start..end, there })
    }

    /// Whether somebody who asked now would get a piece.
    pub(super) fn has_room(&self) -> bool {
        let inner = self.lock();
        let for_others = |moving: &Moving| inner.divisible && moving.is_worth_sharing() || moving.is_late();
        !inner.waiting.is_empty() || inner.moving.iter().any(for_others)
    }

    /// Bytes of a piece came, in order: how many of them are still this piece's.
    pub(super) fn advance(&self, id: usize, bytes: u64) -> u64 {
        let mut inner = self.lock();
        let Some(moving) = inner.moving.iter_mut().find(|moving| moving.id == id) else { return 0 };
        moving.note(moving.position(), bytes)
    }

    /// The next bytes of a piece are to be sent, from there on: how many of them are this piece's. None if it is somewhere else
    /// by now: whoever asks has been given up, and somebody else moves it.
    pub(super) fn advance_from(&self, id: usize, position: u64, bytes: u64) -> u64 {
        let mut inner = self.lock();
        let moving = inner.moving.iter_mut().find(|moving| moving.id == id);
        let moving = moving.filter(|moving| moving.position() == position);
        moving.map_or(0, |moving| moving.note(position, bytes))
    }

    /// Bytes of a piece came, from any place in it: how many of them, from the first on, are still this piece's.
    pub(super) fn arrived(&self, id: usize, offset: u64, bytes: u64) -> u64 {
        let mut inner = self.lock();
        let moving = inner.moving.iter_mut().find(|moving| moving.id == id);
        moving.map_or(0, |moving| moving.note(offset, bytes))
    }

    /// How many bytes of a piece are left.
    pub(super) fn left(&self, id: usize) -> u64 {
        let inner = self.lock();
        let moving = inner.moving.iter().find(|moving| moving.id == id);
        moving.map_or(0, Moving::missing_bytes)
    }

    /// Where a piece ends by now.
    pub(super) fn end(&self, id: usize) -> u64 {
        let inner = self.lock();
        inner.moving.iter().find(|moving| moving.id == id).map_or(0, |moving| moving.end)
    }

    /// A piece is to end where it is now; what is left behind that is moved by somebody else.
    pub(super) fn release(&self, id: usize) {
        let mut inner = self.lock();
        let Some(moving) = inner.moving.iter_mut().find(|moving| moving.id == id) else { return };
        // Gaps before that are on their way, over other connections.
        let rest = moving.position()..moving.end;
        moving.end = rest.start;
        if rest.start < rest.end {
            inner.waiting.push(one(rest));
        }
    }

    /// Whoever moves something ends now, and somebody else moves the rest in another way; nothing is divided any more.
    pub(super) fn hand_over(&self) {
        let mut inner = self.lock();
        inner.divisible = false;
        let Inner { moving, waiting, .. } = &mut *inner;
        let large = moving.iter_mut().filter(|moving| moving.left() >= WORTH_SHARING);
        waiting.extend(large.filter_map(Moving::take_away));
        drop(inner);
        self.taken.notify_waiters();
    }

    /// Ready when what is missing of a piece was given to somebody else.
    pub(super) async fn taken_away(&self, id: usize) {
        loop {
            let mut taken = std::pin::pin!(self.taken.notified());
            taken.as_mut().enable();
            if self.lock().moving.iter().any(|moving| moving.id == id && moving.taken) {
                return;
            }
            taken.await;
        }
    }

    /// What was sent of a piece is sure only up to there.
    pub(super) fn rewind(&self, id: usize, position: u64) {
        let mut inner = self.lock();
        if let Some(moving) = inner.moving.iter_mut().find(|moving| moving.id == id) {
            let before = std::iter::once(0..position).filter(|before| !before.is_empty());
            let kept = moving.moved.contiguous_from(0);
            moving.moved = if position < kept { before.collect() } else { std::mem::take(&mut moving.moved) };
        }
    }

    /// A piece is over: moved, or given up with what is left of it. What is left is moved by somebody else.
    pub(super) fn finish(&self, id: usize, moved: bool) {
        let mut inner = self.lock();
        let Some(at) = inner.moving.iter().position(|moving| moving.id == id) else { return };
        let piece = inner.moving.swap_remove(at);
        if !moved {
            let missing = piece.missing();
            if !missing.is_empty() {
                inner.waiting.push(missing);
            }
        }
    }

    /// Whether nobody moves anything.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().moving.is_empty()
    }
}

fn one(range: Range<u64>) -> RangeSet {
    std::iter::once(range).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_halved_and_cover_the_file() {
        let size = 1 << 30;
        let pieces = Pieces::new(Some(size), &RangeSet::default(), true);
        let first = pieces.take().unwrap();
        assert_eq!(first.range, 0..size);
        assert_eq!(pieces.advance(first.id, 100 << 20), 100 << 20);
        let second = pieces.take().unwrap();
        assert_eq!(second.range.end, size);
        assert_eq!(pieces.end(first.id), second.range.start);
        assert!(second.range.start > 500 << 20 && second.range.start.is_multiple_of(ALIGNED));
        // More than is left is the other's.
        let left = pieces.left(first.id);
        assert_eq!(pieces.advance(first.id, left + 5), left);
        assert_eq!(pieces.advance(first.id, 5), 0);
        pieces.finish(first.id, true);
        pieces.finish(second.id, false);
        assert_eq!(pieces.take().unwrap().range, second.range, "what was given up comes again");
    }

    #[test]
    fn blocks_of_several_connections_leave_gaps_that_come_again() {
        const M: u64 = 1 << 20;
        let pieces = Pieces::new(Some(1000 * M), &RangeSet::default(), true);
        let first = pieces.take().unwrap().id;
        assert_eq!(pieces.arrived(first, 4 * M, M), M);
        assert_eq!(pieces.arrived(first, 0, M), M);
        assert_eq!(pieces.left(first), 998 * M);
        // What is shared lies behind everything that came.
        let second = pieces.take().unwrap();
        assert!(second.range.start > 500 * M && second.range.end == 1000 * M);
        // A block over the border is cut, one behind it is somebody else's.
        let end = pieces.end(first);
        assert_eq!(pieces.arrived(first, end - 10, 30), 10);
        assert_eq!(pieces.arrived(first, end + 20, 30), 0);
        pieces.finish(second.id, false);
        assert_eq!(pieces.take().unwrap().range, second.range);
        // One that is to end has its gaps filled first.
        let third = Pieces::new(Some(100 * M), &RangeSet::default(), true);
        let id = third.take().unwrap().id;
        assert_eq!(third.arrived(id, 4 * M, M), M);
        third.release(id);
        assert_eq!((third.end(id), third.left(id)), (5 * M, 4 * M));
        assert_eq!(third.arrived(id, 5 * M, M), 0);
        assert_eq!(third.arrived(id, 0, M), M);
        third.finish(id, false);
        let rest: Vec<_> = std::iter::from_fn(|| third.lock().waiting.pop()).collect();
        let rest: Vec<_> = rest.iter().flat_map(RangeSet::iter).collect();
        assert_eq!(rest, [M..4 * M, 5 * M..100 * M], "no byte is lost, and none is asked for twice");
    }

    #[tokio::test]
    async fn what_is_handed_over_or_late_is_somebody_elses() {
        const M: u64 = 1 << 20;
        let pieces = Pieces::new(Some(200 * M), &RangeSet::default(), true);
        let first = pieces.take().unwrap().id;
        assert_eq!(pieces.arrived(first, 0, M), M);
        assert_eq!(pieces.arrived(first, 5 * M, 2 * M), 2 * M);
        pieces.hand_over();
        pieces.taken_away(first).await;
        assert_eq!((pieces.end(first), pieces.left(first)), (M, 0));
        assert_eq!(pieces.arrived(first, 7 * M, M), 0);
        pieces.finish(first, true);
        let second = pieces.take().unwrap();
        assert_eq!(second.range, M..200 * M);
        assert_eq!(second.there, std::iter::once(5 * M..7 * M).collect());
        assert_eq!(pieces.left(second.id), 197 * M);
        assert!(pieces.take().is_none(), "nothing is divided after that");
        // All but a little has come of it, with its end.
        assert_eq!(pieces.arrived(second.id, M, 4 * M), 4 * M);
        assert_eq!(pieces.arrived(second.id, 7 * M, 92 * M), 92 * M);
        assert_eq!(pieces.arrived(second.id, 101 * M, 3 * M), 3 * M);
        assert_eq!(pieces.arrived(second.id, 105 * M, 94 * M), 94 * M);
        assert!(!pieces.has_room(), "it is not late yet");
        assert_eq!(pieces.arrived(second.id, 199 * M, M), M);
        let ending = pieces.lock().moving[0].ending.unwrap();
        pieces.lock().moving[0].since = ending.0;
        pieces.lock().moving[0].ending = Some((ending.0.checked_sub(LATE * 2).unwrap(), ending.1));
        assert!(pieces.has_room());
        let third = pieces.take().unwrap();
        assert_eq!(
            (third.range, third.there),
            (99 * M..105 * M, std::iter::once(101 * M..104 * M).collect())
        );
        pieces.taken_away(second.id).await;
        pieces.finish(second.id, true);
        assert!(!pieces.has_room() && pieces.take().is_none(), "nothing is asked for twice");
        pieces.finish(third.id, false);
        assert_eq!(pieces.take().unwrap().range, 99 * M..105 * M, "nor lost");
    }

    #[test]
    fn what_was_sent_and_is_not_sure_is_sent_again() {
        let pieces = Pieces::new(Some(100), &std::iter::once(0..10).collect(), false);
        let id = pieces.take().unwrap().id;
        assert_eq!(pieces.advance(id, 50), 50);
        pieces.rewind(id, 30);
        assert_eq!(pieces.advance_from(id, 60, 10), 0, "of somebody who does not know that");
        assert_eq!(pieces.advance_from(id, 30, 10), 10);
        pieces.rewind(id, 30);
        pieces.finish(id, false);
        assert_eq!(pieces.advance_from(id, 30, 10), 0);
        assert_eq!(pieces.take().unwrap().range, 30..100);
    }

    #[test]
    fn what_is_there_is_left_out() {
        let there: RangeSet = [0..10, 20..30].into_iter().collect();
        let pieces = Pieces::new(Some(40), &there, true);
        let mut found: Vec<_> = std::iter::from_fn(|| pieces.take()).map(|piece| piece.range).collect();
        found.sort_by_key(|range| range.start);
        assert_eq!(found, [10..20, 30..40]);
        assert!(Pieces::new(Some(30), &std::iter::once(0..30).collect(), true).take().is_none());
        assert_eq!(Pieces::new(Some(0), &RangeSet::default(), true).take().unwrap().range, 0..0);
        let unknown = Pieces::new(None, &RangeSet::default(), true);
        assert_eq!(unknown.take().unwrap().range.start, 0);
        assert!(unknown.take().is_none() && !unknown.has_room());
    }
}
