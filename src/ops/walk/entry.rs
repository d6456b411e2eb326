//! What a walk finds.

use std::fmt;
use std::sync::Arc;

use super::plan::{Folder, joined};
use crate::error::Escaped;
use crate::types::Entry;
use crate::url::Url;

/// One file, folder or link that a walk has found.
#[derive(Clone)]
pub struct WalkEntry {
    pub(super) folder: Arc<Folder>,
    pub(super) url: Url,
    pub(super) entry: Entry,
    pub(super) not_entered: Option<NotEntered>,
}

/// Why a walk does not go into a folder, or link, that it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotEntered {
    /// It is a symbolic link, and links are not followed, or not known to lead to a folder.
    Link,
    /// It is one of the folders above itself, reached by a link or a mount: everything in it is shown there.
    Loop,
    /// It is as deep as a walk may go.
    TooDeep,
}

impl WalkEntry {
    /// Its URL: the root's, with the path below it.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The path below the root of the walk, as bytes: names with `/` between them, none of which is empty, `.` or `..`.
    pub fn path(&self) -> Vec<u8> {
        joined(&self.folder.path, self.entry.name())
    }

    /// How many folders below the root it is: 1 for what is in the root itself.
    pub fn depth(&self) -> usize {
        self.folder.depth + 1
    }

    /// What the server told about it.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The entry alone.
    pub fn into_entry(self) -> Entry {
        self.entry
    }

    /// The folder it is in, which is not left as long as this lives.
    pub(in crate::ops) fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder)
    }

    /// Why the walk does not go into this folder, or link to a folder. `None` for what is entered, and for files.
    pub fn not_entered(&self) -> Option<NotEntered> {
        self.not_entered
    }
}

impl fmt::Debug for WalkEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalkEntry")
            .field("path", &format_args!("\"{}\"", Escaped(&self.path())))
            .field("entry", &self.entry)
            .field("not_entered", &self.not_entered)
            .finish_non_exhaustive()
    }
}
