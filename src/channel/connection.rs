//! One data connection: headers and blocks, file after file.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::watch;

use super::listen::failure;
use super::receiver::{Feed, Receiver, Stage, violation};
use super::socket::Own;
use crate::engine::{Arrival, BLOCK_BYTES, Failure, FailureKind};
use crate::protocol::block::{HEADER_BYTES, Header};

/// Read at once where a header is expected: small files are whole in it, with their end.
const HEAD_BYTES: usize = 16 * 1024;

/// A connection, and what was read of it beyond what was asked for.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Own<OwnedReadHalf>,
    head: Head,
    /// The peer has closed its side.
    closed: bool,
    receiver: Arc<Receiver>,
    stage: watch::Receiver<Stage>,
    /// The last run that this connection has ended its part of; 0 before the first.
    served: u64,
    /// Bytes of the last block: behind a large one another is likely, and is not read into the head.
    last_count: u64,
}

/// What was read where a header was expected.
#[derive(Debug)]
struct Head {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Head {
    fn held(&self) -> &[u8] {
        self.memory.get(self.start..self.end).unwrap_or_default()
    }

    fn take(&mut self, most: usize) -> &[u8] {
        let start = self.start;
        self.start = self.end.min(start.saturating_add(most));
        self.memory.get(start..self.start).unwrap_or_default()
    }

    fn header(&self) -> Option<[u8; HEADER_BYTES]> {
        self.held().first_chunk().copied()
    }

    /// Room for more of a header, or of what is behind it.
    fn room(&mut self, most: usize) -> &mut [u8] {
        if self.start > 0 {
            self.memory.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let until = self.memory.len().min(self.end.saturating_add(most));
        self.memory.get_mut(self.end..until).unwrap_or_default()
    }
}

impl Connection {
    pub(super) fn new(stream: OwnedReadHalf, receiver: Arc<Receiver>, stage: watch::Receiver<Stage>) -> Self {
        let head = Head { memory: vec![0; HEAD_BYTES].into_boxed_slice(), start: 0, end: 0 };
        Self { stream: Own::new(stream), head, closed: false, receiver, stage, served: 0, last_count: 0 }
    }

    /// Serves one run after another, until the connection ends.
    pub(super) async fn serve(mut self) {
        while let Some((run, feed)) = self.next_run().await {
            match self.serve_run(run, &feed).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(failure) => return self.receiver.fail(failure),
            }
        }
    }

    /// Waits for a run that this connection has not ended yet. None at the end of the port, or when the peer closed.
    async fn next_run(&mut self) -> Option<(u64, Feed)> {
        loop {
            let stage = *self.stage.borrow_and_update();
            match stage {
                Stage::Over => return None,
                Stage::Run(run) if run != self.served => {
                    if let Some(feed) = self.receiver.feed(run) {
                        return Some((run, feed));
                    }
                    // It has just ended, and the stage with it.
                    continue;
                }
                Stage::Run(_) | Stage::Waiting => {}
            }
            if self.head.held().is_empty() {
                // Between files only a connection's end means anything; what comes besides waits.
                tokio::select! {
                    biased;
                    _ = self.stage.changed() => {}
                    read = fill(&mut self.stream, &mut self.head, HEADER_BYTES) => match read {
                        Ok(0) => return None,
                        Ok(_) => {}
                        // A reset throws away what was not read yet, which may be files that the server has done with: the
                        // next one's bytes, over another connection, must not be taken for theirs.
                        Err(error) => {
                            self.receiver.fail(failure(&error, "a data connection broke"));
                            return None;
                        }
                    },
                }
            } else if self.served > 0 && self.head.header().is_some_and(says_farewell) {
                return None;
            } else {
                // Its receiver lives as long as this connection, so there is a change to come.
                let _ = self.stage.changed().await;
            }
        }
    }

    /// Takes this connection's part of a run. False when the connection is over.
    async fn serve_run(&mut self, run: u64, feed: &Feed) -> Result<bool, Failure> {
        let mut midway = false;
        loop {
            let Some(bytes) = self.header(run, midway).await? else { return Ok(!self.closed) };
            let header = Header::parse(bytes).map_err(|what| violation(format!("the server sent {what}")))?;
            if !midway && self.served > 0 && is_farewell(&header) {
                // The farewell of a connection that has no part in this file.
                return Ok(false);
            }
            if !midway {
                if !self.receiver.joined(run) {
                    // The run ended over other connections while this one was being read: a file that is not this one's.
                    return Ok(true);
                }
                midway = true;
            }
            self.head.take(HEADER_BYTES);
            self.receiver.announced(&header)?;
            self.block(&header, feed).await?;
            if header.end_of_data {
                self.served = run;
                self.receiver.ended()?;
                return Ok(!header.close);
            }
            if header.close {
                return Err(violation("the server closed a data connection without an end of data"));
            }
        }
    }

    /// The next header of a run, which stays in the head. None when the run, or the connection, ended without this one having
    /// a part in it.
    async fn header(&mut self, run: u64, midway: bool) -> Result<Option<[u8; HEADER_BYTES]>, Failure> {
        loop {
            if let Some(bytes) = self.head.header() {
                return Ok(Some(bytes));
            }
            let large = self.last_count > u64::try_from(HEAD_BYTES).unwrap_or(u64::MAX);
            let missing = HEADER_BYTES - self.head.held().len();
            tokio::select! {
                biased;
                read = fill(&mut self.stream, &mut self.head, if large { missing } else { HEAD_BYTES }) => {
                    // One that was kept may end between files, and its end may be seen a little late.
                    let unused = !midway && self.served > 0 && self.head.held().is_empty();
                    match read {
                        Ok(0) if unused => {
                            self.closed = true;
                            return Ok(None);
                        }
                        Ok(0) => return Err(ended_early()),
                        Ok(_) => {}
                        Err(error) => return Err(failure(&error, "a data connection broke")),
                    }
                }
                _ = self.stage.changed() => {
                    if *self.stage.borrow_and_update() != Stage::Run(run) {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Hands on the bytes of a block, in pieces where it is large, as the consumer has room for them.
    async fn block(&mut self, header: &Header, feed: &Feed) -> Result<(), Failure> {
        let (mut offset, mut left) = (header.offset, header.count);
        self.last_count = left;
        while left > 0 {
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES);
            feed.place(offset).await?;
            let data = if self.head.held().len() >= size {
                Bytes::copy_from_slice(self.head.take(size))
            } else {
                self.fill_buffer(size, if feed.as_it_comes { 1 } else { size }).await?
            };
            let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
            self.receiver.counters.bytes_read.add(length);
            // Nobody may be there any more; the port has ended then.
            let _ = feed.arrivals.send(Arrival::Block { source: feed.source, offset, data });
            // The header was checked: the end of the block is a number.
            offset = offset.saturating_add(length);
            left -= length;
        }
        Ok(())
    }

    /// At most `size` bytes, and `least` of them at least.
    async fn fill_buffer(&mut self, size: usize, least: usize) -> Result<Bytes, Failure> {
        let mut buffer = self.receiver.pool.take();
        let memory = buffer.as_mut_slice().get_mut(..size).unwrap_or_default();
        let early = self.head.take(size);
        let (there, mut rest) = memory.split_at_mut(early.len());
        there.copy_from_slice(early);
        let mut count = early.len();
        while count < least {
            match self.stream.read(rest).await {
                Ok(0) => return Err(ended_early()),
                Ok(more) => {
                    rest = rest.get_mut(more..).unwrap_or_default();
                    count += more;
                }
                Err(error) => return Err(failure(&error, "a data connection broke")),
            }
        }
        Ok(buffer.into_bytes(count))
    }
}

/// Reads more where a header is expected. Cancel safe.
async fn fill(stream: &mut Own<OwnedReadHalf>, head: &mut Head, most: usize) -> std::io::Result<usize> {
    let count = stream.read(head.room(most)).await?;
    head.end += count;
    Ok(count)
}

/// The header by which a sender says that it closes a connection that is not used any more. One that tells of ends of data as
/// well is not that.
fn is_farewell(header: &Header) -> bool {
    header.close && !header.end_of_data && header.count == 0 && header.ends.is_none()
}

fn says_farewell(bytes: [u8; HEADER_BYTES]) -> bool {
    Header::parse(bytes).is_ok_and(|header| is_farewell(&header))
}

fn ended_early() -> Failure {
    Failure::new(FailureKind::EndOfFile, "a data connection ended before its end of data")
}
