//! What came of everything: counts, failures by their cause, the summary, and the exit code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use gridftp::transfer::{Counts, Outcome, ReportKind, SkipReason, TransferReport};

use crate::exit::Code;
use crate::failure::Failure;
use crate::look::{self, Look};
use crate::run;
use crate::signals::Caught;
use crate::tasks::Task;

/// Causes that are told apart.
const CAUSES: usize = 50;

/// Names that are told of each cause.
const NAMED: usize = 5;

/// All tasks together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) counts: Sums,
    pub(crate) of_others: u64,
    pub(crate) retries: u64,
    pub(crate) bytes_moved: u64,
    pub(crate) elapsed: Duration,
    skipped: BTreeMap<&'static str, u64>,
    causes: Vec<Cause>,
    /// Entries whose turn never came.
    aborted: u64,
    /// The one thing that failed, where it is one.
    only: Option<Failure>,
}

/// As [`Counts`], of all tasks.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Sums {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) folders: u64,
    pub(crate) links: u64,
    pub(crate) skipped: u64,
    pub(crate) skipped_bytes: u64,
    pub(crate) failed: u64,
    pub(crate) deleted: u64,
}

impl Sums {
    fn add(&mut self, counts: &Counts) {
        self.files += counts.files;
        self.bytes += counts.bytes;
        self.folders += counts.folders;
        self.links += counts.links;
        self.skipped += counts.skipped;
        self.skipped_bytes += counts.skipped_bytes;
        self.failed += counts.failed;
        self.deleted += counts.deleted;
    }
}

/// Failures of one kind at one side.
#[derive(Debug)]
struct Cause {
    code: Code,
    side: Option<&'static str>,
    count: u64,
    /// The first of them, as it was told.
    line: String,
    names: Vec<String>,
}

impl Totals {
    pub(crate) fn new(of_others: u64) -> Self {
        Self { of_others, ..Self::default() }
    }

    /// A transfer ended: each of its entries counts.
    pub(crate) fn transfer(&mut self, task: &Task, report: &TransferReport) {
        self.counts.add(report.counts());
        self.retries += report.retries();
        self.bytes_moved += report.bytes_moved();
        if report.counts().failed == 0 && report.counts().skipped == 0 {
            return;
        }
        for entry in report.entries() {
            match entry.outcome {
                Outcome::Failed(error) => {
                    self.failed(entry_name(task, &entry.path), run::failed(task, error));
                }
                Outcome::Skipped(SkipReason::Aborted) => {
                    self.aborted += 1;
                    *self.skipped.entry(SkipReason::Aborted.as_str()).or_default() += 1;
                }
                Outcome::Skipped(reason) => *self.skipped.entry(reason.as_str()).or_default() += 1,
                _ => {}
            }
        }
    }

    pub(crate) fn stream(&mut self, bytes: u64) {
        self.counts.files += 1;
        self.counts.bytes += bytes;
        self.bytes_moved += bytes;
    }

    /// A source that need not be there is not.
    pub(crate) fn missing(&mut self) {
        self.counts.skipped += 1;
        *self.skipped.entry(SkipReason::Missing.as_str()).or_default() += 1;
    }

    /// A task did not come as far as a report.
    pub(crate) fn task_failed(&mut self, task: &Task, failure: Failure) {
        self.counts.failed += 1;
        self.failed(task.from.to_string(), failure);
    }

    /// Tasks whose turn never came.
    pub(crate) fn not_begun(&mut self, tasks: u64) {
        self.aborted += tasks;
        if tasks > 0 {
            self.counts.skipped += tasks;
            *self.skipped.entry(SkipReason::Aborted.as_str()).or_default() += tasks;
        }
    }

    fn failed(&mut self, name: String, failure: Failure) {
        let (code, side) = (failure.code(), failure.side());
        let causes = self.causes.len();
        let known = self.causes.iter_mut().find(|cause| cause.code == code && cause.side == side);
        let room = causes < CAUSES;
        match known {
            Some(cause) => {
                cause.count += 1;
                if cause.names.len() < NAMED {
                    cause.names.push(name);
                }
            }
            None if room => {
                let line = failure.line().unwrap_or_default();
                self.causes.push(Cause { code, side, count: 1, line, names: vec![name] });
            }
            None => {}
        }
        if self.only.is_none() {
            self.only = Some(failure);
        }
    }

    /// What the program that started this one is told.
    pub(crate) fn code(&self, caught: Option<Caught>) -> Code {
        let incomplete = self.counts.failed > 0 || self.aborted > 0;
        match (caught, self.causes.as_slice()) {
            (Some(caught), _) if incomplete => caught.code(),
            (_, []) if self.aborted == 0 => Code::Success,
            (_, []) => Code::Other,
            // Something was copied, or is there: whoever goes on by the code alone must see that.
            (_, _) if self.counts.files + self.counts.links > 0 => Code::Partial,
            (_, [only]) => only.code,
            (_, [first, rest @ ..]) if rest.iter().all(|cause| cause.code == first.code) => first.code,
            (_, _) => Code::Partial,
        }
    }

    /// The one failure there is, where nothing else is to be told.
    pub(crate) fn only_failure(&self) -> Option<&Failure> {
        self.only.as_ref().filter(|_| self.counts.failed == 1)
    }

    /// Everything that there was to do.
    pub(crate) fn all(&self) -> u64 {
        let counts = &self.counts;
        counts.files + counts.folders + counts.links + counts.skipped + counts.failed
    }

    /// The summary: a table, and failures by their cause.
    pub(crate) fn summary(&self, look: Look, dry: bool) -> String {
        let counts = &self.counts;
        let mut text = String::new();
        let mut row = |what: &str, number: u64, bytes: Option<u64>, more: &str| {
            let bytes = bytes.map(look::bytes).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{}",
                format!("  {what:<9}{:>12}{bytes:>12}  {more}", look::count(number)).trim_end()
            );
        };
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate that is shown"
        )]
        let rate = |count: u64| (count as f64 / seconds) as u64;
        let mut how = format!("in {}", look::time(self.elapsed));
        if !dry && counts.bytes > 0 {
            how += &format!(", {}/s", look::bytes(rate(self.bytes_moved)));
        }
        if !dry && counts.files > 1 {
            how += &format!(", {} files/s", look::count(rate(counts.files)));
        }
        if self.retries > 0 {
            how += &format!(", {} tried again", look::count(self.retries));
        }
        row(if dry { "to copy" } else { "copied" }, counts.files, Some(counts.bytes), &how);
        if counts.folders > 0 {
            row("folders", counts.folders, None, "");
        }
        if counts.links > 0 {
            row("links", counts.links, None, "");
        }
        if counts.skipped > 0 {
            let why: Vec<_> =
                self.skipped.iter().map(|(why, count)| format!("{} {why}", look::count(*count))).collect();
            row("skipped", counts.skipped, Some(counts.skipped_bytes), &why.join(", "));
        }
        if self.of_others > 0 {
            row("others'", self.of_others, None, "in other shares of the list");
        }
        if counts.deleted > 0 {
            row(if dry { "to delete" } else { "deleted" }, counts.deleted, None, "");
        }
        if counts.failed > 0 {
            row("failed", counts.failed, None, "");
        }
        text += &self.failures(look);
        text
    }

    /// Failures by their cause, with the first of each as it was told.
    fn failures(&self, look: Look) -> String {
        let mut text = String::new();
        for cause in &self.causes {
            let side = cause.side.map_or_else(String::new, |side| format!(" at the {side}"));
            let head = format!(
                "{} × {}{side} (exit code {})",
                look::count(cause.count),
                cause.code.words(),
                cause.code.number()
            );
            let _ = writeln!(text, "  {}", look.red(&head));
            for name in &cause.names {
                let _ = writeln!(text, "      {}", one_line(name));
            }
            let left = cause.count.saturating_sub(u64::try_from(cause.names.len()).unwrap_or(0));
            if left > 0 {
                let _ = writeln!(text, "      and {} more", look::count(left));
            }
            let _ = writeln!(text, "    {}", look.dim(&cause.line));
        }
        text
    }
}

/// What an entry is called: what was typed, and what lies below it.
fn entry_name(task: &Task, path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    match path.as_ref() {
        "" => task.from.to_string(),
        path => path.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

/// A line for what became of an entry, for `-v`.
pub(crate) fn entry_line(path: &[u8], kind: ReportKind, outcome: &Outcome) -> Option<String> {
    let shown = String::from_utf8_lossy(path);
    let shown = one_line(if shown.is_empty() { "." } else { &shown });
    let slash = if kind == ReportKind::Folder && !shown.ends_with('/') { "/" } else { "" };
    Some(match outcome {
        Outcome::Copied { .. } => format!("copied   {shown}{slash}"),
        Outcome::Skipped(reason) => format!("skipped  {shown}{slash}  ({reason})"),
        Outcome::Deleted => format!("deleted  {shown}{slash}"),
        // Those are told by their cause.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::End;
    use std::io;

    fn failure(errno: i32, end: End) -> Failure {
        Failure::local("cannot write to x", io::Error::from_raw_os_error(errno)).at(end)
    }

    #[test]
    fn the_code_says_what_whoever_started_it_must_know() {
        let none = Totals::default();
        assert_eq!(none.code(None), Code::Success);
        assert_eq!(none.code(Some(Caught::Interrupt)), Code::Success, "it was over before the signal came");
        let mut one = Totals::default();
        one.counts.failed = 1;
        one.failed("x".into(), failure(libc::ENOENT, End::Source));
        assert_eq!(one.code(None), Code::NotFound);
        assert_eq!(one.code(Some(Caught::Terminate)), Code::Terminated);
        one.failed("y".into(), failure(libc::ENOENT, End::Destination));
        assert_eq!(one.code(None), Code::NotFound);
        one.failed("z".into(), failure(libc::EACCES, End::Source));
        assert_eq!(one.code(None), Code::Partial);
        let mut some = Totals::default();
        some.counts.files = 1;
        some.counts.failed = 1;
        some.failed("x".into(), failure(libc::ENOENT, End::Source));
        assert_eq!(some.code(None), Code::Partial);
        let mut late = Totals::default();
        late.not_begun(3);
        assert_eq!(late.code(Some(Caught::TimeLimit)), Code::Timeout);
    }

    #[test]
    fn failures_are_told_by_their_cause() {
        let counts = Sums { files: 1234, bytes: 5_600_000, failed: 8, ..Sums::default() };
        let mut totals = Totals { counts, elapsed: Duration::from_secs(2), ..Totals::default() };
        for number in 0..7 {
            totals.failed(format!("a\u{1b}{number}"), failure(libc::EACCES, End::Source));
        }
        totals.failed("b".into(), failure(libc::ENOSPC, End::Destination));
        let text = totals.summary(Look { colour: false, unicode: false }, false);
        assert!(
            text.contains("  copied          1,234     5.60 MB  in 2.0 s, 0 B/s, 617 files/s\n"),
            "{text}"
        );
        assert!(text.contains("  7 × permission denied at the source (exit code 4)\n"), "{text}");
        assert!(
            text.contains("      a\\u{1b}4\n      and 2 more\n    cannot write to x: Permission denied"),
            "{text}"
        );
        assert!(text.contains("  1 × no space at the destination (exit code 9)\n      b\n"), "{text}");
    }
}
