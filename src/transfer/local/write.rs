//! Writing files: beside their names, which they get when they are whole.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags, fallocate, fstatfs};
use rustix::io::Errno;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::pipe::Lent;
use super::root::{Place, rename, set_attributes};
use super::{Attributes, Root, temporary_name};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::transfer::hash::{Broken, hash_open};
use crate::types::{Checksum, ChecksumAlgorithm, RangeSet};

/// `TMPFS_MAGIC` of `statfs(2)`: there, allocating is writing zeros.
const TMPFS: u64 = 0x0102_1994;

/// Blocks that wait to be written. With what the network holds they bound the memory of a transfer.
const WAITING: usize = 16;

/// Writes a whole file beside its name, and gives it that. Blocks. Whatever fails, nothing is left, and what was there is. A
/// device or pipe is written to as it stands.
pub(in crate::transfer) fn write_small(
    root: &Root,
    path: &[u8],
    tag: u64,
    contents: &[u8],
    attributes: Attributes,
    replace: bool,
    fsync: bool,
) -> Result<()> {
    use std::io::Write as _;
    let place = root.place(path)?;
    if let Some(file) = special(&place) {
        let written = file.and_then(|mut file| file.write_all(contents));
        return written.map_err(|error| root.failed("cannot write", path, error));
    }
    let temporary = temporary_name(&place.name, tag);
    let write = || -> io::Result<()> {
        let folder = place.folder()?;
        let file = create(&place, &temporary)?;
        let result = (|| {
            file.write_all_at(contents, 0)?;
            finish(&file, &place, attributes, fsync)?;
            rename(folder, &temporary, &place.name, replace)?;
            if fsync { Ok(rustix::fs::fsync(folder)?) } else { Ok(()) }
        })();
        if result.is_err() {
            // The first failure is the one to be told.
            let _ = rustix::fs::unlinkat(folder, &temporary[..], AtFlags::empty());
        }
        result
    };
    write().map_err(|error| root.failed("cannot write", path, error))
}

/// A new file of that name; what is left of it from before goes first.
fn create(place: &Place, name: &[u8]) -> io::Result<File> {
    let folder = place.folder()?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o666)) {
        Err(Errno::EXIST) => {
            rustix::fs::unlinkat(folder, name, AtFlags::empty())?;
            Ok(rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o666))?.into())
        }
        file => Ok(file?.into()),
    }
}

/// What a file gets before its name: the permissions that were asked for, or those of the file that it replaces.
fn finish(file: &File, place: &Place, attributes: Attributes, fsync: bool) -> io::Result<()> {
    let mode = attributes.mode.or(replaced_mode(place)?);
    set_attributes(file.as_fd(), mode, attributes.modified)?;
    if fsync { file.sync_all() } else { Ok(()) }
}

fn replaced_mode(place: &Place) -> io::Result<Option<u32>> {
    match rustix::fs::statat(place.folder()?, &place.name[..], AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::RegularFile => Ok(Some(stat.st_mode & 0o7777)),
            rustix::fs::FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
            // A link goes, and what it leads to stays.
            rustix::fs::FileType::Symlink => Ok(None),
            // It came to be there a moment ago.
            _ => Err(io::Error::other("there is a device, pipe or socket of that name")),
        },
        Err(_) => Ok(None),
    }
}

/// A file that is written block by block, in any order, by a thread of its own.
#[derive(Debug)]
pub(in crate::transfer) struct Writer {
    root: Arc<Shared>,
    temporary: Vec<u8>,
    blocks: Mutex<Option<mpsc::UnboundedSender<Order>>>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    folder: std::os::fd::OwnedFd,
    name: Vec<u8>,
    shown: std::path::PathBuf,
    /// Written to as it stands: a device or pipe.
    in_place: bool,
    written: Mutex<RangeSet>,
    failed: Mutex<Option<Error>>,
}

#[derive(Debug)]
enum Order {
    Write(u64, Bytes),
    /// So many bytes that are in a pipe, which goes back to the others if they are all there is in it.
    Empty {
        offset: u64,
        pipe: Lent,
        count: usize,
        all: bool,
    },
    Flush(oneshot::Sender<()>),
}

impl Writer {
    /// Opens what is there of a file, or a new one. Blocks.
    ///
    /// Of a half file only the given ranges count, and only as far as it is that long.
    pub(in crate::transfer) fn open(
        root: &Root,
        path: &[u8],
        tag: u64,
        size: Option<u64>,
        there: &RangeSet,
    ) -> Result<Self> {
        let place = root.place(path)?;
        let failed = |doing, error: io::Error| root.failed(doing, path, error);
        let folder = place.folder().map_err(|error| failed("cannot write", error))?;
        let temporary = temporary_name(&place.name, tag);
        let (file, in_place, written) = match special(&place) {
            Some(file) => (file.map_err(|error| failed("cannot open", error))?, true, RangeSet::new()),
            None => {
                let (file, written) =
                    half(&place, &temporary, there).map_err(|error| failed("cannot write", error))?;
                if let Err(error) =
                    replaced_mode(&place).and_then(|_| size.map_or(Ok(()), |size| reserve(&file, size)))
                {
                    let _ = rustix::fs::unlinkat(folder, &temporary[..], AtFlags::empty());
                    return Err(failed("cannot write", error));
                }
                (file, false, written)
            }
        };
        let folder = folder.try_clone_to_owned().map_err(|error| failed("cannot write", error))?;
        let shared = Arc::new(Shared {
            file,
            folder,
            name: place.name.clone(),
            shown: root.shown(path),
            in_place,
            written: Mutex::new(written),
            failed: Mutex::default(),
        });
        let (blocks, orders) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(WAITING));
        let (writing, freed) = (Arc::clone(&shared), Arc::clone(&room));
        tokio::task::spawn_blocking(move || writing.write_all(orders, &freed));
        Ok(Self { root: shared, temporary, blocks: Mutex::new(Some(blocks)), room })
    }

    /// What has been written.
    pub(in crate::transfer) fn written(&self) -> RangeSet {
        self.root.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn order(&self, order: Order) {
        let blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(blocks) = &*blocks {
            // The thread ends when this is dropped, and not before.
            let _ = blocks.send(order);
        }
    }

    /// Has a block written; waits while too many are. A failure is told by the next call.
    pub(in crate::transfer) async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        self.root.check()?;
        if data.is_empty() {
            return Ok(());
        }
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
        self.order(Order::Write(offset, data));
        self.root.check()
    }

    /// Has bytes written that wait in a pipe: the first `count` of the `held` that are in it. A failure is told by the next call.
    pub(in crate::transfer) fn empty_at(
        &self,
        offset: u64,
        pipe: Lent,
        count: usize,
        held: usize,
    ) -> Result<()> {
        self.order(Order::Empty { offset, pipe, count, all: count == held });
        self.root.check()
    }

    /// Whether bytes may come in any order.
    pub(in crate::transfer) fn takes_any_order(&self) -> bool {
        !self.root.in_place || is_null(&self.root.file)
    }

    /// Whether what was written can be read again.
    pub(in crate::transfer) fn reads_back(&self) -> bool {
        !self.root.in_place
    }

    /// An error if what was written cannot be read again.
    pub(in crate::transfer) fn must_read_back(&self) -> Result<()> {
        if self.reads_back() {
            return Ok(());
        }
        let unreadable = io::Error::new(
            io::ErrorKind::Unsupported,
            "what a device was given cannot be read back to be compared; \
             expected one connection in stream mode, or no checksum",
        );
        Err(self.root.failure("cannot verify", unreadable))
    }

    /// Waits until everything is written.
    pub(in crate::transfer) async fn flush(&self) -> Result<()> {
        let (sender, flushed) = oneshot::channel();
        self.order(Order::Flush(sender));
        if flushed.await.is_err() && self.root.check().is_ok() {
            return Err(self.root.failure("cannot write", io::Error::other("the writing thread ended")));
        }
        self.root.check()
    }

    /// The checksum of what was written.
    pub(in crate::transfer) async fn checksum(&self, algorithm: &ChecksumAlgorithm) -> Result<Checksum> {
        self.must_read_back()?;
        let (shared, algorithm) = (Arc::clone(&self.root), algorithm.clone());
        blocking(move || {
            let failed = |error| shared.failure("cannot read back", error);
            let file = shared.file.try_clone().map_err(failed)?;
            io::Seek::rewind(&mut &file).map_err(failed)?;
            hash_open(&file, &algorithm).map_err(|error| match error {
                Broken::Io(error) => failed(error),
                Broken::Hash(error) => error,
            })
        })
        .await
    }

    /// Gives the whole file its name.
    pub(in crate::transfer) async fn finish(
        &self,
        size: u64,
        attributes: Attributes,
        replace: bool,
        fsync: bool,
    ) -> Result<()> {
        self.flush().await?;
        let (shared, temporary) = (Arc::clone(&self.root), self.temporary.clone());
        blocking(move || shared.finish(&temporary, size, attributes, replace, fsync)).await
    }

    /// Leaves the half file, to go on with; tells what of it is there.
    pub(in crate::transfer) async fn keep(&self) -> RangeSet {
        // What failed to be written is not among it.
        let _ = self.flush().await;
        self.written()
    }

    /// Removes the half file.
    pub(in crate::transfer) async fn discard(&self) {
        let _ = self.flush().await;
        let (shared, temporary) = (Arc::clone(&self.root), self.temporary.clone());
        let removed = blocking(move || {
            if shared.in_place {
                return Ok(());
            }
            match rustix::fs::unlinkat(&shared.folder, &temporary[..], AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(shared.failure("cannot remove the half file of", error.into())),
            }
        });
        if let Err(error) = removed.await {
            tracing::warn!(%error, "a half file is left");
        }
    }
}

impl Shared {
    fn failure(&self, doing: &str, error: io::Error) -> Error {
        Error::local(doing, &self.shown, error, Side::Destination)
    }

    fn check(&self) -> Result<()> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.as_ref().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// The thread.
    fn write_all(&self, mut orders: mpsc::UnboundedReceiver<Order>, room: &Semaphore) {
        use std::io::Write as _;
        while let Some(order) = orders.blocking_recv() {
            match order {
                Order::Write(offset, data) => {
                    self.write(offset, data.len(), || {
                        if self.in_place {
                            (&self.file).write_all(&data)
                        } else {
                            self.file.write_all_at(&data, offset)
                        }
                    });
                    drop(data);
                    room.add_permits(1);
                }
                Order::Empty { offset, pipe, count, all } => {
                    let at = (!self.in_place).then_some(offset);
                    if self.write(offset, count, || pipe.empty_into(self.file.as_fd(), at, count)) && all {
                        pipe.give_back();
                    }
                }
                Order::Flush(done) => drop(done.send(())),
            }
        }
    }

    /// Writes so many bytes, unless something failed before; tells whether they are written.
    fn write(&self, offset: u64, count: usize, write: impl FnOnce() -> io::Result<()>) -> bool {
        if self.check().is_err() {
            return false;
        }
        let length = u64::try_from(count).unwrap_or(u64::MAX);
        match write() {
            Ok(()) => {
                let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
                written.insert(offset..offset.saturating_add(length));
                true
            }
            Err(error) => {
                let error = self.failure("cannot write", error);
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                false
            }
        }
    }

    fn finish(
        &self,
        temporary: &[u8],
        size: u64,
        attributes: Attributes,
        replace: bool,
        fsync: bool,
    ) -> Result<()> {
        if self.in_place {
            return Ok(());
        }
        let failed = |doing: &str, error: io::Error| self.failure(doing, error);
        let found = self.file.metadata().map_err(|error| failed("cannot look at", error))?.size();
        if found != size {
            let message = format!(
                "{size} bytes were to be written to {}, and the file has {found}",
                self.shown.display()
            );
            return Err(Error::new(ErrorKind::Truncated, Phase::Verify, message).with_side(Side::Destination));
        }
        let write = || -> io::Result<()> {
            let place = Place::of(self.folder.try_clone()?, self.name.clone());
            finish(&self.file, &place, attributes, fsync)?;
            rename(self.folder.as_fd(), temporary, &self.name, replace)?;
            if fsync { Ok(rustix::fs::fsync(&self.folder)?) } else { Ok(()) }
        };
        write().map_err(|error| failed("cannot give the whole copy the name", error))
    }
}

/// A pipe or device of the final name, which is written to as it stands.
fn special(place: &Place) -> Option<io::Result<File>> {
    let folder = place.folder().ok()?;
    let stat = rustix::fs::statat(folder, &place.name[..], AtFlags::SYMLINK_NOFOLLOW).ok()?;
    use rustix::fs::FileType;
    let kind = FileType::from_raw_mode(stat.st_mode);
    matches!(kind, FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice).then(|| {
        let opened =
            rustix::fs::openat(folder, &place.name[..], OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let file = File::from(opened?);
        debug_assert!(!file.metadata()?.file_type().is_socket());
        Ok(file)
    })
}

/// The device that forgets everything: the only one that does not mind in what order.
fn is_null(file: &File) -> bool {
    let found = file.metadata();
    found.is_ok_and(|found| found.file_type().is_char_device() && found.rdev() == rustix::fs::makedev(1, 3))
}

/// The half file with what of it counts, or a new one.
fn half(place: &Place, temporary: &[u8], there: &RangeSet) -> io::Result<(File, RangeSet)> {
    if !there.is_empty() {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(file) = rustix::fs::openat(place.folder()?, temporary, flags, Mode::empty()) {
            let file = File::from(file);
            let facts = file.metadata()?;
            if facts.is_file() {
                let kept = there.iter().map(|range| range.start..range.end.min(facts.len()));
                return Ok((file, kept.filter(|range| range.start < range.end).collect()));
            }
        }
    }
    Ok((create(place, temporary)?, RangeSet::new()))
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
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        // Not every file system can; the writes will tell.
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    crate::transfer::local_end::blocking(work).await
}
