//! `cargo xtask test`: every check there is, the quick ones first, until one fails.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{bench, deps, docs, fuzz, sanitize, step};

/// What a step does; it may have a line to tell at the end.
enum Work {
    Command(Command),
    Tests(Command),
    Own(fn() -> Result<String>),
}

impl Work {
    fn show(&self) -> String {
        match self {
            Self::Command(command) | Self::Tests(command) => step::show(command),
            Self::Own(_) => "as below".to_owned(),
        }
    }

    fn run(self) -> Result<String> {
        match self {
            Self::Command(mut command) => step::run(&mut command).map(|()| String::new()),
            Self::Tests(mut command) => step::run_tests(&mut command),
            Self::Own(work) => work(),
        }
    }
}

/// Runs the steps.
pub(crate) fn run() -> Result<()> {
    deps::ensure(deps::Wanted::Tests)?;
    let start = Instant::now();
    let mut done: Vec<(&str, Duration, String)> = Vec::new();

    let mut doc = step::cargo(&["doc", "--workspace", "--no-deps"]);
    doc.env("RUSTDOCFLAGS", "-Dwarnings");
    let command = |args: &[&str]| Work::Command(step::cargo(args));
    let steps = [
        ("format", command(&["fmt", "--all", "--check"])),
        ("format fuzz", command(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])),
        ("clippy", command(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        ("docs", Work::Command(doc)),
        // The tests of the programs run what is built here.
        ("examples", command(&["build", "--workspace", "--examples"])),
        ("generated", Work::Own(docs::check)),
        ("tests", Work::Tests(step::cargo(&["nextest", "run", "--workspace"]))),
        ("doctests", command(&["test", "--workspace", "--doc"])),
        ("bench", Work::Own(bench::quick)),
        ("fuzz", Work::Own(fuzz::all)),
        ("valgrind", Work::Own(sanitize::valgrind)),
        ("address", Work::Own(sanitize::address)),
        ("miri", Work::Own(sanitize::miri)),
    ];
    for (name, work) in steps {
        println!("==== {name}: {}", work.show());
        let begun = Instant::now();
        let result = work.run();
        let time = begun.elapsed();
        let told = match result {
            Ok(told) => told,
            Err(error) => bail!("FAILED at the step `{name}` after {}: {error:#}", step::show_time(time)),
        };
        println!("==== {name}: passed in {}", step::show_time(time));
        done.push((name, time, told));
    }

    println!();
    for (name, time, told) in done {
        let word = if told.starts_with("NOT RUN") { "" } else { "passed" };
        println!("{name:<12} {word:<6}  {:>12}  {told}", step::show_time(time));
    }
    println!("All checks passed in {}.", step::show_time(start.elapsed()));
    Ok(())
}
