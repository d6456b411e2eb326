//! The table on the terminal.

use super::figures::{Spread, figure};
use super::results::{Line, Side};
use crate::step;

/// Prints lines, and what was not run and why.
pub(crate) fn show(lines: &[Line], not_run: &[(String, String)]) {
    println!(
        "\nEach column is ours, then the peer's: medians. Below 1 a ratio is in our favour; (least, most) of the pairs."
    );
    println!(
        "{:<5}{:<58}{:>7}{:>15}{:>10} {:<7}{:>24}{:>16}{:>16}{:>16}",
        "row",
        "case / peer",
        "ratio",
        "(least, most)",
        "goal",
        "",
        "figure",
        "MB/s",
        "CPU seconds",
        "peak MiB"
    );
    for line in lines {
        let both = |show: &dyn Fn(&Side) -> String| {
            let theirs = line.theirs.as_ref().map(show).unwrap_or_default();
            format!("{} {theirs}", show(&line.ours))
        };
        let rate = |side: &Side| match side.figure {
            Some(seconds) if line.bytes > 0 && line.unit == "s" => {
                format!("{:.1}", step::megabytes(line.bytes) / seconds.median)
            }
            _ => String::new(),
        };
        println!(
            "{:<5}{:<58}{:>7}{:>15}{:>10} {:<7}{:>24}{:>16}{:>16}{:>16}",
            format!("P{}", line.row),
            name(line),
            ratio(line.ratio),
            line.ratio.map(|ratio| format!("({:.2}, {:.2})", ratio.least, ratio.most)).unwrap_or_default(),
            line.goal.map(super::figures::Goal::shown).unwrap_or_default(),
            match line.reached() {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "",
            },
            format!("{} {}", both(&|side| shown(side.figure)), line.unit),
            both(&rate),
            both(&|side| side.cpu_seconds.map(|seconds| format!("{seconds:.2}")).unwrap_or_default()),
            both(&|side| if side.peak_kib == 0 {
                String::new()
            } else {
                format!("{:.1}", mib(side.peak_kib))
            }),
        );
    }
    for (what, why) in not_run {
        println!("NOT RUN {what}: {why}");
    }
}

/// `a case / a peer`.
pub(crate) fn name(line: &Line) -> String {
    if line.peer.is_empty() { line.case.clone() } else { format!("{} / {}", line.case, line.peer) }
}

pub(crate) fn ratio(ratio: Option<Spread>) -> String {
    ratio.map(|ratio| format!("{:.2}", ratio.median)).unwrap_or_default()
}

/// Three digits or more.
pub(crate) fn shown(spread: Option<Spread>) -> String {
    match spread.map(|spread| spread.median) {
        None => String::new(),
        Some(median) if median >= 100.0 => format!("{median:.0}"),
        Some(median) if median >= 10.0 => format!("{median:.1}"),
        Some(median) => format!("{median:.3}"),
    }
}

pub(crate) fn mib(kib: u64) -> f64 {
    figure(kib) / 1024.0
}
