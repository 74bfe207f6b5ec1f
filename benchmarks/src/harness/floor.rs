//! The floor beside a query cell: its parts measured by themselves in the same rounds, and summed.

use super::cell::QueryCell;
use super::child;
use super::figures::{Costs, Spread, marginal};
use super::input::{Content, Input, Inputs};
use super::row::Row;
use super::system::ours;
use super::throughput::{self, cost_of_more};
use super::{BenchError, Context};
use crate::expected::{Q2_EVERY, Query};
use crate::nexmark::Format;
use crate::pieces::Piece;
use crate::stats::Cost;
use clap::ValueEnum;
use std::collections::BTreeMap;
use std::fs;

/// A part with what it works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// On the cell's events.
    Bids(Piece),
    /// The bare client reads records that are keys and little more.
    ConsumeKeys,
    /// The bare client passes these on.
    PipeKeys,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Bids(Piece::Consume) => "consume",
            Self::Bids(Piece::Decode) => "decode",
            Self::Bids(Piece::Encode) => "encode",
            Self::Bids(Piece::State) => "state",
            Self::ConsumeKeys => "consume_keys",
            Self::PipeKeys => "pipe_keys",
        }
    }

    /// Codecs cost the same at any length, so one will do.
    fn has_two_lengths(self) -> bool {
        !matches!(self, Self::Bids(Piece::Decode | Piece::Encode))
    }
}

/// What a query cannot do without: how often each part, `pipe` for the bare pipe over the cell's bids.
///
/// Where bids or keys go through a repartition topic, writing costs what the pipe costs more than reading. Results
/// and changelogs are left out where a commit sums many records up.
fn recipe(query: Query) -> (f64, Vec<(Part, f64)>) {
    let bids = Part::Bids;
    match query {
        // Read, decoded, encoded, written.
        Query::Q0 => (1.0, vec![(bids(Piece::Decode), 1.0), (bids(Piece::Encode), 1.0)]),
        // Read; one in 123 is decoded and written, which is next to nothing.
        Query::Q2 => (0.0, vec![(bids(Piece::Consume), 1.0), (bids(Piece::Decode), 1.0 / Q2_EVERY as f64)]),
        Query::CountLocal => {
            (0.0, vec![(bids(Piece::Consume), 1.0), (bids(Piece::Decode), 1.0), (bids(Piece::State), 1.0)])
        }
        // Read, decoded, written as they are, read again, counted.
        Query::Count => (1.0, vec![(bids(Piece::Decode), 1.0), (bids(Piece::Consume), 1.0), (bids(Piece::State), 1.0)]),
        // Bids read and decoded; keys written and read again, counted, written to changelog and result: of keys three
        // times written, once read.
        Query::CountUnique => (
            0.0,
            vec![
                (bids(Piece::Consume), 1.0),
                (bids(Piece::Decode), 1.0),
                (bids(Piece::State), 1.0),
                (Part::PipeKeys, 3.0),
                (Part::ConsumeKeys, -2.0),
            ],
        ),
        site => stateful(site),
    }
}

/// What Nexmark's queries with joins and windows cannot do without: all that comes is read and decoded, rows are touched, and
/// small records are written so many times and read so many times: a million keys each, or as many as there are.
fn stateful(query: Query) -> (f64, Vec<(Part, f64)>) {
    let (written, read) = match query {
        // A subscription (its topic, its store's changelog) and the item's changelog; every other one is answered (a topic,
        // the result's changelog, the result); nearly as many sellers as items go to their changelog.
        Query::Q3 => (5.0, 1.5),
        // Changelogs of lifetimes and of closing prices; prices to their categories.
        Query::Q4 => (3.0, 1.0),
        // Rows to their changelog, and to their windows.
        Query::Q5 | Query::Q7 => (2.0, 1.0),
        // Auctions to their sellers and their changelog; nearly each brings a result. A third as many persons to theirs.
        _ => (3.3, 1.0),
    };
    let parts = vec![
        (Part::Bids(Piece::Consume), 1.0),
        (Part::Bids(Piece::Decode), 1.0),
        (Part::Bids(Piece::State), 1.0),
        (Part::PipeKeys, written),
        (Part::ConsumeKeys, read - written),
    ];
    (0.0, parts)
}

/// The parts of a cell, measured round by round.
#[derive(Debug)]
pub(super) struct Floor<'a> {
    context: &'a Context<'a>,
    cell: QueryCell,
    parts: Vec<(Part, f64)>,
    pipes: f64,
    costs: BTreeMap<Part, BTreeMap<u64, Vec<Cost>>>,
    failures: Vec<String>,
}

impl<'a> Floor<'a> {
    /// The parts that the cell needs; what they work on is loaded.
    pub(super) fn new(context: &'a Context<'a>, inputs: &mut Inputs, cell: QueryCell) -> Result<Self, BenchError> {
        let (pipes, parts) = recipe(cell.query);
        if parts.iter().any(|(part, _)| *part == Part::PipeKeys) {
            for &events in &throughput::lengths(context, cell) {
                inputs.load(context.cluster, &keys_of(context, cell, events))?;
            }
        }
        Ok(Self { context, cell, parts, pipes, costs: BTreeMap::new(), failures: Vec::new() })
    }

    /// Measures each part once over this length of input.
    pub(super) fn measure(&mut self, events: u64, input: &str) {
        let longest = throughput::lengths(self.context, self.cell).last() == Some(&events);
        for (part, _) in self.parts.clone() {
            if !longest && !part.has_two_lengths() {
                continue;
            }
            match self.run(part, events, input) {
                Ok(cost) => self.costs.entry(part).or_default().entry(events).or_default().push(cost),
                Err(why) => {
                    eprintln!("{} {}: FAILED: {why}", self.cell, part.name());
                    self.failures.push(format!("floor, {}: {why}", part.name()));
                }
            }
        }
    }

    fn run(&self, part: Part, events: u64, input: &str) -> Result<Cost, String> {
        let bench = self.context.bench;
        let id = format!("bench-floor-{}-{}-{}", self.cell, part.name().replace('_', "-"), std::process::id());
        let directory = bench.scratch.join(&id);
        fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let keys = keys_of(self.context, self.cell, events).topic();
        let mut command = ours()?;
        let (word, topic) = match part {
            Part::Bids(piece) => {
                let name = piece.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
                command.args(["piece", &name, "--query", &self.cell.query.to_string()]);
                command.args(["--cache-mb", &bench.cache_mb.to_string()]);
                command.arg("--state-dir").arg(directory.join("state"));
                ("piece", input)
            }
            Part::ConsumeKeys => {
                command.args(["piece", "consume", "--query", &self.cell.query.to_string(), "--state-dir", "none"]);
                ("piece", keys.as_str())
            }
            Part::PipeKeys => {
                self.context
                    .cluster
                    .create(&format!("{id}-out"), bench.partitions)
                    .map_err(|error| error.to_string())?;
                command.args(["pipe", "--app-id", &id, "--commit-ms", &bench.commit_ms.to_string()]);
                ("pipe", keys.as_str())
            }
        };
        command.args(["--brokers", &bench.brokers, "--input", topic, "--format", &self.cell.format.to_string()]);
        let line = child::last_line(command, &directory.join("messages.log"), bench.deadline);
        if word == "pipe" {
            let cluster = self.context.cluster;
            let removed = cluster.delete(&[&format!("{id}-out")]).and_then(|()| cluster.delete_group(&id));
            removed.map_err(|error| error.to_string())?;
        }
        fs::remove_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let line = line?;
        let cost: Cost = serde_json::from_str(&line).map_err(|error| format!("the result `{line}`: {error}"))?;
        // Per million of the cell's input records, however many keys these bring.
        if matches!(part, Part::Bids(_)) {
            return Ok(cost);
        }
        let input_records = throughput::of(self.context, self.cell, events).iter().map(Input::records).sum();
        Ok(Cost { input_records, ..cost })
    }

    /// Puts the parts, their sum and the system's distance from it into a row. `pipe` is what the bare pipe over the
    /// cell's bids costs.
    pub(super) fn tell(&self, row: &mut Row, pipe: Option<f64>) {
        row.failures.extend(self.failures.iter().cloned());
        let mut sum = pipe.filter(|_| self.pipes > 0.0).map_or(Some(0.0).filter(|_| self.pipes == 0.0), |cost| {
            row.figure("floor_pipe", [cost]);
            Some(cost * self.pipes)
        });
        for (part, times) in &self.parts {
            let cost = self.costs.get(part).and_then(cost_a_million);
            if let Some(spread) = cost {
                row.figures.insert(format!("floor_{}", part.name()), spread);
            }
            sum = sum.zip(cost).map(|(sum, spread)| sum + times * spread.median);
        }
        if let Some(sum) = sum {
            row.figure("floor_cpu_s_per_m", [sum]);
            row.figure("times_floor", cost_of_more(row).map(|cost| cost / sum));
        }
    }
}

fn keys_of(context: &Context<'_>, cell: QueryCell, events: u64) -> Input {
    let content = Content::Keys { query: cell.query, events, seed: context.bench.seed };
    Input { format: Format::Json, content, partitions: context.bench.partitions }
}

/// The marginal cost where there are two lengths, else that at the only one.
fn cost_a_million(lengths: &BTreeMap<u64, Vec<Cost>>) -> Option<Spread> {
    let costs = |costs: &Vec<Cost>| Costs {
        records: costs.first().map_or(0, |cost| cost.input_records),
        cpu_s: costs.iter().map(|cost| cost.cpu_s).collect(),
    };
    let (short, long) = (lengths.values().next()?, lengths.values().next_back()?);
    if lengths.len() > 1 {
        return marginal(&costs(short), &costs(long));
    }
    Spread::of(long.iter().map(Cost::cpu_s_per_m))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(input_records: u64, cpu_s: f64) -> Cost {
        Cost {
            input_records,
            wall_s: 1.0,
            cpu_s,
            cpu_total_s: cpu_s,
            start_cpu_s: 0.0,
            restoring_s: 0.0,
            peak_rss_mib: 1.0,
            threads: 1,
        }
    }

    /// Two lengths: (0.9 − 0.5) / 1 M. One: 0.6 s over 2 M records.
    #[test]
    fn a_part_costs_what_a_further_million_costs() {
        let two = BTreeMap::from([(1, vec![cost(1_000_000, 0.5)]), (2, vec![cost(2_000_000, 0.9)])]);
        let found = cost_a_million(&two).unwrap().median;
        assert!((found - 0.4).abs() < 1e-12, "{found}");
        let one = BTreeMap::from([(2, vec![cost(2_000_000, 0.6)])]);
        let found = cost_a_million(&one).unwrap().median;
        assert!((found - 0.3).abs() < 1e-12, "{found}");
        assert_eq!(cost_a_million(&BTreeMap::new()), None);
    }

    /// Written three times and read once, where writing = pipe − read: 3 (p − r) + r = 3 p − 2 r.
    #[test]
    fn keys_are_written_three_times_and_read_once() {
        let (pipes, parts) = recipe(Query::CountUnique);
        let times = |wanted| parts.iter().find(|(part, _)| *part == wanted).map(|(_, times)| *times);
        assert_eq!((pipes, times(Part::PipeKeys), times(Part::ConsumeKeys)), (0.0, Some(3.0), Some(-2.0)));
    }
}
