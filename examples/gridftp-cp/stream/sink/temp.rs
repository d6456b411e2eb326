//! A file under a temporary name, which goes away unless it gets its own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::stream::names;

/// How often another name is tried when one is taken, which is as good as never.
const TRIES: usize = 8;

/// The name of a file that is being written. Dropped, the file is removed.
#[derive(Debug)]
pub(super) struct TempFile {
    path: Option<PathBuf>,
}

impl TempFile {
    /// Makes a new file beside `path`, with the permissions that the user's umask leaves, or with `mode`.
    pub(super) fn beside(path: &Path, mode: Option<u32>) -> io::Result<(Self, File)> {
        let name = path.file_name().map_or(&b"file"[..], |name| name.as_bytes());
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..TRIES {
            let temporary = path.with_file_name(std::ffi::OsString::from_vec(names::temporary(name)));
            // Never a file that is there already, and never what a link leads to.
            match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    let this = Self { path: Some(temporary) };
                    if let Some(mode) = mode {
                        file.set_permissions(Permissions::from_mode(mode))?;
                    }
                    return Ok((this, file));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// Gives the file its name, in the place of what has it now.
    pub(super) fn rename_to(mut self, path: &Path) -> io::Result<()> {
        if let Some(temporary) = &self.path {
            fs::rename(temporary, path)?;
        }
        self.path = None;
        Ok(())
    }

    /// Removes the file now.
    pub(super) fn remove(mut self) -> Result<(), String> {
        match self.path.take() {
            Some(path) => fs::remove_file(&path).map_err(|error| {
                format!("the incomplete file {} could not be removed: {error}", path.display())
            }),
            None => Ok(()),
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // Nobody is there to be told.
            let _ = fs::remove_file(path);
        }
    }
}
