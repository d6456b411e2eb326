//! Running the program.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a condition is waited for; each run of the program is limited by the test's own limit besides.
const LIMIT: Duration = Duration::from_secs(30);

/// The program as `cargo build --examples` leaves it, beside the folder that this test is in.
pub(crate) fn program() -> PathBuf {
    let me = std::env::current_exe().unwrap();
    let path = me.ancestors().nth(2).unwrap().join("examples").join("gridftp-cp");
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

    /// It said nothing and succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""));
        self
    }

    /// It ended with this code, and said so in one line with these words in it.
    #[track_caller]
    pub(crate) fn failed(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.starts_with("gridftp-cp: ") && self.stderr.ends_with('\n'), "{:?}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
        self
    }
}

/// The program with these words, in an environment without credentials.
pub(crate) fn command(args: &[impl AsRef<OsStr>]) -> Command {
    with_credentials(Command::new(program()), args)
}

fn with_credentials(mut command: Command, args: &[impl AsRef<OsStr>]) -> Command {
    for name in ["X509_USER_PROXY", "X509_USER_CERT", "X509_USER_KEY", "X509_CERT_DIR"] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// The program, started by another one: `sh -c`, `setpriv`, `env`.
pub(crate) fn command_by(starter: &[&str], args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(program());
    with_credentials(command, args)
}

/// Signals as they are by default, whatever the one who started the tests ignores.
pub(crate) const SIGNALS: &[&str] = &["env", "--default-signal=INT,TERM,HUP,XFSZ"];

/// Runs it to its end.
pub(crate) fn copy(args: &[impl AsRef<OsStr>]) -> Outcome {
    Outcome::of(command(args).output().unwrap())
}

/// Runs it with this on its standard input.
pub(crate) fn copy_from_stdin(args: &[impl AsRef<OsStr>], input: &[u8]) -> Outcome {
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
    signal_pid(child.id(), name);
}

pub(crate) fn signal_pid(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
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
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// A temporary name in the folder, once there is one that holds more than `bytes`.
#[track_caller]
pub(crate) fn wait_for_part(folder: &Path, bytes: u64) -> PathBuf {
    wait_for("a file under a temporary name", || {
        let name = names(folder)
            .into_iter()
            .find(|name| name.starts_with(".gridftp-") || name.starts_with('.') && name.ends_with(".part"))?;
        let path = folder.join(name);
        fs::metadata(&path).is_ok_and(|found| found.len() > bytes).then_some(path)
    })
}

/// A file of zeros that takes no room.
pub(crate) fn sparse(path: &Path, bytes: u64) {
    fs::File::create(path).unwrap().set_len(bytes).unwrap();
}

/// A folder for a test, open to other users.
pub(crate) fn folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("gridftp-cli-").tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A name of bytes.
pub(crate) fn bytes(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// Everything below a folder: hashes of files, `folder` for folders.
pub(crate) fn contents(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap().to_owned();
            if path.is_dir() {
                all.insert(below, "folder".to_owned());
                folders.push(path);
            } else {
                all.insert(below, format!("{:?}", gridftp_lab::sha256_file(&path).unwrap()));
            }
        }
    }
    all
}
