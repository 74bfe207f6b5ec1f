//! The cell `restore`: the state of `count-unique` at the greater length, dropped and restored from its changelog.

use super::figures::Spread;
use super::input::{Content, Input, Inputs};
use super::row::{Outcome, Row};
use super::system::Run;
use super::throughput::progress;
use super::{BenchError, Context, System, machine};
use crate::expected::Query;
use crate::nexmark::{Format, Kind};
use crate::stats::Cost;
use std::fs;

/// Runs each system to the end of its input once, then drops its state and starts it again, in turns.
pub(super) fn measure(context: &Context<'_>, inputs: &mut Inputs) -> Result<Vec<Row>, BenchError> {
    let bench = context.bench;
    let events = bench.lengths.last().copied().unwrap_or_default();
    let content = Content::Nexmark { kind: Kind::Bid, events, seed: bench.seed };
    let input = Input { format: Format::Json, content, partitions: bench.partitions };
    let topic = inputs.load(context.cluster, &input)?;
    let expected = inputs.expected(Query::CountUnique, &input)?;
    let mut all = Vec::new();
    for system in context.applications() {
        let run = Run::new(context, system, Query::CountUnique, Format::Json, &topic);
        let first = run.to_the_end(bench.partitions, &expected);
        progress("restore (first run)", system, 1, &first);
        all.push((run, first, Vec::new()));
    }
    for round in 1..=bench.runs {
        for (run, first, outcomes) in &mut all {
            if first.failure.is_some() {
                continue;
            }
            let outcome = restore(run, expected.count());
            progress("restore", run.system, round, &outcome);
            outcomes.push(outcome);
        }
    }
    let rows = all.into_iter().map(|(run, first, outcomes)| {
        let first = run.cleaned(first);
        row(run.system, &first, &outcomes)
    });
    Ok(rows.collect())
}

/// One restore. At least as many records as there are keys must come back.
fn restore(run: &Run<'_>, keys: u64) -> Outcome {
    let load_average = machine::load_average();
    let state = run.state_dir();
    if let Err(error) = fs::remove_dir_all(&state) {
        return Outcome::failed(format!("{}: {error}", state.display()), load_average);
    }
    match run.execute("restore", &[]) {
        Ok(cost) => {
            let restored = cost.input_records;
            let failure = (restored < keys).then(|| format!("{restored} records restored for {keys} keys"));
            Outcome { cost: Some(cost), digest: None, failure, load_average }
        }
        Err(why) => Outcome::failed(why, load_average),
    }
}

fn row(system: System, first: &Outcome, outcomes: &[Outcome]) -> Row {
    let mut row = Row::new("restore", system);
    row.digest.clone_from(&first.digest);
    row.load_average = Spread::of(outcomes.iter().filter_map(|outcome| outcome.load_average));
    row.failures = first.failure.iter().chain(outcomes.iter().filter_map(|o| o.failure.as_ref())).cloned().collect();
    let costs: Vec<Cost> = outcomes.iter().filter(|o| o.failure.is_none()).filter_map(|o| o.cost).collect();
    row.runs = costs.len();
    row.cpu_s_per_m = Spread::of(costs.iter().map(Cost::cpu_s_per_m));
    row.wall_s = Spread::of(costs.iter().map(|cost| cost.wall_s));
    row.rss_peak_mib = Spread::of(costs.iter().map(|cost| cost.peak_rss_mib));
    row.figure("records", costs.iter().map(|cost| cost.input_records as f64));
    row.figure("records_per_s", costs.iter().map(|cost| cost.input_records as f64 / cost.wall_s));
    let restoring = |cost: &Cost| (cost.restoring_s > 0.0).then(|| cost.input_records as f64 / cost.restoring_s);
    row.figure("records_per_restoring_s", costs.iter().filter_map(restoring));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 M records in 2 s with 1.5 CPU seconds: 1.5 M a second, 0.5 CPU-s a million; 1.5 s of them restoring: 2 M a second.
    #[test]
    fn a_restore_is_told_by_its_records() {
        let cost = Cost {
            input_records: 3_000_000,
            wall_s: 2.0,
            cpu_s: 1.5,
            cpu_total_s: 2.0,
            start_cpu_s: 0.0,
            restoring_s: 1.5,
            peak_rss_mib: 9.0,
            threads: 3,
        };
        let good = Outcome { cost: Some(cost), digest: None, failure: None, load_average: None };
        let row = row(System::Kappa, &Outcome::failed("no", None), &[good]);
        assert_eq!(row.cpu_s_per_m.map(|spread| spread.median), Some(0.5));
        assert_eq!(row.median("records_per_s"), Some(1_500_000.0));
        assert_eq!(row.median("records_per_restoring_s"), Some(2_000_000.0));
        assert_eq!(row.failures, ["no"]);
    }
}
