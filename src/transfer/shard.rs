//! A share of a tree's files, for one of several processes.

use crate::error::{Error, Result};

/// One of several shares of the files of a tree: every file is in exactly one, whoever asks and when.
///
/// Which one is told by a checksum of the path below the root, so that processes need not talk to each other.
///
/// # Examples
/// ```
/// use gridftp::transfer::Shard;
///
/// # fn main() -> gridftp::Result<()> {
/// let shares: Vec<_> = (0..4).map(|index| Shard::new(index, 4)).collect::<Result<_, _>>()?;
/// assert_eq!(shares.iter().filter(|share| share.has(b"run7/part-0001.root")).count(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Share number `index`, counted from 0, of `count`.
    ///
    /// # Errors
    /// `InvalidInput` unless `index` is below `count`.
    pub fn new(index: u32, count: u32) -> Result<Self> {
        if index >= count {
            let message =
                format!("share {index} of {count}: expected a number from 0 on, below that of the shares");
            return Err(Error::invalid(message));
        }
        Ok(Self { index, count })
    }

    /// The number of this share, from 0 on.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many shares there are.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether a path is in it. The answer for a path is always the same, in all versions of this crate.
    pub fn has(self, path: &[u8]) -> bool {
        // Names that are numbered spread evenly: that is what a CRC is good at.
        crc32fast::hash(path) % self.count == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_disjoint() {
        for count in [1_u32, 2, 3, 4, 7, 16] {
            let shards: Vec<_> = (0..count).map(|index| Shard::new(index, count).unwrap()).collect();
            let mut held = vec![0_u32; shards.len()];
            for number in 0..10_000 {
                let path = format!("folder{}/file-{number:05}", number / 100);
                let has: Vec<_> = (0..held.len()).filter(|at| shards[*at].has(path.as_bytes())).collect();
                assert_eq!(has.len(), 1);
                held[has[0]] += 1;
            }
            let fair = 10_000 / count;
            assert!(held.iter().all(|held| held.abs_diff(fair) <= fair / 5 + 1), "{held:?}");
        }
    }

    #[test]
    fn where_a_path_belongs_is_never_to_change() {
        let of = |path: &[u8]| (0..4).find(|index| Shard::new(*index, 4).unwrap().has(path)).unwrap();
        assert_eq!([&b""[..], b"a", b"run7/part-0001.root", b"\xff"].map(of), [0, 3, 1, 0]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (index, count) in [(0, 0), (4, 4), (5, 4)] {
            assert!(Shard::new(index, count).unwrap_err().to_string().contains("expected"));
        }
    }
}
