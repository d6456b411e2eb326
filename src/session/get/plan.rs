//! How to ask for a file: the whole of it, a part, what is missing of it, or what a module of the server makes of it.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::DataOptions;
use crate::protocol::command::Command;
use crate::session::watch::Limits;
use crate::types::{ByteRange, FeatureSet, RangeSet, RestartMarker};

/// One behind the last byte that any file can have.
const MAX: u64 = i64::MAX.unsigned_abs();

/// Longest list of ranges that is sent, in bytes: servers need not take lines of any length.
const MAX_LIST: usize = 4096;

/// What is to be fetched.
#[derive(Debug, Clone)]
pub(crate) struct GetRequest {
    /// The path as the server takes it.
    pub(crate) path: Bytes,
    pub(crate) range: ByteRange,
    /// What is here already.
    pub(crate) restart: Option<RestartMarker>,
    /// What the server is to do with the file: the words between ERET and the path.
    pub(crate) algorithm: Option<String>,
    pub(crate) options: DataOptions,
    pub(crate) limits: Limits,
}

/// What is sent, and what comes of it.
#[derive(Debug)]
pub(super) struct Plan {
    /// None when nothing has to be fetched.
    pub(super) commands: Option<Vec<Command>>,
    /// Where the first byte of a stream, or the offset 0 of blocks, stands in the file.
    pub(super) base_offset: u64,
    /// Bytes that must arrive, where that is known.
    pub(super) expected: Option<u64>,
    /// Bytes of a stream beyond which the rest is not wanted (a range without ERET).
    pub(super) wanted: Option<u64>,
    /// What was here before.
    pub(super) here: RangeSet,
    /// Where blocks may lie; None where only the server can know.
    pub(super) missing: Option<RangeSet>,
}

impl Plan {
    pub(super) fn new(request: &GetRequest, features: &FeatureSet, size: Option<u64>) -> Result<Self> {
        let extended_block = request.options.extended_block();
        // A driver may make something else of the file.
        let size = size.filter(|_| request.options.disk_stack.is_none());
        let here = request.restart.as_ref().map(RestartMarker::ranges).unwrap_or_default();
        let module = request.options.storage_module.as_ref().map(ToString::to_string);
        if let Some(algorithm) = request.algorithm.as_ref().or(module.as_ref()) {
            return Self::through(algorithm, &request.path, here, extended_block);
        }
        if request.options.ascii {
            let commands = Some(vec![Command::with("RETR", &request.path)?]);
            return Ok(Self { commands, missing: None, expected: None, ..Self::nothing(0, here) });
        }
        if let (Some(size), Some(end)) = (size, here.iter().last().map(|range| range.end))
            && end > size
        {
            return Err(shorter(end, size));
        }
        if extended_block {
            Self::blocks(request, features, size, here)
        } else {
            Self::stream(request, features, size, here)
        }
    }

    /// Nothing has to be fetched.
    fn nothing(base_offset: u64, here: RangeSet) -> Self {
        let missing = Some(RangeSet::new());
        Self { commands: None, base_offset, expected: Some(0), wanted: None, here, missing }
    }

    /// What a module makes of the file: as long as it likes, and restarted in its own count.
    fn through(algorithm: &str, path: &[u8], here: RangeSet, extended_block: bool) -> Result<Self> {
        let mut commands = Vec::new();
        let mut base_offset = 0;
        if extended_block && !here.is_empty() {
            commands.push(Command::with("REST", told(&here).to_string())?);
        } else if !extended_block && here.contiguous_from(0) > 0 {
            base_offset = here.contiguous_from(0);
            commands.push(Command::with("REST", base_offset.to_string())?);
        }
        commands.push(with_path("ERET", algorithm, path)?);
        Ok(Self {
            commands: Some(commands),
            missing: None,
            expected: None,
            ..Self::nothing(base_offset, here)
        })
    }

    /// One stretch of bytes, from the first one that is missing on.
    fn stream(
        request: &GetRequest,
        features: &FeatureSet,
        size: Option<u64>,
        here: RangeSet,
    ) -> Result<Self> {
        let (range, path) = (request.range, &request.path);
        let start = here.contiguous_from(range.offset());
        // What lies beyond the end of the file is not there to be had.
        let end = known_end(range, size);
        let length = end.map(|end| end.saturating_sub(start));
        if length == Some(0) {
            return Ok(Self::nothing(start, here));
        }
        let mut missing = RangeSet::new();
        missing.insert(start..end.unwrap_or(MAX));
        let mut plan = Self {
            commands: None,
            base_offset: start,
            expected: size.and(length),
            wanted: None,
            here,
            missing: Some(missing),
        };
        plan.commands = Some(match length {
            _ if range.is_all() && start == 0 => vec![Command::with("RETR", path)?],
            _ if range.is_all() => restarted(start, path)?,
            Some(length) if features.eret() => vec![part(start, length, path)?],
            _ => {
                plan.wanted = range.end().map(|end| end.saturating_sub(start));
                restarted(start, path)?
            }
        });
        Ok(plan)
    }

    /// Blocks, of which the server leaves out those that are here.
    fn blocks(
        request: &GetRequest,
        features: &FeatureSet,
        size: Option<u64>,
        here: RangeSet,
    ) -> Result<Self> {
        let (range, path) = (request.range, &request.path);
        let end = known_end(range, size);
        // Offsets of REST and of blocks count from the beginning of a part that was asked for by ERET.
        let (base_offset, transfer) = match end {
            _ if range.is_all() => (0, Command::with("RETR", path)?),
            Some(end) if end <= range.offset() => return Ok(Self::nothing(range.offset(), here)),
            Some(end) if features.eret() => {
                (range.offset(), part(range.offset(), end - range.offset(), path)?)
            }
            _ if range.end().is_none() => (0, Command::with("RETR", path)?),
            _ => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    Phase::Command,
                    "the server has no partial transfers in extended block mode (ERET); use stream mode",
                )
                .with_side(Side::Server));
            }
        };
        let end = end.unwrap_or(MAX);
        let mut leave_out = shifted(&here, base_offset..end);
        leave_out.insert(0..range.offset() - base_offset);
        let leave_out = told(&leave_out);
        let missing = leave_out.complement(end - base_offset);
        let missing: RangeSet =
            missing.iter().map(|range| range.start + base_offset..range.end + base_offset).collect();
        if missing.is_empty() {
            return Ok(Self::nothing(base_offset, here));
        }
        let mut commands = Vec::new();
        if !leave_out.is_empty() {
            commands.push(Command::with("REST", leave_out.to_string())?);
        }
        commands.push(transfer);
        Ok(Self {
            commands: Some(commands),
            base_offset,
            expected: size.map(|_| missing.total_bytes()),
            wanted: None,
            here,
            missing: Some(missing),
        })
    }
}

/// The end of the range, or of the file if that comes first.
fn known_end(range: ByteRange, size: Option<u64>) -> Option<u64> {
    match (range.end(), size) {
        (Some(end), Some(size)) => Some(end.min(size)),
        (end, size) => end.or(size),
    }
}

/// What of a set lies in a window, counted from the window's beginning.
fn shifted(set: &RangeSet, window: std::ops::Range<u64>) -> RangeSet {
    let clipped = set.iter().map(|range| range.start.max(window.start)..range.end.min(window.end));
    let inside = clipped.filter(|range| range.start < range.end);
    inside.map(|range| range.start - window.start..range.end - window.start).collect()
}

/// As much of a set as one command line may hold. What is left out is only sent once more.
pub(crate) fn told(set: &RangeSet) -> RangeSet {
    if set.to_string().len() <= MAX_LIST {
        return set.clone();
    }
    let mut ranges: Vec<_> = set.iter().collect();
    ranges.sort_by_key(|range| std::cmp::Reverse(range.end - range.start));
    let mut room = MAX_LIST;
    let fits = ranges.into_iter().take_while(|range| {
        let length = range.start.to_string().len() + range.end.to_string().len() + 2;
        let fits = length <= room;
        room = room.saturating_sub(length);
        fits
    });
    fits.collect()
}

/// The marker does not belong to this file.
pub(crate) fn shorter(end: u64, size: u64) -> Error {
    let message = format!(
        "the restart marker tells of bytes up to {end}, and the server's file has {size}: it has changed"
    );
    Error::new(ErrorKind::Truncated, Phase::Command, message).with_side(Side::Server).with_transient(false)
}

fn restarted(start: u64, path: &[u8]) -> Result<Vec<Command>> {
    Ok(vec![Command::with("REST", start.to_string())?, Command::with("RETR", path)?])
}

fn part(offset: u64, length: u64, path: &[u8]) -> Result<Command> {
    with_path("ERET", &format!("P {offset} {length}"), path)
}

/// ERET or ESTO: what is to be done, and with which file.
pub(crate) fn with_path(verb: &'static str, what: &str, path: &[u8]) -> Result<Command> {
    let mut argument = Vec::with_capacity(what.len() + 1 + path.len());
    argument.extend_from_slice(what.as_bytes());
    argument.push(b' ');
    argument.extend_from_slice(path);
    Command::with(verb, argument)
}
