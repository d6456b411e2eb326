//! The Globus thread: data channels and GSS contexts, and nothing else.
//!
//! One process-wide thread, "globus", makes every call into the Globus Toolkit: activation, data channels
//! (`globus_ftp_control`'s data half), GSSAPI, error printing. It knows no FTP verb, does no DNS, reads no file and runs no
//! user code. All `unsafe` of this crate is in this folder.
//!
//! # What holds
//!
//! * **Commands in, channel sends out.** Handles outside ([`DataPort`], [`ReadRun`], [`WriteRun`], [`CredentialHandle`],
//!   [`GssContext`]) hold an id and the [`queue`]; dropping one posts a command and never waits.
//! * **Callbacks only record.** A C callback copies its scalars, turns its error into an owned value and pushes an
//!   [`event`](data::Event) on a list of this thread, under a panic guard. What follows from it is done by the loop after
//!   `globus_callback_space_poll` has returned. So no call into C is ever made from inside a callback, nothing is
//!   registered before C has finished with the event that allows it (C12, and §3.3 of the control semantics), and no
//!   borrow of the engine's state is alive while C runs callbacks.
//! * **`user_arg` is a number**, never an address: an id that is given once and never again. A callback that nobody waits
//!   for finds nothing and is counted as stray.
//! * **C touches only what the engine owns**: handles are boxed and stay until they are destroyed or parked; buffers stay
//!   in the table of operations until their callback came back, whoever lost interest meanwhile; outgoing [`Bytes`] are
//!   kept alive there too. A forgotten future can therefore leak, but never dangle.
//! * **Exactly one end.** A run ends once: when every registered buffer is back and either end-of-file or an error was
//!   seen. An error ends the port; the session opens a new one.
//! * **What does not come back is counted**: a handle whose connect or handshake failed cannot be destroyed (C11) and is
//!   parked for ever, and [`Counters`] says how many.
//!
//! What must never live here: protocol text, policy about addresses or retries, anything that can block.

mod arrivals;
mod buffer;
mod command;
mod convert;
mod counters;
mod data;
mod exit;
mod failure;
mod fds;
pub(crate) mod fork;
mod gss;
mod handle;
mod port;
mod port_state;
mod ports;
mod queue;
mod run;
mod security;
mod sockets;
mod stripes;
mod thread;
mod versions;
mod wake;

#[cfg(test)]
mod tests;

pub(crate) use arrivals::{Arrival, Arrivals, Block, Sources};
pub(crate) use buffer::Pool;
pub(crate) use counters::{Counters, Gauge};
pub(crate) use data::{Direction, Layout, PortSecurity, PortSettings, Protection};
pub(crate) use failure::{Failure, FailureKind};
pub(crate) use fds::{move_high, widen_early};
pub(crate) use port::DataPort;
pub(crate) use run::{ReadRun, WriteRun};
pub(crate) use security::{CredentialHandle, GssContext, TargetName};
pub(crate) use sockets::{Connection, connections};
pub(crate) use thread::{BLOCK_BYTES, Engine, port_range, shutdown, source_range};
pub(crate) use versions::library_versions;
