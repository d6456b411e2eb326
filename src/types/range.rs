//! A part of a file.

use std::fmt;
use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::error::{Error, Result};

/// A stretch of bytes of a file: where it begins, and how long it is unless it goes to the end.
///
/// It is made from Rust's ranges over `u64`: `..` (the whole file), `a..`, `..b`, `a..b`, `a..=b`, `..=b`.
///
/// A range that is the wrong way round, or that goes beyond 2^63 - 1 (no server and no Globus library counts further), is
/// refused with [`InvalidInput`](crate::ErrorKind::InvalidInput) by the operation it is given to.
///
/// # Examples
/// ```
/// use gridftp::ByteRange;
///
/// let range = ByteRange::from(100..=199);
/// assert_eq!((range.offset(), range.length()), (100, Some(100)));
/// assert_eq!(ByteRange::from(100..).length(), None);
/// ```
///
/// Corresponds to the offsets of `globus_ftp_client_partial_get` and `globus_ftp_client_partial_put` (GFD.20).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    start: u64,
    end: Option<u64>,
}

/// The largest offset: file offsets are signed 64-bit numbers on the wire and below.
const MAX: u64 = i64::MAX.unsigned_abs();

impl ByteRange {
    /// The whole file, `..`.
    pub const ALL: Self = Self { start: 0, end: None };

    /// The first byte, counted from 0.
    pub fn offset(self) -> u64 {
        self.start
    }

    /// The number of bytes; `None` when the range goes to the end of the file.
    pub fn length(self) -> Option<u64> {
        self.end.map(|end| end.saturating_sub(self.start))
    }

    /// The byte behind the last one; `None` when the range goes to the end of the file.
    pub fn end(self) -> Option<u64> {
        self.end
    }

    /// Whether it is the whole file, however long that is.
    pub fn is_all(self) -> bool {
        self == Self::ALL
    }

    /// The range itself when it can be asked for.
    pub(crate) fn check(self) -> Result<Self> {
        if self.end.is_some_and(|end| end < self.start) {
            return Err(Error::invalid(format!(
                "byte range {self}: expected a begin that is not behind the end"
            )));
        }
        if self.start > MAX || self.end.is_some_and(|end| end > MAX) {
            return Err(Error::invalid(format!("byte range {self}: expected offsets up to {MAX}")));
        }
        Ok(self)
    }
}

impl Default for ByteRange {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            Some(end) => write!(f, "{}..{end}", self.start),
            None => write!(f, "{}..", self.start),
        }
    }
}

impl From<RangeFull> for ByteRange {
    fn from(_: RangeFull) -> Self {
        Self::ALL
    }
}

impl From<RangeFrom<u64>> for ByteRange {
    fn from(range: RangeFrom<u64>) -> Self {
        Self { start: range.start, end: None }
    }
}

impl From<RangeTo<u64>> for ByteRange {
    fn from(range: RangeTo<u64>) -> Self {
        Self { start: 0, end: Some(range.end) }
    }
}

impl From<Range<u64>> for ByteRange {
    fn from(range: Range<u64>) -> Self {
        Self { start: range.start, end: Some(range.end) }
    }
}

impl From<RangeInclusive<u64>> for ByteRange {
    fn from(range: RangeInclusive<u64>) -> Self {
        // The one end that has no successor is refused like every other beyond the largest offset.
        Self { start: *range.start(), end: Some(range.end().saturating_add(1)) }
    }
}

impl From<RangeToInclusive<u64>> for ByteRange {
    fn from(range: RangeToInclusive<u64>) -> Self {
        Self::from(0..=range.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn every_form_of_range() {
        for (range, offset, length) in [
            (ByteRange::from(..), 0, None),
            (ByteRange::from(5..), 5, None),
            (ByteRange::from(..7), 0, Some(7)),
            (ByteRange::from(..=7), 0, Some(8)),
            (ByteRange::from(5..7), 5, Some(2)),
            (ByteRange::from(5..=7), 5, Some(3)),
            (ByteRange::from(5..5), 5, Some(0)),
            (ByteRange::from(0..MAX), 0, Some(MAX)),
        ] {
            assert_eq!((range.offset(), range.length()), (offset, length), "{range}");
            assert_eq!(range.check().unwrap(), range);
        }
        assert!(
            ByteRange::default().is_all() && ByteRange::from(0..).is_all() && !ByteRange::from(0..1).is_all()
        );
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    fn impossible_ranges_are_refused_at_use() {
        for (range, text) in [
            (ByteRange::from(7..5), "7..5"),
            (ByteRange::from(7..=5), "7..6"),
            (ByteRange::from(MAX + 1..), "9223372036854775808.."),
            (ByteRange::from(..=MAX), "0..9223372036854775808"),
            (ByteRange::from(0..=u64::MAX), "0..18446744073709551615"),
        ] {
            let error = range.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&format!("byte range {text}: expected")), "{error}");
        }
        assert_eq!(ByteRange::from(7..5).length(), Some(0));
    }
}
