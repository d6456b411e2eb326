//! `gridftp-cp` as its users meet it: the built program against real servers, and its parts that can be tested without
//! running it.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

// The tests of these modules run here: those of an example do not run by themselves.
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/aliases.rs"]
mod aliases;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/args/mod.rs"]
mod args;
#[allow(dead_code)]
#[path = "../../examples/common/duration.rs"]
mod duration;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/events.rs"]
mod events;
#[allow(dead_code)]
#[path = "../../examples/common/exit.rs"]
mod exit;
#[allow(dead_code)]
#[path = "../../examples/common/failure.rs"]
mod failure;
#[allow(dead_code)]
#[path = "../../examples/common/generate.rs"]
mod generate;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/list.rs"]
mod list;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/location.rs"]
mod location;
#[allow(dead_code)]
#[path = "../../examples/common/look.rs"]
mod look;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/outcome.rs"]
mod outcome;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/progress/mod.rs"]
mod progress;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/run.rs"]
mod run;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/shard.rs"]
mod shard;
#[allow(dead_code)]
#[path = "../../examples/common/signals.rs"]
mod signals;
#[allow(dead_code)]
#[path = "../../examples/common/size.rs"]
mod size;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/stream/mod.rs"]
mod stream;
#[allow(dead_code)]
#[path = "../../examples/gridftp-cp/tasks.rs"]
mod tasks;

mod batch;
mod contents;
mod destinations;
mod dropin;
mod failures;
mod fake;
mod generated;
mod leftovers;
mod options;
mod output;
mod parts;
mod security;
mod support;
mod trees;
