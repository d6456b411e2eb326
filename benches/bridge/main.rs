//! The way between a program and a real server: what a command costs from the call to its answer, a block of a file, and an
//! entry of a listing.
//!
//! The servers are those of the lab, on loopback, in temporary folders, and gone when the run ends. So the time of a server is
//! in all figures; what this crate adds is seen by comparing them: one command with many, clear text with GSI (each command
//! then goes to the Globus thread and back, twice), an empty file with a full one. Whole comparisons with other programs are
//! made by `cargo xtask bench`; this is for finding what a change did to one of the steps.
//!
//! `RUSTFLAGS="--cfg gridftp_bench" cargo bench --bench bridge`
#![allow(missing_docs, reason = "a bench is no library")]
#![cfg_attr(gridftp_bench, allow(clippy::unwrap_used, reason = "what goes wrong here ends the run"))]

#[cfg(gridftp_bench)]
mod blocks;
#[cfg(gridftp_bench)]
mod latency;
#[cfg(gridftp_bench)]
mod listing;
#[cfg(gridftp_bench)]
mod site;

#[cfg(gridftp_bench)]
fn main() -> std::process::ExitCode {
    let Some(site) = site::Site::here() else { return site::run_below_a_site() };
    let mut criterion = criterion::Criterion::default().configure_from_args();
    latency::bench(&mut criterion, &site);
    blocks::gets(&mut criterion, &site);
    blocks::puts(&mut criterion, &site);
    listing::bench(&mut criterion, &site);
    criterion.final_summary();
    std::process::ExitCode::SUCCESS
}

/// Starting servers is nothing for a run of all targets, and the two benches are alike.
#[cfg(not(gridftp_bench))]
fn main() -> std::process::ExitCode {
    eprintln!("this needs RUSTFLAGS=\"--cfg gridftp_bench\" cargo bench --bench bridge");
    std::process::ExitCode::FAILURE
}
