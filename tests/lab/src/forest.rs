//! Random trees of everything that a file system has, and manifests to compare them by.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{Error, Random, Result, sha256_file, write_random};

/// Parts of names that programs get wrong.
const ODD: [&[u8]; 18] = [
    b"a b",
    b"  two",
    b"%41",
    b"100%",
    b"#x",
    b"q?",
    b"st*r",
    b"[x]",
    b"se;mi",
    b"back\\slash",
    b"quo'te",
    b"dou\"ble",
    b"-dash",
    b"~tilde",
    b".hidden",
    b"a:b@c",
    b"$HOME",
    b"{b,c}",
];

/// Names beyond ASCII: the second one is not UTF-8.
const WIDE: [&[u8]; 3] = ["gr\u{f6}\u{df}e".as_bytes(), b"latin\xe9\xff", "\u{65e5}\u{672c}".as_bytes()];

/// What may be in a tree.
#[derive(Debug, Clone, Copy)]
pub struct Species {
    /// Names with bytes above 127.
    pub wide: bool,
    /// Names with line ends.
    pub lines: bool,
    /// Symbolic links.
    pub links: bool,
    /// Pipes.
    pub pipes: bool,
    /// Most entries, besides the root.
    pub entries: u64,
    /// Most bytes of a file, but for one in twenty, which has up to eight times as many.
    pub bytes: u64,
}

/// One entry of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A file: permission bits, seconds of its time, SHA-256 of its contents.
    File {
        /// Permission bits.
        mode: u32,
        /// Seconds since 1970.
        modified: i64,
        /// Of the contents, in hexadecimal.
        sha256: String,
    },
    /// A folder: permission bits and seconds of its time.
    Folder {
        /// Permission bits.
        mode: u32,
        /// Seconds since 1970.
        modified: i64,
    },
    /// A symbolic link, and what is written in it.
    Link(PathBuf),
    /// Anything else.
    Other,
}

/// What is in a tree, by path.
pub type Manifest = BTreeMap<Vec<u8>, Seen>;

/// Grows a tree that follows from `seed` below `root`, which is made.
///
/// # Errors
/// When something cannot be made.
pub fn grow(root: &Path, seed: u64, species: Species) -> Result<()> {
    fs::create_dir_all(root).map_err(Error::io("making the folder", root))?;
    let mut random = Random::new(seed);
    let mut folders = vec![PathBuf::new()];
    let mut files: Vec<PathBuf> = Vec::new();
    let count = 1 + random.below(species.entries);
    for number in 0..count {
        let parent = random.of(&folders).clone();
        let name = name(&mut random, number, species);
        let path = parent.join(OsStr::from_bytes(&name));
        let full = root.join(&path);
        match random.below(20) {
            0..5 => {
                fs::create_dir(&full).map_err(Error::io("making the folder", &full))?;
                folders.push(path);
            }
            5 | 6 if species.links => {
                let target = target(&mut random, &path, &folders, &files);
                symlink(&target, &full).map_err(Error::io("making the link", &full))?;
            }
            7 if species.pipes => {
                let made = std::process::Command::new("mkfifo").arg(&full).status();
                made.map_err(Error::io("making the pipe", &full))?;
            }
            _ => {
                let most = if random.one_in(20) { species.bytes * 8 } else { species.bytes };
                let size = if random.one_in(6) { 0 } else { random.below(most + 1) };
                write_random(&full, random.next(), size)?;
                let mode = *random.of(&[0o644, 0o600, 0o755, 0o640, 0o444]);
                set(&full, mode, &mut random)?;
                files.push(path);
            }
        }
    }
    // The deepest first: what is made in a folder changes its time.
    for folder in folders.iter().rev() {
        let full = root.join(folder);
        let mode = *random.of(&[0o755, 0o700, 0o750]);
        set(&full, mode, &mut random)?;
    }
    Ok(())
}

fn name(random: &mut Random, number: u64, species: Species) -> Vec<u8> {
    let mut name = match random.below(10) {
        0..4 => random.of(&ODD).to_vec(),
        4 if species.wide => random.of(&WIDE).to_vec(),
        5 if species.lines && random.one_in(4) => b"li\nne".to_vec(),
        _ => b"plain".to_vec(),
    };
    name.extend_from_slice(format!("{number}").as_bytes());
    name
}

/// Where a link leads: to a file or folder of the tree, or nowhere.
fn target(random: &mut Random, link: &Path, folders: &[PathBuf], files: &[PathBuf]) -> PathBuf {
    let up: PathBuf = link.parent().into_iter().flat_map(Path::components).map(|_| "..").collect();
    match random.below(5) {
        0 => PathBuf::from("nowhere"),
        1 | 2 => up.join(random.of(folders)).join("."),
        _ => match files.is_empty() {
            true => PathBuf::from("nowhere"),
            false => up.join(random.of(files)),
        },
    }
}

fn set(path: &Path, mode: u32, random: &mut Random) -> Result<()> {
    let mut set = || -> io::Result<()> {
        let file = fs::File::open(path)?;
        let seconds = 1_000_000_000 + random.below(700_000_000);
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    set().map_err(Error::io("setting the attributes of", path))
}

/// What is below a folder. With `follow`, what links lead to is shown in their place, and links that lead nowhere, or to a
/// folder above them, as links.
///
/// # Errors
/// When something cannot be read.
pub fn manifest(root: &Path, follow: bool) -> Result<Manifest> {
    let mut found = Manifest::new();
    look(root, &mut Vec::new(), follow, &mut Vec::new(), &mut found)?;
    Ok(found)
}

fn look(
    folder: &Path,
    path: &mut Vec<u8>,
    follow: bool,
    above: &mut Vec<(u64, u64)>,
    found: &mut Manifest,
) -> Result<()> {
    let own = fs::metadata(folder).map_err(Error::io("looking at", folder))?;
    above.push((own.dev(), own.ino()));
    for entry in fs::read_dir(folder).map_err(Error::io("listing", folder))? {
        let entry = entry.map_err(Error::io("listing", folder))?;
        let length = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(entry.file_name().as_bytes());
        let full = entry.path();
        let itself = fs::symlink_metadata(&full).map_err(Error::io("looking at", &full))?;
        let behind = if itself.is_symlink() && follow { fs::metadata(&full).ok() } else { None };
        let loops = behind
            .as_ref()
            .is_some_and(|behind| behind.is_dir() && above.contains(&(behind.dev(), behind.ino())));
        let shown = behind.filter(|_| !loops).unwrap_or(itself);
        let mode = shown.mode() & 0o7777;
        let modified = shown.mtime();
        let seen = if shown.is_symlink() {
            Seen::Link(fs::read_link(&full).map_err(Error::io("reading the link", &full))?)
        } else if shown.is_dir() {
            look(&full, path, follow, above, found)?;
            Seen::Folder { mode, modified }
        } else if shown.is_file() {
            Seen::File { mode, modified, sha256: sha256_file(&full)? }
        } else {
            debug_assert!(shown.file_type().is_fifo() || shown.file_type().is_socket());
            Seen::Other
        };
        found.insert(path.clone(), seen);
        path.truncate(length);
    }
    above.pop();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_tree_and_manifests_show_what_differs() {
        let dir = tempfile::tempdir().unwrap();
        let species = Species { wide: true, lines: true, links: true, pipes: true, entries: 60, bytes: 2000 };
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        grow(&one, 5, species).unwrap();
        grow(&two, 5, species).unwrap();
        let manifest_one = manifest(&one, false).unwrap();
        assert_eq!(manifest_one, manifest(&two, false).unwrap());
        assert!(manifest_one.len() > 5);
        let file = manifest_one.iter().find(|(_, seen)| matches!(seen, Seen::File { .. })).unwrap().0;
        fs::write(two.join(OsStr::from_bytes(file)), "other").unwrap();
        assert_ne!(manifest_one, manifest(&two, false).unwrap());
        manifest(&one, true).unwrap();
    }
}
