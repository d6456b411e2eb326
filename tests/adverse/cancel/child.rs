//! Processes of one's own: this test binary, started again for one test.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const STEP: &str = "GRIDFTP_TEST_STEP";
const URLS: &str = "GRIDFTP_TEST_URLS";
/// What a child prints when it is about to end.
pub(super) const NOW: &str = "---- it ends now ----";

fn command(test: &str, step: &str, urls: &[String]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    command.env(STEP, step).env(URLS, urls.join(" "));
    command
}

/// What a child is told: its step, and the URLs.
pub(super) fn told() -> Option<(String, Vec<String>)> {
    let step = std::env::var(STEP).ok()?;
    let urls = std::env::var(URLS).unwrap_or_default();
    Some((step, urls.split(' ').map(ToOwned::to_owned).collect()))
}

/// Runs `body` in a process of its own, without a runtime.
pub(super) fn in_child(test: &str, body: impl FnOnce()) {
    if told().is_some() {
        return body();
    }
    let status = command(test, "alone", &[]).status().unwrap();
    assert!(status.success(), "{test} failed in its own process: {status}");
}

/// How a child ended, and how long that took from where it said that it does.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) took: Duration,
}

/// Starts a child, waits until it says that it is about to end, does `then`, and waits for the end.
pub(super) fn end_of(test: &str, step: &str, urls: &[String], then: impl FnOnce(u32)) -> Ended {
    let mut child = command(test, step, urls).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(NOW) {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "{test} {step} ended before it was to");
    }
    let begun = Instant::now();
    then(child.id());
    let mut rest = String::new();
    // Until nobody holds the other end.
    lines.read_to_string(&mut rest).unwrap();
    let status = child.wait().unwrap();
    Ended { status, took: begun.elapsed() }
}
