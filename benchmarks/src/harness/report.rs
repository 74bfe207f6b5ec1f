//! The figures: medians with minimum and maximum, as a table and as JSON.

use super::machine::Machine;
use super::{Bench, BenchError, Cell, Outcome, System};
use crate::stats::Cost;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Median, minimum and maximum of some runs.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
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

/// The runs of one system in one cell.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Summary {
    /// The cell.
    pub cell: String,
    /// The system.
    pub system: System,
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
    /// Kafka Streams' CPU seconds (running to drained) over this system's; above 1 this one is cheaper.
    pub times_cheaper_than_kafka_streams: Option<f64>,
    /// The output's digest, the same in all runs that count.
    pub digest: Option<String>,
    /// Every run, failed ones too, in their order.
    pub outcomes: Vec<Outcome>,
}

impl Summary {
    fn of(cell: Cell, system: System, outcomes: Vec<Outcome>) -> Self {
        let costs: Vec<Cost> =
            outcomes.iter().filter(|outcome| outcome.failure.is_none()).filter_map(|outcome| outcome.cost).collect();
        let spread = |figure: fn(&Cost) -> f64| Spread::of(costs.iter().map(figure));
        Self {
            cell: cell.to_string(),
            system,
            runs: costs.len(),
            cpu_s_per_m: spread(Cost::cpu_s_per_m),
            cpu_total_s_per_m: spread(Cost::cpu_total_s_per_m),
            wall_s: spread(|cost| cost.wall_s),
            rss_peak_mib: spread(|cost| cost.peak_rss_mib),
            threads: costs.iter().map(|cost| cost.threads).max().unwrap_or_default(),
            times_cheaper_than_kafka_streams: None,
            digest: outcomes.iter().find(|outcome| outcome.failure.is_none()).and_then(|o| o.digest.clone()),
            outcomes,
        }
    }

    /// Whether every run counts.
    pub fn is_sound(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.failure.is_none())
    }

    /// One flat object: medians alone.
    pub fn line(&self) -> serde_json::Value {
        let median = |spread: &Option<Spread>| spread.map(|spread| spread.median);
        serde_json::json!({
            "cell": self.cell,
            "system": self.system,
            "runs": self.runs,
            "cpu_s_per_m": median(&self.cpu_s_per_m),
            "cpu_total_s_per_m": median(&self.cpu_total_s_per_m),
            "wall_s": median(&self.wall_s),
            "rss_peak_mib": median(&self.rss_peak_mib),
            "threads": self.threads,
            "digest": self.digest,
        })
    }
}

/// All figures of a bench, with what they were taken on.
#[derive(Debug, serde::Serialize)]
pub struct Report {
    version: &'static str,
    machine: Machine,
    java: Option<String>,
    events: u64,
    seed: u64,
    partitions: i32,
    commit_ms: u64,
    cache_mb: u64,
    /// One for each cell and system.
    pub summaries: Vec<Summary>,
}

impl Report {
    pub(super) fn new(bench: &Bench, java: Option<String>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            machine: Machine::this(),
            java,
            events: bench.events,
            seed: bench.seed,
            partitions: bench.partitions,
            commit_ms: bench.commit_ms,
            cache_mb: bench.cache_mb,
            summaries: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, cell: Cell, outcomes: BTreeMap<System, Vec<Outcome>>) {
        let mut summaries: Vec<Summary> =
            outcomes.into_iter().map(|(system, outcomes)| Summary::of(cell, system, outcomes)).collect();
        let streams = summaries.iter().find(|summary| summary.system == System::KafkaStreams);
        let streams = streams.and_then(|summary| summary.cpu_s_per_m);
        for summary in &mut summaries {
            summary.times_cheaper_than_kafka_streams =
                streams.zip(summary.cpu_s_per_m).map(|(theirs, ours)| theirs.median / ours.median);
        }
        self.summaries.append(&mut summaries);
    }

    /// Writes everything into a new file in `directory`, named by the seconds since 1970.
    pub fn write(&self, directory: &Path) -> Result<PathBuf, BenchError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let file = directory.join(format!("{}.json", now.as_secs()));
        let text = serde_json::to_string_pretty(self).map_err(std::io::Error::from);
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(&file, text? + "\n"))
            .map_err(|source| BenchError::Files { path: file.clone(), source })?;
        Ok(file)
    }

    /// Whether every run of every cell counts.
    pub fn is_sound(&self) -> bool {
        self.summaries.iter().all(Summary::is_sound)
    }
}

/// The table for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} events, {} partitions, exactly-once, commit each {} ms, cache {} MiB, lz4. CPU seconds per million \
             input records of the application's process; medians (minimum–maximum).",
            self.events, self.partitions, self.commit_ms, self.cache_mb
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<18} {:<14} {:>4} {:>20} {:>20} {:>22} {:>10} {:>8} {:>7}",
            "cell", "system", "runs", "CPU-s/M", "whole process", "wall s", "peak MiB", "threads", "×"
        )?;
        for summary in &self.summaries {
            let show = |spread: &Option<Spread>| spread.map_or_else(|| "–".to_owned(), |spread| spread.to_string());
            writeln!(
                f,
                "{:<18} {:<14} {:>4} {:>20} {:>20} {:>22} {:>10} {:>8} {:>7}{}",
                summary.cell,
                summary.system,
                summary.runs,
                show(&summary.cpu_s_per_m),
                show(&summary.cpu_total_s_per_m),
                show(&summary.wall_s),
                summary.rss_peak_mib.map_or_else(|| "–".to_owned(), |spread| format!("{:.0}", spread.median)),
                summary.threads,
                summary.times_cheaper_than_kafka_streams.map_or_else(|| "–".to_owned(), |times| format!("{times:.2}")),
                if summary.is_sound() { "" } else { "  FAILED" },
            )?;
        }
        writeln!(f)?;
        write!(f, "×: Kafka Streams' CPU-s/M over the system's. The pipe passes the cell's bids on, undecoded.")
    }
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
}
