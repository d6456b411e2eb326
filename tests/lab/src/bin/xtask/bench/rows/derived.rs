//! What other rows have needed: P14 and P15, and a tree that is large enough for memory to show.

use anyhow::Result;
use gridftp_lab::packages;

use super::super::figures::{Goal, Spread, figure};
use super::super::lab::{Lab, Plan, check_tree, clear, file_url};
use super::super::measure::Contest;
use super::super::results::{Line, Side};
use super::super::session::{Entry, Session, called, size, words};
use super::super::table::mib;

/// P14.
pub(super) fn processor(session: &mut Session) -> Result<()> {
    let basis =
        session.lines.iter().filter(|line| (1..=3).contains(&line.row) && line.peer.starts_with("guc"));
    let derived: Vec<Line> = basis.map(per_gib).collect();
    session.lines.extend(derived);
    Ok(())
}

fn per_gib(line: &Line) -> Line {
    let gib = figure(line.bytes) / figure(1 << 30);
    let side = |side: &Side| Side {
        figure: side.cpu_seconds.and_then(|seconds| Spread::of([seconds / gib])),
        ..*side
    };
    Line {
        row: 14,
        case: format!("as P{}: {}", line.row, line.case),
        unit: "CPU s/GiB".to_owned(),
        goal: Some(Goal::RatioAtMost(1.0)),
        ratio: line.cpu_ratio,
        ours: side(&line.ours),
        theirs: line.theirs.as_ref().map(side),
        bytes: 0,
        files: 0,
        ..line.clone()
    }
}

/// P15.
pub(super) fn memory(session: &mut Session) -> Result<()> {
    let stamp = session.stamp();
    if let Some(line) = most(&session.lines, "any row measured") {
        session.lines.push(Line { measured: stamp, ..line });
    }
    let lab = Lab::new(Plan::default())?;
    let (count, bytes) = (session.sized(1_000_000, 1000), session.sized(1024, 64));
    // Each takes a page, here and in the copy, and some for its name.
    lab.require_space(count * 2 * 4096)?;
    println!("Making {count} files …");
    let tree = lab.tree("source", count, bytes, 1000)?;
    let (ours, guc) = (session.program("gridftp-cp")?, packages::URL_COPY.program()?);
    let copy = lab.path("copy");
    let (from, to) = (format!("{}/", lab.url("source")), format!("{}/", file_url(&copy)));
    let flags = "-r -cd -cc 4 -fast";
    let entry = Entry {
        row: 15,
        case: format!("{count} x {} get", size(bytes)),
        program: "gridftp-cp -r",
        peer: &called(&guc, flags),
        checked: "SHA-256 of every file after each run",
        memory_only: true,
        ..Entry::default()
    };
    let contest = Contest {
        ours: &|| lab.command(&ours, &["-r", &from, &to]),
        peer: Some(&|| lab.command(&guc, &words(flags, &[&from, &to]))),
        before: &|| clear(&copy),
        after: &|_| check_tree(&tree, &copy),
        told: None,
    };
    let before = session.lines.len();
    session.measure(&entry, &contest);
    if let Some(line) = session.lines.get_mut(before) {
        *line = of_memory(line, 128.0);
    }
    Ok(())
}

/// The line whose memory is its figure.
fn of_memory(line: &Line, limit: f64) -> Line {
    let side = |side: &Side| Side { figure: Spread::of([mib(side.peak_kib)]), ..*side };
    let (ours, theirs) = (side(&line.ours), line.theirs.as_ref().map(side));
    let ratio =
        theirs.as_ref().and_then(|theirs| Spread::of_ratios([(ours.figure?.median, theirs.figure?.median)]));
    Line {
        row: 15,
        unit: "MiB".to_owned(),
        goal: Some(Goal::FigureAtMost(limit)),
        ratio,
        cpu_ratio: None,
        bytes: 0,
        files: 0,
        ours: Side { cpu_seconds: None, ..ours },
        theirs: theirs.map(|theirs| Side { cpu_seconds: None, ..theirs }),
        ..line.clone()
    }
}

/// Of all rows in which gridftp-cp ran, the one in which it took most, beside the most that guc took anywhere.
fn most(lines: &[Line], case: &str) -> Option<Line> {
    let copies = lines.iter().filter(|line| line.program.starts_with("gridftp-cp") && line.row < 14);
    let worst = copies.clone().max_by_key(|line| line.ours.peak_kib)?;
    let theirs = copies.filter(|line| line.peer.starts_with("guc")).filter_map(|line| line.theirs);
    let mut line = worst.clone();
    line.theirs = theirs.max_by_key(|side| side.peak_kib);
    line.case = case.to_owned();
    line.checked = format!("the most was in P{}: {}", worst.row, worst.case);
    line.program = "gridftp-cp".to_owned();
    line.peer = "guc, any row measured".to_owned();
    Some(of_memory(&line, 32.0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::measure::{Outcome, Run};
    use super::super::super::results::Stamp;
    use super::super::super::session::line;
    use super::*;

    fn made(row: u8, program: &str, peak: (u64, u64), cpu: (u64, u64)) -> Line {
        let run = |cpu: u64| Run { figure: 1.0, cpu: Duration::from_millis(cpu) };
        let outcome = Outcome { pairs: vec![(run(cpu.0), Some(run(cpu.1)))], peak: (peak.0, Some(peak.1)) };
        let entry = Entry { row, program, peer: "guc -fast", bytes: 2 << 30, ..Entry::default() };
        line(&entry, &outcome, Stamp::default())
    }

    #[test]
    fn processor_time_is_per_gib_and_its_ratio_that_of_pairs() {
        let line = per_gib(&made(2, "gridftp-cp", (1, 1), (400, 800)));
        assert_eq!((line.row, line.ratio.unwrap().median, line.reached()), (14, 0.5, Some(true)));
        assert_eq!(line.ours.figure.unwrap().median, 0.2);
        assert_eq!(line.theirs.unwrap().figure.unwrap().median, 0.4);
    }

    #[test]
    fn the_most_memory_of_any_row_counts() {
        let lines = [
            made(1, "gridftp-cp", (10 << 10, 12 << 10), (1, 1)),
            made(5, "gridftp-cp -r", (40 << 10, 9 << 10), (1, 1)),
            made(10, "gridftp-fs find", (90 << 10, 99 << 10), (1, 1)),
        ];
        let line = most(&lines, "any").unwrap();
        assert_eq!(
            (line.ours.figure.unwrap().median, line.theirs.unwrap().figure.unwrap().median),
            (40.0, 12.0)
        );
        assert_eq!(line.reached(), Some(false));
        assert!(line.checked.contains("P5"), "{}", line.checked);
        assert!(most(&[], "any").is_none());
    }
}
