//! Our own port, and its runs: a receiver for each stripe.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, watch};

use super::listen;
use super::receiver::{Arrival, Feed, Receiver};
use crate::engine::{Engine, Failure, FailureKind, PortSettings, WriteRun};

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
    pub(super) fn read(&self, window: usize) -> Run {
        let (sender, arrivals) = mpsc::unbounded_channel();
        let (horizon, sight) = watch::channel(u64::MAX);
        let window = window.div_ceil(self.receivers.len().max(1)).max(1);
        let begin = |(source, receiver): (usize, &Arc<Receiver>)| {
            let permits = Arc::new(Semaphore::new(window));
            let (arrivals, horizon) = (sender.clone(), sight.clone());
            let feed = Feed { arrivals, permits: Arc::clone(&permits), horizon, source };
            Source { run: receiver.begin(feed), receiver: Arc::clone(receiver), permits }
        };
        let sources: Vec<_> = self.receivers.iter().enumerate().map(begin).collect();
        Run { open: sources.len(), sources, arrivals, horizon, ended: false }
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

/// One file's data on its way in. Dropping it before its end closes the connections.
#[derive(Debug)]
pub(super) struct Run {
    sources: Vec<Source>,
    /// Sources that have not ended.
    open: usize,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Where the connections stop for now.
    horizon: watch::Sender<u64>,
    ended: bool,
}

/// The horizon is moved in steps of this many bytes: each tells all connections.
const HORIZON_STEP: u64 = 1 << 20;

type Block = (u64, Bytes);

impl Run {
    pub(super) fn hold_from(&self, offset: u64) {
        self.horizon.send_if_modified(|horizon| {
            let moved = horizon.abs_diff(offset) >= HORIZON_STEP;
            if moved {
                *horizon = offset;
            }
            moved
        });
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Block>, Failure>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        loop {
            let arrival = std::task::ready!(self.arrivals.poll_recv(cx));
            if let Some(taken) = self.take(arrival) {
                return Poll::Ready(taken);
            }
        }
    }

    pub(super) fn try_next(&mut self) -> Option<Result<Option<Block>, Failure>> {
        if self.ended {
            return Some(Ok(None));
        }
        loop {
            let arrival = match self.arrivals.try_recv() {
                Ok(arrival) => Some(arrival),
                Err(mpsc::error::TryRecvError::Empty) => return None,
                Err(mpsc::error::TryRecvError::Disconnected) => None,
            };
            if let Some(taken) = self.take(arrival) {
                return Some(taken);
            }
        }
    }

    /// None where nothing follows from it for the reader: the end of one source of several.
    fn take(&mut self, arrival: Option<Arrival>) -> Option<Result<Option<Block>, Failure>> {
        Some(match arrival {
            Some(Arrival::Block { source, offset, data }) => {
                if let Some(source) = self.sources.get(source) {
                    source.permits.add_permits(1);
                }
                Ok(Some((offset, data)))
            }
            Some(Arrival::End(Ok(()))) => {
                self.open = self.open.saturating_sub(1);
                if self.open > 0 {
                    return None;
                }
                self.ended = true;
                Ok(None)
            }
            Some(Arrival::End(Err(failure))) => {
                self.cancel();
                self.ended = true;
                Err(failure)
            }
            None => {
                self.ended = true;
                Err(Failure::gone())
            }
        })
    }

    /// Ends what has not ended. Receivers whose part is over hear of a run that they do not know.
    fn cancel(&self) {
        for source in &self.sources {
            source.receiver.cancel(source.run);
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.ended {
            self.cancel();
        }
    }
}
