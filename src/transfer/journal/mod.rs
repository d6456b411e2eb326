//! What a transfer has done, on disk: so that the same transfer goes on after a kill, a crash, a power cut.
//!
//! A journal is a file of [records](record::Record), each with its length and a CRC, that is only ever added to. `replay` reads
//! one and says what was done before; a thread (`writer`) adds to it. One process at a time has it, by a lock on the file.
//!
//! What a killed process has written stays with the system, so all of it counts. A machine that was restarted may have lost
//! what was not on its disk: then only what stands before a [checkpoint](record::Record::Checkpoint) counts, which is written
//! when the destination's file system has said that everything is on disk.
//!
//! Never here: what is to be done about a file.

mod record;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Escaped, Phase, Result, Side};

pub(super) use record::{Identity, Manner, Record};
pub(super) use replay::{Done, State};

use writer::{End, Writer};

/// What a journal begins with.
const MAGIC: &[u8; 8] = b"GridFTPj";

/// The form of what follows.
const VERSION: u8 = 1;

/// How long the end of a transfer that is told to end is put off for its journal.
const EARLY: std::time::Duration = std::time::Duration::from_secs(1);

/// A journal that is open, and this process's alone.
#[derive(Debug)]
pub(super) struct Journal {
    tag: u64,
    writer: Writer,
}

impl Journal {
    /// Opens the journal of a transfer, or makes it; tells what was done before. Blocks.
    ///
    /// # Errors
    /// `AlreadyExists` when another transfer uses it; `InvalidInput` for the journal of another transfer, for what is no journal,
    /// and for one that is damaged before its end. All these are left as they are.
    pub(super) fn open(path: &Path, of: &[u8]) -> Result<(Self, State)> {
        Self::open_at(path, of, &boot_id())
    }

    fn open_at(path: &Path, of: &[u8], boot: &[u8]) -> Result<(Self, State)> {
        let failed = |doing, error| Error::local(doing, path, error, Side::Local);
        let file = lock(path)?;
        let length = file.metadata().map_err(|error| failed("cannot look at the journal", error))?.len();
        let (state, tag, new) = if length == 0 {
            (State::default(), fastrand::u64(..), true)
        } else {
            let found = replay::replay(&file, path, of, boot)?;
            if found.end < length {
                tracing::warn!(
                    journal = %Escaped(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())),
                    bytes = length - found.end,
                    "the last record of a journal was not written whole; it is left out"
                );
                file.set_len(found.end).map_err(|error| failed("cannot shorten the journal", error))?;
            }
            (found.state, found.tag, found.end == 0)
        };
        let mut first = Vec::new();
        if new {
            first.extend_from_slice(MAGIC);
            first.push(VERSION);
            record::frame(&Record::Header { of: of.to_vec(), tag }, &mut first);
        }
        record::frame(&Record::Session { boot: boot.to_vec(), pid: std::process::id() }, &mut first);
        let begun = || -> io::Result<()> {
            io::Seek::seek(&mut &file, io::SeekFrom::End(0))?;
            io::Write::write_all(&mut &file, &first)?;
            if new {
                file.sync_all()?;
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
            }
            Ok(())
        };
        begun().map_err(|error| failed("cannot write the journal", error))?;
        let writer = Writer::start(file, path.to_owned())
            .map_err(|error| failed("cannot write the journal", error))?;
        Ok((Self { tag, writer }, state))
    }

    /// Part of the temporary names of this transfer, in every run.
    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    /// Adds a record, without waiting. What cannot be written is told at the end.
    pub(super) fn append(&self, record: Record) {
        self.writer.append(record);
    }

    /// Waits until everything that was appended so far would be there if the process were killed.
    pub(super) async fn written(&self) {
        self.writer.written().await;
    }

    /// Has everything that was done so far on the disk: `sync` sees to the destination's file system.
    pub(super) async fn checkpoint(
        &self,
        sync: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        self.writer.checkpoint(sync, End::No).await
    }

    /// The last checkpoint; then the journal is free for others.
    pub(super) async fn close(
        &self,
        sync: impl FnOnce() -> io::Result<()> + Send + 'static,
        ended_well: bool,
    ) -> Result<()> {
        self.writer.checkpoint(sync, if ended_well { End::Well } else { End::Yes }).await
    }

    /// Frees the journal for others at once: a transfer that is told to end does not wait for a disk that others write to as well.
    pub(super) async fn close_early(&self) -> Result<()> {
        // A checkpoint may be under way, which cannot be called back.
        match tokio::time::timeout(EARLY, self.writer.checkpoint(|| Ok(()), End::Early)).await {
            Ok(closed) => closed,
            Err(_) => {
                tracing::warn!("the disk is too slow: the last of what was done may not be in the journal");
                Ok(())
            }
        }
    }
}

/// What changes when the machine is restarted.
fn boot_id() -> Vec<u8> {
    // Without it every run counts as one after a restart, which is on the safe side.
    std::fs::read("/proc/sys/kernel/random/boot_id")
        .unwrap_or_else(|_| fastrand::u128(..).to_be_bytes().to_vec())
}

/// Opens the file, and has it for this process alone.
fn lock(path: &Path) -> Result<File> {
    let failed = |doing, error| Error::local(doing, path, error, Side::Local);
    // The name may have been given to another file while this one waited to be locked.
    for _ in 0..10 {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(|error| failed("cannot open the journal", error))?;
        let facts = file.metadata().map_err(|error| failed("cannot look at the journal", error))?;
        if !facts.is_file() {
            return Err(Error::invalid(format!("the journal {} is no file", path.display())));
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let message = format!(
                    "the journal {} is in use by another transfer",
                    Escaped(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
                );
                return Err(
                    Error::new(ErrorKind::AlreadyExists, Phase::LocalFile, message).with_side(Side::Local)
                );
            }
            Err(error) => return Err(failed("cannot lock the journal", error.into())),
        }
        let named = std::fs::metadata(path).ok();
        if named.is_some_and(|named| (named.dev(), named.ino()) == (facts.dev(), facts.ino())) {
            return Ok(file);
        }
    }
    Err(failed("cannot open the journal", io::Error::other("its name is given to other files all the time")))
}
