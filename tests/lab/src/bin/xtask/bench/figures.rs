//! The arithmetic of a comparison: medians, the ratio of pairs, and whether a goal is reached. No program is run here.

use serde::{Deserialize, Serialize};

/// The middle of some figures, with the least and the most of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// Of at least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (*figures.first()?, *figures.last()?);
        let half = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[half]
        } else {
            f64::midpoint(figures[half - 1], figures[half])
        };
        Some(Self { median, least, most })
    }

    /// Ours over theirs, pair by pair. A pair whose second figure is nothing tells nothing.
    pub(crate) fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        Self::of(pairs.into_iter().map(|(ours, theirs)| ours / theirs))
    }
}

/// What a row is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// Ours over theirs.
    RatioAtMost(f64),
    /// Our own figure, in the row's unit.
    FigureAtMost(f64),
}

impl Goal {
    /// Whether it is reached; `None` where what it is about was not measured.
    ///
    /// What is shown has two digits behind the point, and what is shown as equal is equal.
    pub(crate) fn reached(self, ratio: Option<f64>, figure: Option<f64>) -> Option<bool> {
        let (found, limit) = match self {
            Self::RatioAtMost(limit) => (ratio?, limit),
            Self::FigureAtMost(limit) => (figure?, limit),
        };
        Some((found * 100.0).round() <= (limit * 100.0).round())
    }

    /// `≤ 0.85`.
    pub(crate) fn shown(self) -> String {
        match self {
            Self::RatioAtMost(limit) => format!("≤ {limit:.2}"),
            Self::FigureAtMost(limit) => format!("≤ {limit}"),
        }
    }
}

/// A number of bytes or files as a figure. Exact up to 9 PB.
pub(crate) fn figure(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is shown with three digits")]
    let figure = number as f64;
    figure
}

/// The whole number below a figure; what is no such number is the nearest one.
pub(crate) fn whole(figure: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates, and is not below 0"
    )]
    let whole = figure.max(0.0) as u64;
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one_or_between_the_middle_two() {
        let of = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).unwrap().median, 2.5);
        assert_eq!(of(&[7.0]), Some(Spread { median: 7.0, least: 7.0, most: 7.0 }));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn it_is_the_ratios_that_are_in_order_and_not_the_times() {
        // The machine was slow in the second pair, for both.
        let ratios = Spread::of_ratios([(1.0, 2.0), (8.0, 10.0), (3.0, 2.0)]).unwrap();
        assert_eq!(ratios, Spread { median: 0.8, least: 0.5, most: 1.5 });
        // A pair that measured nothing is left out.
        assert_eq!(Spread::of_ratios([(1.0, 0.0), (1.0, 4.0)]).unwrap().most, 0.25);
        assert_eq!(Spread::of_ratios([(0.0, 0.0)]), None);
    }

    #[test]
    fn a_goal_is_reached_up_to_what_is_shown() {
        let goal = Goal::RatioAtMost(0.85);
        assert_eq!(goal.reached(Some(0.85), None), Some(true));
        assert_eq!(goal.reached(Some(0.8549), None), Some(true));
        assert_eq!(goal.reached(Some(0.856), None), Some(false));
        assert_eq!(goal.reached(None, Some(0.1)), None);
        assert_eq!(Goal::FigureAtMost(32.0).reached(Some(9.0), Some(31.5)), Some(true));
        assert_eq!(Goal::FigureAtMost(32.0).reached(Some(0.1), Some(33.0)), Some(false));
        assert_eq!((goal.shown(), Goal::FigureAtMost(32.0).shown()), ("≤ 0.85".into(), "≤ 32".into()));
    }

    #[test]
    fn whole_numbers() {
        assert_eq!((whole(2.9), whole(-1.0), whole(f64::NAN)), (2, 0, 0));
        assert!((figure(1 << 40) - 1_099_511_627_776.0).abs() < 0.5);
    }
}
