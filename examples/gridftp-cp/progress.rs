//! What the user sees while a copy goes on.

use std::io::{IsTerminal as _, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::args::Settings;
use crate::location::Location;

/// A copy that is over by then shows no bar.
const PATIENCE: Duration = Duration::from_millis(400);

const BAR_EVERY: Duration = Duration::from_millis(200);
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows how far a copy is: a bar on a terminal, lines where `-vb` asks for them, nothing otherwise.
#[derive(Debug)]
pub(crate) struct Progress {
    bytes: Arc<AtomicU64>,
    bar: ProgressBar,
    ticker: Option<JoinHandle<()>>,
    /// Where lines go; none when there are none.
    lines: Option<Lines>,
}

#[derive(Debug, Clone)]
struct Lines {
    /// Standard output carries the data.
    on_stderr: bool,
    begun: Instant,
}

impl Progress {
    /// Begins to show. `total` is the number of bytes to come, where it is known.
    pub(crate) fn start(settings: &Settings, total: Option<u64>) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let on_terminal = std::io::stderr().is_terminal() && !settings.quiet;
        let target = if on_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let style = if total.is_some() {
            "{bar:30} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} {eta}"
        } else {
            "{spinner} {bytes} {bytes_per_sec}"
        };
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        let on_stderr = settings.dest == Location::Stdio;
        let lines = settings.rates.then(|| Lines { on_stderr, begun: Instant::now() });
        let ticker = if on_terminal {
            Some(tokio::spawn(tick_bar(bar.clone(), Arc::clone(&bytes))))
        } else {
            lines.clone().map(|lines| tokio::spawn(tick_lines(lines, Arc::clone(&bytes))))
        };
        Self { bytes, bar, ticker, lines }
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes the bar away; after a success the last line says what it came to.
    pub(crate) fn end(self, success: bool) {
        if let Some(ticker) = &self.ticker {
            ticker.abort();
        }
        self.bar.finish_and_clear();
        if let (Some(lines), true) = (&self.lines, success) {
            let total = self.bytes();
            lines.show(total, rate(total, lines.begun.elapsed()));
        }
    }
}

async fn tick_bar(bar: ProgressBar, bytes: Arc<AtomicU64>) {
    tokio::time::sleep(PATIENCE).await;
    loop {
        bar.set_position(bytes.load(Ordering::Relaxed));
        tokio::time::sleep(BAR_EVERY).await;
    }
}

async fn tick_lines(lines: Lines, bytes: Arc<AtomicU64>) {
    let (mut before, mut since) = (0, Instant::now());
    loop {
        tokio::time::sleep(LINE_EVERY).await;
        let now = bytes.load(Ordering::Relaxed);
        lines.show(now, rate(now - before, since.elapsed()));
        (before, since) = (now, Instant::now());
    }
}

impl Lines {
    /// The line that `globus-url-copy` prints.
    fn show(&self, bytes: u64, recent: f64) {
        let average = rate(bytes, self.begun.elapsed());
        say(
            self.on_stderr,
            &format!("{bytes:>13} bytes {average:>12.2} MB/sec avg {recent:>12.2} MB/sec inst\n"),
        );
    }
}

/// Millions of bytes a second, of 2^20 each, as `globus-url-copy` counts them.
fn rate(bytes: u64, time: Duration) -> f64 {
    // A rate needs no more than the 52 bits that a float has.
    let mega = u32::try_from(bytes >> 10).map_or(f64::MAX, f64::from) / 1024.0;
    mega / time.as_secs_f64().max(1e-6)
}

/// Says what is copied where, in the form of `globus-url-copy`.
pub(crate) fn announce(settings: &Settings) {
    if !settings.verbose {
        return;
    }
    let (from_folder, from) = split(&settings.source.to_string());
    let (to_folder, to) = split(&settings.dest.to_string());
    let to = if to.is_empty() { from.clone() } else { to };
    let mut text = format!("Source: {from_folder}\nDest:   {to_folder}\n  {from}  ->  {to}\n");
    if let (Location::Remote(_), Location::Remote(_)) = (&settings.source, &settings.dest) {
        text.push_str("Both ends are servers: the data goes through this client.\n");
    }
    say(settings.dest == Location::Stdio, &text);
}

fn split(place: &str) -> (String, String) {
    let at = place.rfind('/').map_or(0, |at| at + 1);
    let (folder, name) = place.split_at(at);
    (folder.to_owned(), Path::new(name).display().to_string())
}

/// Prints; that nobody may read it is no failure of the copy.
fn say(on_stderr: bool, text: &str) {
    let _ = if on_stderr {
        std::io::stderr().write_all(text.as_bytes())
    } else {
        std::io::stdout().write_all(text.as_bytes())
    };
}
