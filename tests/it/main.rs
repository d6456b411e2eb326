//! The library against real servers, by topic.
#![allow(clippy::unwrap_used, missing_docs)]

mod bytes_identity;
mod pipeline;
mod support;
