//! A real Slurm of several nodes on this machine: one controller, a daemon for each node, and a munge of their own. Nothing
//! of the machine's configuration is used or changed; it needs neither systemd nor cgroups, and no other user's rights.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::server::user_name;
use crate::watch::{Watched, poll_until, wait_for_end};
use crate::{Error, Result, packages};

/// How long the daemons may take until all nodes are idle.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long jobs that are cancelled at the end may take to be gone.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Ends whatever has `$1` in its environment, and then, if the owner did not live to say a word, removes the folder `$2`.
/// It looks until it finds nothing, as what it sees may start another one before it is ended.
const GUARD: &str = "\
trap '' INT TERM HUP
read -r word
rounds=0
found=1
while [ $found = 1 ] && [ $rounds -lt 50 ]; do
    found=0
    rounds=$((rounds + 1))
    # Those that are gone by now, and those of other users, cannot be read.
    for file in $(grep -lzxFe \"$1\" /proc/[0-9]*/environ 2>/dev/null); do
        pid=${file#/proc/}
        kill -s KILL \"${pid%/environ}\" 2>/dev/null && found=1
    done
    [ $found = 0 ] || sleep 0.1
done
[ \"$word\" = done ] || rm -rf -- \"$2\"";

/// A running Slurm. Dropping it ends its jobs and daemons; so does the end of this process, however it comes.
#[derive(Debug)]
pub struct Slurm {
    // Dropped in this order: the daemons, then munge, then what is left of jobs, then the folder they all write to.
    _nodes: Vec<Watched>,
    _controller: Watched,
    _munge: Watched,
    _guard: Guard,
    folder: TempDir,
    libraries: PathBuf,
}

impl Slurm {
    /// Starts it with so many nodes of one processor each, and waits until they are idle.
    ///
    /// # Panics
    /// When it cannot; the message holds the daemons' logs, or names the package to install.
    #[track_caller]
    pub fn start(nodes: usize) -> Self {
        Self::try_start(nodes).unwrap_or_else(|e| panic!("{e}"))
    }

    /// The same.
    ///
    /// # Errors
    /// What is missing, or why it did not come up.
    pub fn try_start(nodes: usize) -> Result<Self> {
        let (munged, controller) = (packages::MUNGE.program()?, packages::SLURM_CONTROLLER.program()?);
        let (node, submit) = (packages::SLURM_NODE.program()?, packages::SLURM_CLIENT.program()?);
        let folder = tempfile::Builder::new()
            .prefix("slurm-")
            .tempdir()
            .map_err(Error::io("making a folder in", &std::env::temp_dir()))?;
        let dir = folder.path();
        // Jobs run as this user, and munge wants a path to its socket that all can pass.
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
            .map_err(Error::io("opening the folder", dir))?;
        configure(dir, nodes)?;
        let guard = Guard::spawn(dir)?;
        let start = |program: &Path, name: &str, args: &[&str]| -> Result<Watched> {
            let mut command = Command::new(program);
            command.args(args).current_dir(dir);
            command.env("SLURM_CONF", dir.join("slurm.conf"));
            command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
            let log = |end: &str| {
                let path = dir.join(format!("{name}.{end}"));
                fs::File::create(&path).map_err(Error::io("creating", &path))
            };
            Watched::spawn(&command, log("out")?.into(), log("err")?.into(), &[dir.to_owned()])
        };
        let path = |name: &str| dir.join(name).display().to_string();
        let munge = start(
            &munged,
            "munged",
            &[
                "--foreground",
                "--force",
                "--socket",
                &path("munge.socket"),
                "--key-file",
                &path("munge.key"),
                "--pid-file",
                &path("munge.pid"),
                "--seed-file",
                &path("munge.seed"),
                "--log-file",
                &path("munge.log"),
            ],
        )?;
        let started = |reason: &str| Error::Start {
            reason: reason.to_owned(),
            command: "munged, slurmctld, slurmd".to_owned(),
            log: logs(dir),
        };
        if !poll_until(START_LIMIT, || dir.join("munge.socket").exists()) {
            return Err(started("munged made no socket"));
        }
        let controller = start(&controller, "slurmctld", &["-D"])?;
        let mut daemons = Vec::new();
        for number in 1..=nodes {
            let name = format!("n{number}");
            daemons.push(start(&node, &name, &["-D", "-N", &name])?);
        }
        let libraries = submit.parent().map(Path::to_owned).unwrap_or_default();
        let slurm = Self {
            _nodes: daemons,
            _controller: controller,
            _munge: munge,
            _guard: guard,
            folder,
            libraries,
        };
        let all_idle = || {
            let states = slurm.command("sinfo").args(["-h", "-N", "-o", "%t"]).output();
            states.is_ok_and(|states| {
                let text = String::from_utf8_lossy(&states.stdout).into_owned();
                text.lines().count() == nodes && text.lines().all(|state| state == "idle")
            })
        };
        if !poll_until(START_LIMIT, all_idle) {
            return Err(Error::Start {
                reason: "not all nodes became idle".to_owned(),
                command: "munged, slurmctld, slurmd".to_owned(),
                log: logs(slurm.dir()),
            });
        }
        Ok(slurm)
    }

    /// Its folder: `slurm.conf`, logs, and what jobs print (`JOB.out`).
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// A program of Slurm's (`sbatch`, `squeue`, `scontrol`) for this one.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.libraries.join(name));
        command.env("SLURM_CONF", self.dir().join("slurm.conf"));
        for (variable, _) in std::env::vars_os() {
            // Whoever runs the tests within a job has a Slurm of their own.
            if variable.to_string_lossy().starts_with("SLURM_") && variable != "SLURM_CONF" {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    /// Submits a script, with more options of sbatch (`--array=0-3`); gives the job's number. What it prints goes to files
    /// `JOB_TASK.out` in [`dir`](Self::dir).
    ///
    /// # Panics
    /// sbatch refuses.
    #[track_caller]
    pub fn submit(&self, script: &str, options: &[&str]) -> u64 {
        // sbatch keeps a copy: the next one may take the name.
        let path = self.dir().join("script.sh");
        fs::write(&path, format!("#!/bin/sh\n{script}\n"))
            .unwrap_or_else(|e| panic!("writing the script: {e}"));
        let out = self.dir().join("%A_%a.out");
        let mut command = self.command("sbatch");
        command.arg("--parsable").arg("--export=ALL").arg(format!("--output={}", out.display()));
        command.args(options).arg(&path).current_dir(self.dir());
        let output = run(&mut command);
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.trim().split(';').next().unwrap_or_default();
        number.parse().unwrap_or_else(|_| panic!("sbatch said {text:?}"))
    }

    /// Waits until a job is over, all its tasks included.
    ///
    /// # Panics
    /// It is not within the limit.
    #[track_caller]
    pub fn wait(&self, job: u64, limit: Duration) {
        let over = poll_until(limit, || {
            let left = run(self.command("squeue").args(["-h", "-o", "%T", "-j", &job.to_string()]));
            left.stdout.is_empty()
        });
        assert!(over, "job {job} is not over after {limit:?}\n{}", logs(self.dir()));
    }

    /// State and exit code of each task of an array (`COMPLETED`, `0:0`), by its number; or of the job, under 0.
    ///
    /// # Panics
    /// Slurm does not tell.
    #[track_caller]
    pub fn tasks(&self, job: u64) -> Vec<(u32, String, String)> {
        let shown = run(self.command("scontrol").args(["-o", "show", "job", &job.to_string()]));
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        let field = |line: &str, name: &str| {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            word.map(str::to_owned)
        };
        let mut tasks: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let number = field(line, "ArrayTaskId").map_or(Some(0), |number| number.parse().ok())?;
                Some((number, field(line, "JobState")?, field(line, "ExitCode")?))
            })
            .collect();
        tasks.sort();
        tasks
    }

    /// Sends a signal to a job, or one task of it (`17`, `17_2`); without one it is cancelled: TERM, and KILL after a while.
    ///
    /// # Panics
    /// scancel refuses.
    #[track_caller]
    pub fn cancel(&self, job: &str, signal: Option<&str>) {
        let mut command = self.command("scancel");
        if let Some(signal) = signal {
            command.args(["--full", "--signal", signal]);
        }
        run(command.arg(job));
    }
}

impl Drop for Slurm {
    fn drop(&mut self) {
        // Steps are in groups of their own, which only Slurm knows.
        let Ok(user) = user_name() else { return };
        let _ = self.command("scancel").args(["-u", &user]).output();
        let mut cancelled = self.command("squeue");
        cancelled.args(["-h", "-o", "%i"]);
        poll_until(END_LIMIT, || cancelled.output().is_ok_and(|left| left.stdout.is_empty()));
    }
}

/// Ends what the daemons leave behind. Each step of a job is in a session of its own and outlives the daemon that started
/// it, so that ending the daemons' groups is not enough; but all inherit `SLURM_CONF`, which no other Slurm shares.
#[derive(Debug)]
struct Guard {
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    fn spawn(dir: &Path) -> Result<Self> {
        let mark = format!("SLURM_CONF={}", dir.join("slurm.conf").display());
        // In a group of its own, so that Ctrl-C at a terminal does not end it before its work is done.
        let mut shell = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard", &mark])
            .arg(dir)
            .env_remove("SLURM_CONF")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Io { what: "starting /bin/sh for the guard".into(), source })?;
        let pipe = shell.stdin.take();
        Ok(Self { shell, pipe })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            // A guard that somebody killed cannot be told, and need not be.
            let _ = pipe.write_all(b"done\n");
        }
        wait_for_end(&mut self.shell);
    }
}

#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("starting {command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn configure(dir: &Path, nodes: usize) -> Result<()> {
    // Whoever knew it could run jobs as this user while the test goes on.
    let mut key = [0; 1024];
    let source = Path::new("/dev/urandom");
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut key))
        .map_err(Error::io("reading", source))?;
    let path = dir.join("munge.key");
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(&path)
        .and_then(|mut file| file.write_all(&key))
        .map_err(Error::io("writing", &path))?;
    for name in ["state", "spool"] {
        let path = dir.join(name);
        fs::create_dir(&path).map_err(Error::io("making the folder", &path))?;
    }
    for number in 1..=nodes {
        let path = dir.join("spool").join(format!("n{number}"));
        fs::create_dir(&path).map_err(Error::io("making the folder", &path))?;
    }
    let user = user_name()?;
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().split('.').next().unwrap_or("localhost").to_owned();
    // All at once, so that no two are the same. They are free again before the daemons ask for them, which nobody else does.
    let taken: Vec<_> = (0..=nodes).map(|_| free_port()).collect::<Result<_>>()?;
    let ports: Vec<u16> =
        taken.iter().filter_map(|port| port.local_addr().ok().map(|at| at.port())).collect();
    let d = dir.display();
    let mut text = format!(
        "ClusterName=lab\nSlurmctldHost={host}(127.0.0.1)\nSlurmUser={user}\nSlurmdUser={user}\n\
         AuthType=auth/munge\nAuthInfo=socket={d}/munge.socket\nSlurmctldPort={}\n\
         StateSaveLocation={d}/state\nSlurmdSpoolDir={d}/spool/%n\n\
         SlurmctldPidFile={d}/slurmctld.pid\nSlurmdPidFile={d}/%n.pid\n\
         SlurmctldLogFile={d}/slurmctld.log\nSlurmdLogFile={d}/%n.log\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSwitchType=switch/none\nMpiDefault=none\n\
         JobAcctGatherType=jobacct_gather/none\nReturnToService=2\nKillWait=5\nMinJobAge=3600\n\
         SchedulerType=sched/builtin\nSelectType=select/cons_tres\n",
        ports[0]
    );
    for (number, port) in ports.iter().enumerate().skip(1) {
        text += &format!(
            "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=100 State=UNKNOWN\n"
        );
    }
    text += &format!("PartitionName=lab Nodes=n[1-{nodes}] Default=YES MaxTime=INFINITE State=UP\n");
    let path = dir.join("slurm.conf");
    fs::write(&path, text).map_err(Error::io("writing", &path))
}

fn free_port() -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .map_err(|source| Error::Io { what: "taking a loopback port".into(), source })
}

/// The ends of all logs.
fn logs(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|end| end == "log" || end == "err" || end == "out") {
            let log = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(15)..];
            text += &format!("---- {} ----\n{}\n", path.display(), last.join("\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set for a process of this test program that is to be killed while its Slurm runs a job.
    const OWNER: &str = "GRIDFTP_LAB_SLURM_OWNER";

    /// The processes of the Slurm in this folder; those that ended and were not reaped have no environment.
    fn processes(dir: &Path) -> Vec<PathBuf> {
        let mark = format!("SLURM_CONF={}", dir.join("slurm.conf").display());
        let is_of_it = |path: &PathBuf| {
            let environ = fs::read(path.join("environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()).filter(is_of_it).collect()
    }

    /// Starts a Slurm with jobs that do not listen to TERM, and waits until they run.
    fn with_stubborn_jobs() -> Slurm {
        let slurm = Slurm::start(2);
        let script = "trap '' TERM\necho > up.$SLURM_ARRAY_TASK_ID\nwhile :; do sleep 0.1; done";
        slurm.submit(script, &["--array=0-1"]);
        let run = || (0..2).all(|task| slurm.dir().join(format!("up.{task}")).exists());
        assert!(poll_until(Duration::from_secs(60), run), "{}", logs(slurm.dir()));
        slurm
    }

    #[test]
    fn nothing_is_left_when_it_is_dropped() {
        let slurm = with_stubborn_jobs();
        let dir = slurm.dir().to_owned();
        assert!(!processes(&dir).is_empty());
        drop(slurm);
        assert_eq!(processes(&dir), Vec::<PathBuf>::new());
        assert!(!dir.exists());
    }

    #[test]
    fn nothing_is_left_when_its_owner_is_killed() {
        let told = |path: &Path| fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'));
        if let Some(path) = std::env::var_os(OWNER) {
            let slurm = with_stubborn_jobs();
            fs::write(path, format!("{}\n", slurm.dir().display())).unwrap();
            std::thread::sleep(Duration::from_secs(600));
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dir");
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "slurm::tests::nothing_is_left_when_its_owner_is_killed"])
            .env(OWNER, &path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = poll_until(Duration::from_secs(150), || {
            told(&path).is_some() || !matches!(owner.try_wait(), Ok(None))
        });
        // Killed in any case, so that a failure leaves nothing either.
        owner.kill().unwrap();
        owner.wait().unwrap();
        let dir = PathBuf::from(told(&path).filter(|_| began).expect("the owner's Slurm runs").trim_end());
        let gone = || processes(&dir).is_empty() && !dir.exists();
        assert!(poll_until(Duration::from_secs(30), gone), "{:?}", processes(&dir));
    }

    #[test]
    fn arrays_run_and_signals_arrive() {
        let slurm = Slurm::start(4);
        let script = "echo $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT; exit $SLURM_ARRAY_TASK_ID";
        let job = slurm.submit(script, &["--array=0-3"]);
        slurm.wait(job, Duration::from_secs(60));
        let tasks = slurm.tasks(job);
        assert_eq!(tasks.len(), 4, "{tasks:?}");
        for (number, state, code) in tasks {
            let said = fs::read_to_string(slurm.dir().join(format!("{job}_{number}.out"))).unwrap();
            assert_eq!(said, format!("{number} of 4\n"));
            let wanted = if number == 0 { "COMPLETED" } else { "FAILED" };
            assert_eq!((state.as_str(), code), (wanted, format!("{number}:0")));
        }
        let mark = slurm.dir().join("mark");
        let script = format!(
            "trap 'echo caught >> {0}; exit 0' TERM\necho begun > {0}\nwhile :; do sleep 0.1; done",
            mark.display()
        );
        let job = slurm.submit(&script, &[]);
        let begun = || fs::read_to_string(&mark).is_ok_and(|text| text == "begun\n");
        assert!(poll_until(Duration::from_secs(60), begun));
        slurm.cancel(&job.to_string(), Some("TERM"));
        slurm.wait(job, Duration::from_secs(60));
        assert_eq!(fs::read_to_string(&mark).unwrap(), "begun\ncaught\n");
    }
}
