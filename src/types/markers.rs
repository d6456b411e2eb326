//! What a server tells while a transfer runs.

use std::time::SystemTime;

use crate::types::RangeSet;

/// A word of the server that receives a file, while it does.
///
/// Corresponds to the markers that `globus_ftp_client_perf_plugin` and `globus_ftp_client_restart_marker_plugin` give
/// (GFD.20).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Marker {
    /// These bytes are stored (reply 111). globus-gridftp-server tells only what came since its last such reply.
    Range(RangeSet),
    /// So much was received by now (reply 112).
    Performance(PerfMarker),
}

/// How much one stripe of a server has received (reply 112).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PerfMarker {
    /// When, by the server's clock, to a tenth of a second; `None` when the server does not say it.
    pub time: Option<SystemTime>,
    /// Which stripe, from 0.
    pub stripe: u32,
    /// How many stripes there are; 1 without striping.
    pub stripes: u32,
    /// Bytes that this stripe has received since the transfer began.
    pub bytes: u64,
}
