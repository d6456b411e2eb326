//! The table: each case in a process of its own, ours and globus-url-copy's, many at a time.
//!
//! The test starts itself again for each half of a case, so that a case that kills its process is named and kills nothing
//! else. What counts is our half; the other one is shown beside it.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use gridftp_lab::{Pki, Server};

use super::cases::{self, Case};
use super::{guc, ours};

/// Which case a child plays, which half of it, and the file for the outcome.
const CASE: &str = "GRIDFTP_HOSTILE_CASE";
const HALF: &str = "GRIDFTP_HOSTILE_HALF";
const OUTCOME: &str = "GRIDFTP_HOSTILE_OUTCOME";

/// The port of a real server with GSI, and a file there.
const REAL: &str = "GRIDFTP_HOSTILE_REAL";

/// What all children share.
struct Stage {
    pki: Pki,
    real: String,
}

/// The port of the real server, and the path of its file.
pub(super) fn real_server() -> (u16, String) {
    let text = std::env::var(REAL).unwrap();
    let (port, path) = text.split_once(' ').unwrap();
    (port.parse().unwrap(), path.to_owned())
}

/// How long a child may take before it counts as hung: more than any deadline in it.
const LIMIT: Duration = Duration::from_secs(90);

/// Children at a time: they mostly wait.
const AT_ONCE: usize = 20;

/// How one half of a case ended.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) good: bool,
    pub(super) seconds: f64,
    pub(super) what: String,
}

impl Outcome {
    pub(super) fn of(start: Instant, judged: Result<String, String>) -> Self {
        let seconds = start.elapsed().as_secs_f64();
        let good = judged.is_ok();
        Self { good, seconds, what: judged.unwrap_or_else(|error| error) }
    }

    fn write(&self, path: &Path) {
        let line = self.what.replace('\n', " / ");
        fs::write(path, format!("{}\n{}\n{line}", self.good, self.seconds)).unwrap();
    }

    fn read(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut lines = text.splitn(3, '\n');
        Some(Self {
            good: lines.next()? == "true",
            seconds: lines.next()?.parse().ok()?,
            what: lines.next()?.to_owned(),
        })
    }
}

#[test]
fn hostile_cases() {
    let all = cases::all();
    if let (Some(name), Some(half), Some(outcome)) =
        (std::env::var_os(CASE), std::env::var_os(HALF), std::env::var_os(OUTCOME))
    {
        let case = all.iter().find(|case| case.name == name).unwrap();
        let judged = if half == "ours" { ours::run(case) } else { guc::run(case) };
        judged.write(Path::new(&outcome));
        return;
    }
    let mut names: Vec<_> = all.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "two cases of one name");
    assert!(all.len() >= 40);

    // One certificate authority for all, and one real server: what differs is what is said.
    let pki = Pki::new();
    let real = Server::gsi(&pki).start();
    let file = real.dir().join("f");
    fs::write(&file, cases::contents()).unwrap();
    let stage = Stage { pki, real: format!("{} {}", real.port(), file.display()) };
    let only = std::env::var("GRIDFTP_HOSTILE_ONLY").unwrap_or_default();
    let all: Vec<_> = all.into_iter().filter(|case| case.name.contains(&only)).collect();
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(Vec::new());
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = all.get(job / 2) else { break };
                    let half = ["ours", "guc"][job % 2];
                    if half == "guc" && !guc::has(case) {
                        continue;
                    }
                    let outcome = in_child(case, half, &stage);
                    rows.lock().unwrap().push((case.name, half, outcome));
                }
            });
        }
    });
    let rows = rows.into_inner().unwrap();
    let find = |name, half| {
        rows.iter().find(|(case, of, _)| *case == name && *of == half).map(|(.., outcome)| outcome)
    };
    let (mut good, mut guc_good, mut guc_all) = (0, 0, 0);
    let mut bad = Vec::new();
    println!("{:<34} {:>9} {:<58} {:>9} globus-url-copy", "case", "s", "ours", "s");
    for case in &all {
        let mine = find(case.name, "ours").unwrap();
        good += usize::from(mine.good);
        if !mine.good {
            bad.push(format!("{}: {}", case.name, mine.what));
        }
        let theirs = find(case.name, "guc").map_or_else(|| "        - has no such operation".into(), show);
        if let Some(outcome) = find(case.name, "guc") {
            guc_all += 1;
            guc_good += usize::from(outcome.good);
        }
        println!("{:<34} {:<68} {theirs}", case.name, show(mine));
    }
    let slowest = rows.iter().filter(|row| row.1 == "ours").map(|row| row.2.seconds).fold(0.0, f64::max);
    println!(
        "hostile cases: {good} of {} good, the slowest {slowest:.1} s; globus-url-copy {guc_good} of {guc_all}; {:.0} s in all",
        all.len(),
        start.elapsed().as_secs_f64()
    );
    assert!(bad.is_empty(), "{} cases are not good:\n{}", bad.len(), bad.join("\n"));
}

fn show(outcome: &Outcome) -> String {
    let word = if outcome.good { "good" } else { "BAD" };
    let what: String = outcome.what.chars().take(52).collect();
    format!("{:>7.2} s {word:<4} {what}", outcome.seconds)
}

fn in_child(case: &Case, half: &str, stage: &Stage) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outcome");
    let log = fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "hostile::table::hostile_cases", "--nocapture", "--test-threads", "1"])
        .env(CASE, case.name)
        .env(HALF, half)
        .env(OUTCOME, &path)
        .env("RUST_BACKTRACE", "0")
        .env("HOME", folder.path())
        .env("X509_CERT_DIR", stage.pki.ca_dir())
        .env("X509_USER_PROXY", stage.pki.proxy())
        .env(REAL, &stage.real)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = gridftp_lab::ended_within(&mut child, LIMIT);
    let failed = |what: String| Outcome { good: false, seconds: start.elapsed().as_secs_f64(), what };
    match (status, Outcome::read(&path)) {
        (Some(status), Some(outcome)) if status.success() => outcome,
        (None, _) => failed(format!("HUNG for {LIMIT:?}")),
        (Some(status), _) => {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
            let last = lines[lines.len().saturating_sub(8)..].join(" | ");
            failed(format!("{}: {last}", ended(status)))
        }
    }
}

pub(super) fn ended(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match status.signal() {
        Some(6) => "KILLED by SIGABRT".into(),
        Some(11) => "KILLED by SIGSEGV".into(),
        Some(signal) => format!("KILLED by signal {signal}"),
        None => format!("exit {}", status.code().unwrap_or(-1)),
    }
}
