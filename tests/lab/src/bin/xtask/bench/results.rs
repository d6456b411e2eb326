//! What was measured, as it is kept in `docs/performance/results.json`: lines of rows, series of charts, and on what machine.
//!
//! A new measurement takes the place of an old one of the same name. Figures of two machines do not stand in one file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::figures::{Goal, Spread, figure};
use super::machine::Machine;
use crate::step;

/// All of the file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) lines: Vec<Line>,
    pub(crate) charts: Vec<Chart>,
}

/// One comparison of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// `P1` is 1.
    pub(crate) row: u8,
    /// Which of the row's cases.
    pub(crate) case: String,
    /// What of ours ran.
    pub(crate) program: String,
    /// Against what; empty where there is nothing to compare with.
    pub(crate) peer: String,
    /// What the figures are.
    pub(crate) unit: String,
    pub(crate) goal: Option<Goal>,
    pub(crate) pairs: u32,
    /// Ours over theirs.
    pub(crate) ratio: Option<Spread>,
    /// The same of processor time.
    pub(crate) cpu_ratio: Option<Spread>,
    pub(crate) ours: Side,
    pub(crate) theirs: Option<Side>,
    /// Bytes that a run moves.
    pub(crate) bytes: u64,
    /// Files that a run moves, where they are so small that this is what counts.
    pub(crate) files: u64,
    /// How it was seen that the runs did what they should.
    pub(crate) checked: String,
    pub(crate) measured: Stamp,
}

/// What one side needed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    /// In the line's unit; `None` where memory alone was read.
    pub(crate) figure: Option<Spread>,
    /// The median of processor seconds.
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) peak_kib: u64,
}

/// When, and of which state of the sources.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub(crate) date: String,
    pub(crate) commit: String,
}

/// A chart's series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Chart {
    /// Also the name of its file.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
    pub(crate) measured: Stamp,
}

/// One direction of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) log: bool,
}

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    /// What makes it the same line as another one.
    fn key(&self) -> (u8, &str, &str, &str) {
        (self.row, &self.case, &self.program, &self.peer)
    }

    /// What a side moved in a second, with its unit.
    pub(crate) fn rate(&self, side: &Side) -> Option<(f64, &'static str)> {
        let seconds = side.figure.filter(|_| self.unit == "s")?.median;
        match (self.files, self.bytes) {
            (0, 0) => None,
            (0, bytes) => Some((figure(bytes) / 1e6 / seconds, "MB/s")),
            (files, _) => Some((figure(files) / seconds, "files/s")),
        }
    }

    pub(crate) fn reached(&self) -> Option<bool> {
        let figure = self.ours.figure.map(|figure| figure.median);
        self.goal?.reached(self.ratio.map(|ratio| ratio.median), figure)
    }
}

impl Results {
    /// Where they are kept.
    pub(crate) fn path() -> PathBuf {
        step::root().join("docs").join("performance").join("results.json")
    }

    /// What is kept; nothing, if there is no file yet.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        };
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    }

    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).context("writing results as JSON")?;
        text.push('\n');
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Takes in what is new. Gives how many lines and charts of another machine were dropped.
    ///
    /// `whole` are rows of which every case was measured again: lines of theirs that did not come again are gone.
    pub(crate) fn merge(&mut self, new: Self, whole: &[u8]) -> usize {
        let mut dropped = 0;
        if !self.machine.is_the_same_as(&new.machine) {
            dropped = self.lines.len() + self.charts.len();
            self.lines.clear();
            self.charts.clear();
        }
        self.machine = new.machine;
        self.lines
            .retain(|old| !whole.contains(&old.row) && !new.lines.iter().any(|line| line.key() == old.key()));
        self.charts.retain(|old| !new.charts.iter().any(|chart| chart.name == old.name));
        self.lines.extend(new.lines);
        self.charts.extend(new.charts);
        // Stable: the cases of a row stay in the order in which they are measured.
        self.lines.sort_by_key(|line| line.row);
        self.charts.sort_by(|one, other| one.name.cmp(&other.name));
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(row: u8, case: &str, ratio: f64) -> Line {
        Line {
            row,
            case: case.into(),
            program: "ours".into(),
            peer: "theirs".into(),
            unit: "s".into(),
            goal: Some(Goal::RatioAtMost(0.5)),
            pairs: 1,
            ratio: Spread::of([ratio]),
            cpu_ratio: None,
            ours: Side { figure: Spread::of([1.0]), cpu_seconds: Some(0.5), peak_kib: 1024 },
            theirs: None,
            bytes: 0,
            files: 0,
            checked: "hash".into(),
            measured: Stamp::default(),
        }
    }

    fn results(cores: usize, lines: Vec<Line>) -> Results {
        let machine = Machine { cores, ..Machine::default() };
        Results { machine, lines, charts: Vec::new() }
    }

    #[test]
    fn a_new_line_takes_the_place_of_the_old_one_and_of_no_other() {
        let mut kept = results(2, vec![line(1, "a", 0.1), line(1, "b", 0.2), line(7, "a", 0.3)]);
        assert_eq!(kept.merge(results(2, vec![line(3, "a", 0.9), line(1, "b", 0.8)]), &[]), 0);
        let found: Vec<_> = kept
            .lines
            .iter()
            .map(|line| (line.row, line.case.as_str(), line.ratio.unwrap().median))
            .collect();
        assert_eq!(found, [(1, "a", 0.1), (1, "b", 0.8), (3, "a", 0.9), (7, "a", 0.3)]);
    }

    #[test]
    fn a_row_measured_as_a_whole_keeps_no_case_that_is_gone() {
        let mut kept = results(2, vec![line(1, "a", 0.1), line(1, "gone", 0.2), line(7, "a", 0.3)]);
        kept.merge(results(2, vec![line(1, "a", 0.4)]), &[1]);
        let found: Vec<_> = kept.lines.iter().map(|line| (line.row, line.case.as_str())).collect();
        assert_eq!(found, [(1, "a"), (7, "a")]);
    }

    #[test]
    fn another_machine_begins_anew() {
        let mut kept = results(2, vec![line(1, "a", 0.1)]);
        assert_eq!(kept.merge(results(64, vec![line(2, "a", 0.2)]), &[]), 1);
        assert_eq!(kept, results(64, vec![line(2, "a", 0.2)]));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let kept = results(2, vec![line(1, "a", 0.4), line(2, "b", 0.6)]);
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Results>(&text).unwrap(), kept);
        assert_eq!((kept.lines[0].reached(), kept.lines[1].reached()), (Some(true), Some(false)));
    }
}
