//! Local destinations.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::failure::{End, Failure};
use crate::stream::Order;

/// Links that are followed one after the other, as many as the kernel follows.
const MAX_LINKS: usize = 40;

/// A local name to write to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LocalTarget {
    /// The name itself: no link, except for a stream.
    pub(crate) path: PathBuf,
    pub(crate) way: Way,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Under a temporary name, and renamed. A file that is replaced hands on its permissions.
    Rename { mode: Option<u32> },
    /// Into a file that stays what it is, save for the part that is copied; or a block device.
    InPlace,
    /// From the first to the last byte: a pipe, a terminal, a character device.
    Stream,
    /// `/dev/null`.
    Discard,
}

/// Finds the name and the way. Blocks.
pub(crate) fn examine(dest: &Path, order: &Order) -> Result<LocalTarget, Failure> {
    let wants_folder = dest.as_os_str().as_bytes().ends_with(b"/");
    let path = if wants_folder || is_folder(dest)? {
        if wants_folder && order.create_folders {
            make_folders(dest)?;
        }
        if wants_folder && !is_folder(dest)? {
            return Err(no_folder(dest));
        }
        dest.join(super::name_of(&order.source)?)
    } else {
        dest.to_owned()
    };
    if let Some(way) = stream_of_this_process(&path) {
        return Ok(LocalTarget { path, way });
    }
    let path = behind_links(path)?;
    match fs::symlink_metadata(&path) {
        Ok(found) => {
            let way = way_into(&path, &found, order.part.partial)?;
            if !order.replace && matches!(way, Way::Rename { .. } | Way::InPlace) {
                return Err(Failure::in_the_way(format!(
                    "{} is there, and nothing is to be overwritten",
                    path.display()
                ))
                .at(End::Destination));
            }
            if let Way::Rename { .. } = way {
                check_folder(&path)?;
            }
            Ok(LocalTarget { path, way })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = folder_of(&path);
            if order.create_folders {
                make_folders(folder)?;
            }
            if !is_folder(folder)? {
                return Err(no_folder(folder));
            }
            check_folder(&path)?;
            Ok(LocalTarget { path, way: Way::Rename { mode: None } })
        }
        Err(error) => Err(failed("cannot look at", &path, error)),
    }
}

/// How something that exists is written.
fn way_into(path: &Path, found: &Metadata, partial: bool) -> Result<Way, Failure> {
    let kind = found.file_type();
    if kind.is_dir() {
        return Err(Failure::in_the_way(format!("{} is a folder, expected a file", path.display()))
            .at(End::Destination));
    }
    if kind.is_socket() {
        return Err(Failure::in_the_way(format!("{} is a socket, expected a file", path.display()))
            .at(End::Destination));
    }
    // A file that is protected from its owner is not replaced behind the protection's back.
    access(path, Access::WRITE_OK).map_err(|error| failed("cannot write to", path, error.into()))?;
    if kind.is_file() {
        return Ok(if partial {
            Way::InPlace
        } else {
            Way::Rename { mode: Some(found.permissions().mode() & 0o777) }
        });
    }
    if kind.is_block_device() {
        return Ok(Way::InPlace);
    }
    let null = fs::metadata("/dev/null").ok();
    let discards = kind.is_char_device() && null.is_some_and(|null| null.rdev() == found.rdev());
    Ok(if discards { Way::Discard } else { Way::Stream })
}

/// `/dev/fd/3` and the like: names for what is open already, which no file can be renamed to.
fn stream_of_this_process(path: &Path) -> Option<Way> {
    let parent = path.parent()?;
    let is_one =
        ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"].iter().any(|folder| parent == Path::new(folder))
            || (parent == Path::new("/dev")
                && path.file_name().is_some_and(|name| name == "stderr" || name == "stdout"));
    is_one.then_some(Way::Stream)
}

/// The file that a chain of links ends at, whether it exists or not: what is renamed must not replace a link.
fn behind_links(mut path: PathBuf) -> Result<PathBuf, Failure> {
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            // No link, or nothing at all.
            Err(_) => return Ok(path),
        }
    }
    Err(failed("cannot follow", &path, rustix::io::Errno::LOOP.into()))
}

fn is_folder(path: &Path) -> Result<bool, Failure> {
    match fs::metadata(path) {
        Ok(found) => Ok(found.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("cannot look at", path, error)),
    }
}

fn make_folders(path: &Path) -> Result<(), Failure> {
    DirBuilder::new()
        .recursive(true)
        .create(path)
        .map_err(|error| failed("cannot make the folder", path, error))
}

/// Whether names can be made in the file's folder; told now, and not when the transfer has begun.
fn check_folder(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    access(folder, Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| failed("cannot write to the folder", folder, error.into()))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn no_folder(path: &Path) -> Failure {
    failed("cannot write to the folder", path, rustix::io::Errno::NOENT.into()).note("-cd makes it")
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Failure {
    Failure::local(format!("{doing} {}", path.display()), error).at(End::Destination)
}
