//! Checksums of what is here.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use openssl::hash::MessageDigest;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::types::{Checksum, ChecksumAlgorithm};

/// How much of a file is read at once.
const CHUNK: usize = 1 << 20;

/// Blocks that wait to be hashed.
const WAITING: usize = 16;

/// A checksum in the making.
pub(super) struct Hasher {
    algorithm: ChecksumAlgorithm,
    state: State,
}

enum State {
    Adler(simd_adler32::Adler32),
    Crc(crc32fast::Hasher),
    Digest(openssl::hash::Hasher),
}

impl Hasher {
    /// # Errors
    /// `Unsupported` for an algorithm that is not known here.
    pub(super) fn new(algorithm: &ChecksumAlgorithm) -> Result<Self> {
        let digest = match algorithm {
            ChecksumAlgorithm::Adler32 => None,
            ChecksumAlgorithm::Crc32 => None,
            ChecksumAlgorithm::Md5 => Some(MessageDigest::md5()),
            ChecksumAlgorithm::Sha1 => Some(MessageDigest::sha1()),
            ChecksumAlgorithm::Sha256 => Some(MessageDigest::sha256()),
            ChecksumAlgorithm::Sha512 => Some(MessageDigest::sha512()),
            ChecksumAlgorithm::Other(name) => {
                let message = format!("checksums by {} cannot be computed here", name.as_str());
                return Err(Error::new(ErrorKind::Unsupported, Phase::Verify, message).with_side(Side::Local));
            }
        };
        let state = match digest {
            Some(digest) => State::Digest(openssl::hash::Hasher::new(digest).map_err(no_digest)?),
            None if *algorithm == ChecksumAlgorithm::Crc32 => State::Crc(crc32fast::Hasher::new()),
            None => State::Adler(simd_adler32::Adler32::new()),
        };
        Ok(Self { algorithm: algorithm.clone(), state })
    }

    pub(super) fn update(&mut self, data: &[u8]) -> Result<()> {
        match &mut self.state {
            State::Adler(state) => state.write(data),
            State::Crc(state) => state.update(data),
            State::Digest(state) => state.update(data).map_err(no_digest)?,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Checksum> {
        match self.state {
            State::Adler(state) => Checksum::new(self.algorithm, state.finish().to_be_bytes()),
            State::Crc(state) => Checksum::new(self.algorithm, state.finalize().to_be_bytes()),
            State::Digest(mut state) => {
                let value = state.finish().map_err(no_digest)?;
                Checksum::new(self.algorithm, &*value)
            }
        }
    }
}

/// The library of a system that forbids an algorithm says so here.
fn no_digest(error: openssl::error::ErrorStack) -> Error {
    let message = "the system's library did not compute a checksum";
    Error::new(ErrorKind::Unsupported, Phase::Verify, message).with_side(Side::Local).with_source(error)
}

/// The checksum of bytes.
pub(super) fn hash(algorithm: &ChecksumAlgorithm, data: &[u8]) -> Result<Checksum> {
    let mut hasher = Hasher::new(algorithm)?;
    hasher.update(data)?;
    hasher.finish()
}

/// The checksum of a file. Blocks.
pub(super) fn hash_file(path: &Path, algorithm: &ChecksumAlgorithm) -> Result<Checksum> {
    let file = File::open(path).map_err(|error| Error::local("cannot open", path, error, Side::Source))?;
    hash_open(&file, algorithm).map_err(|error| match error {
        Broken::Io(error) => Error::local("cannot read", path, error, Side::Source),
        Broken::Hash(error) => error,
    })
}

pub(super) enum Broken {
    Io(io::Error),
    Hash(Error),
}

/// The checksum of an open file, from where it stands. Blocks.
pub(super) fn hash_open(mut file: &File, algorithm: &ChecksumAlgorithm) -> Result<Checksum, Broken> {
    let mut hasher = Hasher::new(algorithm).map_err(Broken::Hash)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return hasher.finish().map_err(Broken::Hash),
            Ok(count) => hasher.update(&chunk[..count]).map_err(Broken::Hash)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Broken::Io(error)),
        }
    }
}

/// How many bytes were hashed, and what came of it; none if they did not come in order.
type Hashed = Option<(u64, Checksum)>;

/// Hashes a file while it moves, on a thread of its own: as long as its blocks come in order.
#[derive(Debug)]
pub(super) struct Along {
    blocks: Mutex<Option<mpsc::Sender<(u64, Bytes)>>>,
    end: Mutex<Option<oneshot::Receiver<Hashed>>>,
}

impl Along {
    pub(super) fn start(algorithm: &ChecksumAlgorithm) -> Result<Self> {
        let mut hasher = Hasher::new(algorithm)?;
        let (blocks, mut receiver) = mpsc::channel::<(u64, Bytes)>(WAITING);
        let (sender, end) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let mut at = 0;
            while let Some((offset, data)) = receiver.blocking_recv() {
                if offset != at || hasher.update(&data).is_err() {
                    // Whoever goes on finds nobody: the file is read when it is there.
                    let _ = sender.send(None);
                    return;
                }
                at += u64::try_from(data.len()).unwrap_or(u64::MAX);
            }
            let _ = sender.send(hasher.finish().ok().map(|checksum| (at, checksum)));
        });
        Ok(Self { blocks: Mutex::new(Some(blocks)), end: Mutex::new(Some(end)) })
    }

    /// The next block. One that does not follow ends the hashing.
    pub(super) async fn take(&self, offset: u64, data: &Bytes) {
        let sender = self.blocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(sender) = sender
            && sender.send((offset, data.clone())).await.is_err()
        {
            self.blocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        }
    }

    /// The checksum, if all of a file of that size came in order.
    pub(super) async fn finish(&self, size: u64) -> Option<Checksum> {
        self.blocks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let end = self.end.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()?;
        let (bytes, checksum) = end.await.ok()??;
        (bytes == size).then_some(checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        for (algorithm, value) in [
            ("ADLER32", "11e60398"),
            ("CRC32", "cbf43926"),
            ("MD5", "25f9e794323b453885f5181f1b624d0b"),
            ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            ("SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ] {
            let algorithm = algorithm.parse().unwrap();
            let mut hasher = Hasher::new(&algorithm).unwrap();
            hasher.update(b"1234").unwrap();
            hasher.update(b"").unwrap();
            hasher.update(b"56789").unwrap();
            let expected = if algorithm == ChecksumAlgorithm::Adler32 { "091e01de" } else { value };
            assert_eq!(hasher.finish().unwrap().to_hex(), expected);
        }
        assert_eq!(hash(&ChecksumAlgorithm::Sha512, b"").unwrap().bytes().len(), 64);
        assert!(Hasher::new(&"x".parse().unwrap()).is_err());
    }

    #[tokio::test]
    async fn along_the_way_only_in_order() {
        let block = |text: &'static str| Bytes::from_static(text.as_bytes());
        let along = Along::start(&ChecksumAlgorithm::Md5).unwrap();
        along.take(0, &block("1234")).await;
        along.take(4, &block("56789")).await;
        assert_eq!(along.finish(9).await.unwrap(), hash(&ChecksumAlgorithm::Md5, b"123456789").unwrap());
        let along = Along::start(&ChecksumAlgorithm::Md5).unwrap();
        along.take(4, &block("56789")).await;
        for _ in 0..50 {
            along.take(0, &block("1234")).await;
        }
        assert_eq!(along.finish(9).await, None);
        let along = Along::start(&ChecksumAlgorithm::Md5).unwrap();
        along.take(0, &block("1234")).await;
        assert_eq!(along.finish(9).await, None, "not all of it");
    }
}
