//! The library against real servers, by topic.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::future_not_send, missing_docs)]

mod abort;
mod append;
mod ascii;
mod bytes_identity;
mod checksum;
mod concurrency;
mod credentials;
mod drops;
mod ending;
mod errors;
mod extended;
mod failures;
mod fake;
mod ftpd;
mod futures;
mod gsi;
mod input;
mod listing;
mod metadata;
mod names;
mod namespace;
mod observability;
mod pipeline;
mod plain;
mod protection;
mod ranges;
mod reading;
mod remove_all;
mod restart;
mod sizes;
mod striped;
mod support;
mod walk;
mod third_party;
mod third_party_many;
