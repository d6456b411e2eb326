//! Writing off the async thread, so that receiving and writing overlap.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, PoisonError};

use gridftp::Block;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinHandle;

/// Blocks that wait for a writer, at most. With those in the window of the transfer they are the memory that a copy takes.
const WAITING: usize = 4;

/// Threads that write to one file, at most.
const MAX_WRITERS: usize = 4;

/// How often the queue must have been found full before one more thread begins to write. One keeps up with most networks,
/// and what a second one gains on a fast file system it costs the others where there are few processors.
const PATIENCE: u32 = 32;

/// How the blocks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Each at its offset, several at once where one is too slow.
    Anywhere,
    /// One after the other, as they come.
    InOrder,
}

/// The threads that write to one file, and the queue in front of them.
#[derive(Debug)]
pub(super) struct Writer {
    file: Arc<File>,
    how: How,
    queue: mpsc::Sender<Block>,
    blocks: Queue,
    threads: Vec<JoinHandle<io::Result<()>>>,
    found_full: u32,
}

type Queue = Arc<Mutex<mpsc::Receiver<Block>>>;

impl Writer {
    /// Gets ready; a thread is started with the first block.
    pub(super) fn new(file: Arc<File>, how: How) -> Self {
        let (queue, blocks) = mpsc::channel(WAITING);
        Self { file, how, queue, blocks: Arc::new(Mutex::new(blocks)), threads: Vec::new(), found_full: 0 }
    }

    /// Hands a block over; false when writing has failed: [`Self::finish`] tells why.
    pub(super) async fn write(&mut self, block: Block) -> bool {
        if self.threads.is_empty() {
            self.start_one();
        }
        match self.queue.try_send(block) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(block)) => {
                self.found_full += 1;
                let may_grow = self.how == How::Anywhere && self.threads.len() < MAX_WRITERS;
                if may_grow && self.found_full >= PATIENCE {
                    self.found_full = 0;
                    self.start_one();
                }
                self.queue.send(block).await.is_ok()
            }
        }
    }

    fn start_one(&mut self) {
        let (file, how, blocks) = (Arc::clone(&self.file), self.how, Arc::clone(&self.blocks));
        self.threads.push(tokio::task::spawn_blocking(move || {
            let result = serve(&file, how, &blocks);
            if result.is_err() {
                // The others need not go on, and whoever sends has to hear of it.
                lock(&blocks).close();
            }
            result
        }));
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
