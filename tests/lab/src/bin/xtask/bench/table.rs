//! The table on the terminal.

use super::figures::{Spread, figure};
use super::results::{Line, Side};

/// Prints lines, and what was not run and why. Goals are for figures, not for a run that is only quick.
pub(crate) fn show(lines: &[Line], not_run: &[(String, String)], goals: bool) {
    println!(
        "\nMedians; figures are ours, then the peer's. Below 1 a ratio is in our favour; (least, most) of the pairs."
    );
    let width = lines.iter().map(|line| name(line).chars().count()).max().unwrap_or(0);
    println!(
        "{:<4} {:<width$}{:>7}{:>15}{:>8} {:<7}{:>26}{:>24}{:>13}{:>13}",
        "row", "case / peer", "ratio", "(least, most)", "goal", "", "figure", "a second", "CPU s", "peak MiB"
    );
    for line in lines {
        let both = |show: &dyn Fn(&Side) -> String| {
            let theirs = line.theirs.as_ref().map(show).unwrap_or_default();
            format!("{} {theirs}", show(&line.ours))
        };
        let rate = |side: &Side| line.rate(side).map(|(rate, _)| format!("{rate:.1}")).unwrap_or_default();
        let rate_unit = line.rate(&line.ours).map(|(_, unit)| unit).unwrap_or_default();
        let goal = line.goal.filter(|_| goals);
        println!(
            "{:<4} {:<width$}{:>7}{:>15}{:>8} {:<7}{:>26}{:>24}{:>13}{:>13}",
            if line.row == 0 { String::new() } else { format!("P{}", line.row) },
            name(line),
            ratio(line.ratio),
            line.ratio.map(|ratio| format!("({:.2}, {:.2})", ratio.least, ratio.most)).unwrap_or_default(),
            goal.map(super::figures::Goal::shown).unwrap_or_default(),
            match goal.and_then(|_| line.reached()) {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "",
            },
            format!("{} {}", both(&|side| shown(side.figure)), line.unit),
            format!("{} {rate_unit}", both(&rate)),
            both(&|side| side.cpu_seconds.map(|seconds| format!("{seconds:.2}")).unwrap_or_default()),
            both(&|side| format!("{:.1}", mib(side.peak_kib))),
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
