//! Runs of a program: how long, how much processor, how much memory.

use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::step;

/// Two commands that do the same.
pub(crate) struct Contest<'a> {
    pub(crate) ours: &'a dyn Fn() -> Command,
    pub(crate) peer: &'a dyn Fn() -> Command,
    /// Not timed: makes room for a run.
    pub(crate) before: &'a dyn Fn() -> Result<()>,
    /// Not timed: looks at what the first run of each has left.
    pub(crate) after: &'a dyn Fn() -> Result<()>,
}

/// What came of a [`Contest`].
pub(crate) struct Outcome {
    /// Ours and the peer's, pair by pair.
    pub(crate) pairs: Vec<(Run, Run)>,
    /// Most memory either had at once, in KiB.
    pub(crate) peak: (u64, u64),
}

/// One timed run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Contest<'_> {
    /// One pair to warm up and check, in which memory is read; then the pairs that count.
    pub(crate) fn run(&self, pairs: u32) -> Result<Outcome> {
        let first = |make: &dyn Fn() -> Command| -> Result<u64> {
            (self.before)()?;
            let mut command = make();
            let peak = peak_memory(&mut command)?;
            (self.after)().with_context(|| format!("after {}", step::show(&command)))?;
            Ok(peak)
        };
        let peak = (first(self.ours)?, first(self.peer)?);
        let timed = |make: &dyn Fn() -> Command| -> Result<Run> {
            (self.before)()?;
            time(&mut make())
        };
        let mut measured = Vec::new();
        for _ in 0..pairs {
            measured.push((timed(self.ours)?, timed(self.peer)?));
        }
        (self.before)()?;
        Ok(Outcome { pairs: measured, peak })
    }
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

fn time(command: &mut Command) -> Result<Run> {
    let run = Running::start(command)?;
    let pid = rustix::process::Pid::from_child(&run.child);
    // Waited for without being reaped, the process can still be asked how much processor time it used.
    let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
    rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).context("waiting for a program")?;
    let wall = run.begun.elapsed();
    let cpu = cpu_time(run.child.id());
    run.finish()?;
    Ok(Run { wall, cpu })
}

/// The high-water mark of a program's memory, read again and again until it ends. Only growth in the last instants of
/// its life can be missed.
fn peak_memory(command: &mut Command) -> Result<u64> {
    let mut run = Running::start(command)?;
    let status = format!("/proc/{}/status", run.child.id());
    let mut peak = 0;
    while run.child.try_wait().context("waiting for a program")?.is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    run.finish()?;
    Ok(peak)
}

/// A started program whose complaints are kept, to be shown if it fails.
struct Running {
    child: Child,
    begun: Instant,
    stderr: std::fs::File,
    shown: String,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let shown = step::show(command);
        let stderr = tempfile::tempfile().context("making a temporary file")?;
        let copy = stderr.try_clone().context("handing on a temporary file")?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(copy);
        let begun = Instant::now();
        let child = command.spawn().with_context(|| format!("starting {shown}"))?;
        Ok(Self { child, begun, stderr, shown })
    }

    fn finish(mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("waiting for {}", self.shown))?;
        if !status.success() {
            let mut said = Vec::new();
            let _ = self.stderr.rewind();
            let _ = self.stderr.read_to_end(&mut said);
            bail!("{} failed ({status}): {}", self.shown, String::from_utf8_lossy(&said).trim());
        }
        Ok(())
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
    use super::*;

    #[test]
    fn a_run_is_timed_and_its_processor_time_and_memory_are_read() {
        let mut spin = Command::new("sh");
        spin.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]);
        let run = time(&mut spin).unwrap();
        assert!(run.wall > Duration::ZERO);
        assert!(run.cpu > Duration::ZERO, "{run:?}");
        assert!(run.cpu <= run.wall + Duration::from_millis(20), "{run:?}");
        assert!(peak_memory(&mut spin).unwrap() > 100);
    }

    #[test]
    fn a_failing_program_is_an_error_with_its_words() {
        let mut bad = Command::new("sh");
        bad.args(["-c", "echo no luck >&2; exit 3"]);
        let error = time(&mut bad).unwrap_err().to_string();
        assert!(error.contains("no luck") && error.contains("exit status: 3"), "{error}");
    }
}
