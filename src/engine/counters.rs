//! What the engine counts, for metrics and for tests that prove that everything comes back.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of the engine, shared with everybody who asks.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Control handles ("data ports") that exist: open, closing.
    pub(crate) ports: Gauge,
    /// Handles that could not be destroyed and stay allocated for ever (C11).
    pub(crate) parked: Gauge,
    /// Buffers registered with C that were not back when their port was parked.
    pub(crate) lost_buffers: Gauge,
    /// Pool buffers out of the pool: registered with C, or held by a consumer.
    pub(crate) buffers_out: Gauge,
    /// Reads and writes registered with C.
    pub(crate) registered: Gauge,
    /// Imported credentials.
    pub(crate) credentials: Gauge,
    /// Security contexts.
    pub(crate) contexts: Gauge,
    /// Bytes written into the wake pipe.
    pub(crate) wakeups: Gauge,
    /// Bytes received and sent on data channels.
    pub(crate) bytes_read: Gauge,
    pub(crate) bytes_written: Gauge,
    /// Callbacks for which no operation was waiting, and panics stopped at the C border: both should stay zero.
    pub(crate) strays: Gauge,
    pub(crate) panics: Gauge,
}
