//! `cargo xtask fuzz`: every parser under libFuzzer for a few seconds, two at a time.
//!
//! `fuzz/` is laid out for cargo-fuzz, and who works with it will use that. For a short run it is not needed: what it does is
//! to set the flags below. Without a sanitizer they are those of any compiler, and the parsers are safe Rust: a sanitizer
//! would find nothing in them, and see to fewer of them.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::step;

/// What makes libFuzzer see which code is reached, and what values are compared with.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Targets that run at once.
const AT_ONCE: usize = 2;

/// Longest input, in bytes.
const LONGEST: usize = 4096;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which parsers; all unless told
    targets: Vec<String>,
    /// For how long, each
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// How one target fared.
struct Outcome {
    target: String,
    executions: u64,
    seconds: u64,
    /// What it said, and what it was given, if it broke a promise.
    failure: Option<String>,
}

/// Runs what is asked for.
pub(crate) fn run(args: &Args) -> Result<()> {
    println!("{}", fuzz(&args.targets, Duration::from_secs(args.seconds))?);
    Ok(())
}

/// All targets for ten seconds each; tells how many executions there were.
pub(crate) fn all() -> Result<String> {
    fuzz(&[], Duration::from_secs(10))
}

fn fuzz(wanted: &[String], time: Duration) -> Result<String> {
    let known = targets()?;
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) {
        bail!("there is no target {unknown}; there are {}", known.join(", "));
    }
    let targets: Vec<String> = if wanted.is_empty() { known } else { wanted.to_vec() };
    let programs = build()?;
    let left = Mutex::new(VecDeque::from(targets.clone()));
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(target) = locked(&left, VecDeque::pop_front) {
                    let outcome = one(&programs, &target, time).unwrap_or_else(|error| Outcome {
                        target,
                        executions: 0,
                        seconds: 0,
                        failure: Some(format!("{error:#}")),
                    });
                    locked(&done, |done| done.push(outcome));
                }
            });
        }
    });
    let mut done = locked(&done, std::mem::take);
    done.sort_by(|a, b| a.target.cmp(&b.target));
    println!("{:<10} {:>12} {:>10}  crashes", "parser", "executions", "a second");
    for Outcome { target, executions, seconds, failure } in &done {
        println!(
            "{target:<10} {executions:>12} {:>10}  {}",
            executions / seconds.max(&1),
            u8::from(failure.is_some())
        );
    }
    let executions: u64 = done.iter().map(|outcome| outcome.executions).sum();
    let failures: Vec<_> = done.iter().filter_map(|outcome| outcome.failure.as_deref()).collect();
    if !failures.is_empty() {
        bail!("{} of {} parsers broke a promise\n{}", failures.len(), done.len(), failures.join("\n"));
    }
    Ok(format!("{} parsers, {executions} executions, 0 crashes", done.len()))
}

fn locked<T, R>(mutex: &Mutex<T>, act: impl FnOnce(&mut T) -> R) -> R {
    act(&mut mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The names of the targets.
fn targets() -> Result<Vec<String>> {
    let folder = step::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.context("reading the names of the targets")?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Builds all targets, and says where they are.
fn build() -> Result<PathBuf> {
    let (host, target) = (step::host()?, step::target_folder()?);
    let mut command = step::cargo(&["build", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    command.arg("--target-dir").arg(&target).env("RUSTFLAGS", FLAGS);
    println!("Building the targets: {}", step::show(&command));
    step::run(&mut command)?;
    Ok(target.join(host).join("debug"))
}

/// Runs one target with what is kept of it and what it found before.
fn one(programs: &Path, target: &str, time: Duration) -> Result<Outcome> {
    let found = step::target_folder()?.join("fuzz").join(target);
    let artefacts = found.join("artefacts/");
    let own = found.join("corpus");
    for folder in [&artefacts, &own] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let mut command = Command::new(programs.join(target));
    command
        .arg(format!("-max_total_time={}", time.as_secs()))
        .arg(format!("-max_len={LONGEST}"))
        // One input that takes so long, or so much, is a failure as well.
        .args(["-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"])
        .arg(format!("-artifact_prefix={}/", artefacts.display()))
        .args([own, step::root().join("fuzz/corpus").join(target)]);
    let output = command.output().with_context(|| format!("starting {}", step::show(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let number = |start: &str| -> Option<u64> {
        let line = said.lines().find_map(|line| line.strip_prefix(start))?;
        line.split_whitespace().find_map(|word| word.parse().ok())
    };
    let executions = number("stat::number_of_executed_units:").unwrap_or(0);
    let mut failure = None;
    if !output.status.success() {
        failure = Some(told(target, &said));
    } else if executions == 0 {
        failure = Some(format!("{target}: nothing was executed\n{said}"));
    }
    Ok(Outcome { target: target.to_owned(), executions, seconds: time.as_secs(), failure })
}

/// What a person needs who is to mend it.
fn told(target: &str, said: &str) -> String {
    let mut lines: Vec<String> = said
        .lines()
        .skip_while(|line| !line.contains("panicked at") && !line.contains("ERROR"))
        .take(12)
        .map(|line| format!("    {line}"))
        .collect();
    let artefact =
        said.lines().find_map(|line| line.split_once("Test unit written to ")).map(|(_, file)| file.trim());
    if let Some(file) = artefact {
        let data = fs::read(file).unwrap_or_default();
        let shown = data[..data.len().min(400)].escape_ascii();
        lines.push(format!("    what it was given ({} bytes): \"{shown}\"", data.len()));
        lines.push(format!("    kept in {file}"));
        lines.push(format!(
            "    copy it to fuzz/corpus/{target} and run `cargo nextest run -E 'test(the_kept_corpus_passes)'`"
        ));
    }
    format!("{target}:\n{}", lines.join("\n"))
}
