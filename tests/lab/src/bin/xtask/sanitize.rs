//! `cargo xtask sanitize`: the core path and the engine under AddressSanitizer with LeakSanitizer, and under valgrind.
//!
//! What finds nothing has to show that it would: before each of the two, a program that does the wrong thing on purpose
//! (`globus-sys/examples/canary.rs`) has to be stopped by it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gridftp_lab::packages;

use crate::step;

/// What is run under AddressSanitizer: the scenes, and what works with C directly.
/// (What bites does so by memory errors of C, in child processes.)
const ADDRESS_TESTS: &str = "binary(scenes) | (kind(lib) & test(/^engine::tests::/) & !test(/bites/))";

/// The tests of the pure modules, for Miri.
const PURE: [&str; 4] = ["protocol::", "types::", "url::", "session::reorder::"];

/// Stack traces have to go through C, which keeps no frame pointers: leaks are told apart by who asked for the memory.
const ASAN_OPTIONS: &str = "detect_leaks=1:fast_unwind_on_malloc=0:malloc_context_size=25:exitcode=23";

/// What the canary does, and the words of those who stop it.
struct Sin {
    name: &'static str,
    address: &'static str,
    valgrind: &'static str,
}

const SINS: [Sin; 3] = [
    Sin { name: "overflow", address: "heap-buffer-overflow", valgrind: "Invalid write of size" },
    Sin { name: "freed", address: "heap-use-after-free", valgrind: "Invalid read of size" },
    Sin { name: "leak", address: "detected memory leaks", valgrind: "definitely lost in loss record" },
];

/// Both, and Miri where it is installed.
pub(crate) fn run() -> Result<()> {
    for (name, work) in
        [("address", address as fn() -> Result<String>), ("valgrind", valgrind), ("miri", miri)]
    {
        println!("{name}: {}", work()?);
    }
    Ok(())
}

/// AddressSanitizer and LeakSanitizer. Tells what was run.
pub(crate) fn address() -> Result<String> {
    let host = step::host()?;
    if !has_runtime(&host)? {
        return Ok("NOT RUN: this Rust has no AddressSanitizer runtime (those of rustup have)".to_owned());
    }
    let target = step::target_folder()?.join("sanitize");
    let instrumented = |args: &[&str]| {
        let mut command = step::cargo(args);
        // The flag is one of a nightly compiler; the compiler is the same.
        command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
        command.args(["--target", &host, "--target-dir"]).arg(&target);
        command.env("ASAN_OPTIONS", ASAN_OPTIONS).env("RUST_BACKTRACE", "0");
        let known = step::root().join("tests/scenes/lsan.supp");
        command.env("LSAN_OPTIONS", format!("suppressions={}:print_suppressions=0", known.display()));
        command
    };
    step::run(&mut instrumented(&["build", "--package", "globus-sys", "--example", "canary"]))?;
    let canary = target.join(&host).join("debug/examples/canary");
    sins(
        |sin| {
            let mut command = Command::new(&canary);
            command.arg(sin).env("ASAN_OPTIONS", ASAN_OPTIONS);
            command
        },
        |sin| sin.address,
    )?;
    let mut tests = instrumented(&["nextest", "run", "--package", "gridftp", "--lib", "--test", "scenes"]);
    tests.args(["-E", ADDRESS_TESTS]);
    let summary = step::run_tests(&mut tests)?;
    Ok(format!("3 canaries found; {summary}"))
}

/// Whether this compiler can link what it instruments.
fn has_runtime(host: &str) -> Result<bool> {
    let output =
        Command::new("rustc").args(["--print", "target-libdir"]).output().context("starting rustc")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let Ok(entries) = folder.read_dir() else { bail!("rustc has no libraries for {host}") };
    Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_rt.asan")))
}

/// The processes of the scenes under valgrind. Tells what was run.
pub(crate) fn valgrind() -> Result<String> {
    let program = packages::VALGRIND.program().map_err(|error| anyhow::anyhow!("{error}"))?;
    let known = step::root().join("tests/scenes/valgrind.supp");
    let options = [
        "--error-exitcode=99".to_owned(),
        "--leak-check=full".to_owned(),
        "--show-leak-kinds=definite".to_owned(),
        "--errors-for-leak-kinds=definite".to_owned(),
        "--num-callers=30".to_owned(),
        "--gen-suppressions=all".to_owned(),
        format!("--suppressions={}", known.display()),
    ];
    step::run(&mut step::cargo(&["build", "--package", "globus-sys", "--example", "canary"]))?;
    let canary = step::target_folder()?.join("debug/examples/canary");
    sins(
        |sin| {
            let mut command = Command::new(&program);
            command.args(&options).arg(&canary).arg(sin);
            command
        },
        |sin| sin.valgrind,
    )?;
    let mut tests = step::cargo(&["nextest", "run", "--package", "gridftp", "--test", "scenes"]);
    tests.env("GRIDFTP_TEST_WRAPPER", wrapper(&program, &options)?).env("RUST_BACKTRACE", "0");
    let summary = step::run_tests(&mut tests)?;
    Ok(format!("3 canaries found; {summary}"))
}

/// The words in front of a command, with blanks between.
fn wrapper(program: &Path, options: &[String]) -> Result<String> {
    let words: Vec<_> =
        std::iter::once(program.display().to_string()).chain(options.iter().cloned()).collect();
    if let Some(word) = words.iter().find(|word| word.contains(char::is_whitespace)) {
        bail!("\"{word}\" has a blank in it; the tests take the words of a command apart at blanks");
    }
    Ok(words.join(" "))
}

/// Runs the canary: it has to survive when it does nothing, and to be stopped, with the right words, when it sins.
fn sins(command: impl Fn(&str) -> Command, words: impl Fn(&Sin) -> &'static str) -> Result<()> {
    let run = |name: &str| -> Result<(bool, String)> {
        let mut command = command(name);
        let output = command.output().with_context(|| format!("starting {}", step::show(&command)))?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    let (well, said) = run("nothing")?;
    if !well {
        bail!("the canary did nothing wrong and was stopped\n{said}");
    }
    for sin in &SINS {
        let (well, said) = run(sin.name)?;
        if well || !said.contains(words(sin)) {
            bail!("the canary `{}` was not found out: expected \"{}\"\n{said}", sin.name, words(sin));
        }
        println!("canary {:<9} stopped, as it must be: {}", sin.name, words(sin));
    }
    Ok(())
}

/// The pure modules under Miri, where the toolchain has it. Tells what was run.
pub(crate) fn miri() -> Result<String> {
    let mut there = step::cargo(&["miri", "--version"]);
    if !there.output().is_ok_and(|output| output.status.success()) {
        return Ok("NOT RUN: this toolchain has no component miri".to_owned());
    }
    let mut command = step::cargo(&["miri", "test", "--package", "gridftp", "--lib", "--target-dir"]);
    command.arg(step::target_folder()?.join("miri")).arg("--").args(PURE);
    // The tests read the corpus, and random cases take a thousand times longer.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "4");
    step::run(&mut command)?;
    Ok(format!("the tests of {}", PURE.join(" ")))
}
