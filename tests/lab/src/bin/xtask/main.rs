//! The program behind `cargo xtask`: what a newcomer and the CI call.
//!
//! It needs no Globus headers to build. What it makes it makes below the target folder and in temporary folders; the
//! one exception is `deps`, which installs packages and says so first. No measuring, copying or testing is done by this
//! program itself beyond hashing: it drives other programs and tells what they did.
#![allow(clippy::print_stdout, reason = "this is a program for people")]

mod bench;
mod check;
mod demo;
mod deps;
mod docs;
mod fuzz;
mod sanitize;
mod serve;
mod soak;
mod step;
mod wan;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up, tests, demonstrates and measures gridftp.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Copies a real tree of files to throw-away servers and back with gridftp-cp, and checks every hash
    Demo,
    /// Runs everything CI runs: formatting, lints, docs, all tests
    Test,
    /// Measures the rows of docs/performance.md against other programs, in pairs
    Bench(bench::Args),
    /// Runs a mixed load for minutes against servers that are broken meanwhile, and checks every file, memory and descriptors
    Soak(soak::Args),
    /// Runs a throw-away server until Ctrl-C
    Serve(serve::Args),
    /// Runs the parsers under libFuzzer
    Fuzz(fuzz::Args),
    /// Runs the core path under AddressSanitizer, LeakSanitizer and valgrind
    Sanitize,
    /// A link with delay, rate and loss between two network namespaces, to try things over
    Wan(wan::Args),
    /// Writes manual pages, completions for shells and docs/performance.md into docs/
    Docs(docs::Args),
    /// Installs what building and testing need; says what first
    Deps,
}

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Demo => demo::run(),
        Task::Test => check::run(),
        Task::Bench(args) => bench::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Serve(args) => serve::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Sanitize => sanitize::run(),
        Task::Wan(args) => wan::run(&args),
        Task::Docs(args) => docs::run(&args),
        Task::Deps => deps::ensure(deps::Wanted::Tests).map(|()| println!("Everything is installed.")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
