//! What is pure in the way of bytes and replies, by itself: the reorder buffer, range sets, and the parsers.
//!
//! No server, no runtime and no C is near, so the figures are those of this crate's own code, and vary little. Needs a build
//! that shows private items: `RUSTFLAGS="--cfg gridftp_bench" cargo bench --bench pure`.
#![allow(missing_docs, reason = "criterion's macro makes public functions")]
#![cfg_attr(gridftp_bench, allow(clippy::unwrap_used, reason = "what goes wrong here ends the run"))]

#[cfg(gridftp_bench)]
mod listings;
#[cfg(gridftp_bench)]
mod ranges;
#[cfg(gridftp_bench)]
mod reorder;
#[cfg(gridftp_bench)]
mod replies;

#[cfg(gridftp_bench)]
criterion::criterion_group!(pure, reorder::bench, ranges::bench, replies::bench, listings::bench);
#[cfg(gridftp_bench)]
criterion::criterion_main!(pure);

/// A build of all targets has no private items to show, and must work all the same.
#[cfg(not(gridftp_bench))]
fn main() -> std::process::ExitCode {
    eprintln!("this needs RUSTFLAGS=\"--cfg gridftp_bench\" cargo bench --bench pure");
    std::process::ExitCode::FAILURE
}
