//! Blocks in file order, from blocks in any order, in bounded memory.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::engine::BLOCK_BYTES;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::types::RangeSet;

/// Bytes of early blocks that are held at most.
const LIMIT_BYTES: usize = 64 << 20;

/// How much less than that a connection may be ahead: it stops between pieces of a block, and the horizon moves in steps.
const MARGIN_BYTES: usize = 2 << 20;

/// Blocks that came early. What overlaps is cut: each byte of the file is given once.
#[derive(Debug, Default)]
pub(crate) struct Reorder {
    early: BTreeMap<u64, Bytes>,
    held_bytes: usize,
    /// The next byte to be given; none before the first block of a range tells where it begins.
    position: u64,
    /// Bytes that are not asked for, and are passed over.
    left_out: RangeSet,
    /// What connections may have brought before they were told to wait.
    ahead_bytes: usize,
}

impl Reorder {
    /// Begins with the first byte from `position` on that is not left out.
    pub(crate) fn leaving_out(position: u64, left_out: RangeSet) -> Self {
        Self { position: left_out.contiguous_from(position), left_out, ..Self::default() }
    }

    /// For a reader whose transfer has a window of so many blocks.
    pub(crate) fn with_window(mut self, blocks: usize) -> Self {
        self.ahead_bytes = blocks.saturating_mul(BLOCK_BYTES);
        self
    }

    pub(crate) fn starting_at(position: u64) -> Self {
        Self { position, ..Self::default() }
    }

    /// The byte that comes next.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The first byte that is too far ahead to be held, if all before it came but the next.
    pub(crate) fn horizon(&self) -> u64 {
        self.position.saturating_add(u64::try_from(LIMIT_BYTES - MARGIN_BYTES).unwrap_or(u64::MAX))
    }

    /// Takes a block in.
    pub(crate) fn insert(&mut self, mut offset: u64, mut data: Bytes) -> Result<()> {
        if offset < self.position {
            // Sent twice; the part that is new, if any, counts.
            let known = usize::try_from(self.position - offset).unwrap_or(usize::MAX);
            if known >= data.len() {
                return Ok(());
            }
            drop(data.split_to(known));
            offset = self.position;
        }
        if data.is_empty() {
            return Ok(());
        }
        self.held_bytes += data.len();
        if let Some(earlier) = self.early.get(&offset)
            && earlier.len() >= data.len()
        {
            self.held_bytes -= data.len();
            return Ok(());
        }
        if let Some(shorter) = self.early.insert(offset, data) {
            self.held_bytes -= shorter.len();
        }
        if self.held_bytes > LIMIT_BYTES + self.ahead_bytes && !self.early.contains_key(&self.position) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                Phase::Data,
                format!(
                    "the server sends the file so far out of order that more than {} MiB would have to be held to read it in \
                     order; read it by blocks, or in stream mode",
                    LIMIT_BYTES >> 20
                ),
            )
            .with_side(Side::Server));
        }
        Ok(())
    }

    /// The next bytes in order, if they are there.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        loop {
            let entry = self.early.first_entry()?;
            let offset = *entry.key();
            if offset > self.position {
                return None;
            }
            let mut data = entry.remove();
            self.held_bytes -= data.len();
            let known = usize::try_from(self.position - offset).unwrap_or(usize::MAX);
            if known < data.len() {
                drop(data.split_to(known));
                self.put_back_from(self.left_out.begin_behind(self.position), &mut data);
                self.position += u64::try_from(data.len()).unwrap_or(u64::MAX);
                self.position = self.left_out.contiguous_from(self.position);
                return Some(data);
            }
        }
    }

    /// Cuts `data`, which begins at the position, where bytes begin that are left out, if a server has sent them all the same.
    /// The rest waits, to be passed over as far as it is not asked for.
    fn put_back_from(&mut self, begin: Option<u64>, data: &mut Bytes) {
        let Some(begin) = begin else { return };
        let room = usize::try_from(begin - self.position).unwrap_or(usize::MAX);
        if room >= data.len() {
            return;
        }
        let rest = data.split_off(room);
        let waiting = self.early.entry(begin).or_default();
        if waiting.len() < rest.len() {
            self.held_bytes += rest.len() - waiting.len();
            *waiting = rest;
        }
    }

    /// Whether nothing is held back: true at the end of a file without holes.
    pub(crate) fn is_empty(&self) -> bool {
        self.early.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_order_and_any_overlap_give_the_file(
            size in 1_usize..2000,
            cuts in proptest::collection::vec((0_usize..2000, 1_usize..400), 0..40),
            seed in any::<u64>(),
        ) {
            let file: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let mut blocks: Vec<(usize, usize)> = (0..size).step_by(100).map(|at| (at, 100.min(size - at))).collect();
            blocks.extend(cuts.into_iter().filter(|(at, _)| *at < size).map(|(at, len)| (at, len.min(size - at))));
            let mut state = seed | 1;
            for i in (1..blocks.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                blocks.swap(i, (state >> 33) as usize % (i + 1));
            }
            let mut reorder = Reorder::starting_at(0);
            let mut out = Vec::new();
            for (at, len) in blocks {
                reorder.insert(at as u64, Bytes::copy_from_slice(&file[at..at + len])).unwrap();
                while let Some(data) = reorder.next() {
                    out.extend_from_slice(&data);
                }
            }
            prop_assert!(out == file);
            prop_assert!(reorder.is_empty());
            prop_assert_eq!(reorder.held_bytes, 0);
        }
    }

    /// A table of the bytes of a file, which looks for what comes next by looking at each of them.
    struct Naive {
        here: Vec<bool>,
        left_out: Vec<bool>,
        position: usize,
    }

    impl Naive {
        fn next(&mut self, out: &mut Vec<usize>) {
            while self.position < self.here.len() {
                if !self.left_out[self.position] {
                    if !self.here[self.position] {
                        return;
                    }
                    out.push(self.position);
                }
                self.position += 1;
            }
        }
    }

    proptest! {
        #[test]
        fn a_table_of_bytes_gives_the_same(
            blocks in proptest::collection::vec((0_usize..200, 0_usize..60), 0..60),
            left_out in proptest::collection::vec((0_usize..200, 1_usize..40), 0..5),
            begin in 0_usize..100,
        ) {
            const SIZE: usize = 260;
            let mut naive = Naive { here: vec![false; SIZE], left_out: vec![false; SIZE], position: begin };
            for (at, length) in &left_out {
                naive.left_out[*at..at + length].fill(true);
            }
            let ranges = left_out.iter().map(|(at, length)| *at as u64..(at + length) as u64).collect();
            let mut reorder = Reorder::leaving_out(begin as u64, ranges);
            let (mut expected, mut given) = (Vec::new(), Vec::new());
            for (at, length) in blocks {
                // Each byte says by its value where it belongs, as nearly as a byte can.
                let data: Vec<u8> = (at..at + length).map(|at| u8::try_from(at % 251).unwrap()).collect();
                reorder.insert(at as u64, Bytes::from(data)).unwrap();
                naive.here[at..at + length].fill(true);
                naive.next(&mut expected);
                while let Some(data) = reorder.next() {
                    prop_assert!(!data.is_empty());
                    given.extend_from_slice(&data);
                }
                let expected: Vec<u8> = expected.iter().map(|at| u8::try_from(at % 251).unwrap()).collect();
                prop_assert_eq!(&given, &expected);
                prop_assert!(reorder.held_bytes <= reorder.early.values().map(Bytes::len).sum::<usize>());
            }
            prop_assert_eq!(reorder.held_bytes, reorder.early.values().map(Bytes::len).sum::<usize>());
            prop_assert!(reorder.early.range(..reorder.position).all(|(at, data)| at + data.len() as u64 > reorder.position));
        }
    }

    #[test]
    fn what_is_left_out_and_sent_all_the_same_is_not_given() {
        let left_out: RangeSet = [5..10, 15..20].into_iter().collect();
        let mut reorder = Reorder::leaving_out(0, left_out);
        reorder.insert(0, Bytes::from_static(b"AAAAAbbbbbCCCCCdddddEEEEE")).unwrap();
        let mut given = Vec::new();
        while let Some(data) = reorder.next() {
            given.extend_from_slice(&data);
        }
        assert_eq!(given, b"AAAAACCCCCEEEEE");
        assert_eq!((reorder.position(), reorder.held_bytes, reorder.is_empty()), (25, 0, true));
    }

    #[test]
    fn what_is_left_out_is_passed_over() {
        let left_out: RangeSet = [0..10, 20..30].into_iter().collect();
        let mut reorder = Reorder::leaving_out(5, left_out);
        assert_eq!(reorder.position(), 10);
        reorder.insert(30, Bytes::from_static(b"third")).unwrap();
        reorder.insert(15, Bytes::from_static(b"after")).unwrap();
        assert_eq!(reorder.next(), None);
        reorder.insert(10, Bytes::from_static(b"first")).unwrap();
        assert_eq!(
            [reorder.next(), reorder.next(), reorder.next(), reorder.next()].map(Option::unwrap_or_default),
            ["first", "after", "third", ""]
        );
        assert_eq!(reorder.position(), 35);
        assert!(reorder.is_empty());
    }

    #[test]
    fn a_hole_does_not_make_memory_grow_without_limit() {
        let mut reorder = Reorder::starting_at(0);
        let block = Bytes::from(vec![0; 1 << 20]);
        let refused = (1..200_u64).find(|n| reorder.insert(n << 20, block.clone()).is_err());
        assert_eq!(refused, Some(65));
    }
}
