//! The cell `growth`: what a record costs kappa as one thing grows and all else stays.

use super::figures::Spread;
use super::input::{Content, Input, Inputs};
use super::row::{Outcome, Point, Row};
use super::system::Run;
use super::throughput::progress;
use super::{BenchError, Context, System, memory};
use crate::expected::Query;
use crate::nexmark::Format;
use crate::stats::Cost;
use crate::synthetic::Synthetic;
use std::collections::BTreeMap;

/// A curve needs no more.
const RUNS_MAX: usize = 3;
const MIDDLE_KEYS: u64 = 100_000;
/// Of a bid in JSON, and of those with many keys in the cell `memory`: one topic serves both.
pub(super) const MIDDLE_BYTES: usize = 250;
/// No topic takes much more than this.
const TOPIC_BYTES_MAX: u64 = 1_500_000_000;

/// One point to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Plan {
    series: &'static str,
    x: u64,
    partitions: i32,
    threads: u64,
    stores: u64,
    keys: u64,
    bytes: usize,
    format: Format,
}

/// All points: in each series one thing differs from the middle.
fn plans(partitions: i32, keys_max: u64) -> Vec<Plan> {
    let middle = Plan {
        series: "",
        x: 0,
        partitions,
        threads: 1,
        stores: 1,
        keys: MIDDLE_KEYS,
        bytes: MIDDLE_BYTES,
        format: Format::Json,
    };
    let mut plans = Vec::new();
    plans.extend([1, 4, 16, 64].map(|x| Plan { series: "partitions", x, partitions: x as i32, ..middle }));
    plans.extend([1, 2].map(|x| Plan { series: "threads", x, threads: x, ..middle }));
    let keys = [10_000, 100_000, 1_000_000, 10_000_000];
    let keys = keys.into_iter().filter(|keys| *keys <= keys_max);
    plans.extend(keys.map(|x| Plan { series: "keys", x, keys: x, ..middle }));
    // The plain encoding has room for small records.
    let small = Plan { format: Format::Bin, series: "record bytes", ..middle };
    plans.extend([100, 1_024, 10_240].map(|x| Plan { x, bytes: x as usize, ..small }));
    plans.extend([1, 2, 4, 8].map(|x| Plan { series: "stores", x, stores: x, ..middle }));
    plans
}

/// As many records as usual, but each key once at least, and no more bytes than a disk likes.
fn records(plan: &Plan, usual: u64) -> u64 {
    usual.min(TOPIC_BYTES_MAX / plan.bytes as u64).max(plan.keys)
}

/// Every point in turn, round by round.
pub(super) fn measure(context: &Context<'_>, inputs: &mut Inputs) -> Result<Vec<Row>, BenchError> {
    let bench = context.bench;
    let plans = plans(bench.partitions, bench.durations.keys_max);
    let mut row = Row::new("growth", System::Kappa);
    let mut outcomes: Vec<Vec<Outcome>> = vec![Vec::new(); plans.len()];
    for round in 1..=bench.runs.min(RUNS_MAX) {
        for (plan, outcomes) in plans.iter().zip(&mut outcomes) {
            let records = records(plan, bench.durations.growth_records);
            let content = Content::Synthetic(Synthetic { keys: plan.keys, bytes: plan.bytes, records });
            let input = Input { format: plan.format, content, partitions: plan.partitions };
            let topic = inputs.load(context.cluster, &input)?;
            let expected = inputs.expected(Query::CountLocal, &input)?;
            let (threads, stores, memory) =
                (plan.threads.to_string(), plan.stores.to_string(), memory::BUDGET_MIB.to_string());
            let run = Run::new(context, System::Kappa, Query::CountLocal, plan.format, &topic).with(&[
                "--threads",
                &threads,
                "--stores",
                &stores,
                "--memory-mb",
                &memory,
            ]);
            let outcome = run.measure(plan.partitions, &expected);
            progress(&format!("growth, {} {}", plan.series, plan.x), System::Kappa, round, &outcome);
            outcomes.push(outcome);
        }
    }
    let loads = outcomes.iter().flatten().filter_map(|outcome| outcome.load_average);
    row.load_average = Spread::of(loads);
    row.runs = bench.runs.min(RUNS_MAX);
    for (plan, outcomes) in plans.iter().zip(&outcomes) {
        row.failures.extend(outcomes.iter().filter_map(|outcome| outcome.failure.clone()));
        row.points.extend(point(plan, outcomes));
    }
    for (series, times) in greatest_over_least(&row.points) {
        row.figure(&format!("{}_greatest_over_least", series.replace(' ', "_")), [times]);
    }
    Ok(vec![row])
}

fn point(plan: &Plan, outcomes: &[Outcome]) -> Option<Point> {
    let sound = outcomes.iter().filter(|outcome| outcome.failure.is_none());
    let costs: Vec<Cost> = sound.filter_map(|outcome| outcome.cost).collect();
    let mut further = BTreeMap::new();
    let mut median = |name: &str, figure: fn(&Cost) -> f64| {
        further.extend(Spread::of(costs.iter().map(figure)).map(|spread| (name.to_owned(), spread.median)));
    };
    median("wall_s", |cost| cost.wall_s);
    median("rss_peak_mib", |cost| cost.peak_rss_mib);
    median("input_records", |cost| cost.input_records as f64);
    // Of the whole process: with many tasks the first have processed much before the last one runs.
    let y = Spread::of(costs.iter().map(Cost::cpu_total_s_per_m))?;
    Some(Point { series: plan.series.to_owned(), x: plan.x as f64, y, further })
}

/// How far a series is from flat.
pub(super) fn greatest_over_least(points: &[Point]) -> Vec<(String, f64)> {
    let mut series: Vec<(String, f64, f64)> = Vec::new();
    for point in points {
        let cost = point.y.median;
        match series.iter_mut().find(|(name, ..)| *name == point.series) {
            Some((_, least, greatest)) => (*least, *greatest) = (least.min(cost), greatest.max(cost)),
            None => series.push((point.series.clone(), cost, cost)),
        }
    }
    series.into_iter().map(|(name, least, greatest)| (name, greatest / least)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_records_are_fewer_and_many_keys_are_all_there() {
        let plans = plans(4, 10_000_000);
        let of = |series: &str, x| *plans.iter().find(|plan| plan.series == series && plan.x == x).unwrap();
        assert_eq!(records(&of("record bytes", 10_240), 1_000_000), 146_484);
        assert_eq!(records(&of("keys", 10_000_000), 1_000_000), 10_000_000);
        assert_eq!(records(&of("stores", 8), 1_000_000), 1_000_000);
    }

    #[test]
    fn a_series_is_as_far_from_flat_as_its_greatest_from_its_least() {
        let point = |series: &str, median| Point {
            series: series.to_owned(),
            x: 1.0,
            y: Spread { median, min: 0.1, max: 9.0 },
            further: BTreeMap::new(),
        };
        let found = greatest_over_least(&[point("a", 1.0), point("b", 2.0), point("a", 1.5), point("a", 1.25)]);
        assert_eq!(found, [("a".to_owned(), 1.5), ("b".to_owned(), 1.0)]);
    }
}
