//! Running the program.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a condition is waited for; each run of the program is limited by the test's own limit besides.
const LIMIT: Duration = Duration::from_secs(30);

/// The program as `cargo build --examples` leaves it, beside the folder that this test is in.
pub(crate) fn program() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.ancestors().nth(2).unwrap().join("examples").join("gridftp-fs");
    assert!(path.exists(), "{} is not there: run `cargo build --examples` first", path.display());
    path
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; 128 and the signal's number where a signal ended it.
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Outcome {
    pub(crate) fn of(output: std::process::Output) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let code =
            output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal)).unwrap();
        Self { code, stdout: output.stdout, stderr: String::from_utf8(output.stderr).unwrap() }
    }

    /// It complained about nothing and succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "{}", String::from_utf8_lossy(&self.stdout));
        self
    }

    /// It succeeded, printed nothing, and complained about nothing.
    #[track_caller]
    pub(crate) fn silent(self) {
        let outcome = self.succeeded();
        assert_eq!(outcome.text(), "");
    }

    /// It ended with this code, and said so in lines that are its own, with these words in them.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(!self.stderr.is_empty());
        for line in self.stderr.lines() {
            assert!(line.starts_with("gridftp-fs: "), "{line}");
        }
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
        self
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn lines(&self) -> Vec<&str> {
        self.text().lines().collect()
    }

    /// Each line as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The program with these words, in an environment without credentials.
pub(crate) fn command(args: &[impl AsRef<OsStr>]) -> Command {
    prepared(Command::new(program()), args)
}

fn prepared(mut command: Command, args: &[impl AsRef<OsStr>]) -> Command {
    for name in ["X509_USER_PROXY", "X509_USER_CERT", "X509_USER_KEY", "X509_CERT_DIR"] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// The program with signals as they are by default, whatever the one who started the tests ignores.
pub(crate) fn command_with_signals(args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM,HUP").arg(program());
    prepared(command, args)
}

/// Runs it to its end.
pub(crate) fn run(args: &[impl AsRef<OsStr>]) -> Outcome {
    Outcome::of(command(args).output().unwrap())
}

/// Runs it with this environment.
pub(crate) fn run_as(env: &[(&'static str, PathBuf)], args: &[impl AsRef<OsStr>]) -> Outcome {
    Outcome::of(command(args).envs(env.iter().cloned()).output().unwrap())
}

/// Runs it with this on its standard input.
pub(crate) fn run_with_stdin(args: &[impl AsRef<OsStr>], input: &[u8]) -> Outcome {
    let mut child = piped(&mut command(args)).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // It may end before it has read everything.
        scope.spawn(move || drop(stdin.write_all(input)));
        Outcome::of(child.wait_with_output().unwrap())
    })
}

/// Keeps what it prints.
pub(crate) fn piped(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// Sends a signal by its name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(status.success(), "kill -{name}");
}

/// Waits until there is something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited too long for {what}");
        // Only to leave the processor to the program.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The names in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
