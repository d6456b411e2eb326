//! Which bytes of a file have arrived.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::error::{Error, Escaped, Result};
use crate::protocol::markers;

/// No file ends behind this offset: offsets are signed 64-bit numbers on the wire and below.
const MAX: u64 = i64::MAX.unsigned_abs();

/// How much of a text that is refused an error shows, in bytes.
const EXCERPT: usize = 80;

/// A set of stretches of bytes: sorted, disjoint, never touching, none of them empty.
///
/// Ranges are half-open, as Rust's are: `0..10` is the first ten bytes. As text the set is a list of `begin-end` with commas,
/// in the form of the commands and replies of GridFTP: `0..10` is `0-10`, because globus-gridftp-server tells and takes ends
/// that do not belong to the range. The empty set is `0-0`. Where a server means ends that do belong to it, one byte per
/// range that it tells is sent once more.
///
/// `globus_ftp_client_restart_marker_insert_range` joins `0-10` and `11-20` to `0-20`, and the byte at 10 is lost; this type
/// joins what touches or overlaps and nothing else.
///
/// # Examples
/// ```
/// use gridftp::RangeSet;
///
/// let mut here = RangeSet::new();
/// here.insert(20..30);
/// here.insert(0..10);
/// here.insert(10..15);
/// assert_eq!(here.to_string(), "0-15,20-30");
/// assert_eq!(here.contiguous_from(0), 15);
/// assert_eq!(here.complement(40).to_string(), "15-20,30-40");
/// ```
///
/// Corresponds to the ranges of `globus_ftp_client_restart_marker_t` (GFD.20, restart markers in extended block mode).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RangeSet {
    /// The end of each range by its begin.
    ends: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// The set without a byte.
    pub const fn new() -> Self {
        Self { ends: BTreeMap::new() }
    }

    /// Adds a range, and joins it with those it touches or overlaps. What lies beyond 2^63 - 1 is left out, because no file
    /// goes that far; a range that is empty or the wrong way round changes nothing.
    pub fn insert(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start, range.end.min(MAX));
        if start >= end {
            return;
        }
        // From the right: those that begin at or before the new end, as long as they reach its begin.
        while let Some((&from, &to)) = self.ends.range(..=end).next_back() {
            if to < start {
                break;
            }
            start = start.min(from);
            end = end.max(to);
            self.ends.remove(&from);
        }
        self.ends.insert(start, end);
    }

    /// Whether the byte at `offset` belongs to the set.
    pub fn contains(&self, offset: u64) -> bool {
        self.contiguous_from(offset) > offset
    }

    /// Whether any byte of a range belongs to the set.
    pub(crate) fn intersects(&self, range: &Range<u64>) -> bool {
        let before = self.ends.range(..range.end).next_back();
        range.start < range.end && before.is_some_and(|(_, &end)| end > range.start)
    }

    /// The ranges in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<u64>> + '_ {
        self.ends.iter().map(|(&start, &end)| start..end)
    }

    /// The number of bytes in the set.
    pub fn total_bytes(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// The first offset from `offset` on that does not belong to the set. From 0, it is how many bytes of the file are there
    /// without a gap.
    pub fn contiguous_from(&self, offset: u64) -> u64 {
        let before = self.ends.range(..=offset).next_back();
        before.map_or(offset, |(_, &end)| end.max(offset))
    }

    /// Where the first range begins that begins behind `offset`.
    pub(crate) fn begin_behind(&self, offset: u64) -> Option<u64> {
        self.ends.range(offset.checked_add(1)?..).next().map(|(&start, _)| start)
    }

    /// What a file of `size` bytes has beside the set: the gaps, and the rest behind the last range.
    pub fn complement(&self, size: u64) -> Self {
        let mut gaps = Self::new();
        let mut at = 0;
        for range in self.iter() {
            gaps.insert(at..range.start.min(size));
            at = range.end;
        }
        gaps.insert(at..size);
        gaps
    }

    /// Whether no byte belongs to the set.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of separate ranges.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

impl Extend<Range<u64>> for RangeSet {
    fn extend<T: IntoIterator<Item = Range<u64>>>(&mut self, ranges: T) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<T: IntoIterator<Item = Range<u64>>>(ranges: T) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("0-0");
        }
        for (index, range) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}-{}", range.start, range.end)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RangeSet({self})")
    }
}

impl FromStr for RangeSet {
    type Err = Error;

    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for anything but `begin-end` with commas between, a begin behind its
    /// end, and offsets beyond 2^63 - 1.
    fn from_str(text: &str) -> Result<Self> {
        markers::ranges(text.as_bytes()).ok_or_else(|| not_ranges(text, "a list like 0-10,20-30"))
    }
}

/// The refusal of a text that is not what `expected` says.
pub(super) fn not_ranges(text: &str, expected: &str) -> Error {
    let bytes = text.as_bytes();
    let more = if bytes.len() > EXCERPT { "…" } else { "" };
    let shown = Escaped(&bytes[..bytes.len().min(EXCERPT)]);
    Error::invalid(format!("restart marker \"{shown}{more}\": expected {expected}, offsets up to {MAX}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ErrorKind;

    fn set(ranges: &[Range<u64>]) -> RangeSet {
        ranges.iter().cloned().collect()
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "sets of one range")]
    fn what_touches_is_joined_and_nothing_else() {
        for (ranges, text) in [
            (&[][..], "0-0"),
            (&[5..5], "0-0"),
            (&[0..10], "0-10"),
            (&[0..10, 10..20], "0-20"),
            (&[0..10, 11..20], "0-10,11-20"),
            (&[20..30, 0..10, 40..50, 5..45], "0-50"),
            (&[0..10, 20..30, 9..20], "0-30"),
            (&[0..10, 2..4], "0-10"),
            (&[3..4, 0..10], "0-10"),
            (&[MAX - 1..u64::MAX], "9223372036854775806-9223372036854775807"),
            (&[MAX..u64::MAX], "0-0"),
        ] {
            assert_eq!(set(ranges).to_string(), text, "{ranges:?}");
        }
    }

    #[test]
    fn gaps_and_beginnings() {
        let set = set(&[0..10, 20..30]);
        assert_eq!((set.len(), set.total_bytes(), set.is_empty()), (2, 20, false));
        assert_eq!(
            [0, 9, 10, 15, 20, 30].map(|at| set.contains(at)),
            [true, true, false, false, true, false]
        );
        assert_eq!([0, 10, 15, 25, 99].map(|at| set.contiguous_from(at)), [10, 10, 15, 30, 99]);
        assert_eq!(set.complement(25).to_string(), "10-20");
        assert_eq!(set.complement(40).to_string(), "10-20,30-40");
        assert_eq!(set.complement(5).to_string(), "0-0");
        assert_eq!(RangeSet::new().complement(7).to_string(), "0-7");
    }

    #[test]
    fn text_that_is_no_list_is_refused_and_named() {
        for bad in [
            "",
            "-",
            "5",
            "5-",
            "-5",
            "0-1,",
            ",0-1",
            "0-1;2-3",
            "9-5",
            "0x1-2",
            "0-9223372036854775808",
            "a-b",
        ] {
            let error = bad.parse::<RangeSet>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
            assert!(error.to_string().contains(&format!("\"{bad}\": expected a list")), "{error}");
        }
        let long = "7\n".repeat(4000).parse::<RangeSet>().unwrap_err().to_string();
        assert!(long.len() < 400 && !long.contains('\n'), "{long}");
    }

    proptest! {
        #[test]
        fn a_set_is_what_a_table_of_bytes_says(ranges in prop::collection::vec((0..200_u64, 0..40_u64), 0..30), size in 0..260_u64) {
            let mut table = [false; 300];
            let mut set = RangeSet::new();
            for (start, length) in ranges {
                set.insert(start..start + length);
                for at in start..start + length {
                    table[usize::try_from(at).unwrap()] = true;
                }
            }
            for (at, &here) in (0..).zip(&table) {
                prop_assert_eq!(set.contains(at), here);
            }
            for at in 0..299 {
                let missing = (at..300).find(|&at| !table[at]).unwrap_or(300);
                prop_assert_eq!(set.contiguous_from(at as u64), missing as u64);
                let begin = (at + 1..300).find(|&at| table[at] && !table[at - 1]);
                prop_assert_eq!(set.begin_behind(at as u64), begin.map(|at| at as u64));
            }
            prop_assert_eq!(set.total_bytes(), table.iter().map(|&here| u64::from(here)).sum::<u64>());
            let list: Vec<_> = set.iter().collect();
            prop_assert!(list.iter().all(|range| range.start < range.end));
            prop_assert!(list.windows(2).all(|pair| pair[0].end < pair[1].start));
            let gaps = set.complement(size);
            for (at, &here) in (0..).zip(&table) {
                prop_assert_eq!(gaps.contains(at), at < size && !here);
            }
            let again: RangeSet = set.to_string().parse().unwrap();
            prop_assert_eq!(again, set);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", digits in "[0-9,\\- ]{0,80}") {
            let _ = text.parse::<RangeSet>();
            if let Ok(set) = digits.parse::<RangeSet>() {
                prop_assert!(set.len() <= digits.len());
                let again: RangeSet = set.to_string().parse().unwrap();
                prop_assert_eq!(again, set);
            }
        }
    }
}
