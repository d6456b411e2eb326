//! Where blocks come from.
//!
//! A source knows how many bytes it has announced, gives blocks until they are all there, and takes part in the check at
//! the end. Never here: where the blocks go.

mod local;

use gridftp::{Block, Client, Error, Get, Reader, Url};

use crate::args::{Part, Settings};
use crate::failure::{End, Failure};
use crate::location::Location;

pub(crate) use local::BLOCK_BYTES;
use local::LocalSource;

/// Bytes of the blocks that the library receives.
const RECEIVED_BLOCK: usize = 256 * 1024;

/// Blocks on their way from a server, at most.
const MAX_WINDOW: usize = 128;

/// One of the kinds of sources, open.
#[derive(Debug)]
pub(crate) enum Source {
    /// Blocks as they arrive.
    Remote {
        get: Box<Get>,
        announced: Option<u64>,
        received: u64,
    },
    /// Blocks in order.
    RemoteInOrder {
        reader: Box<Reader>,
        announced: Option<u64>,
        received: u64,
        base: u64,
    },
    Local(LocalSource),
}

impl Source {
    /// Opens it: the server has accepted, or the file is open.
    pub(crate) async fn open(client: &Client, settings: &Settings, in_order: bool) -> Result<Self, Failure> {
        let url = match &settings.source {
            Location::Remote(url) => url,
            Location::Local(path) => {
                let (path, part, block) = (path.clone(), settings.part, settings.block_bytes);
                // A pipe is open only when somebody writes to it.
                let opening = tokio::task::spawn_blocking(move || LocalSource::open(&path, part, block));
                let source = opening.await.unwrap_or_else(|_| Err(Failure::interrupted()))?;
                return Ok(Self::Local(source));
            }
            Location::Stdio => {
                return LocalSource::stdin(settings.part, settings.block_bytes).map(Self::Local);
            }
        };
        let get = Self::ask(client, url, settings).await.map_err(failed)?;
        let announced = get.size().map(|size| rest(size, settings.part));
        Ok(if in_order {
            Self::RemoteInOrder {
                reader: Box::new(get.into_reader()),
                announced,
                received: 0,
                base: settings.part.offset,
            }
        } else {
            Self::Remote { get: Box::new(get), announced, received: 0 }
        })
    }

    async fn ask(client: &Client, url: &Url, settings: &Settings) -> Result<Get, Error> {
        let mut builder = client
            .get(url)
            .mode(settings.mode)
            .parallelism(settings.parallelism)
            .dcau(settings.dcau.clone())
            .protection(settings.protection);
        if let Some(bytes) = settings.tcp_buffer {
            builder = builder.tcp_buffer(bytes);
        }
        if let Some(bytes) = settings.block_bytes {
            builder = builder.window((bytes * 8 / RECEIVED_BLOCK).clamp(2, MAX_WINDOW));
        }
        let Part { offset, length, .. } = settings.part;
        builder = match length {
            _ if !settings.part.partial => builder,
            Some(length) => builder.range(offset..offset.saturating_add(length)),
            None => builder.range(offset..),
        };
        builder.await
    }

    /// The bytes that are to come, where that is known.
    pub(crate) fn announced(&self) -> Option<u64> {
        match self {
            Self::Remote { announced, .. } | Self::RemoteInOrder { announced, .. } => *announced,
            Self::Local(source) => source.announced(),
        }
    }

    /// The next block; none when all have come, and have been found to be as many as were announced.
    pub(crate) async fn next(&mut self) -> Result<Option<Block>, Failure> {
        match self {
            Self::Local(source) => source.next().await,
            Self::Remote { get, announced, received } => match get.next_block().await.map_err(failed)? {
                Some(block) => {
                    *received += length(&block);
                    Ok(Some(block))
                }
                None => complete(*announced, *received),
            },
            Self::RemoteInOrder { reader, announced, received, base } => {
                match reader.next_chunk().await.map_err(failed)? {
                    Some(data) => {
                        let block = Block { offset: *base + *received, data };
                        *received += length(&block);
                        Ok(Some(block))
                    }
                    None => complete(*announced, *received),
                }
            }
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

fn complete(announced: Option<u64>, received: u64) -> Result<Option<Block>, Failure> {
    match announced {
        Some(announced) if announced != received => {
            Err(Failure::integrity(format!("{announced} bytes were announced and {received} came"))
                .at(End::Source))
        }
        _ => Ok(None),
    }
}

fn failed(error: Error) -> Failure {
    Failure::remote(End::Source, error)
}
