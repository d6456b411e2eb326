//! Writing off the async thread, so that receiving and writing overlap.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use gridftp::Block;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Blocks that wait for a writer, at most. With those in the window of the transfer they are the memory that a copy takes.
const WAITING: usize = 8;

/// Threads that write to one file. One keeps up with a server on the same machine as long as nothing disturbs it.
const WRITERS: usize = 2;

/// How the blocks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Each at its offset, several at once.
    Anywhere,
    /// One after the other, as they come.
    InOrder,
}

/// The threads that write to one file, and the queue in front of them.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Block>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

type Queue = Arc<Mutex<mpsc::Receiver<Block>>>;

impl Writer {
    pub(super) fn start(file: &Arc<File>, how: How) -> Self {
        let (queue, blocks) = mpsc::channel(WAITING);
        let blocks: Queue = Arc::new(Mutex::new(blocks));
        let count = if how == How::Anywhere { WRITERS } else { 1 };
        let threads = (0..count)
            .map(|_| {
                let (file, blocks) = (Arc::clone(file), Arc::clone(&blocks));
                tokio::task::spawn_blocking(move || {
                    let result = serve(&file, how, &blocks);
                    if result.is_err() {
                        // The others need not go on, and whoever sends has to hear of it.
                        lock(&blocks).close();
                    }
                    result
                })
            })
            .collect();
        Self { queue, threads }
    }

    /// Hands a block over; false when writing has failed: [`Self::finish`] tells why.
    pub(super) async fn write(&self, block: Block) -> bool {
        self.queue.send(block).await.is_ok()
    }

    /// Waits until everything is written.
    pub(super) async fn finish(self) -> io::Result<()> {
        drop(self.queue);
        let mut result = Ok(());
        for thread in self.threads {
            let one = thread
                .await
                .unwrap_or_else(|_| Err(io::Error::other("a writing thread ended before its time")));
            result = result.and(one);
        }
        result
    }
}

fn serve(file: &File, how: How, blocks: &Queue) -> io::Result<()> {
    loop {
        // Whoever holds the lock waits for the next block on behalf of all.
        let block = lock(blocks).blocking_recv();
        let Some(Block { offset, data }) = block else { return Ok(()) };
        match how {
            How::Anywhere => file.write_all_at(&data, offset)?,
            How::InOrder => (&mut &*file).write_all(&data)?,
        }
    }
}

fn lock(blocks: &Queue) -> std::sync::MutexGuard<'_, mpsc::Receiver<Block>> {
    blocks.lock().unwrap_or_else(PoisonError::into_inner)
}
