//! What a cell found out about a system.

use super::System;
use super::figures::Spread;
use super::machine::Machine;
use crate::stats::Cost;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One run: what it cost and what it put out, or why it failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it cost; `None` when it failed.
    pub cost: Option<Cost>,
    /// The digest of its output.
    pub digest: Option<String>,
    /// Why the run does not count.
    pub failure: Option<String>,
    /// The machine's load average (1 minute) when the run began.
    pub load_average: Option<f64>,
}

impl Outcome {
    /// A run that gave nothing.
    pub(super) fn failed(why: impl Into<String>, load_average: Option<f64>) -> Self {
        Self { cost: None, digest: None, failure: Some(why.into()), load_average }
    }
}

/// The runs over one length of input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Length {
    /// Events generated.
    pub events: u64,
    /// Input records.
    pub input_records: u64,
    /// How many runs count.
    pub runs: usize,
    /// CPU seconds from running to drained, per million input records.
    pub cpu_s_per_m: Option<Spread>,
    /// CPU seconds of the whole process, per million input records.
    pub cpu_total_s_per_m: Option<Spread>,
    /// From running to drained.
    pub wall_s: Option<Spread>,
    /// The most memory resident, MiB.
    pub rss_peak_mib: Option<Spread>,
    /// The most threads.
    pub threads: u64,
    /// The output's digest, the same in all runs that count.
    pub digest: Option<String>,
    /// Every run, failed ones too, in their order.
    pub outcomes: Vec<Outcome>,
}

impl Length {
    /// Sums runs up.
    pub(super) fn of(events: u64, outcomes: Vec<Outcome>) -> Self {
        let costs: Vec<Cost> =
            outcomes.iter().filter(|outcome| outcome.failure.is_none()).filter_map(|outcome| outcome.cost).collect();
        let spread = |figure: fn(&Cost) -> f64| Spread::of(costs.iter().map(figure));
        Self {
            events,
            input_records: costs.first().map_or(0, |cost| cost.input_records),
            runs: costs.len(),
            cpu_s_per_m: spread(Cost::cpu_s_per_m),
            cpu_total_s_per_m: spread(Cost::cpu_total_s_per_m),
            wall_s: spread(|cost| cost.wall_s),
            rss_peak_mib: spread(|cost| cost.peak_rss_mib),
            threads: costs.iter().map(|cost| cost.threads).max().unwrap_or_default(),
            digest: outcomes.iter().find(|outcome| outcome.failure.is_none()).and_then(|o| o.digest.clone()),
            outcomes,
        }
    }

    /// A figure of each run that counts, in the order of the rounds.
    pub(super) fn each(&self, figure: fn(&Cost) -> f64) -> super::figures::Costs {
        let costs = self.outcomes.iter().filter(|outcome| outcome.failure.is_none()).filter_map(|o| o.cost);
        super::figures::Costs { records: self.input_records, cpu_s: costs.map(|cost| figure(&cost)).collect() }
    }
}

/// A point of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What was varied, for example `partitions`.
    pub series: String,
    /// Its value.
    pub x: f64,
    /// CPU seconds of the whole process per million records.
    pub y: Spread,
    /// What else was measured there, medians.
    pub further: BTreeMap<String, f64>,
}

/// One system in one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The cell.
    pub cell: String,
    /// The system.
    pub system: System,
    /// When it was taken, as `2026-11-24 15:20 UTC`.
    pub taken: String,
    /// The machine it was taken on; `None` in files of before, where it is that of their sitting.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// The machine's load average (1 minute) when the runs began.
    pub load_average: Option<Spread>,
    /// How many runs count, of each length or kind.
    pub runs: usize,
    /// CPU seconds per million records, at the greater length.
    pub cpu_s_per_m: Option<Spread>,
    /// CPU seconds that a further million records costs.
    pub cpu_s_per_m_marginal: Option<Spread>,
    /// Wall seconds, at the greater length.
    pub wall_s: Option<Spread>,
    /// The most memory resident, MiB, at the greater length.
    pub rss_peak_mib: Option<Spread>,
    /// The output's digest, at the greater length.
    pub digest: Option<String>,
    /// What else was measured, by name with its unit.
    pub figures: BTreeMap<String, Spread>,
    /// The runs by length of input.
    pub lengths: Vec<Length>,
    /// Curves.
    pub points: Vec<Point>,
    /// Why runs failed; empty if the row is sound.
    pub failures: Vec<String>,
}

impl Row {
    /// Nothing measured yet.
    pub(super) fn new(cell: impl ToString, system: System) -> Self {
        Self {
            cell: cell.to_string(),
            system,
            taken: super::machine::now(),
            machine: Some(Machine::this()),
            load_average: None,
            runs: 0,
            cpu_s_per_m: None,
            cpu_s_per_m_marginal: None,
            wall_s: None,
            rss_peak_mib: None,
            digest: None,
            figures: BTreeMap::new(),
            lengths: Vec::new(),
            points: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds a figure, if there is one.
    pub(super) fn figure(&mut self, name: &str, figures: impl IntoIterator<Item = f64>) {
        if let Some(spread) = Spread::of(figures) {
            self.figures.insert(name.to_owned(), spread);
        }
    }

    /// The median of a figure.
    pub fn median(&self, name: &str) -> Option<f64> {
        self.figures.get(name).map(|spread| spread.median)
    }

    /// One flat object: medians alone.
    pub fn line(&self) -> serde_json::Value {
        let median = |spread: &Option<Spread>| spread.map(|spread| spread.median);
        let mut line = serde_json::json!({
            "cell": self.cell,
            "system": self.system,
            "runs": self.runs,
            "cpu_s_per_m": median(&self.cpu_s_per_m),
            "cpu_s_per_m_marginal": median(&self.cpu_s_per_m_marginal),
            "wall_s": median(&self.wall_s),
            "rss_peak_mib": median(&self.rss_peak_mib),
            "digest": self.digest,
            "taken": self.taken,
            "load_average": median(&self.load_average),
        });
        if let Some(line) = line.as_object_mut() {
            line.extend(self.figures.iter().map(|(name, spread)| (name.clone(), spread.median.into())));
            line.extend(self.more());
        }
        line
    }

    /// What only some rows have.
    fn more(&self) -> Vec<(String, serde_json::Value)> {
        let median = |spread: &Option<Spread>| spread.map(|spread| spread.median);
        let mut more = Vec::new();
        if !self.lengths.is_empty() {
            let lengths = self.lengths.iter().map(|length| {
                serde_json::json!({
                    "events": length.events,
                    "input_records": length.input_records,
                    "cpu_s_per_m": median(&length.cpu_s_per_m),
                    "cpu_total_s_per_m": median(&length.cpu_total_s_per_m),
                    "wall_s": median(&length.wall_s),
                    "rss_peak_mib": median(&length.rss_peak_mib),
                    "threads": length.threads,
                    "digest": length.digest,
                })
            });
            more.push(("lengths".to_owned(), lengths.collect()));
        }
        if !self.points.is_empty() {
            let points = self.points.iter().map(|point| {
                serde_json::json!({"series": point.series, "x": point.x, "cpu_total_s_per_m": point.y.median,
                                   "further": point.further})
            });
            more.push(("points".to_owned(), points.collect()));
        }
        if !self.failures.is_empty() {
            more.push(("failures".to_owned(), self.failures.clone().into()));
        }
        more
    }
}
