//! Where blocks go.
//!
//! A sink is opened once the source has begun to flow, takes blocks, and is then either finished (checked and given its
//! name) or discarded (nothing is left of it). Never here: what the blocks are for, and where they come from.

mod local;
mod remote;
mod temp;
mod writer;

use std::sync::Arc;

use gridftp::{Block, Client};

use crate::failure::Failure;
use crate::signals::Signals;
use crate::stream::Order;
use crate::stream::target::Target;

use local::LocalSink;
use remote::RemoteSink;

/// One of the kinds of destinations, open.
#[derive(Debug)]
pub(crate) enum Sink {
    Local(LocalSink),
    Remote(Box<RemoteSink>),
}

impl Sink {
    /// Opens it. `size` is the number of bytes to come, where that is known.
    pub(crate) async fn open(
        target: Target,
        client: &Client,
        order: &Arc<Order>,
        size: Option<u64>,
        signals: &Signals,
    ) -> Result<Self, Failure> {
        match target {
            Target::Remote(target) => {
                let sink = RemoteSink::open(target, client, order, signals).await?;
                Ok(Self::Remote(Box::new(sink)))
            }
            Target::Local(target) => {
                let fsync = order.fsync;
                let opening = tokio::task::spawn_blocking(move || LocalSink::open(target, size, fsync));
                // A pipe is open only when somebody reads it, which may be never.
                let sink = signals
                    .until(async { opening.await.unwrap_or_else(|_| Err(Failure::interrupted())) })
                    .await?;
                Ok(Self::Local(sink))
            }
            Target::Stdout => LocalSink::stdout().map(Self::Local),
        }
    }

    pub(crate) async fn write(&mut self, block: Block) -> Result<(), Failure> {
        match self {
            Self::Local(sink) => sink.write(block).await,
            Self::Remote(sink) => sink.write(block).await,
        }
    }

    /// Ends the copy: everything is written, checked, and under its name when this returns. `bytes` is how many came.
    pub(crate) async fn finish(self, bytes: u64, signals: &Signals) -> Result<(), Failure> {
        match self {
            Self::Local(sink) => sink.finish(signals).await,
            Self::Remote(sink) => sink.finish(bytes, signals).await,
        }
    }

    /// Removes what was written; says what could not be removed.
    pub(crate) async fn discard(self) -> Result<(), String> {
        match self {
            Self::Local(sink) => sink.discard(),
            Self::Remote(sink) => sink.discard().await,
        }
    }
}
