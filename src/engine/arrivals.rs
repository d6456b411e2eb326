//! What arrives of one run, from one source or several, seen by its reader. The same for ports of C and for receivers that are
//! our own.

use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::failure::Failure;

/// What a reader gets.
#[derive(Debug)]
pub(crate) enum Arrival {
    Block {
        /// Which of the run's sources it came by.
        source: usize,
        offset: u64,
        data: Bytes,
    },
    /// The end of one source.
    End(Result<(), Failure>),
}

/// A block, as `(offset, data)`.
pub(crate) type Block = (u64, Bytes);

/// Where a run's data comes from.
pub(crate) trait Sources {
    /// How many there are.
    fn count(&self) -> usize;

    /// The reader has taken a block of this source, which may bring another one.
    fn taken(&self, source: usize);

    /// Ends what has not ended. Sources whose part is over hear of a run that they do not know.
    fn cancel(&self);
}

/// One run's data on its way in. Dropping it before its end cancels its sources.
#[derive(Debug)]
pub(crate) struct Arrivals<S: Sources> {
    sources: S,
    /// Sources that have not ended.
    open: usize,
    receiver: mpsc::UnboundedReceiver<Arrival>,
    ended: bool,
}

impl<S: Sources> Arrivals<S> {
    pub(crate) fn new(sources: S, receiver: mpsc::UnboundedReceiver<Arrival>) -> Self {
        Self { open: sources.count(), sources, receiver, ended: false }
    }

    /// Whether the end was taken, or the failure.
    pub(crate) fn is_over(&self) -> bool {
        self.ended
    }

    /// The next block; `None` after the last one. Cancel safe: a block is either returned or still there.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Block>, Failure>> {
        if self.ended {
            return Poll::Ready(Ok(None));
        }
        loop {
            let arrival = std::task::ready!(self.receiver.poll_recv(cx));
            if let Some(taken) = self.take(arrival) {
                return Poll::Ready(taken);
            }
        }
    }

    /// What has arrived already, without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Result<Option<Block>, Failure>> {
        if self.ended {
            return Some(Ok(None));
        }
        loop {
            let arrival = match self.receiver.try_recv() {
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
                self.sources.taken(source);
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
                self.sources.cancel();
                self.ended = true;
                Err(failure)
            }
            None => {
                self.ended = true;
                Err(Failure::gone())
            }
        })
    }
}

impl<S: Sources> Drop for Arrivals<S> {
    fn drop(&mut self) {
        if !self.ended {
            self.sources.cancel();
        }
    }
}
