//! The run from its first task to the exit code.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gridftp::transfer::TransferReport;

use crate::args::{Input, Settings};
use crate::dump::{self, Left};
use crate::events;
use crate::exit::Code;
use crate::failure::Failure;
use crate::location::Location;
use crate::look::Look;
use crate::outcome::{self, Totals};
use crate::progress::{self, Board, Shown};
use crate::run::{Done, Ended, Run};
use crate::show;
use crate::signals::Signals;
use crate::tasks::{Kind, Task, Tasks};

/// How often `-df` is written while copies go on.
const DUMP_EVERY: Duration = Duration::from_secs(60);

/// Whether a server has a part in it.
pub(crate) fn is_remote(settings: &Settings, tasks: &Tasks) -> bool {
    let remote = |location: &Location| matches!(location, Location::Remote(_));
    matches!(settings.input, Input::Show(_))
        || tasks.list.iter().any(|task| remote(&task.from) || remote(&task.to))
}

pub(crate) async fn work(settings: &Arc<Settings>, tasks: Tasks) -> Result<Code, Failure> {
    let signals = Signals::install().map_err(|error| Failure::local("cannot listen to signals", error))?;
    let signals = Arc::new(signals);
    if let Some(limit) = settings.time_limit {
        signals.limit(limit);
    }
    let board = Arc::new(Board::new(tasks.list.len()));
    let run = Arc::new(Run::new(settings, &signals, &board, tasks.list.len())?);
    if let Input::Show(what) = &settings.input {
        return signals.until(show::list(run.source_client(), what)).await.map(|()| Code::Success);
    }
    Work::new(settings, tasks).run(&run, &signals).await
}

/// What is kept about the run while it goes on.
struct Work {
    settings: Arc<Settings>,
    tasks: Arc<[Task]>,
    data_on_stdout: bool,
    totals: Totals,
    left: Option<Left>,
    written: Instant,
    /// For a dry run that makes a list.
    found: Vec<(usize, TransferReport)>,
    ended: usize,
}

impl Work {
    fn new(settings: &Arc<Settings>, tasks: Tasks) -> Self {
        let left = settings.dumpfile.as_ref().map(|path| Left::new(path, &tasks.list));
        Self {
            settings: Arc::clone(settings),
            data_on_stdout: tasks.list.iter().any(|task| task.to == Location::Stdio),
            totals: Totals::new(tasks.of_others),
            left,
            written: Instant::now(),
            found: Vec::new(),
            ended: 0,
            tasks: tasks.list.into(),
        }
    }

    /// One file: what is told of it is told in one line.
    fn is_single(&self) -> bool {
        matches!(&self.tasks[..], [task] if task.kind == Kind::One)
    }

    async fn run(mut self, run: &Arc<Run>, signals: &Signals) -> Result<Code, Failure> {
        let settings = Arc::clone(&self.settings);
        let show = settings.show;
        if show.json {
            events::start(self.tasks.len(), self.data_on_stdout);
        } else if show.verbose && self.is_single() {
            announce(&self.tasks[0], self.data_on_stdout);
        }
        if let Some(left) = &self.left {
            left.write()?;
        }
        let shown = Shown::start(&run.board, &settings, self.data_on_stdout);
        let begun = Instant::now();
        let tasks = Arc::clone(&self.tasks);
        run.all(&tasks, |ended| self.hear(ended)).await;
        shown.end(&run.board, &settings, self.data_on_stdout);
        self.totals.elapsed = begun.elapsed();
        let begun_and_not = self.tasks.len() - self.ended.min(self.tasks.len());
        self.totals.not_begun(u64::try_from(begun_and_not).unwrap_or(u64::MAX));
        self.end(signals)
    }

    fn hear(&mut self, Ended { number, result }: Ended) {
        self.ended += 1;
        let tasks = Arc::clone(&self.tasks);
        let Some(task) = tasks.get(number) else {
            if let Err(failure) = result {
                progress::warn(&failure.line().unwrap_or_default());
            }
            return;
        };
        let (json, on_stderr) = (self.settings.show.json, self.data_on_stdout);
        let complete = match &result {
            Ok(Done::Transfer(report)) => report.is_complete(),
            Ok(Done::Stream(_) | Done::Missing) => true,
            Err(_) => false,
        };
        if let Some(left) = &mut self.left {
            let report = match &result {
                Ok(Done::Transfer(report)) => Some(&**report),
                _ => None,
            };
            left.ended(number, task, report, complete);
        }
        match result {
            Ok(Done::Transfer(report)) => {
                if json {
                    report.entries().for_each(|entry| events::entry(task, &entry, on_stderr));
                } else if self.settings.show.verbose && !self.is_single() {
                    self.tell(task, &report);
                }
                if let Some(explanation) = report.explanation() {
                    if json {
                        events::explanation(task, explanation, on_stderr);
                    } else {
                        progress::say(true, &format!("{} -> {}\n{explanation}\n", task.from, task.to));
                    }
                }
                self.totals.transfer(task, &report);
                if self.settings.dump_only.is_some() {
                    self.found.push((number, *report));
                }
            }
            Ok(Done::Missing) => {
                if json {
                    events::missing(task, on_stderr);
                }
                self.totals.missing();
            }
            Ok(Done::Stream(bytes)) => {
                if json {
                    events::task(task, Ok(bytes), on_stderr);
                }
                self.totals.stream(bytes);
            }
            Err(failure) => {
                if json {
                    events::task(task, Err(&failure), on_stderr);
                }
                if failure.is_signal() && !self.is_single() {
                    self.totals.not_begun(1);
                } else {
                    self.totals.task_failed(task, failure);
                }
            }
        }
        if self.written.elapsed() >= DUMP_EVERY
            && let Some(left) = &self.left
        {
            // It is told at the end, if it fails then too.
            let _ = left.write();
            self.written = Instant::now();
        }
    }

    /// Entry by entry, for `-v`.
    fn tell(&self, task: &Task, report: &TransferReport) {
        let mut text = format!("Source: {}\nDest:   {}\n", task.from, task.to);
        for entry in report.entries() {
            if let Some(line) = outcome::entry_line(&entry.path, entry.kind, &entry.outcome) {
                text.push_str("  ");
                text.push_str(&line);
                text.push('\n');
            }
        }
        progress::say(self.data_on_stdout, &text);
    }

    fn end(self, signals: &Signals) -> Result<Code, Failure> {
        let Self { settings, tasks, totals, left, found, data_on_stdout, .. } = self;
        if let Some(left) = &left {
            left.write()?;
        }
        if let Some(path) = &settings.dump_only {
            let found: Vec<_> =
                found.iter().filter_map(|(number, report)| Some((tasks.get(*number)?, report))).collect();
            dump::would_be(path, &found)?;
        }
        let caught = signals.now();
        let code = totals.code(caught);
        let show = settings.show;
        // The one thing that went wrong with one file, or with all of the one tree there is, is told in one line.
        let single = match (&tasks[..], totals.only_failure()) {
            ([_], Some(failure))
                if totals.counts.files + totals.counts.folders + totals.counts.skipped == 0 =>
            {
                Some(failure)
            }
            _ => None,
        };
        if show.json {
            events::end(&totals, code, totals.only_failure(), data_on_stdout);
            return Ok(code);
        }
        let mut text = String::new();
        if let Some(failure) = single {
            if let Some(line) = failure.line() {
                text = format!("gridftp-cp: {line}\n");
            }
        } else if code != Code::Success
            || (show.verbose && !(tasks.len() == 1 && tasks[0].kind == Kind::One))
            || settings.dry_run && !show.quiet
        {
            let look = Look::of_stderr(show.color);
            let head = match (code, caught) {
                (Code::Success, _) => String::new(),
                (_, Some(caught)) => format!("ended by {}; not all of it was done\n", caught.name()),
                (_, None) => format!("{} of {} failed\n", totals.counts.failed, totals.all()),
            };
            if !head.is_empty() {
                text = format!("gridftp-cp: {}", look.bold(&head));
            }
            text += &totals.summary(look, settings.dry_run || settings.dump_only.is_some());
        }
        progress::say(true, &text);
        Ok(code)
    }
}

/// Says what is copied where, in the form of `globus-url-copy`.
fn announce(task: &Task, on_stderr: bool) {
    let (from_folder, from) = split(&task.from.to_string());
    let (to_folder, to) = split(&task.to.to_string());
    let to = if to.is_empty() { from.clone() } else { to };
    let text = format!("Source: {from_folder}\nDest:   {to_folder}\n  {from}  ->  {to}\n");
    progress::say(on_stderr, &text);
}

fn split(place: &str) -> (String, String) {
    let at = place.rfind('/').map_or(0, |at| at + 1);
    let (folder, name) = place.split_at(at);
    (folder.to_owned(), name.to_owned())
}
