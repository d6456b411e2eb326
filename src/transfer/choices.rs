//! What can be chosen for a transfer, as values.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, Escaped, Result};
use crate::transfer::filter::Filter;
use crate::transfer::rate::RateLimit;
use crate::transfer::shard::Shard;
use crate::types::ChecksumAlgorithm;

/// How many sessions with a server work at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Concurrency {
    /// Begins with few, and takes as many as make it faster; fewer again when a server says that it has too much to do.
    #[default]
    Auto,
    /// That many, 1 to 256. The client's limit of
    /// [sessions per endpoint](crate::ClientBuilder::sessions_per_endpoint) goes before it.
    Fixed(u16),
}

impl From<u16> for Concurrency {
    fn from(sessions: u16) -> Self {
        Self::Fixed(sessions)
    }
}

/// What a file must have in common with its source before it gets its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Verify {
    /// Its size, and the server's word that the transfer was complete.
    #[default]
    Size,
    /// Also its checksum, by the first algorithm of SHA256, SHA1, MD5, SHA512, CRC32, ADLER32 that the servers which take part
    /// have. What a server cannot compute is read back and computed here.
    Checksum,
    /// Also its checksum by this algorithm.
    ChecksumBy(ChecksumAlgorithm),
}

/// What becomes of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Overwrite {
    /// It is replaced when the new one is whole.
    #[default]
    Always,
    /// It stays, and the entry is reported as [skipped](crate::transfer::SkipReason::Exists).
    Never,
    /// It is replaced if it differs, and reported as [skipped](crate::transfer::SkipReason::Same) otherwise.
    IfDifferent(Compare),
}

/// When two files count as different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compare {
    /// Their sizes are.
    Size,
    /// Their sizes are, or the copy is older than its source (by a second or more: many servers tell whole seconds).
    #[default]
    SizeOrOlder,
    /// Their sizes are, or their checksums. Both files are read for it.
    Checksum,
}

/// What becomes of symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Links {
    /// What they lead to is copied in their place. A folder that contains itself in this way is entered once.
    #[default]
    Follow,
    /// They are made anew, and lead to the same place of the copy if they lead to something in the tree.
    Copy,
    /// They are left out, and reported.
    Skip,
}

/// What of a file besides its contents is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preserve {
    /// The permission bits.
    pub mode: bool,
    /// The time of the last change, in whole seconds where a server is involved.
    pub modified: bool,
}

impl Preserve {
    /// Nothing: the default.
    pub const NONE: Self = Self { mode: false, modified: false };
    /// Permission bits and times.
    pub const ALL: Self = Self { mode: true, modified: true };
}

/// How often and when a file that failed is tried again. Only [transient](crate::Error::is_transient) errors are: what would
/// only fail again fails at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    pub(crate) attempts: u32,
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    pub(crate) within: Option<Duration>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(60),
            within: None,
        }
    }
}

impl Retry {
    /// Nothing is tried twice.
    pub const fn never() -> Self {
        Self { attempts: 1, first_delay: Duration::ZERO, longest_delay: Duration::ZERO, within: None }
    }

    /// How often each file is tried in all, 1 to 10,000. An attempt that brought new bytes of a file does not count. Default: 5.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The pause before the second attempt; each further one is twice as long. Pauses vary by half, so that many that
    /// failed together do not come back together. Default: 1 s, and at most 60 s.
    pub fn delay(mut self, first: Duration, longest: Duration) -> Self {
        (self.first_delay, self.longest_delay) = (first, longest);
        self
    }

    /// How long after its first failure a file may be tried again. Default: without limit.
    pub fn within(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.within = limit.into();
        self
    }

    /// The pause before the attempt with that number, counted from 2.
    pub(crate) fn pause(&self, attempt: u32) -> Duration {
        let doubled =
            self.first_delay.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(2)).unwrap_or(u32::MAX));
        let longest = doubled.min(self.longest_delay);
        longest.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub(crate) struct Choices {
    pub(crate) recursive: bool,
    pub(crate) glob: bool,
    pub(crate) concurrency: Concurrency,
    pub(crate) verify: Verify,
    pub(crate) overwrite: Overwrite,
    pub(crate) links: Links,
    pub(crate) preserve: Preserve,
    pub(crate) retry: Retry,
    pub(crate) filter: Filter,
    pub(crate) journal: Option<PathBuf>,
    pub(crate) delete_extras: bool,
    pub(crate) dry_run: bool,
    pub(crate) through_client: bool,
    pub(crate) create_parents: bool,
    pub(crate) optional: bool,
    pub(crate) fsync: bool,
    pub(crate) paths: Option<Arc<[Vec<u8>]>>,
    pub(crate) shard: Option<Shard>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) allocate: bool,
    pub(crate) explain: bool,
}

impl Default for Choices {
    fn default() -> Self {
        Self {
            recursive: false,
            glob: false,
            concurrency: Concurrency::default(),
            verify: Verify::default(),
            overwrite: Overwrite::default(),
            links: Links::default(),
            preserve: Preserve::default(),
            retry: Retry::default(),
            filter: Filter::default(),
            journal: None,
            delete_extras: false,
            dry_run: false,
            through_client: false,
            create_parents: true,
            optional: false,
            fsync: false,
            paths: None,
            shard: None,
            rate_limit: None,
            allocate: true,
            explain: false,
        }
    }
}

impl Choices {
    /// Refuses what cannot be, before anything is touched.
    pub(crate) fn check(&self) -> Result<()> {
        if let Concurrency::Fixed(sessions) = self.concurrency
            && !(1..=256).contains(&sessions)
        {
            return Err(Error::invalid(format!("a concurrency of {sessions}: expected 1 to 256 sessions")));
        }
        if !(1..=10_000).contains(&self.retry.attempts) {
            let message = format!("{} attempts: expected 1 to 10,000", self.retry.attempts);
            return Err(Error::invalid(message));
        }
        if self.delete_extras && !self.recursive {
            return Err(Error::invalid(
                "deleting what the source does not have goes with whole trees only; expected recursive(true)",
            ));
        }
        if self.delete_extras && (self.shard.is_some() || self.paths.is_some()) {
            return Err(Error::invalid(
                "deleting what the source does not have goes with whole trees only; expected no share and no list of paths",
            ));
        }
        if self.glob && self.paths.is_some() {
            return Err(Error::invalid("a pattern and a list of paths; expected one of them"));
        }
        for path in self.paths.iter().flat_map(|paths| paths.iter()) {
            let names = path.split(|&byte| byte == b'/');
            if names.clone().any(|name| matches!(name, b"" | b"." | b"..")) || path.contains(&0) {
                return Err(Error::invalid(format!(
                    "the path \"{}\": expected names with / between them, none of them empty, . or .., and no NUL",
                    Escaped(&path[..path.len().min(200)])
                )));
            }
        }
        if let Verify::ChecksumBy(ChecksumAlgorithm::Other(name)) = &self.verify {
            return Err(Error::invalid(format!(
                "checksums by {} cannot be computed here; expected ADLER32, CRC32, MD5, SHA1, SHA256 or SHA512",
                name.as_str()
            )));
        }
        Ok(())
    }

    /// What a journal has to agree in: a transfer that differs in any of this is another one.
    pub(crate) fn describe(&self) -> String {
        let Self { recursive, glob, links, preserve, filter, .. } = self;
        format!(
            "recursive={recursive} glob={glob} links={links:?} mode={} modified={}{}{}\n{}",
            preserve.mode,
            preserve.modified,
            self.shard.map_or_else(String::new, |shard| format!(
                " shard={}/{}",
                shard.index(),
                shard.count()
            )),
            self.paths.as_ref().map_or_else(String::new, |paths| format!(" paths={:08x}", checksum(paths))),
            filter.describe()
        )
    }
}

/// What tells one list of paths from another one.
fn checksum(paths: &[Vec<u8>]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for path in paths {
        hasher.update(path);
        hasher.update(b"\n");
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_vary() {
        let retry = Retry::default().delay(Duration::from_secs(1), Duration::from_secs(10));
        for (attempt, longest) in [(2, 1), (3, 2), (4, 4), (5, 8), (6, 10), (40, 10), (u32::MAX, 10)] {
            let longest = Duration::from_secs(longest);
            let pauses: Vec<_> = (0..50).map(|_| retry.pause(attempt)).collect();
            assert!(pauses.iter().all(|pause| *pause >= longest / 2 && *pause <= longest), "{attempt}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
        assert_eq!(Retry::never().pause(2), Duration::ZERO);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let bad = [
            Choices { concurrency: Concurrency::Fixed(0), ..Choices::default() },
            Choices { concurrency: Concurrency::Fixed(257), ..Choices::default() },
            Choices { retry: Retry::default().attempts(0), ..Choices::default() },
            Choices { delete_extras: true, ..Choices::default() },
            Choices { verify: Verify::ChecksumBy("x".parse().unwrap()), ..Choices::default() },
        ];
        for choices in bad {
            assert!(choices.check().unwrap_err().to_string().contains("expected"), "{choices:?}");
        }
        Choices::default().check().unwrap();
    }
}
