//! Our own port, and its runs: a receiver for each stripe.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{Semaphore, mpsc, watch};

use super::listen;
use super::receiver::{Feed, Receiver};
use crate::engine::{Arrivals, Block, Engine, Failure, FailureKind, PortSettings, Sources, WriteRun, fork};

/// A port that receives blocks from a peer that was not authenticated.
#[derive(Debug)]
pub(super) struct Port {
    engine: Engine,
    settings: PortSettings,
    /// One a stripe: each has a sender of its own, with ends of its own to count.
    pub(super) receivers: Vec<Arc<Receiver>>,
}

impl Port {
    pub(super) fn new(engine: &Engine, settings: PortSettings) -> Self {
        Self { engine: engine.clone(), settings, receivers: Vec::new() }
    }

    pub(super) fn listen_all(&mut self, on: IpAddr, stripes: usize) -> Result<Vec<SocketAddr>, Failure> {
        if !self.receivers.is_empty() {
            return Err(Failure::new(FailureKind::Other, "a data port is aimed once"));
        }
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Failure::new(FailureKind::Other, "data connections need a tokio runtime"));
        }
        let mut addresses = Vec::new();
        for _ in 0..stripes {
            let listener = listen::listen(on, self.settings.tcp_buffer_bytes)?;
            addresses.push(
                listener.local_addr().map_err(|error| listen::failure(&error, "a socket has no address"))?,
            );
            self.receivers.push(Receiver::start(&self.engine, &self.settings, listener));
        }
        Ok(addresses)
    }

    /// Begins at every stripe at once; the run ends with the last of them, or with the first failure.
    pub(super) fn read(&self, window: usize, as_it_comes: bool) -> Run {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let (horizon, sight) = watch::channel(u64::MAX);
        let window = window.div_ceil(self.receivers.len().max(1)).max(1);
        let begin = |(source, receiver): (usize, &Arc<Receiver>)| {
            let permits = Arc::new(Semaphore::new(window));
            let (arrivals, horizon) = (sender.clone(), sight.clone());
            let feed = Feed { arrivals, permits: Arc::clone(&permits), horizon, source, as_it_comes };
            Source { run: receiver.begin(feed), receiver: Arc::clone(receiver), permits }
        };
        let sources = self.receivers.iter().enumerate().map(begin).collect();
        Run { arrivals: Arrivals::new(Stripes(sources), arrivals), horizon: Some(horizon) }
    }

    /// Why one of the receivers has ended, if one has.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.receivers.iter().try_for_each(|receiver| receiver.check())
    }

    /// Whether anybody has ever connected to one of the receivers.
    pub(super) fn is_reached(&self) -> bool {
        self.receivers.iter().any(|receiver| receiver.is_reached())
    }

    /// Nothing can be sent here.
    pub(super) fn write(&self) -> WriteRun {
        WriteRun::nowhere(&self.engine)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        for receiver in &self.receivers {
            receiver.fail(Failure::new(FailureKind::Closed, "the data port was closed"));
        }
    }
}

/// One stripe's part of a run.
#[derive(Debug)]
struct Source {
    receiver: Arc<Receiver>,
    run: u64,
    permits: Arc<Semaphore>,
}

/// The stripes of a run.
#[derive(Debug)]
struct Stripes(Vec<Source>);

impl Sources for Stripes {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn taken(&self, source: usize) {
        if let Some(source) = self.0.get(source) {
            source.permits.add_permits(1);
        }
    }

    fn cancel(&self) {
        for source in &self.0 {
            source.receiver.cancel(source.run);
        }
    }
}

/// One file's data on its way in. Dropping it before its end closes the connections.
#[derive(Debug)]
pub(super) struct Run {
    arrivals: Arrivals<Stripes>,
    /// Where the connections stop for now. Only empty while this is dropped.
    horizon: Option<watch::Sender<u64>>,
}

/// The horizon is moved in steps of this many bytes: each tells all connections.
const HORIZON_STEP: u64 = 1 << 20;

impl Run {
    pub(super) fn hold_from(&self, offset: u64) {
        let Some(horizon) = &self.horizon else { return };
        horizon.send_if_modified(|horizon| {
            let moved = horizon.abs_diff(offset) >= HORIZON_STEP;
            if moved {
                *horizon = offset;
            }
            moved
        });
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Block>, Failure>> {
        self.arrivals.poll_next(cx)
    }

    pub(super) fn try_next(&mut self) -> Option<Result<Option<Block>, Failure>> {
        self.arrivals.try_next()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if fork::is_child()
            && let Some(horizon) = self.horizon.take()
        {
            // Its end is told to tasks that are the parent's.
            fork::keep(Box::new(horizon));
        }
    }
}
