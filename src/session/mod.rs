//! One logged-in control connection, as async Rust on tokio.
//!
//! [`connect`] finds (`names`) and dials the host, `ssh` reaches it through a process, [`control`] owns the socket and matches
//! replies to commands, [`protect`] wraps both once GSI is established, [`login`] turns a connection into a
//! [`Session`].
//!
//! Never here: pools and retries (`client`), what a user calls (`ops`, `data`), C (`engine`), and any parsing of text
//! from the network that `protocol` could do.

mod base64;
pub(crate) mod channel;
pub(crate) mod connect;
pub(crate) mod control;
pub(crate) mod counters;
pub(crate) mod get;
pub(crate) mod listing;
pub(crate) mod login;
mod names;
pub(crate) mod pipeline;
mod protect;
pub(crate) mod put;
pub(crate) mod put_many;
pub(crate) mod reorder;
pub(crate) mod settings;
mod ssh;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod third_party;
pub(crate) mod third_party_many;
pub(crate) mod watch;

pub(crate) use control::PendingReply;
pub(crate) use counters::Counters;
pub(crate) use login::Session;
