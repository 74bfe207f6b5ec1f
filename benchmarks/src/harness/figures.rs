//! The arithmetic: medians with minimum and maximum, cost per million records, marginal cost.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Median, minimum and maximum of some runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The middle one; of an even number the mean of the two in the middle.
    pub median: f64,
    /// The lowest.
    pub min: f64,
    /// The highest.
    pub max: f64,
}

impl Spread {
    /// Of these figures; `None` of none.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.2} ({:.2}–{:.2})", self.median, self.min, self.max))
    }
}

/// What runs over one length of input cost, CPU seconds each.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Costs {
    /// Input records of each run.
    pub records: u64,
    /// CPU seconds of each run, in the order of the rounds.
    pub cpu_s: Vec<f64>,
}

/// What a further million records costs, free of what a start costs: the difference of the medians over the
/// difference of records. Minimum and maximum are those of the differences within each round.
pub(super) fn marginal(short: &Costs, long: &Costs) -> Option<Spread> {
    let millions = long.records.checked_sub(short.records).filter(|more| *more > 0)? as f64 / 1e6;
    let median = |costs: &Costs| Spread::of(costs.cpu_s.iter().copied()).map(|spread| spread.median);
    let paired = short.cpu_s.iter().zip(&long.cpu_s).map(|(short, long)| (long - short) / millions);
    let paired = Spread::of(paired)?;
    Some(Spread { median: (median(long)? - median(short)?) / millions, ..paired })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        assert_eq!(spread(&[]), None);
        assert_eq!(spread(&[3.0, 1.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 9.0]), Some(Spread { median: 3.0, min: 1.0, max: 9.0 }));
    }

    /// 1 M and 5 M records: (10 − 3) / 4 = 1.75 between the medians; the rounds give (12 − 4) / 4 = 2,
    /// (10 − 3) / 4 = 1.75 and (9 − 2.6) / 4 = 1.6.
    #[test]
    fn marginal_cost_is_the_difference_of_medians_over_that_of_records() {
        let short = Costs { records: 1_000_000, cpu_s: vec![4.0, 3.0, 2.6] };
        let long = Costs { records: 5_000_000, cpu_s: vec![12.0, 10.0, 9.0] };
        let found = marginal(&short, &long).unwrap();
        assert!((found.median - 1.75).abs() < 1e-12, "{found:?}");
        assert!((found.min - 1.6).abs() < 1e-12 && (found.max - 2.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn one_length_has_no_marginal_cost() {
        let costs = Costs { records: 1_000_000, cpu_s: vec![4.0] };
        assert_eq!(marginal(&costs, &costs), None);
        assert_eq!(marginal(&Costs { records: 2_000_000, cpu_s: Vec::new() }, &costs), None);
    }
}
