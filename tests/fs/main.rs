//! `gridftp-fs` as its users meet it: the built program against real servers, and its parts that can be tested without
//! running it.
#![allow(clippy::unwrap_used, missing_docs)]

// The tests of these modules run here: those of an example do not run by themselves.
#[allow(dead_code)]
#[path = "../../examples/gridftp-fs/doctor/advice.rs"]
mod advice;
#[allow(dead_code)]
#[path = "../../examples/gridftp-fs/mode.rs"]
mod mode;
#[allow(dead_code)]
#[path = "../../examples/gridftp-fs/show.rs"]
mod show;
#[allow(dead_code)]
#[path = "../../examples/common/size.rs"]
mod size;
#[allow(dead_code)]
#[path = "../../examples/gridftp-fs/size_test.rs"]
mod size_test;
#[allow(dead_code)]
#[path = "../../examples/gridftp-fs/when.rs"]
mod when;

mod attributes;
mod contents;
mod credentials;
mod doctor;
mod fake;
mod hostile;
mod listing;
mod names;
mod signals;
mod support;
mod trees;
mod usage;
