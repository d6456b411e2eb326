//! What became of every entry.

use std::collections::HashMap;
use std::fmt;

use super::explain::Explanation;
use crate::error::{Error, Escaped, Result};

/// What a transfer did, entry by entry.
///
/// Everything that was found at the source is in it once: copied, skipped with the reason, or failed with its error; so are
/// extras that were deleted at the destination. Kept compactly: some 20 bytes an entry.
///
/// # Examples
/// ```no_run
/// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
/// let report = client.transfer("run7", "gsiftp://se.example.org/data/run7").recursive(true).await?;
/// for entry in report.entries().filter(|entry| entry.outcome.is_failure()) {
///     eprintln!("{entry}");
/// }
/// report.check()?; // or: the first failure, as an error
/// # Ok(())
/// # }
/// ```
#[must_use = "entries may have failed: ask `is_complete`, or `check`"]
#[derive(Clone, Default)]
pub struct TransferReport {
    counts: Counts,
    /// For each entry: how much of its path is that of the one before, the rest of it, what it is, and what became of it.
    packed: Vec<u8>,
    /// The path of the last one.
    last: Vec<u8>,
    errors: Vec<Error>,
    known: HashMap<String, usize>,
    pub(super) retries: u64,
    pub(super) bytes_moved: u64,
    pub(super) elapsed: std::time::Duration,
    pub(super) aborted: bool,
    pub(super) explanation: Option<Box<Explanation>>,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Folders that were made or were there.
    pub folders: u64,
    /// Links that were made.
    pub links: u64,
    /// Entries that were skipped, of any kind.
    pub skipped: u64,
    /// Bytes of skipped files.
    pub skipped_bytes: u64,
    /// Entries that failed, of any kind.
    pub failed: u64,
    /// Extras that were deleted at the destination.
    pub deleted: u64,
}

impl Counts {
    /// Everything that the source has: what was copied, skipped and failed.
    pub fn planned(&self) -> u64 {
        self.files + self.folders + self.links + self.skipped + self.failed
    }
}

/// One entry of a report.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReportEntry {
    /// The path below the root of the transfer, as bytes with `/` between names; empty for the root itself.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: ReportKind,
    /// What became of it.
    pub outcome: Outcome,
}

/// What an entry of a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReportKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe, device, socket, or what a server calls something else.
    Special,
}

/// What became of an entry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Outcome {
    /// It is at the destination: whole, and checked as was asked for. The bytes of a file, 0 for others. In a dry run: it
    /// would be copied.
    Copied {
        /// Its size.
        bytes: u64,
    },
    /// It was left alone.
    Skipped(SkipReason),
    /// It is not there; whatever was there before still is.
    Failed(Error),
    /// The source does not have it, and it was deleted at the destination.
    Deleted,
}

impl Outcome {
    /// Whether it is [`Outcome::Failed`].
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// Why an entry was left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// The destination has something of that name, which is never overwritten.
    Exists,
    /// The destination has the same.
    Same,
    /// An earlier run has copied it, as the journal says, and it is there.
    DoneBefore,
    /// A filter excludes it.
    Excluded,
    /// It is a link, and links are left out.
    Link,
    /// It is a folder that is one of those above it, reached by a link.
    Loop,
    /// It is neither file nor folder nor link.
    Special,
    /// It is a folder, and the transfer is not recursive.
    Folder,
    /// The transfer was ended before its turn, or while it was under way.
    Aborted,
    /// The source does not have it, and it is [optional](crate::TransferBuilder::optional).
    Missing,
    /// It is in the [share](crate::TransferBuilder::shard) of somebody else.
    OtherShard,
}

impl SkipReason {
    const ALL: [Self; 11] = [
        Self::Exists,
        Self::Same,
        Self::DoneBefore,
        Self::Excluded,
        Self::Link,
        Self::Loop,
        Self::Special,
        Self::Folder,
        Self::Aborted,
        Self::Missing,
        Self::OtherShard,
    ];

    /// The reason in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exists => "there already",
            Self::Same => "the same there",
            Self::DoneBefore => "copied before",
            Self::Excluded => "excluded",
            Self::Link => "a link",
            Self::Loop => "a folder above itself",
            Self::Special => "no file",
            Self::Folder => "a folder",
            Self::Aborted => "not done",
            Self::Missing => "not at the source",
            Self::OtherShard => "of another share",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ReportEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { &b"."[..] } else { &self.path };
        write!(f, "{}: ", Escaped(path))?;
        match &self.outcome {
            Outcome::Copied { .. } => f.write_str("copied"),
            Outcome::Skipped(reason) => write!(f, "skipped, {reason}"),
            Outcome::Failed(error) => write!(f, "failed: {error}"),
            Outcome::Deleted => f.write_str("deleted"),
        }
    }
}

/// Different errors that are kept whole. Of more than these, kind and side are.
const MAX_ERRORS: usize = 10_000;

impl TransferReport {
    pub(super) fn add(&mut self, path: &[u8], kind: ReportKind, outcome: Outcome, size: u64) {
        let counts = &mut self.counts;
        let (code, value) = match outcome {
            Outcome::Copied { bytes } => {
                match kind {
                    ReportKind::Folder => counts.folders += 1,
                    ReportKind::Link => counts.links += 1,
                    ReportKind::File | ReportKind::Special => {
                        counts.files += 1;
                        counts.bytes += bytes;
                    }
                }
                (0, bytes)
            }
            Outcome::Skipped(reason) => {
                counts.skipped += 1;
                if kind == ReportKind::File {
                    counts.skipped_bytes += size;
                }
                let place = SkipReason::ALL.iter().position(|known| *known == reason);
                (1, u64::try_from(place.unwrap_or(0)).unwrap_or(0))
            }
            Outcome::Failed(error) => {
                counts.failed += 1;
                (2, u64::try_from(self.error(error)).unwrap_or(u64::MAX))
            }
            Outcome::Deleted => {
                counts.deleted += 1;
                (3, 0)
            }
        };
        let shared = self.last.iter().zip(path).take_while(|(one, other)| one == other).count();
        let kind = match kind {
            ReportKind::File => 0,
            ReportKind::Folder => 1,
            ReportKind::Link => 2,
            ReportKind::Special => 3,
        };
        self.packed.push(kind << 2 | code);
        put(&mut self.packed, value);
        put(&mut self.packed, u64::try_from(shared).unwrap_or(0));
        put(&mut self.packed, u64::try_from(path.len() - shared).unwrap_or(0));
        self.packed.extend_from_slice(&path[shared..]);
        self.last.truncate(shared);
        self.last.extend_from_slice(&path[shared..]);
    }

    /// The place of an error; equal ones are kept once.
    fn error(&mut self, error: Error) -> usize {
        let mut text = error.to_string();
        if self.errors.len() >= MAX_ERRORS {
            // Of so many, those of one kind have to do with one: a server that refuses a million files in a million ways
            // is not paid for in memory.
            text = format!("{:?} {:?}", error.kind(), error.side());
            if self.errors.len() >= 2 * MAX_ERRORS {
                return self.known.get(&text).copied().unwrap_or(self.errors.len() - 1);
            }
        }
        let errors = &mut self.errors;
        *self.known.entry(text).or_insert_with(|| {
            errors.push(error);
            errors.len() - 1
        })
    }

    /// How many of what.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Every entry, in the order in which they ended.
    pub fn entries(&self) -> impl Iterator<Item = ReportEntry> + '_ {
        Entries { report: self, at: 0, path: Vec::new() }
    }

    /// The errors of entries that failed, equal ones once.
    pub fn errors(&self) -> &[Error] {
        &self.errors
    }

    /// Whether nothing failed, and the transfer was not ended before its end.
    pub fn is_complete(&self) -> bool {
        self.counts.failed == 0 && !self.aborted
    }

    /// Whether it was ended before its end.
    pub fn is_aborted(&self) -> bool {
        self.aborted
    }

    /// The first failure, as an error.
    ///
    /// # Errors
    /// That of the first entry that failed; `Aborted` when the transfer was ended before its end.
    pub fn check(&self) -> Result<()> {
        if let Some(error) = self.errors.first() {
            return Err(error.clone());
        }
        if self.aborted {
            use crate::error::{ErrorKind, Phase, Side};
            let message = "the transfer was ended before its end";
            return Err(Error::new(ErrorKind::Aborted, Phase::Data, message).with_side(Side::Local));
        }
        Ok(())
    }

    /// How often something was tried again.
    pub fn retries(&self) -> u64 {
        self.retries
    }

    /// Bytes of files that were moved, those that had to be moved again included.
    pub fn bytes_moved(&self) -> u64 {
        self.bytes_moved
    }

    /// How long the transfer took.
    pub fn elapsed(&self) -> std::time::Duration {
        self.elapsed
    }

    /// What bounded the transfer, if that was [asked for](crate::TransferBuilder::explain) and it came as far as moving data.
    pub fn explanation(&self) -> Option<&Explanation> {
        self.explanation.as_deref()
    }
}

impl fmt::Debug for TransferReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferReport")
            .field("counts", &self.counts)
            .field("retries", &self.retries)
            .field("aborted", &self.aborted)
            .field("errors", &self.errors.iter().take(3).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for TransferReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = &self.counts;
        write!(f, "{} files ({} bytes)", counts.files, counts.bytes)?;
        for (count, name) in [
            (counts.folders, "folders"),
            (counts.links, "links"),
            (counts.skipped, "skipped"),
            (counts.failed, "failed"),
            (counts.deleted, "deleted"),
        ] {
            if count > 0 {
                write!(f, ", {count} {name}")?;
            }
        }
        Ok(())
    }
}

struct Entries<'a> {
    report: &'a TransferReport,
    at: usize,
    path: Vec<u8>,
}

impl Entries<'_> {
    fn number(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = *self.report.packed.get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
            shift += 7;
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = ReportEntry;

    fn next(&mut self) -> Option<ReportEntry> {
        let first = *self.report.packed.get(self.at)?;
        self.at += 1;
        let value = self.number()?;
        let shared = usize::try_from(self.number()?).ok()?;
        let rest = usize::try_from(self.number()?).ok()?;
        self.path.truncate(shared);
        self.path.extend_from_slice(self.report.packed.get(self.at..self.at + rest)?);
        self.at += rest;
        let kind = match first >> 2 {
            0 => ReportKind::File,
            1 => ReportKind::Folder,
            2 => ReportKind::Link,
            _ => ReportKind::Special,
        };
        let place = usize::try_from(value).unwrap_or(usize::MAX);
        let outcome = match first & 3 {
            0 => Outcome::Copied { bytes: value },
            1 => Outcome::Skipped(*SkipReason::ALL.get(place)?),
            2 => Outcome::Failed(self.report.errors.get(place)?.clone()),
            _ => Outcome::Deleted,
        };
        Some(ReportEntry { path: self.path.clone(), kind, outcome })
    }
}

/// A number in as few bytes as it needs.
fn put(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    into.push(u8::try_from(value).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn everything_comes_back_in_order() {
        let mut report = TransferReport::default();
        let failed = || Error::invalid("x");
        let given = [
            (&b""[..], ReportKind::Folder, Outcome::Copied { bytes: 0 }),
            (b"a/b", ReportKind::File, Outcome::Copied { bytes: u64::MAX }),
            (b"a/c", ReportKind::File, Outcome::Failed(failed())),
            (b"a", ReportKind::Link, Outcome::Skipped(SkipReason::Missing)),
            (b"\xff\n", ReportKind::Special, Outcome::Skipped(SkipReason::Exists)),
            (b"z", ReportKind::File, Outcome::Deleted),
            (b"z", ReportKind::File, Outcome::Failed(failed())),
        ];
        for (path, kind, outcome) in &given {
            report.add(path, *kind, outcome.clone(), 7);
        }
        let found: Vec<_> = report.entries().collect();
        assert_eq!(found.len(), given.len());
        for (found, (path, kind, outcome)) in found.iter().zip(&given) {
            assert_eq!((&found.path[..], found.kind), (*path, *kind));
            assert_eq!(format!("{:?}", found.outcome), format!("{outcome:?}"));
        }
        assert_eq!(report.errors().len(), 1, "equal ones are kept once");
        assert_eq!(report.counts().planned(), 6);
        assert_eq!(report.check().unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_million_entries_are_small() {
        let mut report = TransferReport::default();
        for folder in 0..1000 {
            for file in 0..1000 {
                let path = format!("some/folder/number{folder:04}/file-{file:06}.root");
                let outcome = if file % 100 == 0 {
                    Outcome::Failed(Error::invalid(format!("{folder} {file}")))
                } else {
                    Outcome::Copied { bytes: file }
                };
                report.add(path.as_bytes(), ReportKind::File, outcome, 0);
            }
        }
        assert!(report.packed.len() < 16 << 20, "{}", report.packed.len());
        assert!(report.errors.len() <= 2 * MAX_ERRORS);
        assert_eq!(report.entries().count(), 1_000_000);
        assert_eq!(report.counts().failed, 10_000);
    }
}
