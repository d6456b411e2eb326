//! What a journal is made of.

use crate::types::{Checksum, RangeSet};

/// Longest record, in bytes. A file in so many pieces is moved again rather than remembered.
pub(super) const MAX: usize = 16 << 20;

/// What tells a file from a later one of its name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::transfer) struct Identity {
    pub(in crate::transfer) size: Option<u64>,
    pub(in crate::transfer) modified_nanos: Option<i64>,
}

/// How a half file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::transfer) struct Manner {
    /// In order, from its beginning on, so that it may have more than is known: its size tells.
    pub(in crate::transfer) in_order: bool,
    /// What is known of it comes from its size, so that the whole is compared by checksum.
    pub(in crate::transfer) by_size: bool,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transfer) enum Record {
    /// The first: of what transfer, and the tag of its temporary names.
    Header { of: Vec<u8>, tag: u64 },
    /// A process has opened the journal.
    Session { boot: Vec<u8>, pid: u32 },
    /// A file is at the destination.
    Done { path: Vec<u8>, source: Identity, checksum: Option<Checksum> },
    /// That much of a file is there under its temporary name.
    Part { path: Vec<u8>, source: Identity, ranges: RangeSet, manner: Manner },
    /// The half file is gone.
    Dropped { path: Vec<u8> },
    /// Everything before is on the disk.
    Checkpoint,
    /// All was done, and well.
    Finished,
}

/// A record as it stands in the file: length, CRC-32 of the rest, the rest.
pub(super) fn frame(record: &Record, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&[0; 8]);
    encode(record, into);
    let length = into.len() - start - 8;
    if length > MAX {
        into.truncate(start);
        return;
    }
    let crc = crc32fast::hash(&into[start + 8..]);
    into[start..start + 4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    into[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// What stands at the begin of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// A record, and its length with the frame.
    Record(Record, usize),
    /// Nothing that makes sense, or not all of it.
    Broken,
}

pub(super) fn unframe(bytes: &[u8]) -> Framed {
    let number =
        |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
    let whole = || -> Option<(Record, usize)> {
        let length = usize::try_from(number(0)?).ok().filter(|length| (1..=MAX).contains(length))?;
        let payload = bytes.get(8..8 + length)?;
        if number(4)? != crc32fast::hash(payload) {
            return None;
        }
        Some((decode(payload)?, 8 + length))
    };
    whole().map_or(Framed::Broken, |(record, length)| Framed::Record(record, length))
}

/// How long the record at the begin of these bytes says that it is, with its frame.
pub(super) fn length(head: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(head))
        .ok()
        .filter(|length| (1..=MAX).contains(length))
        .map(|length| length + 8)
}

fn encode(record: &Record, into: &mut Vec<u8>) {
    match record {
        Record::Header { of, tag } => {
            into.push(1);
            bytes(of, into);
            into.extend_from_slice(&tag.to_le_bytes());
        }
        Record::Session { boot, pid } => {
            into.push(2);
            bytes(boot, into);
            into.extend_from_slice(&pid.to_le_bytes());
        }
        Record::Done { path, source, checksum } => {
            into.push(3);
            bytes(path, into);
            identity(source, into);
            let text = checksum.as_ref().map(ToString::to_string).unwrap_or_default();
            bytes(text.as_bytes(), into);
        }
        Record::Part { path, source, ranges, manner } => {
            into.push(4);
            bytes(path, into);
            identity(source, into);
            into.push(u8::from(manner.in_order) | u8::from(manner.by_size) << 1);
            for range in ranges.iter() {
                into.extend_from_slice(&range.start.to_le_bytes());
                into.extend_from_slice(&range.end.to_le_bytes());
            }
        }
        Record::Dropped { path } => {
            into.push(5);
            bytes(path, into);
        }
        Record::Checkpoint => into.push(6),
        Record::Finished => into.push(7),
    }
}

fn bytes(value: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(value);
}

pub(super) fn identity(of: &Identity, into: &mut Vec<u8>) {
    into.push(u8::from(of.size.is_some()) | u8::from(of.modified_nanos.is_some()) << 1);
    into.extend_from_slice(&of.size.unwrap_or(0).to_le_bytes());
    into.extend_from_slice(&of.modified_nanos.unwrap_or(0).to_le_bytes());
}

/// What is left to be decoded.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = u32::from_le_bytes(self.array()?);
        Some(self.take(usize::try_from(length).ok()?)?.to_vec())
    }

    fn identity(&mut self) -> Option<Identity> {
        let [known] = self.array()?;
        let size = u64::from_le_bytes(self.array()?);
        let modified = i64::from_le_bytes(self.array()?);
        Some(Identity {
            size: (known & 1 != 0).then_some(size),
            modified_nanos: (known & 2 != 0).then_some(modified),
        })
    }
}

fn decode(payload: &[u8]) -> Option<Record> {
    let (kind, rest) = payload.split_first()?;
    let mut rest = Rest(rest);
    let record = match kind {
        1 => Record::Header { of: rest.bytes()?, tag: u64::from_le_bytes(rest.array()?) },
        2 => Record::Session { boot: rest.bytes()?, pid: u32::from_le_bytes(rest.array()?) },
        3 => {
            let (path, source, text) = (rest.bytes()?, rest.identity()?, rest.bytes()?);
            let checksum = match text.is_empty() {
                true => None,
                false => Some(std::str::from_utf8(&text).ok()?.parse().ok()?),
            };
            Record::Done { path, source, checksum }
        }
        4 => {
            let (path, source, [bits]) = (rest.bytes()?, rest.identity()?, rest.array()?);
            let mut ranges = RangeSet::new();
            while !rest.0.is_empty() {
                let (start, end) = (u64::from_le_bytes(rest.array()?), u64::from_le_bytes(rest.array()?));
                ranges.insert(start..end);
            }
            let manner = Manner { in_order: bits & 1 != 0, by_size: bits & 2 != 0 };
            Record::Part { path, source, ranges, manner }
        }
        5 => Record::Dropped { path: rest.bytes()? },
        6 => Record::Checkpoint,
        7 => Record::Finished,
        _ => return None,
    };
    rest.0.is_empty().then_some(record)
}
