//! Files of this machine.
//!
//! `root` is where is written to: everything in it goes through the descriptor of the folder, so that no name a server chose
//! and no link leads out of it. `scan` looks at trees, `read` reads ahead, `write` writes beside the final name and renames, `pipe` has the kernel move bytes there.
//! Everything here blocks, or has a thread of its own: it is called on threads that may.
//!
//! Never here: servers, and what is decided about files.

mod pipe;
mod read;
mod root;
mod scan;
mod write;

use std::path::Path;
use std::time::SystemTime;

use super::ReportKind;
use super::choices::Preserve;
use super::queue::Item;
use crate::error::{Error, ErrorKind, Phase, Result, Side};

pub(super) use pipe::{Lent, Pipes};
pub(super) use read::{Reader, read_small};
pub(super) use root::Root;
pub(super) use scan::{Found, Kind, Scan};
pub(super) use write::{Writer, write_small};

/// What is known of a local file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kind: ReportKind,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    pub(super) mode: u32,
}

/// What a file gets besides its contents.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attributes {
    pub(super) mode: Option<u32>,
    pub(super) modified: Option<SystemTime>,
}

impl Attributes {
    pub(super) fn of(item: &Item, preserve: Preserve) -> Self {
        Self {
            mode: item.mode.filter(|_| preserve.mode),
            modified: item.modified.filter(|_| preserve.modified),
        }
    }
}

fn facts_of(found: &std::fs::Metadata) -> Facts {
    use std::os::unix::fs::MetadataExt as _;
    let kind = if found.is_file() {
        ReportKind::File
    } else if found.is_dir() {
        ReportKind::Folder
    } else if found.is_symlink() {
        ReportKind::Link
    } else {
        ReportKind::Special
    };
    Facts {
        kind,
        size: found.len(),
        modified: found.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        mode: found.mode() & 0o7777,
    }
}

/// What a source is, behind links; none if there is nothing.
pub(super) fn facts_of_source(path: &Path) -> Result<Option<Facts>> {
    match std::fs::metadata(path) {
        Ok(found) => Ok(Some(facts_of(&found))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::local("cannot look at", path, error, Side::Source)),
    }
}

/// What a file is that is to be read.
pub(super) fn regular_facts(path: &Path) -> Result<Facts> {
    let found =
        std::fs::metadata(path).map_err(|error| Error::local("cannot look at", path, error, Side::Source))?;
    let facts = facts_of(&found);
    check_regular(path, &facts)?;
    Ok(facts)
}

fn check_regular(path: &Path, facts: &Facts) -> Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let kind = match facts.kind {
        ReportKind::File => return Ok(()),
        ReportKind::Folder => ErrorKind::IsADirectory,
        ReportKind::Link | ReportKind::Special => ErrorKind::Unsupported,
    };
    let shown = crate::error::Escaped(path.as_os_str().as_bytes()).to_string();
    Err(Error::new(kind, Phase::LocalFile, format!("{shown} is no file")).with_side(Side::Source))
}

/// Whether there is anything of that name, a link that leads nowhere included.
pub(super) fn is_there(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(false)
        }
        Err(error) => Err(Error::local("cannot look at", path, error, Side::Source)),
    }
}

/// The name that a file has until it is whole. One transfer always makes the same of a name, so that its half files are found
/// again; what is too long for a file system is cut, and told apart by a hash.
pub(super) fn temporary_name(name: &[u8], tag: u64) -> Vec<u8> {
    let mut temporary = format!(".gridftp-{tag:016x}-{:08x}-", crc32fast::hash(name)).into_bytes();
    let room = 200 - temporary.len();
    // Only what every server and file system takes: the hash tells the others apart.
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    temporary.extend(name.iter().filter(|byte| plain(byte)).take(room));
    temporary
}

#[cfg(test)]
mod tests;
