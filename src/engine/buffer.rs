//! The blocks that data is read into, by C or by the receiver beside it.
//!
//! A [`Buffer`] belongs to the engine while a read is registered with it. When the read is back, the filled part moves
//! to the consumer as [`Bytes`]; the memory returns to the pool when the last `Bytes` over it is dropped, on whatever
//! thread that is. No memory of a caller is ever handed to C for reading into.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::convert::Memory;

/// Idle memory the pool keeps for reuse, per pool.
const KEEP_BYTES: usize = 32 << 20;

/// Buffers of one size.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    size: usize,
    free: Mutex<Vec<Memory>>,
    counters: Arc<super::Counters>,
}

/// A block of pool memory; goes back when dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    memory: Memory,
    filled: usize,
    pool: Arc<Shared>,
}

impl Pool {
    pub(crate) fn new(size: usize, counters: Arc<super::Counters>) -> Self {
        Self(Arc::new(Shared { size, free: Mutex::default(), counters }))
    }

    pub(crate) fn take(&self) -> Buffer {
        let reused = self.0.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = reused.unwrap_or_else(|| Memory::new(self.0.size));
        self.0.counters.buffers_out.add(1);
        Buffer { memory, filled: 0, pool: Arc::clone(&self.0) }
    }
}

impl Buffer {
    /// Where C may write: `(address, capacity)`. The address stays the same until the buffer is dropped.
    pub(super) fn as_mut_ptr(&mut self) -> (*mut u8, usize) {
        (self.memory.as_mut_ptr(), self.memory.len())
    }

    /// The memory, for those who fill it themselves; initialised, with whatever was in it before.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.memory.as_mut_slice()
    }

    /// The first `filled` bytes for a consumer. `filled` is bounded by the capacity here, whatever C reported.
    ///
    /// A block that fills little of its buffer is copied, so that holding many small files does not pin many buffers.
    pub(crate) fn into_bytes(mut self, filled: usize) -> Bytes {
        self.filled = filled.min(self.memory.len());
        if self.filled <= self.memory.len() / 8 {
            Bytes::copy_from_slice(self.as_ref())
        } else {
            Bytes::from_owner(self)
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory.as_slice()[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.counters.buffers_out.sub(1);
        let memory = std::mem::replace(&mut self.memory, Memory::none());
        let mut free = self.pool.free.lock().unwrap_or_else(PoisonError::into_inner);
        if (free.len() + 1) * self.pool.size <= KEEP_BYTES {
            free.push(memory);
        }
    }
}
