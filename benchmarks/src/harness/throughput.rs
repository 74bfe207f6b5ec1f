//! The query cells: what a record costs, at two lengths and between them.

use super::cell::QueryCell;
use super::figures::{Spread, marginal};
use super::floor::Floor;
use super::input::{Content, Input, Inputs};
use super::row::{Length, Outcome, Row};
use super::system::Run;
use super::{BenchError, Context, System};
use crate::nexmark::Kind;
use crate::stats::Cost;
use std::collections::BTreeMap;

/// Runs all systems in turns over each length and sums up: one row a system.
pub(super) fn measure(context: &Context<'_>, inputs: &mut Inputs, cell: QueryCell) -> Result<Vec<Row>, BenchError> {
    let bench = context.bench;
    for &events in &lengths(context, cell) {
        for input in &of(context, cell, events) {
            inputs.load(context.cluster, input)?;
        }
    }
    let mut floor = Floor::new(context, inputs, cell)?;
    let mut outcomes: BTreeMap<System, BTreeMap<u64, Vec<Outcome>>> = BTreeMap::new();
    for round in 1..=bench.runs {
        for &events in &lengths(context, cell) {
            let (input, topics) = (of(context, cell, events), topics(context, cell, events));
            for system in context.systems() {
                let expected = match (system, input.first()) {
                    (System::Kappa | System::KafkaStreams, Some(first)) => inputs.expected(cell.query, first)?,
                    _ => inputs.held(&input)?,
                };
                let run = Run::new(context, system, cell.query, cell.format, &topics);
                let outcome = run.measure(bench.partitions, &expected);
                progress(&format!("{cell} {events}"), system, round, &outcome);
                outcomes.entry(system).or_default().entry(events).or_default().push(outcome);
            }
            floor.measure(events, &topics);
        }
    }
    let rows = outcomes.into_iter().map(|(system, lengths)| {
        let lengths = lengths.into_iter().map(|(events, outcomes)| Length::of(events, outcomes)).collect();
        row(cell, system, lengths)
    });
    let mut rows: Vec<Row> = rows.collect();
    let pipe = rows.iter().find(|row| row.system == System::Pipe).and_then(cost_of_more);
    for row in rows.iter_mut().filter(|row| row.system == System::Kappa) {
        floor.tell(row, pipe);
    }
    Ok(rows)
}

/// The events of each length of a cell, ascending.
pub(super) fn lengths(context: &Context<'_>, cell: QueryCell) -> Vec<u64> {
    context.bench.lengths.iter().map(|events| events * cell.query.times_the_events()).collect()
}

/// The inputs of a cell, in the order of its query's kinds.
pub(super) fn of(context: &Context<'_>, cell: QueryCell, events: u64) -> Vec<Input> {
    let bench = context.bench;
    let input = |kind: &Kind| Input {
        format: cell.format,
        content: Content::Nexmark { kind: *kind, events, seed: bench.seed },
        partitions: bench.partitions,
    };
    cell.query.inputs().iter().map(input).collect()
}

/// Their topics as arguments name them.
fn topics(context: &Context<'_>, cell: QueryCell, events: u64) -> String {
    of(context, cell, events).iter().map(Input::topic).collect::<Vec<_>>().join(",")
}

/// Sums lengths up; they come from short to long.
fn row(cell: QueryCell, system: System, lengths: Vec<Length>) -> Row {
    let mut row = Row::new(cell, system);
    let outcomes = || lengths.iter().flat_map(|length| &length.outcomes);
    row.load_average = Spread::of(outcomes().filter_map(|outcome| outcome.load_average));
    row.failures = outcomes().filter_map(|outcome| outcome.failure.clone()).collect();
    if let [short, .., long] = lengths.as_slice() {
        row.cpu_s_per_m_marginal = marginal(&short.each(|cost| cost.cpu_s), &long.each(|cost| cost.cpu_s));
        let total = |cost: &Cost| cost.cpu_total_s;
        if let Some(spread) = marginal(&short.each(total), &long.each(total)) {
            row.figures.insert("cpu_total_s_per_m_marginal".to_owned(), spread);
        }
    }
    row.runs = lengths.iter().map(|length| length.runs).min().unwrap_or_default();
    if let Some(long) = lengths.last() {
        (row.cpu_s_per_m, row.wall_s, row.rss_peak_mib) = (long.cpu_s_per_m, long.wall_s, long.rss_peak_mib);
        row.digest = long.digest.clone();
        row.figures.extend(long.cpu_total_s_per_m.map(|spread| ("cpu_total_s_per_m".to_owned(), spread)));
        row.figure("threads", [long.threads as f64]);
    }
    row.lengths = lengths;
    row
}

/// The marginal cost; with one length the cost there.
pub(super) fn cost_of_more(row: &Row) -> Option<f64> {
    row.cpu_s_per_m_marginal.or(row.cpu_s_per_m).map(|spread| spread.median)
}

/// Says on standard error how a run went.
pub(super) fn progress(what: &str, system: System, round: usize, outcome: &Outcome) {
    match (&outcome.failure, &outcome.cost) {
        (Some(why), _) => eprintln!("{what:<26} {system:<14} run {round}: FAILED: {why}"),
        (None, Some(cost)) => {
            eprintln!("{what:<26} {system:<14} run {round}: {:.2} CPU-s/M in {:.1} s", cost.cpu_s_per_m(), cost.wall_s);
        }
        (None, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::Query;
    use crate::nexmark::Format;

    fn outcome(input_records: u64, cpu_s: f64, failure: Option<&str>) -> Outcome {
        let cost = Cost {
            input_records,
            wall_s: 2.0,
            cpu_s,
            cpu_total_s: cpu_s + 1.0,
            start_cpu_s: 0.5,
            restoring_s: 0.0,
            peak_rss_mib: 100.0,
            threads: 9,
        };
        let digest = Some("d".to_owned());
        Outcome { cost: Some(cost), digest, failure: failure.map(str::to_owned), load_average: Some(0.5) }
    }

    /// 2 M records: 3 s; 4 M records: 7 s. So 1.75 a million at the greater length, (7 − 3) / 2 = 2 between.
    #[test]
    fn a_row_has_the_greater_length_and_what_lies_between() {
        let cell = QueryCell { query: Query::Count, format: Format::Json };
        let short = Length::of(10, vec![outcome(2_000_000, 3.0, None), outcome(2_000_000, 90.0, Some("killed"))]);
        let long = Length::of(20, vec![outcome(4_000_000, 7.0, None), outcome(4_000_000, 7.0, None)]);
        let row = row(cell, System::Kappa, vec![short, long]);
        assert_eq!(row.cpu_s_per_m.map(|spread| spread.median), Some(1.75));
        assert_eq!(row.median("cpu_total_s_per_m"), Some(2.0));
        assert_eq!(row.cpu_s_per_m_marginal.map(|spread| spread.median), Some(2.0));
        assert_eq!((row.runs, row.failures.as_slice()), (1, ["killed".to_owned()].as_slice()));
        let line = row.line();
        assert_eq!(line["cell"], "count-json");
        assert_eq!(line["system"], "kappa");
        assert_eq!(line["cpu_s_per_m_marginal"], 2.0);
        assert_eq!(line["digest"], "d");
        assert_eq!(line["lengths"][0]["cpu_s_per_m"], 1.5);
    }
}
