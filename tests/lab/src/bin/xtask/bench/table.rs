//! Medians and their table.

use std::time::Duration;

use super::measure::{Outcome, Run};
use crate::step;

/// What a run moved.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// So many bytes; shown as MB/s.
    Megabytes(u64),
    /// So many files; shown as files per second.
    Files(usize),
}

/// Prints the rows.
pub(crate) fn show(results: &[(String, Outcome)], unit: Unit, pairs: u32) {
    let per_second = match unit {
        Unit::Megabytes(_) => "MB/s",
        Unit::Files(_) => "files/s",
    };
    println!(
        "\nMedians of {pairs} pairs; each column is ours, then the peer's. Below 1 the ratio is in our favour."
    );
    println!(
        "{:<46}{:>7}{:>15}{:>18}{:>16}{:>16}{:>16}",
        "row / peer", "ratio", "(least, most)", "seconds", per_second, "CPU seconds", "peak MiB"
    );
    for (name, outcome) in results {
        let mut ratios: Vec<f64> =
            outcome.pairs.iter().map(|(a, b)| seconds(a.wall) / seconds(b.wall)).collect();
        let ratio = median(&mut ratios);
        let least = ratios.first().copied().unwrap_or(f64::NAN);
        let most = ratios.last().copied().unwrap_or(f64::NAN);
        let of = |get: fn(&Run) -> Duration| {
            let mut ours: Vec<f64> = outcome.pairs.iter().map(|(a, _)| seconds(get(a))).collect();
            let mut peer: Vec<f64> = outcome.pairs.iter().map(|(_, b)| seconds(get(b))).collect();
            (median(&mut ours), median(&mut peer))
        };
        let (wall, cpu) = (of(|run| run.wall), of(|run| run.cpu));
        let speed = |seconds: f64| match unit {
            Unit::Megabytes(bytes) => step::megabytes(bytes) / seconds,
            Unit::Files(count) => f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds,
        };
        let mib = |kib: u64| f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0;
        println!(
            "{name:<46}{ratio:>7.2}{:>15}{:>18}{:>16}{:>16}{:>16}",
            format!("({least:.2}, {most:.2})"),
            format!("{:.3} {:.3}", wall.0, wall.1),
            format!("{:.0} {:.0}", speed(wall.0), speed(wall.1)),
            format!("{:.2} {:.2}", cpu.0, cpu.1),
            format!("{:.1} {:.1}", mib(outcome.peak.0), mib(outcome.peak.1)),
        );
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Sorts, and gives the middle one, or the mean of the middle two.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn medians() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&mut []).is_nan());
    }
}
