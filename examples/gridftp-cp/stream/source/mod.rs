//! Where blocks come from.
//!
//! A source knows how many bytes it has announced, gives blocks until they are all there, and takes part in the check at
//! the end. Never here: where the blocks go.

mod in_order;
mod local;
mod remote;

use std::sync::Arc;

use gridftp::{Block, Client};

use crate::failure::Failure;
use crate::location::Location;
use crate::stream::{Order, Part};

use local::{LocalSource, Pace};
use remote::RemoteSource;

/// One of the kinds of sources, open.
#[derive(Debug)]
pub(crate) enum Source {
    Remote(RemoteSource),
    Local(LocalSource),
}

impl Source {
    /// Opens it: the server has accepted, or the file is open.
    pub(crate) async fn open(client: &Client, order: &Arc<Order>, in_order: bool) -> Result<Self, Failure> {
        match &order.source {
            Location::Remote(url) => RemoteSource::open(client, url, order, in_order).await.map(Self::Remote),
            Location::Local(path) => {
                let (path, part, pace) = (path.clone(), order.part, Pace::of(order));
                // A pipe is open only when somebody writes to it.
                let opening = tokio::task::spawn_blocking(move || LocalSource::open(&path, part, pace));
                opening.await.unwrap_or_else(|_| Err(Failure::interrupted())).map(Self::Local)
            }
            Location::Stdio => LocalSource::stdin(order.part, Pace::of(order)).map(Self::Local),
        }
    }

    /// The bytes that are to come, where that is known.
    pub(crate) fn announced(&self) -> Option<u64> {
        match self {
            Self::Remote(source) => source.announced(),
            Self::Local(source) => source.announced(),
        }
    }

    /// The next block; none when all have come, and have been found to be as many as were announced.
    pub(crate) async fn next(&mut self) -> Result<Option<Block>, Failure> {
        match self {
            Self::Remote(source) => source.next().await,
            Self::Local(source) => source.next().await,
        }
    }
}

/// What a part of a file of this size amounts to.
fn rest(size: u64, part: Part) -> u64 {
    let rest = size.saturating_sub(part.offset);
    part.length.map_or(rest, |length| length.min(rest))
}

pub(crate) fn length(block: &Block) -> u64 {
    u64::try_from(block.data.len()).unwrap_or(u64::MAX)
}
