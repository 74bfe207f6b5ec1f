//! What is measured.

use crate::expected::Query;
use crate::nexmark::Format;
use clap::ValueEnum;
use std::fmt;
use std::str::FromStr;

/// One thing to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cell {
    /// What a query costs, over two lengths of input; written as `count-local-json`.
    Query(QueryCell),
    /// The state of `count-unique`, dropped and restored.
    Restore,
    /// A version that is not live yet, from the beginning of the log.
    Replay,
    /// From the moment a record is due to its committed result, in an open loop.
    Latency,
    /// From `kill -9` to new results; a clean restart of one of two processes.
    Recovery,
    /// Resident memory: many keys, none, and more state than the memory budget.
    Memory,
    /// What a record costs as partitions, threads, keys, record size and stores grow.
    Growth,
}

/// A query in a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryCell {
    /// The query.
    pub query: Query,
    /// The encoding of the bids.
    pub format: Format,
}

const OTHERS: [(Cell, &str); 6] = [
    (Cell::Restore, "restore"),
    (Cell::Replay, "replay"),
    (Cell::Latency, "latency"),
    (Cell::Recovery, "recovery"),
    (Cell::Memory, "memory"),
    (Cell::Growth, "growth"),
];

impl Cell {
    /// What is measured unless cells are named.
    pub fn usual() -> Vec<Self> {
        let queries = [
            (Query::Q0, Format::Bin),
            (Query::Q0, Format::Json),
            (Query::Q2, Format::Json),
            (Query::CountLocal, Format::Bin),
            (Query::CountLocal, Format::Json),
            (Query::Count, Format::Json),
            (Query::CountUnique, Format::Json),
            (Query::Q3, Format::Json),
            (Query::Q4, Format::Json),
            (Query::Q5, Format::Json),
            (Query::Q7, Format::Json),
            (Query::Q8, Format::Json),
        ];
        let queries = queries.into_iter().map(|(query, format)| Self::Query(QueryCell { query, format }));
        queries.chain(OTHERS.map(|(cell, _)| cell)).collect()
    }

    /// What is measured with `--quick`.
    pub fn quick() -> Vec<Self> {
        [Query::Q0, Query::Q2, Query::CountLocal, Query::Count]
            .map(|query| Self::Query(QueryCell { query, format: Format::Json }))
            .to_vec()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(cell) => cell.fmt(f),
            other => f.pad(OTHERS.iter().find(|(cell, _)| cell == other).map_or("", |(_, name)| name)),
        }
    }
}

impl fmt::Display for QueryCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.query, self.format))
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((cell, _)) = OTHERS.iter().find(|(_, name)| *name == text) {
            return Ok(*cell);
        }
        let (query, format) = text.rsplit_once('-').unwrap_or((text, ""));
        match (Query::from_str(query, false), Format::from_str(format, false)) {
            (Ok(query), Ok(format)) if query.site().is_none() || format == Format::Json => {
                Ok(Self::Query(QueryCell { query, format }))
            }
            _ => {
                let queries: Vec<String> = Query::value_variants().iter().map(Query::to_string).collect();
                let others: Vec<&str> = OTHERS.iter().map(|(_, name)| *name).collect();
                Err(format!(
                    "no cell {text}; there are {}, each with -json, up to count-unique with -bin as well, and {}",
                    queries.join(", "),
                    others.join(", ")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_reads_as_it_is_written() {
        for cell in Cell::usual().into_iter().chain(Cell::quick()) {
            assert_eq!(cell.to_string().parse(), Ok(cell));
        }
        let unknown = "count-localjson".parse::<Cell>();
        assert_eq!(
            unknown,
            Err("no cell count-localjson; there are q0, q2, count-local, count, count-unique, q3, q4, q5, q7, \
                 q8, each with -json, up to count-unique with -bin as well, and restore, replay, latency, recovery, memory, growth"
                .to_owned())
        );
    }
}
