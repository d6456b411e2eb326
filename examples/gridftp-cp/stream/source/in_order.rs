//! A server's blocks in file order, for what can only be written from the first to the last byte.

use std::collections::BTreeMap;

use gridftp::{Block, Bytes, Error, Get};

use super::length;
use crate::failure::{End, Failure};

/// Bytes of early blocks that are held. Parallel connections run at different speeds, and nobody can hold the fast ones back
/// alone: beyond this, the rest is asked for over one connection.
const LIMIT: u64 = 24 << 20;

/// A get whose blocks are put in order.
#[derive(Debug)]
pub(super) struct InOrder {
    get: Box<Get>,
    early: BTreeMap<u64, Bytes>,
    held: u64,
    /// Where the next byte stands in the file.
    position: u64,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    Block(Block),
    End,
    /// Too much would have to be held: ask again, for what stands from here on.
    TooFar(u64),
}

impl InOrder {
    pub(super) fn new(get: Get, position: u64) -> Self {
        Self { get: Box::new(get), early: BTreeMap::new(), held: 0, position }
    }

    pub(super) async fn next(&mut self) -> Result<Next, Failure> {
        loop {
            if let Some(data) = self.early.remove(&self.position) {
                let block = self.step(data);
                self.held -= length(&block);
                return Ok(Next::Block(block));
            }
            match self.get.next_block().await.map_err(failed)? {
                Some(Block { offset, data }) if offset == self.position => {
                    return Ok(Next::Block(self.step(data)));
                }
                Some(block) => {
                    self.held += length(&block);
                    let twice = block.offset < self.position;
                    if self.early.insert(block.offset, block.data).is_some() || twice {
                        return Err(Failure::integrity(format!(
                            "the server sent the bytes at {} twice",
                            block.offset
                        ))
                        .at(End::Source));
                    }
                    if self.held > LIMIT {
                        return Ok(Next::TooFar(self.position));
                    }
                }
                None if self.early.is_empty() => return Ok(Next::End),
                None => {
                    let message =
                        format!("the server left out the bytes at {} and sent later ones", self.position);
                    return Err(Failure::integrity(message).at(End::Source));
                }
            }
        }
    }

    fn step(&mut self, data: Bytes) -> Block {
        let block = Block { offset: self.position, data };
        self.position += length(&block);
        block
    }
}

fn failed(error: Error) -> Failure {
    Failure::remote(End::Source, error)
}
