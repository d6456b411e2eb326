//! The folder that is written to.
//!
//! Everything is done from its descriptor on, and never leads out: names are checked, and links that leave the folder are
//! refused by the kernel (`openat2` with `RESOLVE_BENEATH`), or all links where a kernel does not know that call. So nobody
//! who can put a link into the folder, and no server that chooses names, has this program write elsewhere.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::super::ReportKind;
use super::super::hash::{Broken, hash_open};
use super::Facts;
use crate::error::{Error, ErrorKind, Escaped, Phase, Result, Side};
use crate::types::{Checksum, ChecksumAlgorithm};

/// A folder that is written to.
#[derive(Debug)]
pub(in crate::transfer) struct Root {
    /// None in a dry run for what is not there.
    folder: Option<OwnedFd>,
    /// What errors name.
    path: PathBuf,
    /// The folder that was used last: many files of one folder come one after the other.
    last: Mutex<Option<(Vec<u8>, Arc<OwnedFd>)>>,
}

/// The folder that something is in, and its name there.
pub(super) struct Place {
    folder: Option<Arc<OwnedFd>>,
    root: Option<OwnedFd>,
    pub(super) name: Vec<u8>,
}

impl Place {
    pub(super) fn of(folder: OwnedFd, name: Vec<u8>) -> Self {
        Self { folder: None, root: Some(folder), name }
    }

    pub(super) fn folder(&self) -> io::Result<BorrowedFd<'_>> {
        match (&self.folder, &self.root) {
            (Some(folder), _) => Ok(folder.as_fd()),
            (None, Some(root)) => Ok(root.as_fd()),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn open_dir(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

impl Root {
    /// The folder of a file to be, and the file's name.
    pub(in crate::transfer) fn of_file(path: &Path, create: bool) -> Result<(Self, Vec<u8>)> {
        let failed = |doing, path: &Path, error| Error::local(doing, path, error, Side::Destination);
        if path.is_dir() {
            let shown = Escaped(path.as_os_str().as_bytes()).to_string();
            let message = format!("{shown} is a folder; expected the name of a file, or a slash at the end");
            return Err(
                Error::new(ErrorKind::IsADirectory, Phase::LocalFile, message).with_side(Side::Destination)
            );
        }
        let Some(name) = path.file_name() else {
            let shown = Escaped(path.as_os_str().as_bytes()).to_string();
            return Err(Error::invalid(format!("{shown} does not end with the name of a file")));
        };
        let folder =
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        if create {
            std::fs::create_dir_all(folder)
                .map_err(|error| failed("cannot make the folder", folder, error))?;
        }
        let opened = open_dir(folder).map_err(|error| failed("cannot open the folder", folder, error))?;
        let root = Self { folder: Some(opened), path: folder.to_owned(), last: Mutex::default() };
        Ok((root, name.as_bytes().to_vec()))
    }

    /// A folder to be written to, which is made if it is not there.
    pub(in crate::transfer) fn of_folder(path: &Path, create_parents: bool, dry: bool) -> Result<Self> {
        let failed = |doing, error| Error::local(doing, path, error, Side::Destination);
        if !dry && create_parents {
            std::fs::create_dir_all(path).map_err(|error| failed("cannot make the folder", error))?;
        } else if !dry && !path.is_dir() {
            std::fs::create_dir(path).map_err(|error| failed("cannot make the folder", error))?;
        }
        let folder = match open_dir(path) {
            Ok(folder) => Some(folder),
            Err(error) if dry && error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("cannot open the folder", error)),
        };
        Ok(Self { folder, path: path.to_owned(), last: Mutex::default() })
    }

    /// The whole path of something, for people.
    pub(super) fn shown(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    pub(super) fn failed(&self, doing: &str, path: &[u8], error: impl Into<io::Error>) -> Error {
        let error = error.into();
        if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) {
            let shown = Escaped(self.shown(path).as_os_str().as_bytes()).to_string();
            let message = format!("{doing} {shown}: a link leads out of the folder that is written to");
            return Error::new(ErrorKind::PermissionDenied, Phase::LocalFile, message)
                .with_side(Side::Destination)
                .with_source(error);
        }
        Error::local(doing, &self.shown(path), error, Side::Destination)
    }

    fn folder(&self) -> io::Result<BorrowedFd<'_>> {
        self.folder.as_ref().map(OwnedFd::as_fd).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A folder below.
    fn enter(&self, path: &[u8]) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let path = if path.is_empty() { &b"."[..] } else { path };
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(self.folder()?, path, flags, Mode::empty(), beneath) {
            Ok(folder) => Ok(folder),
            // An old kernel, or a sandbox that does not let it through: step by step, and through no link.
            Err(Errno::NOSYS | Errno::PERM) => {
                let mut at = rustix::fs::openat(self.folder()?, ".", flags, Mode::empty())?;
                for part in path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b".")) {
                    at = rustix::fs::openat(&at, part, flags | OFlags::NOFOLLOW, Mode::empty())?;
                }
                Ok(at)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where something is, or is to be.
    pub(super) fn place(&self, path: &[u8]) -> Result<Place> {
        let parts_are_names =
            path.split(|&byte| byte == b'/').all(|part| !matches!(part, b"" | b"." | b".."));
        if path.is_empty() || path.contains(&0) || !parts_are_names {
            let message = format!("\"{}\" is no path below a folder", Escaped(path));
            return Err(
                Error::new(ErrorKind::InvalidInput, Phase::LocalFile, message).with_side(Side::Destination)
            );
        }
        let (above, name) = match path.iter().rposition(|&byte| byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => {
                let root = self.folder.as_ref().map(OwnedFd::try_clone).transpose();
                let root = root.map_err(|error| self.failed("cannot open the folder of", path, error))?;
                return Ok(Place { folder: None, root, name: path.to_vec() });
            }
        };
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((known, folder)) = last.filter(|(known, _)| known == above) {
            drop(known);
            return Ok(Place { folder: Some(folder), root: None, name: name.to_vec() });
        }
        let folder = self.enter(above).map_err(|error| self.failed("cannot enter", above, error))?;
        let folder = Arc::new(folder);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((above.to_vec(), Arc::clone(&folder)));
        Ok(Place { folder: Some(folder), root: None, name: name.to_vec() })
    }

    /// What is there, with links as what they lead to, if that is below; none if there is nothing.
    pub(in crate::transfer) fn facts(&self, path: &[u8]) -> Result<Option<Facts>> {
        if self.folder.is_none() {
            return Ok(None);
        }
        let look = || -> Result<Option<Facts>> {
            let place = self.place(path)?;
            let failed = |error: io::Error| self.failed("cannot look at", path, error);
            let folder = place.folder().map_err(failed)?;
            let stat = match rustix::fs::statat(folder, &place.name[..], AtFlags::empty()) {
                Ok(stat) => stat,
                // A link that leads nowhere is something all the same.
                Err(Errno::NOENT) => {
                    match rustix::fs::statat(folder, &place.name[..], AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => stat,
                        Err(Errno::NOENT) => return Ok(None),
                        Err(error) => return Err(failed(error.into())),
                    }
                }
                Err(error) => return Err(failed(error.into())),
            };
            Ok(Some(of_stat(&stat)))
        };
        match look() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            found => found,
        }
    }

    /// Makes a folder; it is no mistake that it is there, unless it is something else.
    pub(in crate::transfer) fn make_dir(&self, path: &[u8]) -> Result<()> {
        let failed = |error: io::Error| self.failed("cannot make the folder", path, error);
        let place = self.place(path)?;
        let folder = place.folder().map_err(failed)?;
        match rustix::fs::mkdirat(folder, &place.name[..], Mode::from_raw_mode(0o777)) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match self.facts(path)? {
                Some(facts) if facts.kind == ReportKind::Folder => Ok(()),
                _ => {
                    let shown = Escaped(self.shown(path).as_os_str().as_bytes()).to_string();
                    let message =
                        format!("cannot make the folder {shown}: there is something else of that name");
                    Err(Error::new(ErrorKind::NotADirectory, Phase::LocalFile, message)
                        .with_side(Side::Destination))
                }
            },
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Makes a link, in place of an older one.
    pub(in crate::transfer) fn make_link(&self, target: &[u8], path: &[u8]) -> Result<()> {
        let failed = |error: io::Error| self.failed("cannot make the link", path, error);
        let place = self.place(path)?;
        let folder = place.folder().map_err(failed)?;
        match rustix::fs::symlinkat(target, folder, &place.name[..]) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error.into())),
        }
        // Beside it, so that there is always one of the two.
        let temporary = super::temporary_name(&place.name, fastrand::u64(..));
        rustix::fs::symlinkat(target, folder, &temporary[..]).map_err(|error| failed(error.into()))?;
        let renamed = rustix::fs::renameat(folder, &temporary[..], folder, &place.name[..]);
        renamed.map_err(|error| {
            let _ = rustix::fs::unlinkat(folder, &temporary[..], AtFlags::empty());
            failed(error.into())
        })
    }

    /// Sets what was asked for of a folder; the root itself has the empty path.
    pub(in crate::transfer) fn set_attributes(
        &self,
        path: &[u8],
        mode: Option<u32>,
        modified: Option<SystemTime>,
    ) -> Result<()> {
        let failed = |error: io::Error| self.failed("cannot set the attributes of", path, error);
        let folder = self.enter(path).map_err(failed)?;
        set_attributes(folder.as_fd(), mode, modified).map_err(failed)
    }

    pub(in crate::transfer) fn remove_file(&self, path: &[u8]) -> Result<()> {
        self.remove(path, AtFlags::empty())
    }

    /// Removes a folder in which there is nothing.
    pub(in crate::transfer) fn remove_dir(&self, path: &[u8]) -> Result<()> {
        // It may be the one that is kept open.
        self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.remove(path, AtFlags::REMOVEDIR)
    }

    fn remove(&self, path: &[u8], flags: AtFlags) -> Result<()> {
        let place = self.place(path)?;
        let failed = |error: io::Error| self.failed("cannot remove", path, error);
        let folder = place.folder().map_err(failed)?;
        rustix::fs::unlinkat(folder, &place.name[..], flags).map_err(|error| failed(error.into()))
    }

    /// The checksum of a file that is there.
    pub(in crate::transfer) fn checksum(
        &self,
        path: &[u8],
        algorithm: &ChecksumAlgorithm,
    ) -> Result<Checksum> {
        let failed = |error: io::Error| self.failed("cannot read", path, error);
        let place = self.place(path)?;
        let folder = place.folder().map_err(failed)?;
        let file =
            rustix::fs::openat(folder, &place.name[..], OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let file = std::fs::File::from(file.map_err(|error| failed(error.into()))?);
        hash_open(&file, algorithm).map_err(|error| match error {
            Broken::Io(error) => failed(error),
            Broken::Hash(error) => error,
        })
    }

    /// Has everything that was written in its file system on the disk.
    pub(in crate::transfer) fn sync(&self) -> io::Result<()> {
        match &self.folder {
            Some(folder) => Ok(rustix::fs::syncfs(folder)?),
            None => Ok(()),
        }
    }
}

pub(super) fn set_attributes(
    file: BorrowedFd<'_>,
    mode: Option<u32>,
    modified: Option<SystemTime>,
) -> io::Result<()> {
    if let Some(mode) = mode {
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode & 0o7777))?;
    }
    if let Some(modified) = modified {
        let time = timespec(modified);
        rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time })?;
    }
    Ok(())
}

fn timespec(time: SystemTime) -> Timespec {
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timespec {
            tv_sec: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: since.subsec_nanos().into(),
        },
        Err(before) => {
            let before = before.duration();
            // Fractions go forward from the second before.
            let nanos = before.subsec_nanos();
            let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
            if nanos == 0 {
                Timespec { tv_sec: -seconds, tv_nsec: 0 }
            } else {
                Timespec { tv_sec: -seconds - 1, tv_nsec: (1_000_000_000 - nanos).into() }
            }
        }
    }
}

fn of_stat(stat: &rustix::fs::Stat) -> Facts {
    use rustix::fs::FileType;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => ReportKind::File,
        FileType::Directory => ReportKind::Folder,
        FileType::Symlink => ReportKind::Link,
        _ => ReportKind::Special,
    };
    let nanos = std::time::Duration::from_nanos(stat.st_mtime_nsec);
    let modified = match u64::try_from(stat.st_mtime) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds) + nanos,
        Err(_) => {
            SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(stat.st_mtime.unsigned_abs()) + nanos
        }
    };
    Facts { kind, size: u64::try_from(stat.st_size).unwrap_or(0), modified, mode: stat.st_mode & 0o7777 }
}

/// Gives a file its name: in place of another one, or only where there is none.
pub(super) fn rename(folder: BorrowedFd<'_>, from: &[u8], to: &[u8], replace: bool) -> io::Result<()> {
    if replace {
        return Ok(rustix::fs::renameat(folder, from, folder, to)?);
    }
    match rustix::fs::renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE) {
        // A file system that does not know that: a second name, which cannot replace anything, and then without the first.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(folder, from, folder, to, AtFlags::empty())?;
            Ok(rustix::fs::unlinkat(folder, from, AtFlags::empty())?)
        }
        result => Ok(result?),
    }
}
