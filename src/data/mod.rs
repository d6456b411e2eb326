//! Files' contents: what a user holds while bytes move.
//!
//! [`Get`] and [`Put`] give and take blocks; [`Reader`] and [`Writer`] are the same as tokio's byte streams; [`GetMany`] and
//! [`PutMany`] are pipelines of many files. They keep the deadlines, put sessions back, and clean up when they are dropped.
//!
//! Never here: what is on the wire (`session`), local files and retries (`transfer`), C (`engine`).

mod builder;
mod choices;
mod get;
mod many;
mod put;
mod put_many;
mod reader;
mod stall;
#[cfg(test)]
mod tests;
mod third_party;
mod third_party_builder;
mod third_party_choices;
mod third_party_many;
mod unseen;
mod writer;

pub(crate) use crate::session::get::Taken;
pub(crate) use crate::session::put::{NotSent, Outgoing, Stretch, Supply};
pub use builder::{GetBuilder, PutBuilder};
pub use get::{Block, Get};
pub use many::{GetMany, GetManyBuilder, ManyFile};
pub(crate) use put::is_device;
pub use put::{Put, PutSummary};
pub use put_many::{PutFile, PutMany, PutManyBuilder, PutManyOutcome, PutManySender};
pub use reader::Reader;
pub use third_party::{ThirdParty, ThirdPartySummary};
pub use third_party_builder::ThirdPartyBuilder;
pub use third_party_many::{PairOutcome, ThirdPartyMany, ThirdPartyManyBuilder};
pub use writer::Writer;
