//! The library against servers, networks and hosts that misbehave, by topic: nothing hangs, nothing crashes, nothing lies.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::future_not_send, missing_docs)]

mod cancel;
mod deadlines;
mod descriptors;
mod faults;
mod forks;
mod host;
mod hostile;
mod names;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the tests of tests/it use the rest")]
mod support;
mod truth;
