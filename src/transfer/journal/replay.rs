//! What was done before.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _};
use std::path::Path;

use super::record::{Framed, Identity, Manner, Record, identity, length, unframe};
use super::{MAGIC, VERSION};
use crate::error::{Error, Escaped, Result, Side};
use crate::types::{ChecksumAlgorithm, RangeSet};

/// What a journal says of what was done before.
///
/// Of files that are done only hashes are kept: some 50 bytes each.
#[derive(Debug, Default)]
pub(in crate::transfer) struct State {
    done: HashMap<u128, u64>,
    parts: HashMap<Vec<u8>, Part>,
    sessions: usize,
}

/// What there is of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transfer) struct Part {
    pub(in crate::transfer) source: Identity,
    pub(in crate::transfer) ranges: RangeSet,
    pub(in crate::transfer) manner: Manner,
}

/// Whether a file was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transfer) enum Done {
    No,
    Yes,
    /// It was, and the source has another one by now.
    Changed,
}

impl State {
    pub(in crate::transfer) fn done(&self, path: &[u8], source: &Identity) -> Done {
        match self.done.get(&hash_of(path)) {
            None => Done::No,
            Some(known) if *known == hash_of_identity(source) => Done::Yes,
            Some(_) => Done::Changed,
        }
    }

    pub(in crate::transfer) fn part(&self, path: &[u8]) -> Option<&Part> {
        self.parts.get(path)
    }

    /// Whether there was an earlier run, which may have left something.
    pub(in crate::transfer) fn is_continued(&self) -> bool {
        self.sessions > 0
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.done.len(), self.parts.len())
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Done { path, source, .. } => {
                self.parts.remove(&path);
                self.done.insert(hash_of(&path), hash_of_identity(&source));
            }
            Record::Part { path, source, ranges, manner } => {
                self.done.remove(&hash_of(&path));
                self.parts.insert(path, Part { source, ranges, manner });
            }
            Record::Dropped { path } => {
                self.parts.remove(&path);
            }
            Record::Header { .. } | Record::Session { .. } | Record::Checkpoint | Record::Finished => {}
        }
    }
}

/// Names come from servers, so that two of one hash could be wished for: it is one for which nobody can make them.
fn digest(data: &[u8]) -> [u8; 32] {
    let sum = super::super::hash::hash(&ChecksumAlgorithm::Sha256, data);
    let mut digest = [0; 32];
    if let Ok(sum) = sum {
        digest.copy_from_slice(sum.bytes());
    }
    digest
}

fn hash_of(path: &[u8]) -> u128 {
    digest(path).first_chunk().map_or(0, |first| u128::from_le_bytes(*first))
}

fn hash_of_identity(of: &Identity) -> u64 {
    let mut text = Vec::new();
    identity(of, &mut text);
    digest(&text).first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// What was found in a journal.
pub(super) struct Found {
    pub(super) state: State,
    pub(super) tag: u64,
    /// Where the last whole record ends.
    pub(super) end: u64,
}

/// Reads a journal from its beginning.
pub(super) fn replay(mut file: &File, path: &Path, of: &[u8], boot: &[u8]) -> Result<Found> {
    let failed = |error| Error::local("cannot read the journal", path, error, Side::Local);
    let shown = Escaped(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())).to_string();
    file.rewind().map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut input = Input { reader: BufReader::with_capacity(1 << 18, file), at: 0, buffer: Vec::new() };
    let mut head = Vec::new();
    input.read(&mut head, MAGIC.len() + 1).map_err(failed)?;
    let wanted = [&MAGIC[..], &[VERSION]].concat();
    if wanted.starts_with(&head) && head.len() < wanted.len() {
        // It was being made when the power went.
        return Ok(Found { state: State::default(), tag: fastrand::u64(..), end: 0 });
    }
    if !head.starts_with(MAGIC) {
        return Err(Error::invalid(format!(
            "{shown} is no journal of a transfer; expected one, or a new name"
        )));
    }
    if head != wanted {
        let message = format!("the journal {shown} has the form {}, expected {VERSION}", head[MAGIC.len()]);
        return Err(Error::invalid(message));
    }
    let tag = match input.record().map_err(failed)? {
        Framed::Record(Record::Header { of: other, tag }, _) => {
            if other != of {
                let message = format!(
                    "the journal {shown} is that of another transfer: \"{}\", expected \"{}\"",
                    Escaped(&other),
                    Escaped(of)
                );
                return Err(Error::invalid(message));
            }
            tag
        }
        _ if rest_is_broken(file, 0).map_err(failed)? => {
            return Ok(Found { state: State::default(), tag: fastrand::u64(..), end: 0 });
        }
        _ => return Err(damaged(&shown, input.at)),
    };
    let mut replay =
        Replay { state: State::default(), unsure: Vec::new(), boot: Vec::new(), now: boot.to_vec() };
    while input.at < size {
        let at = input.at;
        match input.record().map_err(failed)? {
            Framed::Record(record, _) => replay.take(record),
            Framed::Broken if rest_is_broken(file, at + 1).map_err(failed)? => {
                return Ok(Found { state: replay.end(), tag, end: at });
            }
            Framed::Broken => return Err(damaged(&shown, at)),
        }
    }
    Ok(Found { state: replay.end(), tag, end: size })
}

fn damaged(shown: &str, at: u64) -> Error {
    Error::invalid(format!(
        "the journal {shown} is damaged at byte {at}, with records behind it; expected one that is whole. \
         Without it the transfer begins anew"
    ))
}

/// Whether no whole record comes any more: what was cut off in the middle of a write has none behind it.
fn rest_is_broken(mut file: &File, from: u64) -> io::Result<bool> {
    file.seek(io::SeekFrom::Start(from))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    // A frame of nothing but a kind is too short to be told from chance.
    let record = |at: usize| {
        matches!(
            unframe(&rest[at..]),
            Framed::Record(
                Record::Header { .. }
                    | Record::Session { .. }
                    | Record::Done { .. }
                    | Record::Part { .. }
                    | Record::Dropped { .. },
                _
            )
        )
    };
    Ok(!(0..rest.len()).any(record))
}

struct Input<'a> {
    reader: BufReader<&'a File>,
    at: u64,
    buffer: Vec<u8>,
}

impl Input<'_> {
    /// Reads up to so many bytes more.
    fn read(&mut self, into: &mut Vec<u8>, count: usize) -> io::Result<()> {
        let limit = u64::try_from(count).unwrap_or(u64::MAX);
        let read = (&mut self.reader).take(limit).read_to_end(into)?;
        self.at += u64::try_from(read).unwrap_or(0);
        Ok(())
    }

    fn record(&mut self) -> io::Result<Framed> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        self.read(&mut buffer, 4)?;
        let whole = buffer.first_chunk().and_then(|head| length(*head));
        let framed = match whole {
            Some(whole) => {
                self.read(&mut buffer, whole - 4)?;
                unframe(&buffer)
            }
            None => Framed::Broken,
        };
        self.buffer = buffer;
        Ok(framed)
    }
}

/// Goes through the records of all sessions.
struct Replay {
    state: State,
    /// What a session before the last restart has written behind its last checkpoint.
    unsure: Vec<Record>,
    /// The restart that the session at hand came behind, and the last one.
    boot: Vec<u8>,
    now: Vec<u8>,
}

impl Replay {
    fn take(&mut self, record: Record) {
        match record {
            Record::Session { boot, .. } => {
                self.state.sessions += 1;
                if boot != self.boot {
                    // The power may have taken it.
                    self.unsure.clear();
                }
                self.boot = boot;
            }
            Record::Checkpoint | Record::Finished => {
                for record in std::mem::take(&mut self.unsure) {
                    self.state.apply(record);
                }
            }
            record if self.boot == self.now => self.state.apply(record),
            record => self.unsure.push(record),
        }
    }

    fn end(self) -> State {
        self.state
    }
}
