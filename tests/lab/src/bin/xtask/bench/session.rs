//! One call of `cargo xtask bench`: what it runs with, and what came of it so far.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::figures::{Goal, Spread};
use super::lab::{self, Lab, Plan};
use super::measure::{Contest, Outcome, Run};
use super::results::{Line, Side, Stamp};
use crate::step;

/// What a comparison is called, and what it is to reach.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry<'a> {
    pub(crate) row: u8,
    pub(crate) case: String,
    pub(crate) program: &'a str,
    /// Empty where there is none.
    pub(crate) peer: &'a str,
    /// `s`, unless it is told otherwise.
    pub(crate) unit: &'a str,
    pub(crate) goal: Option<Goal>,
    /// What a run moves.
    pub(crate) bytes: u64,
    /// Where files are so small that their number is what counts.
    pub(crate) files: u64,
    /// How it is seen that a run did what it should.
    pub(crate) checked: &'a str,
    /// Where the run that reads memory is all that is wanted.
    pub(crate) memory_only: bool,
}

/// What it runs with, and what came of it.
pub(crate) struct Session {
    pub(crate) pairs: u32,
    pub(crate) quick: bool,
    pub(crate) lines: Vec<Line>,
    /// What was not run, and why.
    pub(crate) not_run: Vec<(String, String)>,
    pub(crate) failed: Vec<(String, String)>,
    built: HashMap<String, PathBuf>,
    stamp: Stamp,
}

impl Session {
    pub(crate) fn new(pairs: u32, quick: bool) -> Self {
        Self {
            pairs: if quick { 1 } else { pairs },
            quick,
            lines: Vec::new(),
            not_run: Vec::new(),
            failed: Vec::new(),
            built: HashMap::new(),
            stamp: Stamp::now(),
        }
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp.clone()
    }

    /// A size, or the one that is enough to see that it runs.
    pub(crate) fn sized(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// An example of ours, built once. What is to be quick is not optimised, as the tests have built it so already.
    pub(crate) fn program(&mut self, name: &str) -> Result<PathBuf> {
        if let Some(program) = self.built.get(name) {
            return Ok(program.clone());
        }
        let program = if self.quick {
            step::run(&mut step::cargo(&["build", "--quiet", "--example", name]))?;
            step::target_folder()?.join("debug").join("examples").join(name)
        } else {
            step::build_release_example(name)?
        };
        self.built.insert(name.to_owned(), program.clone());
        Ok(program)
    }

    /// Servers over a link; `None`, with a word why, where no link can be had.
    pub(crate) fn across(&mut self, what: &str, plan: Plan<'_>) -> Result<Option<Lab>> {
        match lab::why_no_link() {
            Some(why) => {
                self.leave_out(what, why);
                Ok(None)
            }
            None => Lab::new(plan).map(Some),
        }
    }

    pub(crate) fn leave_out(&mut self, what: &str, why: &str) {
        println!("{what}: not run: {why}");
        self.not_run.push((what.to_owned(), why.to_owned()));
    }

    pub(crate) fn fail(&mut self, what: &str, error: &anyhow::Error) {
        eprintln!("{what}: FAILED: {error:#}");
        self.failed.push((what.to_owned(), format!("{error:#}")));
    }

    /// Runs it, and keeps what came of it. A failure does not keep other comparisons from being made.
    pub(crate) fn measure(&mut self, entry: &Entry<'_>, contest: &Contest<'_>) {
        let against = if entry.peer.is_empty() { String::new() } else { format!(" / {}", entry.peer) };
        let what = format!("P{} {}{against}", entry.row, entry.case);
        println!("{what} …");
        match contest.run(if entry.memory_only { 0 } else { self.pairs }) {
            Ok(outcome) => {
                let line = line(entry, &outcome, self.stamp());
                if let Some(ratio) = line.ratio {
                    println!("    {:.2} ({:.2}, {:.2})", ratio.median, ratio.least, ratio.most);
                }
                self.lines.push(line);
            }
            Err(error) => self.fail(&what, &error),
        }
    }

    /// Rows all of whose cases were measured.
    pub(crate) fn whole(&self) -> Vec<u8> {
        let missing = |row: u8| {
            let name = format!("P{row}");
            let is_of = |(what, _): &(String, String)| what.split_whitespace().next() == Some(name.as_str());
            self.not_run.iter().any(is_of) || self.failed.iter().any(is_of)
        };
        let mut rows: Vec<u8> = self.lines.iter().map(|line| line.row).collect();
        rows.dedup();
        rows.retain(|row| !missing(*row));
        rows
    }
}

/// Medians and ratios of what was measured.
pub(crate) fn line(entry: &Entry<'_>, outcome: &Outcome, measured: Stamp) -> Line {
    let both = |get: fn(&Run) -> f64| {
        let pairs =
            outcome.pairs.iter().filter_map(move |(ours, theirs)| Some((get(ours), get(theirs.as_ref()?))));
        Spread::of_ratios(pairs)
    };
    let cpu = |run: &Run| run.cpu.as_secs_f64();
    let side = |runs: Vec<Run>, peak_kib: u64| Side {
        figure: Spread::of(runs.iter().map(|run| run.figure)),
        cpu_seconds: Spread::of(runs.iter().map(cpu)).map(|spread| spread.median),
        peak_kib,
    };
    let ours = outcome.pairs.iter().map(|(ours, _)| *ours).collect();
    let theirs: Vec<Run> = outcome.pairs.iter().filter_map(|(_, theirs)| *theirs).collect();
    Line {
        row: entry.row,
        case: entry.case.clone(),
        program: entry.program.to_owned(),
        peer: entry.peer.to_owned(),
        unit: if entry.unit.is_empty() { "s".to_owned() } else { entry.unit.to_owned() },
        goal: entry.goal,
        pairs: u32::try_from(outcome.pairs.len()).unwrap_or(u32::MAX),
        ratio: both(|run| run.figure),
        cpu_ratio: both(|run| run.cpu.as_secs_f64()),
        ours: side(ours, outcome.peak.0),
        theirs: outcome.peak.1.map(|peak| side(theirs, peak)),
        bytes: entry.bytes,
        files: entry.files,
        checked: entry.checked.to_owned(),
        measured,
    }
}

/// `2 GiB`, `512 MiB`, `4 KiB`.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes >= 1 << 30 && bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        _ if bytes >= 1 << 20 && bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes >= 1 << 10 && bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}

/// The words of a command line, and after them these.
pub(crate) fn words(flags: &str, rest: &[&str]) -> Vec<String> {
    flags.split_whitespace().chain(rest.iter().copied()).map(str::to_owned).collect()
}

/// A program's name for a table: `guc` for the long one.
pub(crate) fn called(program: &Path, flags: &str) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let name = if name == "globus-url-copy" { "guc" } else { &name };
    format!("{name} {flags}").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_has_the_ratios_of_pairs() {
        let run = |figure: f64, cpu: u64| Run { figure, cpu: Duration::from_millis(cpu) };
        let outcome = Outcome {
            pairs: vec![
                (run(1.0, 100), Some(run(2.0, 400))),
                (run(6.0, 300), Some(run(5.0, 300))),
                (run(3.0, 200), Some(run(4.0, 800))),
            ],
            peak: (1024, Some(2048)),
        };
        let entry = Entry { row: 7, goal: Some(Goal::RatioAtMost(0.75)), ..Entry::default() };
        let line = line(&entry, &outcome, Stamp::default());
        assert_eq!(line.ratio, Some(Spread { median: 0.75, least: 0.5, most: 1.2 }));
        assert_eq!(line.cpu_ratio.map(|ratio| ratio.median), Some(0.25));
        assert_eq!(line.ours.figure.map(|figure| figure.median), Some(3.0));
        assert_eq!(line.theirs.and_then(|theirs| theirs.cpu_seconds), Some(0.4));
        assert_eq!((line.reached(), line.unit.as_str(), line.pairs), (Some(true), "s", 3));
    }

    #[test]
    fn sizes_and_names() {
        assert_eq!([2 << 30, 3 << 20, 4096, 1500].map(size), ["2 GiB", "3 MiB", "4 KiB", "1500 bytes"]);
        assert_eq!(called(Path::new("/x/globus-url-copy"), "-fast -p 4"), "guc -fast -p 4");
        assert_eq!(called(Path::new("rclone"), ""), "rclone");
    }
}
