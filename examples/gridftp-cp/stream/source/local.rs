//! Local files and standard input, read ahead by a thread.
//!
//! The thread has a fixed number of buffers. A full one travels to the sink as [`Bytes`] and comes back when the last part
//! of it is dropped, on whatever thread that is: memory stays bounded, and no page is touched for the first time twice.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc as std_mpsc;

use gridftp::{Block, Bytes};
use tokio::sync::mpsc;

use crate::failure::{End, Failure};
use crate::stream::tuning;
use crate::stream::{Order, Part};

/// How much is read at once, and how far ahead.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    block: usize,
    buffers: usize,
}

impl Pace {
    pub(super) fn of(order: &Order) -> Self {
        Self { block: tuning::block_bytes(order), buffers: tuning::buffers(order) }
    }
}

/// A local source that is being read.
#[derive(Debug)]
pub(crate) struct LocalSource {
    path: PathBuf,
    announced: Option<u64>,
    blocks: mpsc::Receiver<io::Result<Block>>,
    /// The file's size when it was opened, to be the same at the end. None for what is no regular file.
    size: Option<u64>,
    file: Option<File>,
    taken: u64,
}

impl LocalSource {
    /// Opens a file and begins to read. Blocks, for a pipe until somebody writes to it.
    pub(super) fn open(path: &Path, part: Part, pace: Pace) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| failed("cannot open", path, error))?;
        let found = file.metadata().map_err(|error| failed("cannot look at", path, error))?;
        if found.is_dir() {
            let message = format!("{} is a folder, expected a file", path.display());
            return Err(Failure::in_the_way(message).at(End::Source));
        }
        let size = found.is_file().then_some(found.size());
        // Files of /proc say 0 and hold something: how much is known at their end.
        let announced = size.filter(|size| *size > 0).map(|size| super::rest(size, part));
        let kept = file.try_clone().map_err(|error| failed("cannot open", path, error))?;
        let positional = size.is_some();
        let limit = match (announced, part.length) {
            (Some(announced), _) => Some(announced),
            (None, length) => length,
        };
        let blocks = start(file, positional, part.offset, limit, pace);
        Ok(Self { path: path.to_owned(), announced, blocks, size, file: Some(kept), taken: 0 })
    }

    pub(super) fn stdin(part: Part, pace: Pace) -> Result<Self, Failure> {
        let path = PathBuf::from("standard input");
        let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        let file = file.map_err(|error| failed("cannot read", &path, error))?;
        let blocks = start(file, false, part.offset, part.length, pace);
        Ok(Self { path, announced: None, blocks, size: None, file: None, taken: 0 })
    }

    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }

    pub(super) async fn next(&mut self) -> Result<Option<Block>, Failure> {
        match self.blocks.recv().await {
            Some(Ok(block)) => {
                self.taken += super::length(&block);
                Ok(Some(block))
            }
            Some(Err(error)) => Err(failed("cannot read", &self.path, error)),
            None => self.check().map(|()| None),
        }
    }

    /// A file that grew or shrank while it was read is not what its copy would claim to be.
    fn check(&self) -> Result<(), Failure> {
        let (Some(size), Some(file)) = (self.size, &self.file) else { return Ok(()) };
        let now = file.metadata().map_err(|error| failed("cannot look at", &self.path, error))?.size();
        let path = self.path.display();
        let wrong = |message: String| Err(Failure::integrity(message).at(End::Source));
        if now != size {
            return wrong(format!("{path} changed while it was read: it had {size} bytes and has {now} now"));
        }
        match self.announced {
            Some(announced) if announced != self.taken => wrong(format!(
                "{path} changed while it was read: {announced} bytes were expected, {} came",
                self.taken
            )),
            _ => Ok(()),
        }
    }
}

/// A buffer that is on its way through the program.
struct Piece {
    memory: Vec<u8>,
    filled: usize,
    home: std_mpsc::Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.filled]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // The thread may have ended.
        let _ = self.home.send(std::mem::take(&mut self.memory));
    }
}

/// Starts the thread.
fn start(
    file: File,
    positional: bool,
    offset: u64,
    limit: Option<u64>,
    pace: Pace,
) -> mpsc::Receiver<io::Result<Block>> {
    let (sender, receiver) = mpsc::channel(pace.buffers);
    tokio::task::spawn_blocking(move || {
        let input = Input { file, positional, offset, limit, block: pace.block };
        if let Err(error) = input.read_all(pace.buffers, &sender) {
            let _ = sender.blocking_send(Err(error));
        }
    });
    receiver
}

/// What the thread reads.
struct Input {
    file: File,
    /// At offsets, and not from where the file stands.
    positional: bool,
    /// The first byte that is wanted.
    offset: u64,
    /// How many are.
    limit: Option<u64>,
    block: usize,
}

impl Input {
    /// Reads until the end or the limit, or until nobody wants any more.
    fn read_all(mut self, count: usize, sender: &mpsc::Sender<io::Result<Block>>) -> io::Result<()> {
        if !self.positional {
            self.skip()?;
        }
        let (home, free) = std_mpsc::channel();
        for _ in 0..count {
            // Untouched until it is needed: a small file takes one.
            let _ = home.send(Vec::new());
        }
        let mut left = self.limit.unwrap_or(u64::MAX);
        while left > 0 {
            let Ok(mut memory) = free.recv() else { return Ok(()) };
            memory.resize(self.block, 0);
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.block);
            let filled = self.fill(&mut memory[..wanted])?;
            if filled == 0 {
                return Ok(());
            }
            let data = Bytes::from_owner(Piece { memory, filled, home: home.clone() });
            let length = u64::try_from(filled).unwrap_or(u64::MAX);
            if sender.blocking_send(Ok(Block { offset: self.offset, data })).is_err() {
                return Ok(());
            }
            self.offset += length;
            left -= length;
        }
        Ok(())
    }

    /// Fills the buffer as far as the input goes.
    fn fill(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < memory.len() {
            let read = if self.positional {
                let at = self.offset + u64::try_from(filled).unwrap_or(u64::MAX);
                self.file.read_at(&mut memory[filled..], at)
            } else {
                self.file.read(&mut memory[filled..])
            };
            match read {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Throws away what comes before the first byte that is wanted.
    fn skip(&mut self) -> io::Result<()> {
        let mut before = (&self.file).take(self.offset);
        io::copy(&mut before, &mut io::sink()).map(drop)
    }
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Failure {
    Failure::local(format!("{doing} {}", path.display()), error).at(End::Source)
}
