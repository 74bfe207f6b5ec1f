//! The cell `latency`: `count-local` in an open loop, from the moment a bid is due to the moment a read_committed reader
//! has its count.

use super::figures::Spread;
use super::row::Row;
use super::system::Run;
use super::{BenchError, Context, System, machine};
use crate::expected::Query;
use crate::live::{self, Feed, Watch};
use crate::nexmark::Format;
use std::collections::BTreeMap;
use std::time::Duration;

const BIDS_PER_S: u32 = 5_000;
/// Results of the last bids come within it.
const TAIL: Duration = Duration::from_secs(3);
/// More runs say little more, and each takes most of a minute.
const RUNS_MAX: usize = 3;
/// So many of the bids must show as a result: few keys repeat within a commit.
const RESULTS_MIN: f64 = 0.8;

/// Latencies of one run.
#[derive(Debug)]
struct Found {
    sorted_ms: Vec<f64>,
    feed_late_ms: f64,
}

/// The systems in turns, at each commit interval; Kafka Streams at 100 ms alone.
pub(super) fn measure(context: &Context<'_>) -> Result<Vec<Row>, BenchError> {
    let mut rows: BTreeMap<System, Row> =
        context.applications().into_iter().map(|system| (system, Row::new("latency", system))).collect();
    let mut found: BTreeMap<(System, u64), Vec<Found>> = BTreeMap::new();
    let mut loads: BTreeMap<System, Vec<f64>> = BTreeMap::new();
    for round in 1..=context.bench.runs.min(RUNS_MAX) {
        for (system, commit_ms) in [(System::Kappa, 100), (System::KafkaStreams, 100), (System::Kappa, 20)] {
            let Some(row) = rows.get_mut(&system) else { continue };
            loads.entry(system).or_default().extend(machine::load_average());
            match one(context, system, commit_ms) {
                Ok(run) => {
                    let p99 = percentile(&run.sorted_ms, 0.99);
                    eprintln!("latency, commit {commit_ms} ms      {system:<14} run {round}: p99 {p99:.0} ms");
                    found.entry((system, commit_ms)).or_default().push(run);
                }
                Err(why) => {
                    eprintln!("latency, commit {commit_ms} ms      {system:<14} run {round}: FAILED: {why}");
                    row.failures.push(format!("commit each {commit_ms} ms: {why}"));
                }
            }
        }
    }
    for ((system, commit_ms), runs) in &found {
        if let Some(row) = rows.get_mut(system) {
            tell(row, *commit_ms, runs);
        }
    }
    for (system, row) in &mut rows {
        row.load_average = Spread::of(loads.remove(system).unwrap_or_default());
    }
    Ok(rows.into_values().collect())
}

fn tell(row: &mut Row, commit_ms: u64, runs: &[Found]) {
    row.runs = row.runs.max(runs.len());
    for (name, part) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
        let name = format!("{name}_ms_commit_{commit_ms}");
        row.figure(&name, runs.iter().map(|run| percentile(&run.sorted_ms, part)));
    }
    row.figure(&format!("results_commit_{commit_ms}"), runs.iter().map(|run| run.sorted_ms.len() as f64));
    row.figure(&format!("feed_late_max_ms_commit_{commit_ms}"), runs.iter().map(|run| run.feed_late_ms));
}

fn one(context: &Context<'_>, system: System, commit_ms: u64) -> Result<Found, String> {
    let mut run = Run::new(context, system, Query::CountLocal, Format::Json, "");
    run.input = run.live_input();
    run.commit_ms = commit_ms;
    let found = observe(context, &run);
    run.clean().map_err(|error| format!("could not clean up: {error}"))?;
    found
}

fn observe(context: &Context<'_>, run: &Run<'_>) -> Result<Found, String> {
    let (bench, cluster) = (context.bench, context.cluster);
    cluster.create(&run.input, bench.partitions).map_err(|error| error.to_string())?;
    run.create_output(bench.partitions)?;
    let watch = Watch::start(cluster, &run.output()).map_err(|error| error.to_string())?;
    let mut application = run.start("state", &[])?;
    application.await_running(bench.deadline)?;
    let feed = Feed::start(cluster, &run.input, BIDS_PER_S).map_err(|error| error.to_string())?;
    let from = live::now_ms() as i64 + bench.durations.warm_up.as_millis() as i64;
    std::thread::sleep(bench.durations.warm_up + bench.durations.latency);
    let to = from + bench.durations.latency.as_millis() as i64;
    std::thread::sleep(TAIL);
    let feed_late_ms = feed.stop().map_err(|error| error.to_string())?;
    let seen = watch.stop().map_err(|error| error.to_string())?;
    application.check()?;
    application.terminate(bench.deadline)?;
    let within = seen.iter().filter(|seen| (from..to).contains(&seen.due_ms));
    let mut sorted_ms: Vec<f64> = within.map(|seen| seen.at_ms - seen.due_ms as f64).collect();
    sorted_ms.sort_by(f64::total_cmp);
    let bids = f64::from(BIDS_PER_S) * bench.durations.latency.as_secs_f64();
    if (sorted_ms.len() as f64) < RESULTS_MIN * bids {
        return Err(format!("only {} results of {bids:.0} bids came in time", sorted_ms.len()));
    }
    Ok(Found { sorted_ms, feed_late_ms })
}

/// The lowest figure that so great a part of all does not exceed.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let figures: Vec<f64> = (1..=1000).map(f64::from).collect();
        let found = [0.5, 0.99, 0.999, 1.0].map(|part| percentile(&figures, part));
        assert_eq!(found, [500.0, 990.0, 999.0, 1000.0]);
        assert_eq!(percentile(&[7.0], 0.5), 7.0);
        assert!(percentile(&[], 0.5).is_nan());
    }
}
