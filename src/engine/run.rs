//! A run: one file's data over a port, seen from outside the engine.
//!
//! Backpressure is credit: the engine keeps at most `window` blocks registered or waiting to be taken, and looks at how
//! many were taken each time it handles an event. Only when it had to stop does the consumer wake it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::command::{Command, Id};
use super::failure::Failure;
use super::thread::Engine;

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Arrival {
    Block { offset: u64, data: Bytes },
    End(Result<(), Failure>),
}

#[derive(Debug)]
pub(super) struct ReadShared {
    pub(super) window: usize,
    pub(super) delivered: AtomicUsize,
    pub(super) taken: AtomicUsize,
    pub(super) starved: AtomicBool,
}

impl ReadShared {
    /// Blocks delivered and not taken yet.
    pub(super) fn waiting(&self) -> usize {
        self.delivered.load(Ordering::SeqCst).wrapping_sub(self.taken.load(Ordering::SeqCst))
    }
}

/// The engine's half of a read run.
#[derive(Debug)]
pub(super) struct ReadFeed {
    pub(super) shared: Arc<ReadShared>,
    pub(super) arrivals: mpsc::UnboundedSender<Arrival>,
}

/// One file's data on its way in. Dropping it before its end closes the port's connections.
#[derive(Debug)]
pub(crate) struct ReadRun {
    engine: Engine,
    port: Id,
    run: Id,
    shared: Arc<ReadShared>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    ended: bool,
}

impl ReadRun {
    pub(super) fn start(engine: &Engine, port: Id, window: usize) -> Self {
        let run = engine.next_id();
        let shared = Arc::new(ReadShared {
            window: window.max(1),
            delivered: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
        });
        let (sender, arrivals) = mpsc::unbounded_channel();
        let feed = ReadFeed { shared: Arc::clone(&shared), arrivals: sender };
        engine.push(Command::Read { port, run, feed });
        Self { engine: engine.clone(), port, run, shared, arrivals, ended: false }
    }

    /// The next block, as `(offset, data)`: any order in extended block mode. `None` after the last one.
    ///
    /// In stream mode offsets count from zero. Cancel safe: a block is either returned or still there.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Bytes)>, Failure> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Self::next`] for hand-written futures.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<(u64, Bytes)>, Failure>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        self.arrivals.poll_recv(cx).map(|arrival| self.take(arrival))
    }

    /// What has arrived already, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Result<Option<(u64, Bytes)>, Failure>> {
        if self.ended {
            return Some(Ok(None));
        }
        match self.arrivals.try_recv() {
            Ok(arrival) => Some(self.take(Some(arrival))),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(self.take(None)),
        }
    }

    fn take(&mut self, arrival: Option<Arrival>) -> Result<Option<(u64, Bytes)>, Failure> {
        match arrival {
            Some(Arrival::Block { offset, data }) => {
                self.shared.taken.fetch_add(1, Ordering::SeqCst);
                if self.shared.waiting() <= self.shared.window / 2
                    && self.shared.starved.load(Ordering::SeqCst)
                    && self.shared.starved.swap(false, Ordering::SeqCst)
                {
                    self.engine.push(Command::Rearm { port: self.port });
                }
                Ok(Some((offset, data)))
            }
            Some(Arrival::End(end)) => {
                self.ended = true;
                end.map(|()| None)
            }
            None => {
                self.ended = true;
                Err(Failure::gone())
            }
        }
    }
}

impl Drop for ReadRun {
    fn drop(&mut self) {
        if !self.ended {
            self.engine.push(Command::Cancel { port: self.port, run: self.run });
        }
    }
}

#[derive(Debug)]
pub(super) struct WriteShared {
    /// One permit a block: taken when a block is posted, given back when C has written it.
    pub(super) permits: Semaphore,
    pub(super) failure: OnceLock<Failure>,
    pub(super) written: AtomicU64,
}

/// The engine's half of a write run.
#[derive(Debug)]
pub(super) struct WriteFeed {
    pub(super) shared: Arc<WriteShared>,
    pub(super) end: oneshot::Sender<Result<(), Failure>>,
}

/// One file's data on its way out. Dropping it before its end closes the port's connections.
#[derive(Debug)]
pub(crate) struct WriteRun {
    engine: Engine,
    port: Id,
    run: Id,
    shared: Arc<WriteShared>,
    end: oneshot::Receiver<Result<(), Failure>>,
    finishing: bool,
    ended: bool,
}

impl WriteRun {
    pub(super) fn start(engine: &Engine, port: Id, window: usize) -> Self {
        let run = engine.next_id();
        let shared = Arc::new(WriteShared {
            permits: Semaphore::new(window.max(1)),
            failure: OnceLock::new(),
            written: AtomicU64::new(0),
        });
        let (sender, end) = oneshot::channel();
        let feed = WriteFeed { shared: Arc::clone(&shared), end: sender };
        engine.push(Command::Write { port, run, feed });
        Self { engine: engine.clone(), port, run, shared, end, finishing: false, ended: false }
    }

    /// Waits until the window has room for one more block.
    ///
    /// Cancel safe: nothing is taken.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        match self.shared.permits.acquire().await {
            // The permit goes back at once; `post` takes it. Only the run's one owner takes permits, so it is still there.
            Ok(_permit) => Ok(()),
            Err(_closed) => Err(self.failure()),
        }
    }

    /// Posts one block without waiting; false when the window is full (see [`Self::ready`]).
    ///
    /// In stream mode blocks go out in the order of posting and `offset` means nothing.
    pub(crate) fn post(&mut self, offset: u64, data: Bytes) -> Result<bool, Failure> {
        match self.shared.permits.try_acquire() {
            Ok(permit) => {
                permit.forget();
                self.engine.push(Command::Data { port: self.port, run: self.run, data, offset });
                Ok(true)
            }
            Err(tokio::sync::TryAcquireError::NoPermits) => Ok(false),
            Err(tokio::sync::TryAcquireError::Closed) => Err(self.failure()),
        }
    }

    /// Bytes that C has handed to the network so far.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// Sends the end of the data and waits until it is on the wire; the server's word comes on the control channel.
    ///
    /// Cancel safe: may be called again.
    pub(crate) async fn finish(&mut self) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        if !self.finishing {
            self.finishing = true;
            self.engine.push(Command::Finish { port: self.port, run: self.run });
        }
        let end = (&mut self.end).await.unwrap_or_else(|_gone| Err(Failure::gone()));
        self.ended = true;
        end
    }

    /// Ends when the run has failed; never while it is well. Cancel safe.
    pub(crate) async fn failed(&self) -> Failure {
        // Only a failure closes the semaphore, and more permits than there can be are only had by its close.
        let _ = self.shared.permits.acquire_many(u32::MAX >> 4).await;
        self.failure()
    }

    /// Takes the run back before anything was posted; the connections stay for the next one.
    pub(crate) fn withdraw(mut self) {
        self.ended = true;
        self.engine.push(Command::Withdraw { port: self.port, run: self.run });
    }

    fn failure(&self) -> Failure {
        self.shared.failure.get().cloned().unwrap_or_else(Failure::gone)
    }
}

impl Drop for WriteRun {
    fn drop(&mut self) {
        if !self.ended {
            self.engine.push(Command::Cancel { port: self.port, run: self.run });
        }
    }
}
