//! Processes that go away with their owner.
//!
//! Each program of the lab runs as the leader of a process group of its own, so that its forked children (the server
//! forks for every connection) can be ended with it, and so that Ctrl-C at a terminal reaches the owner first. Beside it
//! stands a *watcher*, a shell blocked on a pipe whose other end only the owner holds. When the owner is done it says so
//! through the pipe; when it dies in any way the system closes the pipe. Either way the watcher kills the group, and in
//! the second case also removes the owner's temporary folders, which nobody else would.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The program waits for one line before it begins, so that it never runs without its watcher.
const GATE: &str = "read -r go && exec \"$@\" </dev/null";

/// `$1` is the group, the rest are folders. The word on the pipe says that the owner lives and cleans up itself.
/// `kill -s KILL -- -N` is the one spelling that dash and bash both take for a group.
const WATCHER: &str = "\
trap '' INT TERM HUP
read -r word
kill -s KILL -- \"-$1\" 2>/dev/null
shift
[ \"$word\" = done ] || rm -rf -- \"$@\"";

/// How long an ended process may take to be gone. Only a kernel in trouble needs more than an instant.
const END_LIMIT: Duration = Duration::from_secs(10);

/// A running program with its watcher. Dropping it ends the program and all its children.
#[derive(Debug)]
pub(crate) struct Watched {
    program: Child,
    watcher: Child,
    pipe: Option<ChildStdin>,
}

impl Watched {
    /// Starts `command` under a watcher. Its standard input is `/dev/null`; standard output and error are as the
    /// command says, and should not be the owner's, which the program may outlive by an instant.
    ///
    /// `folders` are removed if the owner dies without dropping this value.
    pub(crate) fn spawn(
        command: &Command,
        stdout: Stdio,
        stderr: Stdio,
        folders: &[PathBuf],
    ) -> Result<Self> {
        let failed = |what: &'static str| move |source| Error::Io { what: what.into(), source };
        let mut gate = Command::new("/bin/sh");
        gate.args(["-c", GATE, "gate"]).arg(command.get_program()).args(command.get_args());
        gate.env_clear();
        gate.envs(command.get_envs().filter_map(|(key, value)| value.map(|value| (key, value))));
        if let Some(dir) = command.get_current_dir() {
            gate.current_dir(dir);
        }
        gate.stdin(Stdio::piped()).stdout(stdout).stderr(stderr).process_group(0);
        let mut program = gate.spawn().map_err(failed("starting /bin/sh for the server"))?;
        let spawned = Command::new("/bin/sh")
            .args(["-c", WATCHER, "watcher", &program.id().to_string()])
            .args(folders)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        let mut watcher = match spawned {
            Ok(watcher) => watcher,
            Err(source) => {
                // Without a line the gate ends by itself.
                drop(program.stdin.take());
                let _ = program.wait();
                return Err(failed("starting /bin/sh for the watcher")(source));
            }
        };
        let pipe = watcher.stdin.take();
        let go = program.stdin.take().map(|mut stdin| stdin.write_all(b"go\n"));
        let watched = Self { program, watcher, pipe };
        match go {
            Some(Ok(())) => Ok(watched),
            Some(Err(source)) => Err(failed("starting the server")(source)),
            None => Err(failed("starting the server")(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// The program's process id, which is also that of its process group.
    pub(crate) fn pid(&self) -> u32 {
        self.program.id()
    }

    /// How the program ended, if it has.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        self.program.try_wait().ok().flatten()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The program is reaped last: until then its number, and so the group's, cannot be another's.
        if let Some(group) = i32::try_from(self.program.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        if let Some(mut pipe) = self.pipe.take() {
            // A watcher that somebody killed cannot be told, and need not be.
            let _ = pipe.write_all(b"done\n");
        }
        wait_for_end(&mut self.watcher);
        wait_for_end(&mut self.program);
    }
}

/// Waits for a program's end. One that is late is killed, and has none.
///
/// # Panics
/// The program cannot be waited for, or killed.
pub fn ended_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let mut ended = None;
    let looked = poll_until(limit, || {
        ended = child.try_wait().unwrap_or_else(|error| panic!("waiting for a program: {error}"));
        ended.is_some()
    });
    if !looked {
        child.kill().and_then(|()| child.wait()).unwrap_or_else(|error| panic!("killing a program: {error}"));
    }
    ended
}

/// Waits for a program that is about to end.
pub(crate) fn wait_for_end(child: &mut Child) {
    poll_until(END_LIMIT, || !matches!(child.try_wait(), Ok(None)));
}

/// Looks for `condition` every millisecond or two until it holds or the limit is over; tells which.
pub(crate) fn poll_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes of a group, from `/proc`: process ids, zombies left out.
pub(crate) fn group_members(group: u32) -> Vec<u32> {
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))
            .unwrap_or_default();
        // The name in parentheses may hold anything; what follows the last `)` is: state, parent, group, …
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let mut fields = rest.split_whitespace();
        let state = fields.next();
        if state != Some("Z") && fields.nth(1).and_then(|f| f.parse().ok()) == Some(group) {
            members.push(pid);
        }
    }
    members
}
