//! Which bytes of a file have come: none may come twice.

use crate::engine::{Failure, FailureKind};
use crate::types::RangeSet;

/// Stretches of bytes that are kept account of at most: a server that sends single bytes here and there must not make memory
/// grow, and no honest one has as many on their way.
const MAX_STRETCHES: usize = 65_536;

/// The account of one run.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    here: RangeSet,
}

impl Ledger {
    /// Notes a block.
    ///
    /// # Errors
    /// Some of it came before, or it is one stretch too many to keep account of.
    pub(super) fn note(&mut self, offset: u64, length: usize) -> Result<(), Failure> {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let range = offset..offset.saturating_add(length);
        if self.here.intersects(&range) {
            return Err(Failure::new(
                FailureKind::Violation,
                format!(
                    "the server sent {length} bytes at offset {offset}, some of which it had sent before"
                ),
            ));
        }
        self.here.insert(range);
        if self.here.len() > MAX_STRETCHES {
            return Err(Failure::new(
                FailureKind::Violation,
                "the server sends the file in too many separate pieces to keep account of",
            ));
        }
        Ok(())
    }

    /// Whether nothing is missing between the first byte (or byte 0) and the last one.
    pub(super) fn is_gapless(&self, from_zero: bool) -> bool {
        match self.here.iter().next() {
            None => true,
            Some(first) => self.here.len() == 1 && (!from_zero || first.start == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_byte_comes_once() {
        let mut ledger = Ledger::default();
        for (offset, length, good) in [
            (10, 10, true),
            (0, 10, true),
            (30, 5, true),
            (5, 1, false),
            (19, 2, false),
            (25, 6, false),
            (0, 100, false),
            (20, 10, true),
            (35, 0, true),
            (34, 1, false),
            (35, 1, true),
        ] {
            assert_eq!(ledger.note(offset, length).is_ok(), good, "{offset} {length}");
        }
        assert!(ledger.is_gapless(true));
    }

    #[test]
    fn gaps_show() {
        let mut ledger = Ledger::default();
        assert!(ledger.is_gapless(true));
        ledger.note(5, 5).unwrap();
        assert!(ledger.is_gapless(false) && !ledger.is_gapless(true));
        ledger.note(20, 5).unwrap();
        assert!(!ledger.is_gapless(false));
    }

    #[test]
    fn single_bytes_here_and_there_end_somewhere() {
        let mut ledger = Ledger::default();
        let refused = (0..100_000_u64).find(|n| ledger.note(2 * n, 1).is_err());
        assert_eq!(refused, Some(65_536));
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_count_of_each_byte(blocks in prop::collection::vec((0_u64..60, 0_usize..12), 0..40)) {
            let mut ledger = Ledger::default();
            let mut seen = [false; 80];
            for (offset, length) in blocks {
                let at = usize::try_from(offset).unwrap();
                let twice = seen[at..at + length].contains(&true);
                prop_assert_eq!(ledger.note(offset, length).is_err(), twice);
                if !twice {
                    seen[at..at + length].fill(true);
                }
            }
            let first = seen.iter().position(|seen| *seen);
            let last = seen.iter().rposition(|seen| *seen);
            let whole = first.zip(last).is_none_or(|(first, last)| !seen[first..=last].contains(&false));
            prop_assert_eq!(ledger.is_gapless(false), whole);
        }
    }
}
