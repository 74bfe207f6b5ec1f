//! The cell `memory`: the most memory resident, with many keys, with none, and with more state than the budget.

use super::figures::Spread;
use super::input::{Content, Input, Inputs};
use super::row::{Outcome, Row};
use super::system::Run;
use super::throughput::progress;
use super::{BenchError, Context, System, growth};
use crate::expected::Query;
use crate::nexmark::{Format, Kind};
use crate::synthetic::Synthetic;
use std::fs;

/// Peaks hardly differ from run to run.
const RUNS_MAX: usize = 2;
/// What the user sets for RocksDB, MiB: with the cache less than the state of ten million keys takes.
pub(super) const BUDGET_MIB: u64 = 64;

/// The systems in turns; more state than the budget on kappa alone.
pub(super) fn measure(context: &Context<'_>, inputs: &mut Inputs) -> Result<Vec<Row>, BenchError> {
    let bench = context.bench;
    let events = bench.lengths.last().copied().unwrap_or_default();
    let content = Content::Nexmark { kind: Kind::Bid, events, seed: bench.seed };
    let input = Input { format: Format::Json, content, partitions: bench.partitions };
    let topic = inputs.load(context.cluster, &input)?;
    let mut rows: Vec<Row> = context.applications().into_iter().map(|system| Row::new("memory", system)).collect();
    for query in [Query::CountUnique, Query::Q0] {
        let expected = inputs.expected(query, &input)?;
        let mut outcomes = vec![Vec::new(); rows.len()];
        for round in 1..=bench.runs.min(RUNS_MAX) {
            for (row, outcomes) in rows.iter_mut().zip(&mut outcomes) {
                let run = Run::new(context, row.system, query, Format::Json, &topic);
                let outcome = run.measure(bench.partitions, &expected);
                progress(&format!("memory, {query}"), row.system, round, &outcome);
                outcomes.push(outcome);
            }
        }
        for (row, outcomes) in rows.iter_mut().zip(outcomes) {
            let name = format!("rss_{}_mib", query.to_string().replace('-', "_"));
            tell(row, &name, &outcomes);
            if query == Query::CountUnique {
                row.rss_peak_mib = row.figures.get(&name).copied();
                row.digest = outcomes.iter().find_map(|outcome| outcome.digest.clone());
            }
        }
    }
    if let Some(row) = rows.iter_mut().find(|row| row.system == System::Kappa) {
        beyond_the_budget(context, inputs, row)?;
    }
    Ok(rows)
}

/// Ten million keys (with `--quick` fewer): while it runs, and while it restores.
fn beyond_the_budget(context: &Context<'_>, inputs: &mut Inputs, row: &mut Row) -> Result<(), BenchError> {
    let bench = context.bench;
    let keys = bench.durations.keys_max;
    let content = Content::Synthetic(Synthetic { keys, bytes: growth::MIDDLE_BYTES, records: keys });
    let input = Input { format: Format::Json, content, partitions: bench.partitions };
    let topic = inputs.load(context.cluster, &input)?;
    let expected = inputs.expected(Query::CountLocal, &input)?;
    let run = Run::new(context, System::Kappa, Query::CountLocal, Format::Json, &topic)
        .with(&["--memory-mb", &BUDGET_MIB.to_string()]);
    let ran = run.to_the_end(bench.partitions, &expected);
    progress(&format!("memory, {keys} keys"), System::Kappa, 1, &ran);
    let state_mib = size_mib(&run);
    tell(row, "rss_many_keys_run_mib", std::slice::from_ref(&ran));
    if ran.failure.is_none() {
        let restored = fs::remove_dir_all(run.state_dir()).map_err(|error| error.to_string());
        let restored = match restored.and_then(|()| run.execute("restore", &[])) {
            Ok(cost) => Outcome { cost: Some(cost), digest: None, failure: None, load_average: None },
            Err(why) => Outcome::failed(why, None),
        };
        progress(&format!("memory, {keys} keys restored"), System::Kappa, 1, &restored);
        tell(row, "rss_many_keys_restore_mib", &[restored]);
    }
    row.figure("many_keys", [keys as f64]);
    row.figure("many_keys_state_mib", [state_mib]);
    row.figure("many_keys_budget_mib", [(BUDGET_MIB + bench.cache_mb) as f64]);
    row.failures.extend(run.cleaned(ran).failure);
    row.failures.dedup();
    Ok(())
}

fn tell(row: &mut Row, name: &str, outcomes: &[Outcome]) {
    row.failures.extend(outcomes.iter().filter_map(|outcome| outcome.failure.clone()));
    let sound = outcomes.iter().filter(|outcome| outcome.failure.is_none());
    let peaks: Vec<f64> = sound.filter_map(|outcome| outcome.cost).map(|cost| cost.peak_rss_mib).collect();
    row.runs = row.runs.max(peaks.len());
    row.figure(name, peaks);
    let loads = outcomes.iter().filter_map(|outcome| outcome.load_average);
    let known = row.load_average.into_iter().flat_map(|spread| [spread.min, spread.max]);
    row.load_average = Spread::of(known.chain(loads));
}

/// What the state takes on the disk.
fn size_mib(run: &Run<'_>) -> f64 {
    let mut bytes = 0;
    let mut waiting = vec![run.state_dir()];
    while let Some(path) = waiting.pop() {
        match fs::read_dir(&path) {
            Ok(entries) => waiting.extend(entries.flatten().map(|entry| entry.path())),
            Err(_) => bytes += fs::metadata(&path).map_or(0, |file| file.len()),
        }
    }
    bytes as f64 / 1024.0 / 1024.0
}
