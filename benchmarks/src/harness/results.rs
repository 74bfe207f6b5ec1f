//! All rows ever measured on this machine, newest of each cell and system: one JSON file that sittings add to.

use super::machine::Machine;
use super::row::Row;
use super::{BenchError, Cell};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The rows, with what they were taken on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The machine of the last sitting.
    pub machine: Machine,
    /// kappa's version.
    pub version: String,
    /// librdkafka's.
    #[serde(default)]
    pub librdkafka: String,
    /// Java's, in its own words.
    pub java: Option<String>,
    /// Kafka's version, where the bench started the broker or `KAPPA_KAFKA_VERSION` says it.
    pub kafka: Option<String>,
    /// Partitions, commit interval and cache of the last sitting.
    pub settings: String,
    /// One for each cell and system, in the order of the cells.
    pub rows: Vec<Row>,
}

impl Results {
    /// No rows yet.
    pub(super) fn new(settings: String, java: Option<String>) -> Self {
        Self {
            machine: Machine::this(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            librdkafka: rdkafka::util::get_rdkafka_version().1,
            java,
            kafka: std::env::var("KAPPA_KAFKA_VERSION").ok(),
            settings,
            rows: Vec::new(),
        }
    }

    /// Reads a file; `None` where there is none.
    pub fn read(file: &Path) -> Result<Option<Self>, BenchError> {
        let failed = |source| BenchError::Files { path: file.to_owned(), source };
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(file).map_err(failed)?;
        serde_json::from_str(&text).map(Some).map_err(|error| failed(error.into()))
    }

    /// Puts newer results over these: their rows replace those of the same cell and system, others stay.
    #[must_use]
    pub fn merged(self, newer: Self) -> Self {
        let mut rows = self.rows;
        for row in &mut rows {
            row.machine.get_or_insert_with(|| self.machine.clone());
        }
        for row in newer.rows {
            match rows.iter_mut().find(|old| old.cell == row.cell && old.system == row.system) {
                Some(old) => *old = row,
                None => rows.push(row),
            }
        }
        // A stable order, whatever was measured first; cells of other names stay behind in theirs.
        let usual: Vec<String> = Cell::usual().iter().map(Cell::to_string).collect();
        rows.sort_by_key(|row| usual.iter().position(|cell| *cell == row.cell).unwrap_or(usual.len()));
        Self { rows, java: newer.java.or(self.java), kafka: newer.kafka.or(self.kafka), ..newer }
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, file: &Path) -> Result<(), BenchError> {
        let failed = |source| BenchError::Files { path: file.to_owned(), source };
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(error.into()))?;
        let new = file.with_extension("json.new");
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory).map_err(failed)?;
        }
        fs::write(&new, text + "\n").and_then(|()| fs::rename(&new, file)).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::System;

    fn results(rows: &[(&str, System, usize)]) -> Results {
        let mut results = Results::new("settings".to_owned(), None);
        for &(cell, system, runs) in rows {
            results.rows.push(Row { runs, ..Row::new(cell, system) });
        }
        results
    }

    #[test]
    fn a_later_sitting_replaces_what_it_measured_again() {
        let first =
            Results { java: Some("17".to_owned()), ..results(&[("q0", System::Kappa, 1), ("q2", System::Pipe, 2)]) };
        let merged = first.merged(results(&[("q2", System::Pipe, 5), ("q2", System::Kappa, 5)]));
        let found: Vec<_> = merged.rows.iter().map(|row| (row.cell.as_str(), row.system, row.runs)).collect();
        assert_eq!(found, [("q0", System::Kappa, 1), ("q2", System::Pipe, 5), ("q2", System::Kappa, 5)]);
        assert_eq!(merged.java.as_deref(), Some("17"));
    }

    #[test]
    fn older_rows_keep_their_machine() {
        let machine = |kernel| Machine::this().with_kernel(kernel);
        let mut older = Results { machine: machine("1"), ..results(&[("q0", System::Kappa, 1)]) };
        older.rows[0].machine = None;
        let newer = Results { machine: machine("2"), ..results(&[("q2", System::Kappa, 1)]) };
        let merged = older.merged(newer);
        assert_eq!((merged.rows[0].machine.clone(), merged.machine), (Some(machine("1")), machine("2")));
    }

    #[test]
    fn rows_keep_the_order_of_the_cells() {
        let first = results(&[("latency", System::Kappa, 1), ("q2-json", System::Kappa, 1)]);
        let merged = first.merged(results(&[("q0-bin", System::Kappa, 1)]));
        let found: Vec<_> = merged.rows.iter().map(|row| row.cell.as_str()).collect();
        assert_eq!(found, ["q0-bin", "q2-json", "latency"]);
    }

    #[test]
    fn what_is_written_is_read() {
        let file = std::env::temp_dir().join(format!("kappa-bench-results-{}.json", std::process::id()));
        assert_eq!(Results::read(&file).unwrap(), None);
        let mut written = results(&[("q0", System::Kappa, 3)]);
        written.rows[0].figure("p99_ms", [1.5, 2.5]);
        written.write(&file).unwrap();
        assert_eq!(Results::read(&file).unwrap(), Some(written));
        fs::remove_file(file).unwrap();
    }
}
