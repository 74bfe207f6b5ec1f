//! The cell `replay`: `count` on JSON from the beginning of the log by a version that is not live yet, as it replays and as a live
//! version would process the same records.

use super::figures::{Costs, Spread, marginal};
use super::input::{Content, Input, Inputs};
use super::row::{Length, Outcome, Row};
use super::system::Run;
use super::throughput::progress;
use super::{BenchError, Context, System};
use crate::expected::Query;
use crate::nexmark::{Format, Kind};
use crate::stats::Cost;
use std::collections::BTreeMap;

/// The figure's name, and the arguments that make a run of it.
const WAYS: [(&str, &[&str]); 2] = [("live", &[]), ("replay", &["--replay-commit-ms", "2000"])];

/// Both ways in turns, over each length.
pub(super) fn measure(context: &Context<'_>, inputs: &mut Inputs) -> Result<Vec<Row>, BenchError> {
    let bench = context.bench;
    let mut outcomes: BTreeMap<(&str, u64), Vec<Outcome>> = BTreeMap::new();
    for round in 1..=bench.runs {
        for &events in &bench.lengths {
            let content = Content::Nexmark { kind: Kind::Bid, events, seed: bench.seed };
            let input = Input { format: Format::Json, content, partitions: bench.partitions };
            let topic = inputs.load(context.cluster, &input)?;
            let expected = inputs.expected(Query::Count, &input)?;
            for (way, arguments) in WAYS {
                let run = Run::new(context, System::Kappa, Query::Count, Format::Json, &topic).with(arguments);
                let outcome = run.measure(bench.partitions, &expected);
                progress(&format!("replay, {way} {events}"), System::Kappa, round, &outcome);
                outcomes.entry((way, events)).or_default().push(outcome);
            }
        }
    }
    let mut lengths: BTreeMap<&str, Vec<Length>> = BTreeMap::new();
    for ((way, events), outcomes) in outcomes {
        lengths.entry(way).or_default().push(Length::of(events, outcomes));
    }
    Ok(vec![row(lengths)])
}

/// Sums both ways up; each way's lengths come from short to long.
fn row(mut lengths: BTreeMap<&str, Vec<Length>>) -> Row {
    let mut row = Row::new("replay", System::Kappa);
    let outcomes = || lengths.values().flatten().flat_map(|length| &length.outcomes);
    row.load_average = Spread::of(outcomes().filter_map(|outcome| outcome.load_average));
    row.failures = outcomes().filter_map(|outcome| outcome.failure.clone()).collect();
    row.runs = lengths.values().flatten().map(|length| length.runs).min().unwrap_or_default();
    let cost = |way| lengths.get(way).and_then(|lengths| cost_of_more(lengths));
    let (live, replay) = (cost("live"), cost("replay"));
    if let (Some(live), Some(replay)) = (live, replay) {
        row.figures.insert("live_cpu_s_per_m".to_owned(), live);
        row.figures.insert("replay_cpu_s_per_m".to_owned(), replay);
        row.figure("replay_times_live", [replay.median / live.median]);
    }
    if let Some(lengths) = lengths.remove("replay") {
        row.digest = lengths.last().and_then(|length| length.digest.clone());
        row.rss_peak_mib = lengths.last().and_then(|length| length.rss_peak_mib);
        row.lengths = lengths;
    }
    row
}

/// What a further million records costs; with one length what a million costs there.
fn cost_of_more(lengths: &[Length]) -> Option<Spread> {
    let costs = |length: &Length| -> Costs { length.each(|cost: &Cost| cost.cpu_s) };
    match lengths {
        [short, .., long] => marginal(&costs(short), &costs(long)),
        [only] => only.cpu_s_per_m,
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(records: u64, cpu_s: f64) -> Length {
        let cost = Cost {
            input_records: records,
            wall_s: 1.0,
            cpu_s,
            cpu_total_s: cpu_s,
            start_cpu_s: 0.0,
            restoring_s: 0.0,
            peak_rss_mib: 50.0,
            threads: 9,
        };
        Length::of(records, vec![Outcome { cost: Some(cost), digest: None, failure: None, load_average: None }])
    }

    /// Live: (9 − 3) / 2 = 3 a million; replay: (5 − 2) / 2 = 1.5; half.
    #[test]
    fn a_replay_is_told_as_a_part_of_the_live_cost() {
        let live = vec![length(2_000_000, 3.0), length(4_000_000, 9.0)];
        let replay = vec![length(2_000_000, 2.0), length(4_000_000, 5.0)];
        let row = row(BTreeMap::from([("live", live), ("replay", replay)]));
        assert_eq!(row.median("live_cpu_s_per_m"), Some(3.0));
        assert_eq!(row.median("replay_cpu_s_per_m"), Some(1.5));
        assert_eq!(row.median("replay_times_live"), Some(0.5));
        assert_eq!(row.rss_peak_mib.map(|spread| spread.median), Some(50.0));
    }
}
