//! What was done, counted; and what must not happen, in words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Reasons that are kept; more are only counted.
const KEPT: usize = 20;

/// Counts of all tasks.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    done: BTreeMap<&'static str, u64>,
    errors: BTreeMap<String, u64>,
    bytes: u64,
    dropped: u64,
    verified: u64,
    wrong: Vec<String>,
    wrongs: u64,
}

impl Tally {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An operation ended well.
    pub(crate) fn done(&self, kind: &'static str) {
        *self.lock().done.entry(kind).or_default() += 1;
    }

    /// Bytes of files that were moved and compared.
    pub(crate) fn bytes(&self, count: usize) {
        self.lock().bytes += u64::try_from(count).unwrap_or(0);
    }

    /// A file was compared by its hash.
    pub(crate) fn verified(&self) {
        self.lock().verified += 1;
    }

    /// An operation was dropped in the middle.
    pub(crate) fn dropped(&self) {
        self.lock().dropped += 1;
    }

    /// An error that was to be expected where it happened.
    pub(crate) fn error(&self, kind: String) {
        *self.lock().errors.entry(kind).or_default() += 1;
    }

    /// Something that must not happen.
    pub(crate) fn wrong(&self, what: String) {
        let mut counts = self.lock();
        counts.wrongs += 1;
        if counts.wrong.len() < KEPT {
            counts.wrong.push(what);
        }
    }

    /// Everything that must not have happened.
    pub(crate) fn wrongs(&self) -> (u64, Vec<String>) {
        let counts = self.lock();
        (counts.wrongs, counts.wrong.clone())
    }
}

/// The line of figures.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.lock();
        for (kind, count) in &counts.done {
            write!(f, "{kind} {count}, ")?;
        }
        write!(
            f,
            "{} MB, verified {}, dropped {}, errors",
            counts.bytes / 1_000_000,
            counts.verified,
            counts.dropped
        )?;
        if counts.errors.is_empty() {
            write!(f, " none")?;
        }
        for (kind, count) in &counts.errors {
            write!(f, " {kind} {count}")?;
        }
        write!(f, ", wrong {}", counts.wrongs)
    }
}
