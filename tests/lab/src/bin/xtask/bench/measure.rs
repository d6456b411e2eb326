//! Runs of a program: how long, how much processor, how much memory; and contests of two programs, in pairs.
//!
//! Figures of one machine wander from minute to minute, so the two programs run in turn, A B A B, and what counts are the
//! ratios of the pairs. Memory is read in a run of its own before that, which warms up and is not timed.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::step;

/// How long one run may take. The longest that is measured, a million files, takes a few minutes.
const LIMIT: Timespec = Timespec { tv_sec: 1200, tv_nsec: 0 };

/// Two commands that do the same, or ours alone.
pub(crate) struct Contest<'a> {
    pub(crate) ours: &'a dyn Fn() -> Command,
    pub(crate) peer: Option<&'a dyn Fn() -> Command>,
    /// Not timed: makes room for a run.
    pub(crate) before: &'a dyn Fn() -> Result<()>,
    /// Not timed: looks at what a run has left, after each.
    pub(crate) after: &'a dyn Fn(&Ended) -> Result<()>,
    /// The figure of a run that counts, by the name under which the program tells it; how long it took, if `None`.
    pub(crate) told: Option<&'static str>,
}

/// Whose run has ended, and what it wrote to standard output.
pub(crate) struct Ended {
    pub(crate) ours: bool,
    pub(crate) output: Vec<u8>,
}

/// What came of a [`Contest`].
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Ours and the peer's, pair by pair.
    pub(crate) pairs: Vec<(Run, Option<Run>)>,
    /// Most memory either had at once, in KiB.
    pub(crate) peak: (u64, Option<u64>),
}

/// One timed run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Seconds, or what the program told.
    pub(crate) figure: f64,
    pub(crate) cpu: Duration,
}

impl Contest<'_> {
    /// One run of each to warm up, in which memory is read; then the pairs that count.
    pub(crate) fn run(&self, pairs: u32) -> Result<Outcome> {
        let peak =
            (self.warm_up(true, self.ours)?, self.peer.map(|peer| self.warm_up(false, peer)).transpose()?);
        let mut measured = Vec::new();
        for _ in 0..pairs {
            let ours = self.timed(true, self.ours)?;
            measured.push((ours, self.peer.map(|peer| self.timed(false, peer)).transpose()?));
        }
        (self.before)()?;
        Ok(Outcome { pairs: measured, peak })
    }

    fn warm_up(&self, ours: bool, make: &dyn Fn() -> Command) -> Result<u64> {
        (self.before)()?;
        let mut command = make();
        let (peak, output) = peak_memory(&mut command)?;
        (self.after)(&Ended { ours, output }).with_context(|| format!("after {}", step::show(&command)))?;
        Ok(peak)
    }

    fn timed(&self, ours: bool, make: &dyn Fn() -> Command) -> Result<Run> {
        (self.before)()?;
        let mut command = make();
        let (wall, cpu, output) = time(&mut command)?;
        let figure = match self.told {
            None => wall.as_secs_f64(),
            Some(name) => told(&output)
                .remove(name)
                .with_context(|| format!("{} does not tell {name}", step::show(&command)))?,
        };
        (self.after)(&Ended { ours, output }).with_context(|| format!("after {}", step::show(&command)))?;
        Ok(Run { figure, cpu })
    }
}

/// What a program made for this tells: lines of a name and a number.
fn told(output: &[u8]) -> BTreeMap<String, f64> {
    let text = String::from_utf8_lossy(output);
    let line = |line: &str| {
        let (name, number) = line.trim().split_once(' ')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Removes what a run left: a file, a folder or nothing.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let gone = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(_) => Ok(()),
    };
    gone.with_context(|| format!("removing {}", path.display()))
}

/// How long it takes, how much processor time, and what it says.
pub(crate) fn time(command: &mut Command) -> Result<(Duration, Duration, Vec<u8>)> {
    let mut run = Running::start(command)?;
    run.wait_without_reaping()?;
    let wall = run.begun.elapsed();
    let cpu = cpu_time(run.child.id());
    Ok((wall, cpu, run.finish()?))
}

/// The high-water mark of a program's memory in KiB, read again and again until it ends. Only growth in the last instants of
/// its life can be missed.
pub(crate) fn peak_memory(command: &mut Command) -> Result<(u64, Vec<u8>)> {
    let mut run = Running::start(command)?;
    let status = format!("/proc/{}/status", run.child.id());
    let mut peak = 0;
    while run.child.try_wait().context("waiting for a program")?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        if run.begun.elapsed().as_secs() > LIMIT.tv_sec.unsigned_abs() {
            return Err(run.too_long());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok((peak, run.finish()?))
}

/// A started program whose words are kept: what it is asked for, and its complaints, to be shown if it fails.
struct Running {
    child: Child,
    begun: Instant,
    stdout: std::fs::File,
    stderr: std::fs::File,
    shown: String,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let shown = step::show(command);
        let file = || tempfile::tempfile().context("making a temporary file");
        let (stdout, stderr) = (file()?, file()?);
        let copy = |file: &std::fs::File| file.try_clone().context("handing on a temporary file");
        command.stdin(Stdio::null()).stdout(copy(&stdout)?).stderr(copy(&stderr)?);
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {shown}"))?;
        Ok(Self { child, begun, stdout, stderr, shown })
    }

    /// Waited for without being reaped, a process can still be asked how much processor time it used.
    fn wait_without_reaping(&mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        let handle = pidfd_open(pid, PidfdFlags::empty()).context("watching a program")?;
        let mut watched = [PollFd::new(&handle, PollFlags::IN)];
        if poll(&mut watched, Some(&LIMIT)).context("waiting for a program")? == 0 {
            return Err(self.too_long());
        }
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            .context("waiting for a program")?;
        Ok(())
    }

    fn too_long(&mut self) -> anyhow::Error {
        let _ = self.child.kill();
        let _ = self.child.wait();
        anyhow::anyhow!("{} did not end within {} s, and was killed", self.shown, LIMIT.tv_sec)
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        let status = self.child.wait().with_context(|| format!("waiting for {}", self.shown))?;
        let said = |file: &mut std::fs::File| {
            let mut said = Vec::new();
            let _ = file.rewind();
            let _ = file.read_to_end(&mut said);
            said
        };
        if !status.success() {
            let complaints = said(&mut self.stderr);
            bail!("{} failed ({status}): {}", self.shown, String::from_utf8_lossy(&complaints).trim());
        }
        Ok(said(&mut self.stdout))
    }
}

/// User and system time of a process that has ended and is not yet reaped; zero if `/proc` does not tell.
fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses come state (field 3) and the rest; utime and stime are fields 14 and 15.
    let ticks: u64 = stat
        .rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum())
        .unwrap_or(0);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1000) / per_second)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_run_is_timed_and_its_processor_time_and_memory_are_read() {
        let mut spin = Command::new("sh");
        spin.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo each 1.5"]);
        let (wall, cpu, output) = time(&mut spin).unwrap();
        assert!(wall > Duration::ZERO);
        assert!(cpu > Duration::ZERO, "{cpu:?}");
        assert!(cpu <= wall + Duration::from_millis(20), "{cpu:?} of {wall:?}");
        assert_eq!(told(&output)["each"], 1.5);
        assert!(peak_memory(&mut spin).unwrap().0 > 100);
    }

    #[test]
    fn a_failing_program_is_an_error_with_its_words() {
        let mut bad = Command::new("sh");
        bad.args(["-c", "echo no luck >&2; exit 3"]);
        let error = time(&mut bad).unwrap_err().to_string();
        assert!(error.contains("no luck") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn each_run_of_either_side_is_made_room_for_and_looked_at() {
        let (rooms, looks) = (Cell::new(0), Cell::new((0, 0)));
        let say = |number: &str| {
            let mut command = Command::new("echo");
            command.args(["each", number]);
            command
        };
        let contest = Contest {
            ours: &|| say("1"),
            peer: Some(&|| say("4")),
            before: &|| {
                rooms.set(rooms.get() + 1);
                Ok(())
            },
            after: &|ended| {
                let (ours, theirs) = looks.get();
                looks.set(if ended.ours { (ours + 1, theirs) } else { (ours, theirs + 1) });
                Ok(())
            },
            told: Some("each"),
        };
        let outcome = contest.run(2).unwrap();
        assert_eq!(looks.get(), (3, 3));
        assert_eq!(rooms.get(), 7);
        assert_eq!(outcome.pairs[0].0.figure, 1.0);
        assert_eq!(outcome.pairs[1].1.unwrap().figure, 4.0);
        let error = Contest { told: Some("other"), ..contest }.run(1).unwrap_err().to_string();
        assert!(error.contains("does not tell other"), "{error}");
    }
}
