//! Local files, pipes and devices, and standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gridftp::Block;
use rustix::fs::{FallocateFlags, fallocate, fstatfs};

use super::temp::TempFile;
use super::writer::{How, Writer};
use crate::failure::{End, Failure};
use crate::signals::Signals;
use crate::stream::target::local::{LocalTarget, Way};

/// `TMPFS_MAGIC` of `statfs(2)`: there, allocating is writing zeros.
const TMPFS: u64 = 0x0102_1994;

/// A local destination that is being written.
#[derive(Debug)]
pub(crate) struct LocalSink {
    /// What errors name.
    path: PathBuf,
    file: Arc<File>,
    way: Way,
    /// None for what needs no threads.
    writer: Option<Writer>,
    temp: Option<TempFile>,
    fsync: bool,
    /// Where the last byte ends.
    end: u64,
}

impl LocalSink {
    /// Opens the file. Blocks, for a pipe until somebody reads it.
    pub(super) fn open(target: LocalTarget, size: Option<u64>, fsync: bool) -> Result<Self, Failure> {
        let LocalTarget { path, way } = target;
        let opened = match way {
            Way::Rename { mode } => TempFile::beside(&path, mode).map(|(temp, file)| (Some(temp), file)),
            Way::InPlace | Way::Stream | Way::Discard => {
                OpenOptions::new().write(true).open(&path).map(|file| (None, file))
            }
        };
        let (temp, file) = opened.map_err(|error| failed("cannot write", &path, error))?;
        if let (Some(_), Some(size)) = (&temp, size) {
            reserve(&file, size).map_err(|error| failed("no room for", &path, error))?;
        }
        let file = Arc::new(file);
        let writer = match way {
            Way::Rename { .. } | Way::InPlace => Some(Writer::new(Arc::clone(&file), How::Anywhere)),
            Way::Stream => Some(Writer::new(Arc::clone(&file), How::InOrder)),
            Way::Discard => None,
        };
        Ok(Self { path, file, way, writer, temp, fsync, end: 0 })
    }

    pub(super) fn stdout() -> Result<Self, Failure> {
        // Its own buffer would look for line ends in the data.
        let file = io::stdout().as_fd().try_clone_to_owned().map(|fd| Arc::new(File::from(fd)));
        let path = PathBuf::from("standard output");
        let file = file.map_err(|error| failed("cannot write to", &path, error))?;
        let writer = Some(Writer::new(Arc::clone(&file), How::InOrder));
        Ok(Self { path, file, way: Way::Stream, writer, temp: None, fsync: false, end: 0 })
    }

    pub(super) async fn write(&mut self, block: Block) -> Result<(), Failure> {
        let length = u64::try_from(block.data.len()).unwrap_or(u64::MAX);
        self.end = self.end.max(block.offset.saturating_add(length));
        let written = match &mut self.writer {
            Some(writer) => writer.write(block).await,
            None => {
                // A device that takes everything at once.
                return (&*self.file)
                    .write_all(&block.data)
                    .map_err(|error| failed("cannot write to", &self.path, error));
            }
        };
        if written {
            return Ok(());
        }
        let reason = match self.writer.take() {
            Some(writer) => writer.finish().await.err(),
            None => None,
        };
        let reason = reason.unwrap_or_else(|| io::Error::other("writing ended before its time"));
        Err(failed("cannot write to", &self.path, reason))
    }

    pub(super) async fn finish(mut self, signals: &Signals) -> Result<(), Failure> {
        if let Some(writer) = self.writer.take() {
            let path = self.path.clone();
            let done =
                async { writer.finish().await.map_err(|error| failed("cannot write to", &path, error)) };
            signals.until(done).await?;
        }
        let naming = tokio::task::spawn_blocking(move || self.name());
        naming.await.unwrap_or_else(|_| Err(Failure::interrupted()))
    }

    /// Checks the file's size and gives it its name. Blocks.
    fn name(self) -> Result<(), Failure> {
        let Self { path, file, way, temp, fsync, end, .. } = self;
        let Some(temp) = temp else {
            if fsync && way == Way::InPlace {
                file.sync_data().map_err(|error| failed("cannot flush", &path, error))?;
            }
            return Ok(());
        };
        let found = file.metadata().map_err(|error| failed("cannot look at", &path, error))?.len();
        if found != end {
            return Err(Failure::integrity(format!(
                "{end} bytes were written to {}, and the file has {found}",
                path.display()
            ))
            .at(End::Destination));
        }
        if fsync {
            file.sync_all().map_err(|error| failed("cannot flush", &path, error))?;
        }
        // Some network file systems tell of a full disk only now.
        temp.rename_to(&path).map_err(|error| failed("cannot rename the complete copy to", &path, error))?;
        if fsync {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or_else(|| Path::new("."));
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|error| failed("cannot flush the folder of", &path, error))?;
        }
        Ok(())
    }

    pub(super) fn discard(self) -> Result<(), String> {
        // The threads write on for a moment into a file that has no name any more.
        match self.temp {
            Some(temp) => temp.remove(),
            None => Ok(()),
        }
    }
}

/// Has the file system set the room aside, where it can do that for nothing: a full disk is told now, and blocks that come
/// out of order do not tear the file to pieces.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    let on_tmpfs =
        fstatfs(file).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| kind == TMPFS));
    if size == 0 || on_tmpfs {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, size) {
        Err(error)
            if [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT, rustix::io::Errno::FBIG]
                .contains(&error) =>
        {
            Err(error.into())
        }
        // Not every file system can; the writes will tell.
        _ => Ok(()),
    }
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Failure {
    Failure::local(format!("{doing} {}", path.display()), error).at(End::Destination)
}
