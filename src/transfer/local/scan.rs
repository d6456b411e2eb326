//! What is in a tree of this machine.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use walkdir::WalkDir;

use super::super::choices::Links;
use crate::error::{Error, ErrorKind, Phase, Side};

/// Folders that are open at the same time: of deeper ones the rest is read into memory.
const MAX_OPEN: usize = 16;

/// Something in a tree.
#[derive(Debug)]
pub(in crate::transfer) struct Found {
    /// Below the root; never empty.
    pub(in crate::transfer) path: Vec<u8>,
    pub(in crate::transfer) kind: Kind,
    pub(in crate::transfer) mode: u32,
    pub(in crate::transfer) modified: SystemTime,
}

#[derive(Debug, PartialEq, Eq)]
pub(in crate::transfer) enum Kind {
    File {
        size: u64,
    },
    Dir,
    /// Where it leads, if that is wanted.
    Link {
        target: Option<Vec<u8>>,
    },
    /// A folder that is one of those above it.
    Loop,
    Special,
}

/// Everything below a folder, a folder before what is in it.
///
/// With [`Links::Follow`] a linked folder is entered like any other one: nothing is left out because it was seen before, save
/// for a folder within itself.
pub(in crate::transfer) struct Scan {
    root: PathBuf,
    links: Links,
    walk: walkdir::IntoIter,
}

impl Scan {
    pub(in crate::transfer) fn new(root: PathBuf, links: Links) -> Self {
        Self::of(root, links, usize::MAX)
    }

    /// Only what is in the folder itself.
    pub(in crate::transfer) fn one_level(root: PathBuf, links: Links) -> Self {
        Self::of(root, links, 1)
    }

    fn of(root: PathBuf, links: Links, depth: usize) -> Self {
        // The root may be a link whatever the policy: it is what was asked for.
        let entered = if root.as_os_str().as_bytes().ends_with(b"/") { root.clone() } else { root.join("") };
        let walk = WalkDir::new(entered).min_depth(1).max_depth(depth).max_open(MAX_OPEN);
        let walk = walk.follow_links(links == Links::Follow).into_iter();
        Self { root, links, walk }
    }

    fn below(&self, path: &Path) -> Vec<u8> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.as_os_str().as_bytes().to_vec()
    }

    fn look(&self, entry: &walkdir::DirEntry) -> Result<Found, (Vec<u8>, Error)> {
        let path = self.below(entry.path());
        let failed = |error: io::Error| {
            (path.clone(), Error::local("cannot look at", entry.path(), error, Side::Source))
        };
        let facts = entry.metadata().map_err(|error| failed(error.into()))?;
        let kind = if facts.is_symlink() {
            let target = match self.links {
                Links::Copy => Some(fs::read_link(entry.path()).map_err(failed)?.into_os_string().into_vec()),
                Links::Follow | Links::Skip => None,
            };
            Kind::Link { target }
        } else if facts.is_dir() {
            Kind::Dir
        } else if facts.is_file() {
            Kind::File { size: facts.len() }
        } else {
            debug_assert!(!facts.file_type().is_dir() || facts.file_type().is_fifo());
            Kind::Special
        };
        let modified = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Ok(Found { path, kind, mode: facts.mode() & 0o7777, modified })
    }
}

impl Iterator for Scan {
    type Item = Result<Found, (Vec<u8>, Error)>;

    fn next(&mut self) -> Option<Self::Item> {
        let error = match self.walk.next()? {
            Ok(entry) => return Some(self.look(&entry)),
            Err(error) => error,
        };
        let path = error.path().unwrap_or(&self.root).to_owned();
        let below = self.below(&path);
        if error.loop_ancestor().is_some() {
            return Some(Ok(Found {
                path: below,
                kind: Kind::Loop,
                mode: 0,
                modified: SystemTime::UNIX_EPOCH,
            }));
        }
        let error = match error.into_io_error() {
            // Is it the link that leads nowhere? Then the words say so.
            Some(error)
                if error.kind() == io::ErrorKind::NotFound
                    && fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) =>
            {
                Error::local("the link leads nowhere:", &path, error, Side::Source)
            }
            Some(error) => Error::local("cannot look at", &path, error, Side::Source),
            None => Error::new(ErrorKind::LocalIo, Phase::LocalFile, "a folder could not be read")
                .with_side(Side::Source),
        };
        Some(Err((below, error)))
    }
}
