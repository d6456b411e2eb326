//! Reproducible files, and hashes to compare them by.

use std::fs;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::{Error, Random, Result};

const CHUNK: usize = 256 * 1024;

/// A folder of files whose contents follow from a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The folder.
    pub root: PathBuf,
    /// The files in it, in the order they were asked for.
    pub files: Vec<File>,
}

/// One file of a [`Tree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The path below the root.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the contents, in hexadecimal.
    pub sha256: String,
}

impl Tree {
    /// Writes `files` (path below `root`, size in bytes), with contents that follow from `seed` and the place in the
    /// list. Folders are made as needed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create<P: AsRef<Path>>(
        root: impl Into<PathBuf>,
        seed: u64,
        files: impl IntoIterator<Item = (P, u64)>,
    ) -> Result<Self> {
        let root = root.into();
        let mut made = Vec::new();
        for (index, (path, size)) in (0u64..).zip(files) {
            let path = path.as_ref().to_owned();
            let full = root.join(&path);
            if let Some(parent) = full.parent() {
                fs::create_dir_all(parent).map_err(Error::io("making the folder", parent))?;
            }
            let sha256 = write_random(&full, seed.wrapping_add(index), size)?;
            made.push(File { path, size, sha256 });
        }
        Ok(Self { root, files: made })
    }

    /// The sum of the sizes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// What differs in a copy of this tree below `other`: one line for each file that is missing or not the same.
    /// Empty when all is right.
    pub fn differences(&self, other: &Path) -> Vec<String> {
        self.files
            .iter()
            .filter_map(|file| match sha256_file(&other.join(&file.path)) {
                Ok(hash) if hash == file.sha256 => None,
                Ok(_) => Some(format!("{}: the contents differ", file.path.display())),
                Err(e) => Some(e.to_string()),
            })
            .collect()
    }
}

/// Writes a file of `size` bytes that follow from `seed`, and returns their SHA-256.
///
/// # Errors
/// When the file cannot be written.
pub fn write_random(path: &Path, seed: u64, size: u64) -> Result<String> {
    let write = || -> io::Result<String> {
        let mut out = BufWriter::with_capacity(CHUNK, fs::File::create(path)?);
        let mut random = Random::new(seed);
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        let mut left = size;
        while left > 0 {
            let part = &mut chunk[..usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
            random.fill(part);
            hash.update(&*part);
            out.write_all(part)?;
            left -= u64::try_from(part.len()).unwrap_or(left);
        }
        out.flush()?;
        Ok(hex(&hash.finalize()))
    };
    write().map_err(Error::io("writing", path))
}

/// The bytes [`write_random`] would write.
pub fn random_bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut random = Random::new(seed);
    for chunk in bytes.chunks_mut(CHUNK) {
        random.fill(chunk);
    }
    bytes
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file, in hexadecimal, read in pieces.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String> {
    let read = || -> io::Result<String> {
        let mut file = fs::File::open(path)?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hex(&hash.finalize())),
                n => hash.update(&chunk[..n]),
            }
        }
    };
    read().map_err(Error::io("reading", path))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tree_and_another_seed_another() {
        let dir = tempfile::tempdir().unwrap();
        let files = [("a", 0), ("b/c d/é", 1), ("b/e", 300_001)];
        let one = Tree::create(dir.path().join("1"), 7, files).unwrap();
        let two = Tree::create(dir.path().join("2"), 7, files).unwrap();
        let three = Tree::create(dir.path().join("3"), 9, files).unwrap();
        assert_eq!(one.files, two.files);
        assert_ne!(one.files[2].sha256, three.files[2].sha256);
        assert_eq!(one.bytes(), 300_002);
        assert_eq!(fs::read(one.root.join("b/e")).unwrap(), random_bytes(9, 300_001));
        assert_eq!(one.files[0].sha256, sha256(b""));
        assert_eq!(one.files[2].sha256, sha256(&random_bytes(9, 300_001)));
        assert!(one.differences(&two.root).is_empty());
        fs::remove_file(two.root.join("a")).unwrap();
        fs::write(two.root.join("b/c d/é"), "xy").unwrap();
        let differences = one.differences(&two.root);
        assert_eq!(differences.len(), 2, "{differences:?}");
        assert!(differences[0].contains("No such file"), "{differences:?}");
        assert!(differences[1].contains("contents differ"), "{differences:?}");
    }

    #[test]
    fn the_hash_is_sha_256() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
