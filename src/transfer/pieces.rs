//! A large file in pieces: who moves which bytes of it.
//!
//! A file begins as one piece, or as the gaps that an earlier attempt left. Whoever joins takes a gap that nobody has, or the
//! second half of the piece of which most is left; who moves that one is told, by its next block, that it ends earlier.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::types::RangeSet;

/// What is left of a piece that two may share, whatever its speed. Asking for a part costs a few round trips and a new
/// connection.
pub(super) const WORTH_SHARING: u64 = 64 << 20;

/// Less than that is shared only if it would take long: a connection that has lost its speed is not waited for to the end.
const LEAST: u64 = 4 << 20;

/// What is long.
const LONG: Duration = Duration::from_secs(2);

/// Where pieces are divided.
const ALIGNED: u64 = 1 << 20;

/// The bytes of a file that are to be moved.
#[derive(Debug)]
pub(super) struct Pieces(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    waiting: Vec<Range<u64>>,
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
    /// The next byte.
    position: u64,
    end: u64,
}

impl Moving {
    fn left(&self) -> u64 {
        self.end - self.position
    }

    /// Whether two would be through with it sooner.
    fn is_worth_sharing(&self) -> bool {
        let moved = self.position - self.start;
        // How long the rest takes at the speed so far, without a division by nothing.
        let long =
            u128::from(self.left()) * self.since.elapsed().as_nanos() > u128::from(moved) * LONG.as_nanos();
        self.left() >= WORTH_SHARING || self.left() >= LEAST && self.since.elapsed() >= LONG && long
    }
}

/// A piece that somebody moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) id: usize,
    pub(super) range: Range<u64>,
}

impl Pieces {
    /// What is missing of a file of that size. Without one it is a single piece that nobody shares.
    pub(super) fn new(size: Option<u64>, there: &RangeSet, divisible: bool) -> Self {
        let waiting = match size {
            // An empty file has to be made as well.
            Some(0) => std::iter::once(0..0).collect(),
            Some(size) => there.complement(size).iter().collect(),
            None => std::iter::once(0..u64::MAX).collect(),
        };
        Self(Mutex::new(Inner {
            waiting,
            moving: Vec::new(),
            next: 0,
            divisible: divisible && size.is_some(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A piece for whoever asks.
    pub(super) fn take(&self) -> Option<Piece> {
        let mut inner = self.lock();
        let range = match inner.waiting.pop() {
            Some(range) => range,
            None if inner.divisible => {
                let worth = inner.moving.iter_mut().filter(|moving| moving.is_worth_sharing());
                let most = worth.max_by_key(|moving| moving.left())?;
                let left = most.left();
                let middle = (most.position + left / 2) / ALIGNED * ALIGNED;
                let range = middle..most.end;
                most.end = middle;
                range
            }
            None => return None,
        };
        let id = inner.next;
        inner.next += 1;
        let (start, position, end) = (range.start, range.start, range.end);
        inner.moving.push(Moving { id, start, since: Instant::now(), position, end });
        Some(Piece { id, range })
    }

    /// Whether somebody who asked now would get a piece.
    pub(super) fn has_room(&self) -> bool {
        let inner = self.lock();
        !inner.waiting.is_empty() || inner.divisible && inner.moving.iter().any(Moving::is_worth_sharing)
    }

    /// Bytes of a piece came, in order: how many of them are still this piece's.
    pub(super) fn advance(&self, id: usize, bytes: u64) -> u64 {
        let mut inner = self.lock();
        let Some(moving) = inner.moving.iter_mut().find(|moving| moving.id == id) else { return 0 };
        let own = bytes.min(moving.end.saturating_sub(moving.position));
        moving.position += own;
        own
    }

    /// How many bytes of a piece are left.
    pub(super) fn left(&self, id: usize) -> u64 {
        let inner = self.lock();
        inner.moving.iter().find(|moving| moving.id == id).map_or(0, |moving| moving.end - moving.position)
    }

    /// Where a piece ends by now.
    pub(super) fn end(&self, id: usize) -> u64 {
        let inner = self.lock();
        inner.moving.iter().find(|moving| moving.id == id).map_or(0, |moving| moving.end)
    }

    /// A piece is to end where it is now; what is left of it is moved by somebody else.
    pub(super) fn release(&self, id: usize) {
        let mut inner = self.lock();
        let Some(moving) = inner.moving.iter_mut().find(|moving| moving.id == id) else { return };
        let rest = moving.position..moving.end;
        moving.end = moving.position;
        if rest.start < rest.end {
            inner.waiting.push(rest);
        }
    }

    /// What was sent of a piece is sure only up to there.
    pub(super) fn rewind(&self, id: usize, position: u64) {
        let mut inner = self.lock();
        if let Some(moving) = inner.moving.iter_mut().find(|moving| moving.id == id) {
            moving.position = moving.position.min(position);
        }
    }

    /// A piece is over: moved, or given up with what is left of it. What is left is moved by somebody else.
    pub(super) fn finish(&self, id: usize, moved: bool) {
        let mut inner = self.lock();
        let Some(at) = inner.moving.iter().position(|moving| moving.id == id) else { return };
        let Moving { position, end, .. } = inner.moving.swap_remove(at);
        if !moved && position < end {
            inner.waiting.push(position..end);
        }
    }

    /// Whether nobody moves anything.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().moving.is_empty()
    }
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
    fn what_is_there_is_left_out() {
        let there: RangeSet = [0..10, 20..30].into_iter().collect();
        let pieces = Pieces::new(Some(40), &there, true);
        let mut found: Vec<_> = std::iter::from_fn(|| pieces.take()).map(|piece| piece.range).collect();
        found.sort_by_key(|range| range.start);
        assert_eq!(found, [10..20, 30..40]);
        assert!(Pieces::new(Some(30), &std::iter::once(0..30).collect(), true).take().is_none());
        assert_eq!(Pieces::new(Some(0), &RangeSet::default(), true).take().unwrap().range, 0..0);
        let unknown = Pieces::new(None, &RangeSet::default(), true);
        assert_eq!(unknown.take().unwrap().range, 0..u64::MAX);
        assert!(unknown.take().is_none() && !unknown.has_room());
    }
}
