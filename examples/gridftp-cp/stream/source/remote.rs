//! A file at a server.

use std::sync::Arc;

use gridftp::options::TransferMode;
use gridftp::{Block, Client, Error, Get, Url};

use super::in_order::{InOrder, Next};
use crate::failure::{End, Failure};
use crate::stream::tuning;
use crate::stream::{Order, Part};

/// A file at a server that is being fetched.
#[derive(Debug)]
pub(crate) struct RemoteSource {
    client: Client,
    url: Url,
    order: Arc<Order>,
    flow: Flow,
    /// The whole file's size.
    size: Option<u64>,
    announced: Option<u64>,
    received: u64,
}

#[derive(Debug)]
enum Flow {
    /// As they arrive.
    AnyOrder(Box<Get>),
    InOrder(InOrder),
}

impl RemoteSource {
    /// Asks for the file; returns when the server sends it.
    pub(super) async fn open(
        client: &Client,
        url: &Url,
        order: &Arc<Order>,
        in_order: bool,
    ) -> Result<Self, Failure> {
        let get = ask(client, url, order, order.part, Streams::AsWanted).await?;
        // Text has another size on its way than at either end; a program or a module sends what it likes.
        let tells =
            !order.channels.ascii && order.channels.source.module.is_none() && !order.channels.source.program;
        let size = get.size().filter(|_| tells);
        let announced = size.map(|size| super::rest(size, order.part));
        let flow = if in_order {
            Flow::InOrder(InOrder::new(get, order.part.offset))
        } else {
            Flow::AnyOrder(Box::new(get))
        };
        Ok(Self {
            client: client.clone(),
            url: url.clone(),
            order: Arc::clone(order),
            flow,
            size,
            announced,
            received: 0,
        })
    }

    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }

    pub(super) async fn next(&mut self) -> Result<Option<Block>, Failure> {
        let next = match &mut self.flow {
            Flow::AnyOrder(get) => get.next_block().await.map_err(failed)?,
            Flow::InOrder(blocks) => match blocks.next().await? {
                Next::Block(block) => Some(block),
                Next::End => None,
                Next::TooFar(offset) => Some(self.ask_for_the_rest(offset).await?),
            },
        };
        match (&next, self.announced) {
            (Some(block), _) => self.received += super::length(block),
            (None, Some(announced)) if announced != self.received => {
                let message = format!("{announced} bytes were announced and {} came", self.received);
                return Err(Failure::integrity(message).at(End::Source));
            }
            (None, _) => {}
        }
        Ok(next)
    }

    /// Goes on from `offset` over one connection, whose bytes come in order. There are some: later ones have come already.
    async fn ask_for_the_rest(&mut self, offset: u64) -> Result<Block, Failure> {
        let Part { offset: begin, length, .. } = self.order.part;
        let length = length.map(|length| length.saturating_sub(offset - begin));
        let part = Part { offset, length, partial: true };
        let get = ask(&self.client, &self.url, &self.order, part, Streams::One).await?;
        if get.size() != self.size {
            let message = format!("the size of {} changed while it was read", self.url);
            return Err(Failure::integrity(message).at(End::Source));
        }
        let mut blocks = InOrder::new(get, offset);
        let next = blocks.next().await?;
        self.flow = Flow::InOrder(blocks);
        match next {
            Next::Block(block) => Ok(block),
            Next::End | Next::TooFar(_) => {
                Err(Failure::integrity(format!("the server did not send the bytes from {offset} on"))
                    .at(End::Source))
            }
        }
    }
}

/// Over how many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Streams {
    AsWanted,
    One,
}

async fn ask(
    client: &Client,
    url: &Url,
    order: &Order,
    part: Part,
    streams: Streams,
) -> Result<Get, Failure> {
    let (mode, parallelism) = match streams {
        Streams::AsWanted => (order.channels.mode, order.channels.parallelism),
        Streams::One => (TransferMode::Stream, 1),
    };
    let get = order.channels.get(client.get(url)).mode(mode).parallelism(parallelism);
    let mut builder = get.window(tuning::receive_window(order));
    if part.partial {
        let Part { offset, length, .. } = part;
        builder = match length {
            Some(length) => builder.range(offset..offset.saturating_add(length)),
            None => builder.range(offset..),
        };
    }
    builder.await.map_err(failed)
}

fn failed(error: Error) -> Failure {
    Failure::remote(End::Source, error)
}
