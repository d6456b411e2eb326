//! Lists of what is left to be copied (`-df`), or would be copied (`-do`), in the form that `-f` takes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use gridftp::transfer::{Outcome, ReportKind, SkipReason, TransferReport};

use crate::failure::Failure;
use crate::location::Location;
use crate::tasks::{Kind, Task};

/// What is left of all tasks.
#[derive(Debug)]
pub(crate) struct Left {
    path: PathBuf,
    /// Lines by the number of their task.
    lines: BTreeMap<usize, Vec<String>>,
}

impl Left {
    /// Nothing is done yet.
    pub(crate) fn new(path: &Path, tasks: &[Task]) -> Self {
        let lines = tasks.iter().enumerate().map(|(number, task)| (number, whole(task))).collect();
        Self { path: path.to_owned(), lines }
    }

    /// A task is over, with this report or, without one, with a failure.
    pub(crate) fn ended(
        &mut self,
        number: usize,
        task: &Task,
        report: Option<&TransferReport>,
        complete: bool,
    ) {
        if complete {
            self.lines.remove(&number);
            return;
        }
        let Some(report) = report else { return };
        let left = report.entries().filter(|entry| {
            let undone = matches!(entry.outcome, Outcome::Failed(_) | Outcome::Skipped(SkipReason::Aborted));
            undone && entry.kind == ReportKind::File
        });
        let lines: Vec<_> = left.filter_map(|entry| pair(task, &entry.path)).collect();
        // What was not even found is nowhere in the report: all of the task is done again then.
        let unseen = report.is_aborted()
            || report.entries().any(|entry| entry.kind != ReportKind::File && entry.outcome.is_failure());
        if unseen {
            return;
        }
        self.lines.insert(number, lines);
    }

    /// Writes the list, in one piece.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let failed = |error| Failure::local(format!("cannot write the list {}", self.path.display()), error);
        let text: String = self.lines.values().flatten().flat_map(|line| [line.as_str(), "\n"]).collect();
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        std::fs::write(&name, text).and_then(|()| std::fs::rename(&name, &self.path)).map_err(failed)
    }
}

/// Writes what a dry run has found; `-` is standard output.
pub(crate) fn would_be(path: &Path, found: &[(&Task, &TransferReport)]) -> Result<(), Failure> {
    let failed = |error| Failure::local(format!("cannot write the list {}", path.display()), error);
    let mut text = String::new();
    for (task, report) in found {
        let files = report.entries().filter(|entry| {
            matches!(entry.outcome, Outcome::Copied { .. }) && entry.kind == ReportKind::File
        });
        for line in files.filter_map(|entry| pair(task, &entry.path)) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    if path.as_os_str() == "-" {
        return std::io::stdout().write_all(text.as_bytes()).map_err(failed);
    }
    std::fs::write(path, text).map_err(failed)
}

/// A task as it was asked for.
fn whole(task: &Task) -> Vec<String> {
    match &task.kind {
        Kind::Paths(paths) => paths.iter().filter_map(|path| pair(task, path)).collect(),
        Kind::Glob | Kind::Tree | Kind::One => {
            let part = match (task.part.partial, task.part.length) {
                (false, _) => String::new(),
                (true, None) => format!(" {},-1", task.part.offset),
                (true, Some(length)) => format!(" {},{length}", task.part.offset),
            };
            vec![format!("{} {}{part}", quoted(&task.from), quoted(&task.to))]
        }
    }
}

/// A file of a task.
fn pair(task: &Task, path: &[u8]) -> Option<String> {
    if path.is_empty() {
        return Some(format!("{} {}", quoted(&task.from), quoted(&task.to)));
    }
    // A pattern is looked for in the folder.
    let root = if task.kind == Kind::Glob { task.from.parent()? } else { task.from.clone() };
    Some(format!("{} {}", quoted(&below(&root, path)?), quoted(&below(&task.to, path)?)))
}

fn below(root: &Location, path: &[u8]) -> Option<Location> {
    let mut at = root.clone();
    for name in path.split(|&byte| byte == b'/') {
        at = at.join(OsStr::from_bytes(name)).ok()?;
    }
    Some(at)
}

fn quoted(location: &Location) -> String {
    match location {
        Location::Stdio => "-".to_owned(),
        other => format!("\"{}\"", other.to_url()),
    }
}
