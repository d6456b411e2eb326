//! docs/performance.md and its charts: out of what is recorded, what people wrote about it, and nothing else.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::draw;
use super::figures::Spread;
use super::results::{Line, Results, Side};
use super::rows::ROWS;
use super::table::{self, mib};
use crate::step;

/// `docs/performance/notes.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notes {
    /// What stands before the tables.
    #[serde(default)]
    intro: String,
    /// By rows: why a goal is not reached, or what has to be known of it.
    #[serde(default)]
    rows: BTreeMap<String, String>,
    /// By the names of charts.
    #[serde(default)]
    charts: BTreeMap<String, String>,
}

/// All files that are made, below the root, with their contents.
pub(crate) fn files() -> Result<Vec<(PathBuf, String)>> {
    let results = Results::load(&Results::path())?;
    let text = |name: &str| {
        let path = step::root().join("docs/performance").join(name);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let notes: Notes = toml::from_str(&text("notes.toml")?).context("reading docs/performance/notes.toml")?;
    let page = page(&results, &notes, &text("log.md")?);
    let mut files = vec![(PathBuf::from("docs/performance.md"), page)];
    for chart in &results.charts {
        let path = PathBuf::from(format!("docs/performance/{}.svg", chart.name));
        files.push((path, draw::svg(chart)?));
    }
    Ok(files)
}

/// Writes them; gives the names of those that changed.
pub(crate) fn write() -> Result<Vec<String>> {
    let mut written = Vec::new();
    for (path, text) in files()? {
        let whole = step::root().join(&path);
        if std::fs::read_to_string(&whole).is_ok_and(|found| found == text) {
            continue;
        }
        std::fs::write(&whole, text).with_context(|| format!("writing {}", whole.display()))?;
        written.push(path.display().to_string());
    }
    if written.is_empty() {
        written.push("nothing, as all is as it was".to_owned());
    }
    Ok(written)
}

fn page(results: &Results, notes: &Notes, log: &str) -> String {
    let mut page = "# Performance\n\n\
        <!-- Made by `cargo xtask bench render` out of docs/performance/; do not edit. -->\n\n"
        .to_owned();
    if !notes.intro.is_empty() {
        let _ = writeln!(page, "{}\n", notes.intro.trim());
    }
    if results.lines.is_empty() {
        page.push_str("Nothing is recorded yet: `cargo xtask bench --record` measures and records.\n\n");
    } else {
        let _ = writeln!(page, "Measured on {}.\n", results.machine);
        page.push_str(&summary(results));
        for row in &ROWS {
            let lines: Vec<&Line> = results.lines.iter().filter(|line| line.row == row.number).collect();
            let name = format!("P{}", row.number);
            let note = notes.rows.get(&name);
            if lines.is_empty() && note.is_none() {
                continue;
            }
            let _ = writeln!(page, "## {name}: {}\n", row.title);
            if !lines.is_empty() {
                page.push_str(&rows_table(&lines));
            }
            if let Some(note) = note {
                let _ = writeln!(page, "{}\n", note.trim());
            }
        }
    }
    for chart in &results.charts {
        let _ = writeln!(page, "## {}\n\n![{}](performance/{}.svg)\n", chart.title, chart.title, chart.name);
        page.push_str(&series_table(chart));
        if let Some(note) = notes.charts.get(&chart.name) {
            let _ = writeln!(page, "{}\n", note.trim());
        }
    }
    let _ = writeln!(page, "{}", log.trim());
    page
}

/// How many goals are reached, and which are not.
fn summary(results: &Results) -> String {
    let missed: Vec<&Line> = results.lines.iter().filter(|line| line.reached() == Some(false)).collect();
    let mut rows: Vec<String> = missed.iter().map(|line| format!("P{}", line.row)).collect();
    rows.dedup();
    let with_goals = results.lines.iter().filter(|line| line.reached().is_some()).count();
    let mut text = format!("{} of {with_goals} goals are reached.", with_goals - missed.len());
    if !missed.is_empty() {
        let _ = write!(text, " Not reached, or not in all cases: {}.", rows.join(", "));
    }
    text + "\n\n"
}

fn rows_table(lines: &[&Line]) -> String {
    let mut text =
        "| case | peer | ratio (least, most) | goal | | ours | theirs | CPU s | peak MiB | pairs |\n\
        |---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for line in lines {
        let both = |show: &dyn Fn(&Side) -> String| {
            let theirs = line.theirs.as_ref().map(|side| format!(" / {}", show(side))).unwrap_or_default();
            format!("{}{theirs}", show(&line.ours))
        };
        let spread =
            |ratio: Spread| format!("**{:.2}** ({:.2}, {:.2})", ratio.median, ratio.least, ratio.most);
        let figure = |side: &Side| {
            let shown = format!("{} {}", table::shown(side.figure), line.unit);
            let rate = line.rate(side).map(|(rate, unit)| format!(", {rate:.1} {unit}"));
            shown + &rate.unwrap_or_default()
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            line.case,
            line.peer,
            line.ratio.map(spread).unwrap_or_default(),
            line.goal.map(super::figures::Goal::shown).unwrap_or_default(),
            match line.reached() {
                Some(true) => "reached",
                Some(false) => "**not reached**",
                None => "",
            },
            figure(&line.ours),
            line.theirs.as_ref().map(figure).unwrap_or_default(),
            both(&|side| side.cpu_seconds.map(|seconds| format!("{seconds:.2}")).unwrap_or_default()),
            both(&|side| format!("{:.1}", mib(side.peak_kib))),
            line.pairs,
        );
    }
    let mut said: Vec<String> = Vec::new();
    for line in lines {
        let sentence = format!(
            "Ours: {}. Checked: {}. {} at {}.",
            line.program, line.checked, line.measured.date, line.measured.commit
        );
        if !said.contains(&sentence) {
            said.push(sentence);
        }
    }
    let _ = writeln!(text, "\n{}\n", said.join("\n"));
    text
}

fn series_table(chart: &super::results::Chart) -> String {
    let mut xs: Vec<f64> =
        chart.series.iter().flat_map(|series| series.points.iter().map(|point| point.0)).collect();
    xs.sort_by(f64::total_cmp);
    xs.dedup();
    let mut text = format!("| {} |", chart.x.label);
    for series in &chart.series {
        let _ = write!(text, " {} |", series.name);
    }
    let _ = writeln!(text, "\n|---{}|", "|---".repeat(chart.series.len()));
    for x in xs {
        let _ = write!(text, "| {x} |");
        for series in &chart.series {
            let y = series.points.iter().find(|point| point.0.total_cmp(&x).is_eq()).map(|point| point.1);
            let _ = write!(text, " {} |", table::shown(y.and_then(|y| Spread::of([y]))));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\n{}; {} at {}.\n", chart.y.label, chart.measured.date, chart.measured.commit);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Goal;
    use crate::bench::results::Stamp;

    fn line(row: u8, ratio: f64) -> Line {
        let side = Side { figure: Spread::of([2.0]), cpu_seconds: Some(0.5), peak_kib: 2048 };
        Line {
            row,
            case: "a case".into(),
            program: "gridftp-cp".into(),
            peer: "guc".into(),
            unit: "s".into(),
            goal: Some(Goal::RatioAtMost(0.5)),
            pairs: 7,
            ratio: Spread::of([ratio]),
            cpu_ratio: None,
            ours: side,
            theirs: Some(side),
            bytes: 4_000_000,
            files: 0,
            checked: "by hash".into(),
            measured: Stamp { date: "2001-02-03".into(), commit: "abc".into() },
        }
    }

    #[test]
    fn the_page_has_what_was_measured_and_what_is_said_about_it() {
        let mut notes = Notes::default();
        notes.rows.insert("P2".into(), "It is the server.".into());
        let results = Results { lines: vec![line(1, 0.4), line(2, 0.9)], ..Results::default() };
        let text = page(&results, &notes, "## Log\n\nnothing yet\n");
        for part in [
            "1 of 2 goals are reached. Not reached, or not in all cases: P2.",
            "| a case | guc | **0.40** (0.40, 0.40) | ≤ 0.50 | reached | 2.000 s, 2.0 MB/s | 2.000 s, 2.0 MB/s | 0.50 / 0.50 | 2.0 / 2.0 | 7 |",
            "**not reached**",
            "It is the server.",
            "nothing yet",
            "2001-02-03 at abc",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let empty = page(&Results::default(), &Notes::default(), "## Log\n");
        assert!(empty.contains("Nothing is recorded yet"), "{empty}");
    }
}
