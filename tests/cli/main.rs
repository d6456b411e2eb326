//! `gridftp-cp` as its users meet it: the built program against real servers, and its parts that can be tested without
//! running it.
#![allow(clippy::unwrap_used, missing_docs)]

// The tests of these modules run here: those of an example do not run by themselves.
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/args/mod.rs"]
mod args;
#[allow(dead_code)]
#[path = "../../examples/common/exit.rs"]
mod exit;
#[allow(dead_code)]
#[path = "../../examples/common/failure.rs"]
mod failure;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/location.rs"]
mod location;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/names.rs"]
mod names;
#[allow(dead_code)]
#[path = "../../examples/common/signals.rs"]
mod signals;
#[allow(dead_code)]
#[path = "../../examples/common/size.rs"]
mod size;

mod contents;
mod destinations;
mod failures;
mod fake;
mod leftovers;
mod output;
mod parts;
mod security;
mod support;
