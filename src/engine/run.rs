//! A run: one file's data over a port, seen from outside the engine.
//!
//! Backpressure is credit: the engine keeps at most `window` blocks registered or waiting to be taken, and looks at how
//! many were taken each time it handles an event. Only when it had to stop does the consumer wake it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::arrivals::{Arrival, Arrivals, Block, Sources};
use super::command::{Command, Id};
use super::failure::{Failure, FailureKind};
use super::thread::Engine;

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
    pub(super) source: usize,
}

/// One port's part of a read run.
#[derive(Debug)]
struct Source {
    port: Id,
    shared: Arc<ReadShared>,
}

/// The ports of a run.
#[derive(Debug)]
struct Ports {
    engine: Engine,
    run: Id,
    sources: Vec<Source>,
}

impl Sources for Ports {
    fn count(&self) -> usize {
        self.sources.len()
    }

    fn taken(&self, source: usize) {
        let Some(Source { port, shared }) = self.sources.get(source) else { return };
        shared.taken.fetch_add(1, Ordering::SeqCst);
        if shared.waiting() <= shared.window / 2
            && shared.starved.load(Ordering::SeqCst)
            && shared.starved.swap(false, Ordering::SeqCst)
        {
            self.engine.push(Command::Rearm { port: *port });
        }
    }

    fn cancel(&self) {
        for source in &self.sources {
            self.engine.push(Command::Cancel { port: source.port, run: self.run });
        }
    }
}

/// One file's data on its way in, by one port or, from a striped server, by several. Dropping it before its end closes the
/// ports' connections.
#[derive(Debug)]
pub(crate) struct ReadRun(Arrivals<Ports>);

impl ReadRun {
    /// Begins on every port at once; the run ends with the last of them, or with the first failure.
    pub(super) fn start(engine: &Engine, ports: &[Id], window: usize) -> Self {
        let run = engine.next_id();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let begin = |(source, &port)| {
            let shared = Arc::new(ReadShared {
                window: window.div_ceil(ports.len()).max(1),
                delivered: AtomicUsize::new(0),
                taken: AtomicUsize::new(0),
                starved: AtomicBool::new(false),
            });
            let feed = ReadFeed { shared: Arc::clone(&shared), arrivals: sender.clone(), source };
            engine.push(Command::Read { port, run, feed });
            Source { port, shared }
        };
        let sources = ports.iter().enumerate().map(begin).collect();
        Self(Arrivals::new(Ports { engine: engine.clone(), run, sources }, arrivals))
    }

    /// The next block, as `(offset, data)`: any order in extended block mode. `None` after the last one.
    ///
    /// In stream mode offsets count from zero. Cancel safe: a block is either returned or still there.
    #[cfg(test)]
    pub(crate) async fn next(&mut self) -> Result<Option<Block>, Failure> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`Self::next`] for hand-written futures.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Block>, Failure>> {
        if !self.0.is_over() {
            super::fork::check_engine()?;
        }
        self.0.poll_next(cx)
    }

    /// What has arrived already, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Result<Option<Block>, Failure>> {
        self.0.try_next()
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
    pub(super) shared: Served,
    pub(super) end: oneshot::Sender<Result<(), Failure>>,
}

/// What the engine has of a run. Without it nothing moves any more, whatever the reason: whoever waits for room, or for a
/// failure, is told.
#[derive(Debug)]
pub(super) struct Served {
    shared: Arc<WriteShared>,
    /// The run has ended as it should.
    ended: bool,
}

impl Served {
    pub(super) fn ended(&mut self) {
        self.ended = true;
    }
}

impl std::ops::Deref for Served {
    type Target = WriteShared;

    fn deref(&self) -> &WriteShared {
        &self.shared
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.ended {
            self.permits.close();
        }
    }
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
    /// A run on a port that there is not: whatever is done with it fails.
    pub(crate) fn nowhere(engine: &Engine) -> Self {
        Self::start(engine, engine.next_id(), 1)
    }

    pub(super) fn start(engine: &Engine, port: Id, window: usize) -> Self {
        let run = engine.next_id();
        let shared = Arc::new(WriteShared {
            permits: Semaphore::new(window.max(1)),
            failure: OnceLock::new(),
            written: AtomicU64::new(0),
        });
        let (sender, end) = oneshot::channel();
        let feed = WriteFeed { shared: Served { shared: Arc::clone(&shared), ended: false }, end: sender };
        engine.push(Command::Write { port, run, feed });
        Self { engine: engine.clone(), port, run, shared, end, finishing: false, ended: false }
    }

    /// Waits until the window has room for one more block.
    ///
    /// Cancel safe: nothing is taken.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        super::fork::check_engine()?;
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
        super::fork::check_engine()?;
        let late = self.finishing;
        #[cfg(test)]
        let late = late && !crate::hooks::without("K8");
        if late {
            // C would take it in stream mode, say that all is well, and send nothing (§3.4).
            return Err(Failure::new(FailureKind::Other, "data was posted behind the end of the data"));
        }
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
        super::fork::check_engine()?;
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
