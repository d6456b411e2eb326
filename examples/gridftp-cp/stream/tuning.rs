//! How large blocks are and how many of them are on their way, where the user does not say.
//!
//! Measured on one machine, where nothing else is slow: blocks of 256 KiB to 1 MiB and a handful of them are enough, and
//! what fits into a processor's cache is moved with less work than what does not. Over a long way it is the kernel that
//! holds what is under way.

use crate::stream::Order;

/// Bytes that are read from a local file and sent at once.
const BLOCK: usize = 512 * 1024;

/// With many connections blocks are smaller, down to this, so that each has one to send.
const SMALLEST: usize = 64 * 1024;

/// Bytes of a copy that this program holds, at most: on their way in, or on their way out.
const MEMORY: usize = 16 << 20;

/// Bytes of the blocks that the library receives.
const RECEIVED: usize = 256 * 1024;

/// Blocks that are read from a local file before there is room to send them.
const READ_AHEAD: usize = 4;

/// Bytes of the blocks that are read and sent.
pub(crate) fn block_bytes(order: &Order) -> usize {
    let fair = MEMORY / (2 * usize::from(order.channels.parallelism));
    order.channels.block_bytes.unwrap_or_else(|| BLOCK.min(fair.max(SMALLEST)))
}

/// Blocks that the library may have for sending.
pub(crate) fn send_window(order: &Order) -> usize {
    let most = (MEMORY / block_bytes(order)).clamp(2, 256);
    (2 * usize::from(order.channels.parallelism)).max(4).min(most)
}

/// Buffers for reading a local file.
pub(crate) fn buffers(order: &Order) -> usize {
    send_window(order) + READ_AHEAD
}

/// Blocks that the library may have received before they are taken.
pub(crate) fn receive_window(order: &Order) -> usize {
    let most = MEMORY / RECEIVED;
    match order.channels.block_bytes {
        Some(bytes) => (8 * bytes / RECEIVED).clamp(2, most),
        None => (2 * usize::from(order.channels.parallelism)).clamp(8, most),
    }
}
