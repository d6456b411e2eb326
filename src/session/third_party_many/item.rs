//! One file of a pipeline between two servers, and what the servers are told of it.

use std::time::Duration;

use bytes::Bytes;

use crate::error::{Result, Side};
use crate::protocol::command::Command;
use crate::session::Session;
use crate::session::third_party::of_side;
use crate::types::ChecksumAlgorithm;

/// One file to be moved.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The caller's number for it.
    pub(crate) index: usize,
    /// The paths as the servers take them.
    pub(crate) from: Bytes,
    pub(crate) to: Bytes,
    mode: Option<u32>,
    /// As MFMT has it.
    modified: Option<String>,
    pub(super) tries: usize,
}

/// What holds of all files of a pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// What both servers compute of each file, to be the same.
    pub(crate) checksum: Option<ChecksumAlgorithm>,
    /// How long that may take.
    pub(crate) checksum_limit: Duration,
    /// An old file is deleted where the server does not rename over it.
    pub(crate) replace: bool,
}

impl Item {
    pub(crate) fn new(index: usize, from: Bytes, to: Bytes) -> Self {
        Self { index, from, to, mode: None, modified: None, tries: 0 }
    }

    pub(crate) fn with_attributes(mut self, mode: Option<u32>, modified: Option<String>) -> Self {
        (self.mode, self.modified) = (mode, modified);
        self
    }
}

/// What the servers are told of a file.
pub(super) struct Said {
    /// RETR, and CKSM of the source.
    pub(super) to_source: Vec<Command>,
    /// STOR, and SIZE and CKSM of what was stored.
    pub(super) to_destination: Vec<Command>,
}

/// What is said of a pair, if the servers can be told all its names. One that cannot be said would take the commands that go
/// along with it.
pub(super) fn commands(
    source: &Session,
    destination: &Session,
    item: &Item,
    temporary: &Bytes,
    manner: &Manner,
) -> Result<Said> {
    let (at_source, at_destination) = (of_side(Side::Source), of_side(Side::Destination));
    let said = |session: &Session, verb, path: &[u8]| {
        let command = Command::with(verb, path)?;
        session.control.speakable(&command).map(|()| command)
    };
    let mut to_source = vec![said(source, "RETR", &item.from).map_err(&at_source)?];
    said(destination, "RNTO", &item.to).map_err(&at_destination)?;
    let mut to_destination = vec![said(destination, "STOR", temporary).map_err(&at_destination)?];
    if destination.features.size() {
        to_destination.push(said(destination, "SIZE", temporary).map_err(&at_destination)?);
    }
    if let Some(algorithm) = &manner.checksum {
        let of = |path: &[u8]| [format!("{algorithm} 0 -1 ").as_bytes(), path].concat();
        to_source.push(said(source, "CKSM", &of(&item.from)).map_err(&at_source)?);
        to_destination.push(said(destination, "CKSM", &of(temporary)).map_err(&at_destination)?);
    }
    Ok(Said { to_source, to_destination })
}

/// What a stored file is told to become, besides its name. Last, as it may take away the right to read.
pub(super) fn attributes(session: &Session, item: &Item, temporary: &Bytes) -> Result<Vec<Command>> {
    let about = |value: &str| [value.as_bytes(), b" ", temporary].concat();
    let mut commands = Vec::new();
    if let Some(mode) = item.mode {
        commands.push(Command::with("SITE CHMOD", about(&format!("{mode:04o}")))?);
    }
    if let Some(modified) = &item.modified {
        let verb = if session.features.mfmt() { "MFMT" } else { "SITE UTIME" };
        commands.push(Command::with(verb, about(modified))?);
    }
    Ok(commands)
}
