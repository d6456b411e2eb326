//! What users ask of a server in one or two commands: facts about files, and changes of names.
//!
//! Each function checks its URL, has the client find a session, and turns the reply into a value or an error that names
//! the URL. Never here: sessions and retries (`client`), data channels (`data`), parsing (`protocol`).

mod attributes;
mod checksum;
mod checksum_many;
mod exchange;
mod folders;
mod listing;
mod metadata;
mod namespace;
mod probe;
mod remove_all;
mod walk;

use crate::error::{Error, ErrorKind, Phase, Reply, Result};

pub use checksum_many::{ChecksumMany, ChecksumManyBuilder, ChecksumOutcome};
pub use listing::{ListFormat, ListStream, RawListing};
pub use remove_all::{NotRemoved, RemoveReport};
pub use walk::{NotEntered, WalkEntry, WalkStream};

/// The reply, if it says that the thing was done.
///
/// # Errors
/// What a negative reply means; `Protocol` for one that does not fit.
fn completed(reply: Reply, doing: &'static str) -> Result<Reply> {
    if reply.is_completion() { Ok(reply) } else { Err(Error::from_reply(reply, Phase::Command, doing)) }
}

fn no_reply() -> Error {
    Error::new(ErrorKind::Internal, Phase::Command, "not one reply for each command")
}
