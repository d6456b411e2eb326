//! Who reads the board: a picture on a terminal, a line now and then where there is none, `-vb`'s rates, JSON events.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use super::Board;
use super::picture::{self, History};
use crate::args::Settings;
use crate::events;
use crate::look::{self, Look, When};

/// What is over by then shows no picture.
const PATIENCE: Duration = Duration::from_millis(400);

const PICTURE_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(10);
const RATES_EVERY: Duration = Duration::from_secs(1);

/// The picture, around which other lines have to be written.
static PICTURE: OnceLock<ProgressBar> = OnceLock::new();

/// A line to standard error, above the picture if there is one.
pub(crate) fn warn(line: &str) {
    let say = || drop(writeln!(std::io::stderr(), "gridftp-cp: warning: {line}"));
    match PICTURE.get() {
        Some(picture) => picture.suspend(say),
        None => say(),
    }
}

/// A task that reads the board aloud until it is stopped.
#[derive(Debug)]
pub(crate) struct Shown {
    reader: Option<JoinHandle<()>>,
}

impl Shown {
    /// `data_on_stdout` says that standard output carries what is copied.
    pub(crate) fn start(board: &Arc<Board>, settings: &Settings, data_on_stdout: bool) -> Self {
        let show = &settings.show;
        let board = Arc::clone(board);
        let terminal = std::io::stderr().is_terminal();
        let picture = match show.progress {
            When::Never => false,
            _ if show.quiet || show.json || show.trace => false,
            When::Auto | When::Always => terminal,
        };
        let reader = if show.json {
            Some(tokio::spawn(as_json(board, data_on_stdout)))
        } else if picture {
            Some(tokio::spawn(as_picture(board, Look::of_stderr(show.color))))
        } else if show.rates {
            Some(tokio::spawn(as_rates(board, data_on_stdout)))
        } else if !show.quiet && show.progress != When::Never && !show.trace {
            Some(tokio::spawn(as_lines(board)))
        } else {
            None
        };
        Self { reader }
    }

    /// Ends it, and takes the picture away.
    pub(crate) fn end(self, board: &Board, settings: &Settings, data_on_stdout: bool) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
        if let Some(picture) = PICTURE.get() {
            picture.finish_and_clear();
        }
        if settings.show.rates && !settings.show.json {
            let now = board.snapshot();
            let rate = picture::per(now.bytes_done, now.elapsed);
            rates(now.bytes_done, rate, rate, data_on_stdout);
        }
    }
}

async fn as_picture(board: Arc<Board>, look: Look) {
    tokio::time::sleep(PATIENCE).await;
    let picture = PICTURE.get_or_init(|| {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        bar
    });
    let mut history = History::default();
    loop {
        let now = board.snapshot();
        let rates = history.note(&now);
        let width = usize::from(console::Term::stderr().size_checked().map_or(80, |(_, columns)| columns));
        let lines = picture::lines(&now, rates, &history, look, width.saturating_sub(1).max(10));
        picture.set_message(lines.join("\n"));
        picture.tick();
        tokio::time::sleep(PICTURE_EVERY).await;
    }
}

async fn as_lines(board: Arc<Board>) {
    let mut history = History::default();
    history.note(&board.snapshot());
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        let now = board.snapshot();
        let rates = history.note(&now);
        let left =
            picture::eta(&now, rates).map_or_else(String::new, |eta| format!(", {} left", look::time(eta)));
        let more = if now.is_planned { "" } else { "+" };
        let failed = if now.failed > 0 { format!(", {} failed", now.failed) } else { String::new() };
        let _ = writeln!(
            std::io::stderr(),
            "gridftp-cp: {}: {} of {}{more} files, {} of {}{more}, {}/s{left}{failed}",
            look::time(now.elapsed),
            now.files_done,
            now.files_found,
            look::bytes(now.bytes_done),
            look::bytes(now.bytes_found),
            look::bytes(picture::rounded(rates.bytes)),
        );
    }
}

async fn as_json(board: Arc<Board>, data_on_stdout: bool) {
    let mut history = History::default();
    history.note(&board.snapshot());
    loop {
        tokio::time::sleep(RATES_EVERY).await;
        let now = board.snapshot();
        let rates = history.note(&now);
        events::progress(&now, rates.bytes, picture::eta(&now, rates), data_on_stdout);
    }
}

async fn as_rates(board: Arc<Board>, on_stderr: bool) {
    let mut before = board.snapshot();
    loop {
        tokio::time::sleep(RATES_EVERY).await;
        let now = board.snapshot();
        let since = now.elapsed.saturating_sub(before.elapsed);
        let recent = picture::per(now.bytes_done.saturating_sub(before.bytes_done), since);
        rates(now.bytes_done, picture::per(now.bytes_done, now.elapsed), recent, on_stderr);
        before = now;
    }
}

/// The line that `globus-url-copy` prints, with megabytes of 2^20.
fn rates(bytes: u64, average: f64, recent: f64, on_stderr: bool) {
    const MIB: f64 = 1_048_576.0;
    let (average, recent) = (average / MIB, recent / MIB);
    say(on_stderr, &format!("{bytes:>13} bytes {average:>12.2} MB/sec avg {recent:>12.2} MB/sec inst\n"));
}

/// Prints; that nobody may read it is no failure of the copy.
pub(crate) fn say(on_stderr: bool, text: &str) {
    let _ = if on_stderr {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
}
