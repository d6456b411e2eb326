//! Reading files ahead of those who send them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc as std_mpsc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Facts, check_regular, facts_of};
use crate::data::Block;
use crate::error::{Error, ErrorKind, Phase, Result, Side};

/// How much is read at once, for those who have few blocks on their way, and for those who have many.
const LARGE: usize = 1 << 20;
const SMALL: usize = 256 << 10;

/// What are few.
const FEW: usize = 8;

/// Buffers of a reader that are ahead of those who send.
const AHEAD: usize = 4;

/// A whole file, and what it is. Blocks.
pub(in crate::transfer) fn read_small(path: &Path) -> Result<(Bytes, Facts)> {
    let failed = |doing, error| Error::local(doing, path, error, Side::Source);
    let file = File::open(path).map_err(|error| failed("cannot open", error))?;
    let facts = facts_of(&file.metadata().map_err(|error| failed("cannot look at", error))?);
    check_regular(path, &facts)?;
    let size = usize::try_from(facts.size).unwrap_or(usize::MAX);
    let mut contents = vec![0; size.min(64 << 20)];
    let filled = fill(&file, &mut contents, 0).map_err(|error| failed("cannot read", error))?;
    let after = facts_of(&file.metadata().map_err(|error| failed("cannot look at", error))?);
    if filled != size || (after.size, after.modified) != (facts.size, facts.modified) {
        return Err(changed(path));
    }
    Ok((contents.into(), facts))
}

fn changed(path: &Path) -> Error {
    use std::os::unix::ffi::OsStrExt as _;
    let shown = crate::error::Escaped(path.as_os_str().as_bytes()).to_string();
    Error::new(ErrorKind::Truncated, Phase::LocalFile, format!("{shown} changed while it was read"))
        .with_side(Side::Source)
}

/// Fills a buffer from a place in a file on, as far as the file goes.
fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], at + u64::try_from(filled).unwrap_or(u64::MAX)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A part of a file, read ahead by a thread.
#[derive(Debug)]
pub(in crate::transfer) struct Reader(mpsc::Receiver<Result<Block>>);

impl Reader {
    /// Begins to read. The file has that size: one that is shorter by now is an error. So many blocks may be on their way.
    pub(in crate::transfer) fn open(path: PathBuf, range: Range<u64>, size: u64, window: usize) -> Self {
        let (block, buffers) = (if window <= FEW { LARGE } else { SMALL }, window + AHEAD);
        let (sender, receiver) = mpsc::channel(buffers);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(&path, range, size, (block, buffers), &sender) {
                // Nobody may want it any more.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Self(receiver)
    }

    pub(in crate::transfer) async fn next(&mut self) -> Result<Option<Block>> {
        self.0.recv().await.transpose()
    }
}

/// A buffer on its way: it comes back when the last part of it is dropped, on whatever thread that is.
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

fn read(
    path: &Path,
    range: Range<u64>,
    size: u64,
    (block, buffers): (usize, usize),
    sender: &mpsc::Sender<Result<Block>>,
) -> Result<()> {
    let failed = |doing, error| Error::local(doing, path, error, Side::Source);
    let file = File::open(path).map_err(|error| failed("cannot open", error))?;
    let (home, free) = std_mpsc::channel();
    for _ in 0..buffers {
        // Untouched until it is needed.
        let _ = home.send(Vec::new());
    }
    let mut at = range.start;
    let end = range.end.min(size);
    while at < end {
        let Ok(mut memory) = free.recv() else { return Ok(()) };
        memory.resize(block, 0);
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(block);
        let filled = fill(&file, &mut memory[..wanted], at).map_err(|error| failed("cannot read", error))?;
        if filled < wanted {
            return Err(changed(path));
        }
        let data = Bytes::from_owner(Piece { memory, filled, home: home.clone() });
        if sender.blocking_send(Ok(Block { offset: at, data })).is_err() {
            return Ok(());
        }
        at += u64::try_from(filled).unwrap_or(u64::MAX);
    }
    Ok(())
}
