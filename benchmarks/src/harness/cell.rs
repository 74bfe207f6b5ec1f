//! What is measured: a query in a format.

use crate::expected::Query;
use crate::nexmark::Format;
use clap::ValueEnum;
use std::fmt;
use std::str::FromStr;

/// A query in a format; written as `count-local-json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell {
    /// The query.
    pub query: Query,
    /// The encoding of the bids.
    pub format: Format,
}

impl Cell {
    /// What is measured unless cells are named.
    pub fn usual() -> Vec<Self> {
        let cell = |query, format| Self { query, format };
        vec![
            cell(Query::Q0, Format::Bin),
            cell(Query::Q0, Format::Json),
            cell(Query::CountLocal, Format::Bin),
            cell(Query::CountLocal, Format::Json),
            cell(Query::Count, Format::Json),
        ]
    }

    /// What is measured with `--quick`.
    pub fn quick() -> Vec<Self> {
        let cell = |query| Self { query, format: Format::Json };
        vec![cell(Query::Q0), cell(Query::CountLocal), cell(Query::Count)]
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.query, self.format))
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (query, format) = text.rsplit_once('-').unwrap_or((text, ""));
        match (Query::from_str(query, false), Format::from_str(format, false)) {
            (Ok(query), Ok(format)) => Ok(Self { query, format }),
            _ => {
                let known: Vec<String> = Query::value_variants()
                    .iter()
                    .flat_map(|&query| Format::value_variants().iter().map(move |&format| Self { query, format }))
                    .map(|cell| cell.to_string())
                    .collect();
                Err(format!("no cell {text}; there are {}", known.join(", ")))
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
            Err("no cell count-localjson; there are q0-json, q0-bin, count-local-json, count-local-bin, \
                 count-json, count-bin"
                .to_owned())
        );
    }
}
