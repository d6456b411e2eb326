//! What there is once in a process: the engine's counts, its start and its end.

use std::time::Duration;

pub(crate) use crate::engine::{Connection, connections};
use crate::engine::{Engine, Gauge};
use crate::error::Result;

/// What the engine that all clients of this process share is doing, and has done.
///
/// `lost_buffers`, `strays` and `panics` stay zero in a process that is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EngineMetrics {
    /// Data ports that exist: the local ends of data channels.
    pub ports: u64,
    /// Handles of the C library that could not be freed, because a connect or handshake on them failed; about 9 KB each.
    pub parked: u64,
    /// Buffers that were registered with the C library when their handle was parked.
    pub lost_buffers: u64,
    /// Buffers out of the pool, of 256 KiB each: registered, waiting to be taken, or in a caller's hands.
    pub buffers_out: u64,
    /// Reads and writes that are registered with the C library.
    pub registered: u64,
    /// Credentials held.
    pub credentials: u64,
    /// Security contexts held.
    pub contexts: u64,
    /// Times the sleeping engine was woken by a command.
    pub wakeups: u64,
    /// Bytes that came in on data channels.
    pub bytes_read: u64,
    /// Bytes that went out on data channels.
    pub bytes_written: u64,
    /// Callbacks that nobody was waiting for.
    pub strays: u64,
    /// Panics that were stopped on the engine thread.
    pub panics: u64,
}

/// The engine's counts; all zero before the first transfer or GSI login.
pub fn engine_metrics() -> EngineMetrics {
    let counters = Engine::counters();
    let get = Gauge::get;
    EngineMetrics {
        ports: get(&counters.ports),
        parked: get(&counters.parked),
        lost_buffers: get(&counters.lost_buffers),
        buffers_out: get(&counters.buffers_out),
        registered: get(&counters.registered),
        credentials: get(&counters.credentials),
        contexts: get(&counters.contexts),
        wakeups: get(&counters.wakeups),
        bytes_read: get(&counters.bytes_read),
        bytes_written: get(&counters.bytes_written),
        strays: get(&counters.strays),
        panics: Engine::panics(),
    }
}

/// Names and versions of the libraries of the Globus Toolkit that this process runs with.
///
/// # Examples
/// ```
/// assert!(gridftp::library_versions().iter().any(|(name, _)| *name == "globus_ftp_control"));
/// ```
///
/// Corresponds to `globus_module_get_version`.
pub fn library_versions() -> Vec<(&'static str, String)> {
    crate::engine::library_versions()
}

/// Starts the engine now, instead of with the first transfer or GSI login.
///
/// The Globus libraries set environment variables (`GLOBUS_GSSAPI_…`, from their configuration file) while they are being
/// activated, on the engine's thread. A program in which other threads read the environment through C (`getenv`) at that
/// moment should call this at the beginning of `main`, before it starts any: it returns when activation is over. There it saves
/// some 10 ms as well: sockets are moved to numbers above 1024, and the kernel makes room for these at once only while there
/// is one thread.
///
/// # Errors
/// `Internal` when the libraries cannot be activated, or the engine was [shut down](shutdown).
pub fn init() -> Result<()> {
    crate::engine::widen_early();
    Engine::handle()?.wait_until_active()
}

/// Closes all data channels and ends the engine; what is under way fails, and so does every later transfer.
///
/// Never needed: a process may simply end. Returns false when something was still open after `limit`.
///
/// # Cancel safety
/// The engine ends all the same.
pub async fn shutdown(limit: Duration) -> bool {
    crate::engine::shutdown(limit).await
}
