//! What a terminal shows: totals and a bar, rate and time left with the rates of the last minute as a line, and files under way.

use std::collections::VecDeque;
use std::time::Duration;

use super::Snapshot;
use crate::look::{self, Look};

/// Rates that are remembered: one a second for a minute.
const REMEMBERED: usize = 60;

/// Files under way that are named.
const NAMED: usize = 4;

/// Over how long the present rate is measured.
const WINDOW: Duration = Duration::from_secs(5);

/// What was, to tell rates by.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// When, bytes, files.
    recent: VecDeque<(Duration, u64, u64)>,
    /// Bytes a second, second by second.
    rates: VecDeque<u64>,
    second: Option<(Duration, u64)>,
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) bytes: f64,
    pub(crate) files: f64,
}

impl History {
    pub(crate) fn note(&mut self, now: &Snapshot) -> Rates {
        self.recent.push_back((now.elapsed, now.bytes_done, now.files_done));
        while self.recent.len() > 2 && now.elapsed.saturating_sub(self.recent[1].0) >= WINDOW {
            self.recent.pop_front();
        }
        let (then, bytes) = *self.second.get_or_insert((now.elapsed, now.bytes_done));
        let since = now.elapsed.saturating_sub(then);
        if since >= Duration::from_secs(1) {
            let rate = per(now.bytes_done.saturating_sub(bytes), since);
            // Rounded for a picture.
            self.rates.push_back(rounded(rate));
            if self.rates.len() > REMEMBERED {
                self.rates.pop_front();
            }
            self.second = Some((now.elapsed, now.bytes_done));
        }
        match self.recent.front() {
            Some((then, bytes, files)) if *then < now.elapsed => {
                let time = now.elapsed.saturating_sub(*then);
                Rates {
                    bytes: per(now.bytes_done.saturating_sub(*bytes), time),
                    files: per(now.files_done.saturating_sub(*files), time),
                }
            }
            _ => Rates::default(),
        }
    }

    /// The last rates as a line, the highest of them as high as a character is.
    fn line(&self, width: usize, unicode: bool) -> String {
        let heights: &[char] = if unicode {
            &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
        } else {
            &['_', '.', '-', '=', '+', '*', '%', '#']
        };
        let most = self.rates.iter().copied().max().unwrap_or(0).max(1);
        let shown = self.rates.iter().skip(self.rates.len().saturating_sub(width));
        let last = u64::try_from(heights.len() - 1).unwrap_or(0);
        shown
            .map(|rate| {
                let height = u128::from(*rate) * u128::from(last) / u128::from(most);
                heights[usize::try_from(height).unwrap_or(0)]
            })
            .collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate that is shown")]
pub(crate) fn per(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64().max(0.001)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate that is shown; it saturates"
)]
pub(crate) fn rounded(rate: f64) -> u64 {
    rate.max(0.0) as u64
}

/// The time that is left at this rate.
pub(crate) fn eta(now: &Snapshot, rates: Rates) -> Option<Duration> {
    let left = now.left()?;
    (rates.bytes >= 1.0)
        .then(|| Duration::from_secs(rounded(per(left, Duration::from_secs(1)) / rates.bytes)))
}

/// The picture, a line each, none of them wider than the terminal.
pub(crate) fn lines(
    now: &Snapshot,
    rates: Rates,
    history: &History,
    look: Look,
    width: usize,
) -> Vec<String> {
    let mut lines = Vec::new();
    let more = if now.is_planned { "" } else { "+" };
    let mut head = if now.files_found > 1 {
        format!(
            "{} of {}{more} files, {} of {}{more}",
            look::count(now.files_done),
            look::count(now.files_found),
            look::bytes(now.bytes_done),
            look::bytes(now.bytes_found)
        )
    } else if now.bytes_found > 0 {
        format!("{} of {}{more}", look::bytes(now.bytes_done), look::bytes(now.bytes_found))
    } else {
        look::bytes(now.bytes_done)
    };
    let mut asides = String::new();
    if now.skipped > 0 {
        asides += &format!(", {} skipped", look::count(now.skipped));
    }
    if now.retries > 0 {
        asides += &format!(", {} retries", look::count(now.retries));
    }
    head = clip(&(head + &asides), width);
    if now.failed > 0 {
        let failed = format!(", {} failed", look::count(now.failed));
        head = if head.chars().count() + failed.len() <= width { head + &look.red(&failed) } else { head };
    }
    lines.push(bar(now, look, width));
    lines.push(head);
    let mut rate = format!("{}/s", look::bytes(rounded(rates.bytes)));
    if now.files_found > 1 {
        rate += &format!(", {:.0} files/s", rates.files);
    }
    match eta(now, rates) {
        _ if now.finishing => rate += ", finishing",
        Some(eta) => rate += &format!(", {} left", look::time(eta)),
        None => rate += &format!(", {}", look::time(now.elapsed)),
    }
    if now.sessions > 1 {
        rate += &format!(", {} sessions", now.sessions);
    }
    let room = width.saturating_sub(rate.chars().count() + 2).min(REMEMBERED);
    let line = history.line(room, look.unicode);
    lines.push(
        clip(&rate, width)
            + &if line.is_empty() { String::new() } else { format!("  {}", look.green(&line)) },
    );
    for (name, bytes, size) in now.current.iter().take(NAMED) {
        let share = match size {
            Some(size) if *size > 0 => format!("{:>3}%", percent(*bytes, *size)),
            _ => "    ".to_owned(),
        };
        let name = shown(name, width.saturating_sub(share.len() + 3));
        lines.push(look.dim(&format!("  {share} {name}")));
    }
    if now.current.len() > NAMED {
        lines.push(look.dim(&format!("       and {} more", now.current.len() - NAMED)));
    }
    lines
}

fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent.min(100)).unwrap_or(100)
}

fn bar(now: &Snapshot, look: Look, width: usize) -> String {
    let done = now.bytes_done + now.bytes_skipped;
    let known = now.bytes_found > 0;
    let percent = percent(done.min(now.bytes_found), now.bytes_found);
    let wide = width.saturating_sub(6).clamp(4, 50);
    let filled = usize::try_from(percent).unwrap_or(0) * wide / 100;
    let (full, empty) = if look.unicode { ("━", "─") } else { ("#", "-") };
    let text = if known { format!("{percent:>3}%") } else { "  ? ".to_owned() };
    format!("{} {text}", look.green(&full.repeat(filled)) + &look.dim(&empty.repeat(wide - filled)))
}

/// A name in so many characters: its end says most. Control characters are written out.
fn shown(name: &str, width: usize) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    let length = text.chars().count();
    if length <= width {
        return text;
    }
    let kept: String = text.chars().skip(length - width.saturating_sub(1)).collect();
    format!("…{kept}")
}

fn clip(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { colour: false, unicode: false };

    fn at(seconds: u64, bytes: u64) -> Snapshot {
        Snapshot {
            elapsed: Duration::from_secs(seconds),
            files_found: 10,
            files_done: seconds,
            bytes_found: 10_000_000,
            bytes_done: bytes,
            is_planned: true,
            ..Snapshot::default()
        }
    }

    #[test]
    fn totals_rate_and_time_left() {
        let mut history = History::default();
        let mut rates = Rates::default();
        for second in 0..=5 {
            rates = history.note(&at(second, second * 1_000_000));
        }
        let now = Snapshot {
            current: vec![("a/very/long/path/to/x\u{1b}[2J".into(), 5, Some(10))],
            failed: 2,
            ..at(5, 5_000_000)
        };
        let lines = lines(&now, rates, &history, PLAIN, 60);
        assert_eq!(lines[0], format!("{}{}  50%", "#".repeat(25), "-".repeat(25)));
        assert_eq!(lines[1], "5 of 10 files, 5.00 MB of 10.0 MB, 2 failed");
        assert_eq!(lines[2], "1.00 MB/s, 1 files/s, 5.0 s left  #####");
        assert_eq!(lines[3], r"   50% a/very/long/path/to/x\u{1b}[2J");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let mut history = History::default();
        let mut rates = Rates::default();
        for second in 0..200 {
            rates = history.note(&at(second, second * second * 10_000));
        }
        let now = Snapshot {
            current: (0..9).map(|_| ("x".repeat(300), 1, None)).collect(),
            failed: 1_000_000,
            skipped: 1_000_000,
            retries: 1_000_000,
            sessions: 100,
            ..at(200, 9_999_999)
        };
        for width in [10, 20, 40, 80, 200] {
            for line in lines(&now, rates, &history, PLAIN, width) {
                assert!(line.chars().count() <= width.max(24), "{width}: {line}");
            }
        }
    }
}
