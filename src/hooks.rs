//! For unit tests only: switches that turn single checks off, and the child processes in which that is done.
//!
//! A check that nothing would go wrong without is no check. So a test of one is a *scenario*, an async function that meets a
//! hostile peer and says what came of it. It runs twice: here, with the check, where it has to end well; and in a child
//! process, which is this test binary again, with the check switched off, where it has to be killed, to hang, or to take
//! something false for true. `tests/rules` lists the rules and their tests.
//!
//! This module is compiled for the unit tests of the crate alone. In the library itself there is nothing of it: every use
//! stands behind `#[cfg(test)]`, as the name would not be known there.
//!
//! What must never live here: anything that a check needs in order to work.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Names the check that is off in this process. Set for children only.
pub(crate) const VARIABLE: &str = "GRIDFTP_UNIT_TEST_WITHOUT";

/// The name of a child in which every check is on.
pub(crate) const NOTHING: &str = "nothing";

/// How long a child may take before it counts as hung.
const LIMIT: Duration = Duration::from_secs(25);

/// Exit codes of children; none that Rust's test harness (101) or C (1) uses.
const WELL: i32 = 70;
const CORRUPT: i32 = 71;
const HUNG: i32 = 72;

/// What came of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The right error, or the right bytes, in time.
    Well,
    /// Something false was taken for true.
    Corrupt,
    /// It did not end, or something did not come back.
    Hung,
    /// The process was killed by a signal. Never said by a scenario itself.
    Killed,
    /// The process ended itself. Never said by a scenario itself.
    Exited(i32),
}

/// Whether a check is switched off in this process.
pub(crate) fn without(check: &str) -> bool {
    switched_off().is_some_and(|off| off == check)
}

/// Whether this process is such a child: what it begins before its scenario is not cleared away.
pub(crate) fn is_child() -> bool {
    switched_off().is_some()
}

fn switched_off() -> Option<&'static str> {
    static OFF: OnceLock<Option<String>> = OnceLock::new();
    OFF.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref()
}

/// The name of the test it stands in, as the test harness knows it.
macro_rules! this_test {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        name.strip_prefix("gridftp::").and_then(|name| name.strip_suffix("::here")).unwrap()
    }};
}
pub(crate) use this_test;

/// Runs a scenario with its check, which must end well, and in a child without it, which must not: it has to come to one of
/// the ends that are named.
pub(crate) fn bites<F>(test: &str, check: &str, ends: &[Outcome], scenario: impl Fn() -> F)
where
    F: Future<Output = Outcome>,
{
    play_if_child(&scenario);
    assert_eq!(run(scenario()), Outcome::Well, "with every check on");
    let (end, said) = child(test, check, &[]);
    assert!(ends.contains(&end), "without \"{check}\": {end:?}, expected one of {ends:?}\n{said}");
}

/// The same with both in children, for what can only be shown in a process with such an environment, or must not be done to
/// the process of other tests.
pub(crate) fn bites_in_children<F>(
    test: &str,
    check: &str,
    ends: &[Outcome],
    environment: &[(&str, PathBuf)],
    scenario: impl Fn() -> F,
) where
    F: Future<Output = Outcome>,
{
    play_if_child(&scenario);
    for (without, ends) in [(NOTHING, &[Outcome::Well][..]), (check, ends)] {
        let (end, said) = child(test, without, environment);
        assert!(ends.contains(&end), "without \"{without}\": {end:?}, expected one of {ends:?}\n{said}");
    }
}

/// Shows that a scenario kills a process, where no check stands between it and C.
pub(crate) fn dies<F: Future<Output = Outcome>>(test: &str, scenario: impl Fn() -> F) {
    play_if_child(&scenario);
    let (end, said) = child(test, NOTHING, &[]);
    assert_eq!(end, Outcome::Killed, "C has learned to survive this: then the rule can go\n{said}");
}

/// In a child: plays the scenario and ends the process with what came of it.
fn play_if_child<F: Future<Output = Outcome>>(scenario: impl Fn() -> F) {
    if switched_off().is_none() {
        return;
    }
    // A process that is killed on purpose leaves no core behind.
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    std::process::exit(match run(scenario()) {
        Outcome::Well => WELL,
        Outcome::Corrupt => CORRUPT,
        Outcome::Hung => HUNG,
        Outcome::Killed | Outcome::Exited(_) => unreachable!("seen from outside only"),
    });
}

fn run(scenario: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.as_ref().unwrap().block_on(scenario);
    // Whoever hangs in there must not hold this up.
    runtime.unwrap().shutdown_background();
    outcome
}

/// Runs one test of this binary in a process of its own with a check switched off; gives its end, and what it said.
fn child(test: &str, without: &str, environment: &[(&str, PathBuf)]) -> (Outcome, String) {
    let output = tempfile::tempfile().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, without)
        .env("RUST_BACKTRACE", "0")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output.try_clone().unwrap())
        .spawn()
        .unwrap();
    let end = gridftp_lab::ended_within(&mut child, LIMIT).map_or(Outcome::Hung, |status| {
        match (status.code(), status.signal()) {
            (Some(WELL), _) => Outcome::Well,
            (Some(CORRUPT), _) => Outcome::Corrupt,
            (Some(HUNG), _) => Outcome::Hung,
            (Some(code), _) => Outcome::Exited(code),
            (None, _) => Outcome::Killed,
        }
    });
    let mut said = Vec::new();
    let mut output = output;
    std::io::Seek::rewind(&mut output).unwrap();
    std::io::Read::read_to_end(&mut output, &mut said).unwrap();
    let said = String::from_utf8_lossy(&said[said.len().saturating_sub(4000)..]).into_owned();
    // No test of that name: the child did nothing at all.
    assert!(!said.contains("running 0 tests"), "{test} is not the name of a test");
    (end, said)
}

/// The switches work: a child whose check is off knows it, and the ends of children are told apart.
#[test]
fn children_know_what_is_off_and_their_ends_are_told_apart() {
    let scenario = || async {
        if without("well") {
            Outcome::Well
        } else if without("corrupt") {
            Outcome::Corrupt
        } else if without("hung") {
            Outcome::Hung
        } else if without("exit") {
            std::process::exit(1)
        } else if without("abort") {
            std::process::abort()
        } else {
            panic!("a panic is no end that a scenario has")
        }
    };
    play_if_child(scenario);
    assert!(!without("well"));
    for (check, end) in [
        ("well", Outcome::Well),
        ("corrupt", Outcome::Corrupt),
        ("hung", Outcome::Hung),
        ("exit", Outcome::Exited(1)),
        ("abort", Outcome::Killed),
        ("something else", Outcome::Exited(101)),
    ] {
        assert_eq!(child(this_test!(), check, &[]).0, end, "{check}");
    }
}
