//! The rows of one sitting, for people at a terminal.

use super::figures::Spread;
use super::row::Row;
use std::fmt;

/// Rows as a table.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Row]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "CPU seconds per million input records of the application's process; medians (minimum–maximum).")?;
        writeln!(f)?;
        writeln!(
            f,
            "{:<19} {:<14} {:>8} {:>4} {:>20} {:>20} {:>20} {:>9} {:>7}",
            "cell", "system", "events", "runs", "CPU-s/M", "whole process", "wall s", "peak MiB", "threads"
        )?;
        for row in self.0 {
            lengths(f, row)?;
            if let Some(marginal) = row.cpu_s_per_m_marginal {
                let total = show(row.figures.get("cpu_total_s_per_m_marginal").copied());
                writeln!(
                    f,
                    "{:<19} {:<14} {:>8} {:>4} {:>20} {total:>20}",
                    row.cell, row.system, "marginal", row.runs, marginal
                )?;
            }
            for (name, spread) in row.figures.iter().filter(|(name, _)| !IN_COLUMNS.contains(&name.as_str())) {
                writeln!(f, "{:<19} {:<14} {name} {spread}", row.cell, row.system)?;
            }
            for point in &row.points {
                writeln!(f, "{:<19} {:<14} {} {} {}", row.cell, row.system, point.series, point.x, point.y)?;
            }
            for failure in &row.failures {
                writeln!(f, "{:<19} {:<14} FAILED: {failure}", row.cell, row.system)?;
            }
        }
        Ok(())
    }
}

const IN_COLUMNS: [&str; 3] = ["cpu_total_s_per_m", "cpu_total_s_per_m_marginal", "threads"];

fn lengths(f: &mut fmt::Formatter<'_>, row: &Row) -> fmt::Result {
    for length in &row.lengths {
        writeln!(
            f,
            "{:<19} {:<14} {:>8} {:>4} {:>20} {:>20} {:>20} {:>9} {:>7}",
            row.cell,
            row.system,
            length.events,
            length.runs,
            show(length.cpu_s_per_m),
            show(length.cpu_total_s_per_m),
            show(length.wall_s),
            length.rss_peak_mib.map_or_else(|| "–".to_owned(), |spread| format!("{:.0}", spread.median)),
            length.threads,
        )?;
    }
    Ok(())
}

fn show(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "–".to_owned(), |spread| spread.to_string())
}
