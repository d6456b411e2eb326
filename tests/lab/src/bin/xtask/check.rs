//! `cargo xtask test`: every check there is, the quick ones first, until one fails.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{deps, step};

/// Runs the steps.
pub(crate) fn run() -> Result<()> {
    deps::ensure(deps::Wanted::Tests)?;
    let start = Instant::now();
    let mut done: Vec<(&str, Duration)> = Vec::new();
    let mut summary = String::new();

    let mut docs = step::cargo(&["doc", "--workspace", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "-Dwarnings");
    let steps = [
        ("format", step::cargo(&["fmt", "--all", "--check"])),
        ("clippy", step::cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
        ("docs", docs),
        // The tests of the programs run what is built here.
        ("examples", step::cargo(&["build", "--workspace", "--examples"])),
        ("tests", step::cargo(&["nextest", "run", "--workspace"])),
        ("doctests", step::cargo(&["test", "--workspace", "--doc"])),
    ];
    for (name, mut command) in steps {
        println!("==== {name}: {}", step::show(&command));
        let begun = Instant::now();
        let result =
            if name == "tests" { run_tests(&mut command, &mut summary) } else { step::run(&mut command) };
        let time = begun.elapsed();
        if let Err(error) = result {
            if !summary.is_empty() {
                println!("{summary}");
            }
            bail!("FAILED at the step `{name}` after {}: {error:#}", step::show_time(time));
        }
        println!("==== {name}: passed in {}", step::show_time(time));
        done.push((name, time));
    }

    println!();
    for (name, time) in done {
        println!("{name:<10} passed  {:>12}", step::show_time(time));
    }
    println!("{}", summary.trim());
    println!("All checks passed in {}.", step::show_time(start.elapsed()));
    Ok(())
}

/// Runs nextest, shows all it says, and keeps its line of summary.
fn run_tests(command: &mut Command, summary: &mut String) -> Result<()> {
    if std::io::stderr().is_terminal() {
        command.args(["--color", "always"]);
    }
    let shown = step::show(command);
    let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| format!("starting {shown}"))?;
    if let Some(stderr) = child.stderr.take() {
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        // Bytes, as what a failing test printed may be anything.
        while reader.read_until(b'\n', &mut line).context("reading nextest's output")? > 0 {
            std::io::stderr().write_all(&line).context("writing to standard error")?;
            let text = String::from_utf8_lossy(&line);
            if text.contains("Summary") && text.contains("tests run:") {
                *summary = text.trim().to_owned();
            }
            line.clear();
        }
    }
    let status = child.wait().with_context(|| format!("waiting for {shown}"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}
