//! Whole transfers: files and trees, between this machine and servers, or between servers.
//!
//! [`Client::transfer`](crate::Client::transfer) makes a [`TransferBuilder`]; `.await` runs it to its end, and [`TransferBuilder::start`] gives a
//! [`Transfer`] that can be watched and ended. A plan is made while files move already: `source` finds entries, `plan` decides
//! what becomes of each and makes folders, `queue` holds what waits, `workers` move files (small ones through pipelines, large
//! ones by themselves or in pieces), `finish` does what comes last. `journal` remembers, `progress` and `report` tell, and `explain` says why it was not faster.
//!
//! Everything that is decided about a file is decided here, once: under which name it is written, when it counts as right, when
//! it is tried again. Never here: what is on the wire (`session`), the life of sessions (`client`), C (`engine`).

mod builder;
mod channels;
mod choices;
mod controller;
mod explain;
mod filter;
mod finish;
mod handle;
pub(crate) mod hash;
mod job;
pub(crate) mod journal;
mod large;
pub(crate) mod local;
mod local_end;
mod location;
mod pieces;
mod pipes;
mod plan;
mod progress;
mod queue;
mod rate;
mod remote;
mod report;
mod resume;
mod run;
mod shard;
mod source;
mod start;
mod workers;

pub use builder::TransferBuilder;
pub use choices::{Compare, Concurrency, Links, Overwrite, Preserve, Retry, Verify};
pub use explain::{Bound, Choice, Connections, Evidence, Explanation, Why};
pub use filter::Filter;
pub use handle::Transfer;
pub use location::{IntoLocation, Location};
pub use progress::{CurrentFile, Progress, Stage};
pub use rate::RateLimit;
pub use report::{Counts, Outcome, ReportEntry, ReportKind, SkipReason, TransferReport};
pub use shard::Shard;

use std::time::SystemTime;

use local_end::LocalEnd;
use remote::Remote;

/// One end of a transfer, ready to be used.
#[derive(Debug)]
enum End {
    Local(LocalEnd),
    Remote(Remote),
}

/// What is known of an entry.
#[derive(Debug, Clone)]
struct Facts {
    kind: ReportKind,
    size: Option<u64>,
    modified: Option<SystemTime>,
    mode: Option<u32>,
}

/// How bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// From a server to files here.
    Download,
    /// From files here to a server.
    Upload,
    /// From server to server, without coming here.
    Between,
    /// From server to server through this client.
    Relay,
    /// From file to file.
    Local,
}
