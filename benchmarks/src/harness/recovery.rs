//! The cell `recovery`: from `kill -9` to new committed results, and a clean restart of one of two processes.
//!
//! New results are those of bids that were due after the kill: only the process started after it can have made them.

use super::child::Application;
use super::figures::Spread;
use super::row::Row;
use super::system::Run;
use super::{BenchError, Context, System, machine};
use crate::expected::Query;
use crate::live::{self, Feed, Seen, Watch};
use crate::nexmark::Format;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const BIDS_PER_S: u32 = 2_000;
const RESULTS_DEADLINE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The default session timeout of Kafka Streams makes a run take a minute.
const RUNS_MAX: usize = 3;

/// The systems in turns.
pub(super) fn measure(context: &Context<'_>) -> Result<Vec<Row>, BenchError> {
    let mut rows = Vec::new();
    for system in context.applications() {
        rows.push((Row::new("recovery", system), BTreeMap::<&str, Vec<f64>>::new(), Vec::new()));
    }
    for round in 1..=context.bench.runs.min(RUNS_MAX) {
        for (row, found, loads) in &mut rows {
            loads.extend(machine::load_average());
            for kind in kinds(row.system) {
                let figures = with_application(context, row.system, |run| kind.measure(context, run));
                match figures {
                    Ok(figures) => {
                        for (name, figure) in figures {
                            eprintln!("recovery {name:<28} {:<14} run {round}: {figure:.2}", row.system);
                            found.entry(name).or_default().push(figure);
                        }
                        row.runs = row.runs.max(round);
                    }
                    Err(why) => {
                        eprintln!("recovery {kind:?}  {:<14} run {round}: FAILED: {why}", row.system);
                        row.failures.push(format!("{kind:?}: {why}"));
                    }
                }
            }
        }
    }
    let rows = rows.into_iter().map(|(mut row, found, loads)| {
        row.load_average = Spread::of(loads);
        found.into_iter().for_each(|(name, figures)| row.figure(name, figures));
        row
    });
    Ok(rows.collect())
}

/// What happens to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    KillStatic,
    KillDefault,
    RestartStatic,
    RestartDefault,
}

fn kinds(system: System) -> &'static [Kind] {
    match system {
        System::Kappa => &[Kind::KillStatic, Kind::KillDefault, Kind::RestartStatic, Kind::RestartDefault],
        _ => &[Kind::KillStatic, Kind::KillDefault],
    }
}

impl Kind {
    fn measure(self, context: &Context<'_>, run: &Run<'_>) -> Result<Vec<(&'static str, f64)>, String> {
        Ok(match self {
            Self::KillStatic => vec![("kill_to_result_s_static", kill(context, run, true)?)],
            Self::KillDefault => vec![("kill_to_result_s_default", kill(context, run, false)?)],
            Self::RestartStatic => {
                let (own, others) = restart(context, run, true)?;
                vec![("restart_silence_s_static", own), ("restart_others_silence_s_static", others)]
            }
            Self::RestartDefault => {
                let (own, others) = restart(context, run, false)?;
                vec![("restart_silence_s_default", own), ("restart_others_silence_s_default", others)]
            }
        })
    }
}

fn with_application<T>(
    context: &Context<'_>,
    system: System,
    measure: impl FnOnce(&Run<'_>) -> Result<T, String>,
) -> Result<T, String> {
    let mut run = Run::new(context, system, Query::CountLocal, Format::Json, "");
    run.input = run.live_input();
    let made = context.cluster.create(&run.input, context.bench.partitions).map_err(|error| error.to_string());
    let found = made.and_then(|()| run.create_output(context.bench.partitions)).and_then(|()| measure(&run));
    // A killed member may still count as one, so the group is asked to go for as long as that takes.
    let until = Instant::now() + Duration::from_secs(60);
    while let Err(error) = run.clean() {
        if Instant::now() > until {
            return found.and(Err(format!("could not clean up: {error}")));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    found
}

/// Seconds from SIGKILL to the first new committed result; the process is started again at once.
fn kill(context: &Context<'_>, run: &Run<'_>, is_static: bool) -> Result<f64, String> {
    let arguments: &[&str] = if is_static { &["--instance-id", "one"] } else { &[] };
    let watch = Watch::start(context.cluster, &run.output()).map_err(|error| error.to_string())?;
    let mut application = run.start("state", arguments)?;
    application.await_running(context.bench.deadline)?;
    let feed = Feed::start(context.cluster, &run.input, BIDS_PER_S).map_err(|error| error.to_string())?;
    first_due_after(&watch, live::now_ms(), &mut application)?;
    std::thread::sleep(context.bench.durations.before_kill);
    let killed_ms = live::now_ms();
    application.kill()?;
    let mut application = run.start("state", arguments)?;
    let first = first_due_after(&watch, killed_ms, &mut application)?;
    feed.stop().map_err(|error| error.to_string())?;
    application.terminate(context.bench.deadline)?;
    Ok((first.at_ms - killed_ms) / 1e3)
}

fn first_due_after(watch: &Watch, after_ms: f64, application: &mut Application) -> Result<Seen, String> {
    let until = Instant::now() + RESULTS_DEADLINE;
    let mut from = 0;
    loop {
        let seen = watch.since(from);
        if let Some(first) = seen.iter().find(|seen| seen.due_ms as f64 >= after_ms) {
            return Ok(*first);
        }
        from += seen.len();
        application.check()?;
        if Instant::now() > until {
            return Err(format!("no new result within {} s", RESULTS_DEADLINE.as_secs()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Two processes; one is ended with SIGTERM and started again at once. The longest silence of its partitions of the
/// output, and of the other's, seconds.
fn restart(context: &Context<'_>, run: &Run<'_>, is_static: bool) -> Result<(f64, f64), String> {
    let arguments = |name: &'static str| if is_static { vec!["--instance-id", name] } else { Vec::new() };
    let (bench, cluster) = (context.bench, context.cluster);
    let watch = Watch::start(cluster, &run.output()).map_err(|error| error.to_string())?;
    let mut stays = run.start("state", &arguments("one"))?;
    stays.await_running(bench.deadline)?;
    let mut goes = run.start("state-2", &arguments("two"))?;
    goes.await_running(bench.deadline)?;
    let feed = Feed::start(cluster, &run.input, BIDS_PER_S).map_err(|error| error.to_string())?;
    std::thread::sleep(bench.durations.before_kill);
    let from_ms = live::now_ms();
    goes.terminate(bench.deadline)?;
    let mut goes = run.start("state-2", &arguments("two"))?;
    goes.await_running(bench.deadline)?;
    std::thread::sleep(bench.durations.before_kill);
    let to_ms = live::now_ms();
    feed.stop().map_err(|error| error.to_string())?;
    stays.check()?;
    goes.terminate(bench.deadline)?;
    stays.terminate(bench.deadline)?;
    let seen = watch.stop().map_err(|error| error.to_string())?;
    let silences = silences(&seen, bench.partitions, from_ms, to_ms);
    // Tasks are shared out evenly, so the half that was silent for longer is that of the process that went.
    let half = silences.len() / 2;
    let longest = |part: &[f64]| part.last().copied().unwrap_or(f64::NAN) / 1e3;
    Ok((longest(&silences), longest(&silences[..half])))
}

/// The longest time without a result within a stretch, ms, for each partition; ascending.
fn silences(seen: &[Seen], partitions: i32, from_ms: f64, to_ms: f64) -> Vec<f64> {
    let mut longest: Vec<f64> = (0..partitions)
        .map(|partition| {
            let own = seen.iter().filter(|seen| seen.partition == partition).map(|seen| seen.at_ms);
            let before = own.clone().filter(|at| *at < from_ms).fold(from_ms, |_, at| at);
            let within = own.filter(|at| (from_ms..to_ms).contains(at));
            let (last, longest) = within.fold((before, 0.0_f64), |(last, longest), at| (at, longest.max(at - last)));
            longest.max(to_ms - last)
        })
        .collect();
    longest.sort_by(f64::total_cmp);
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From 1000 to 2000: partition 0 speaks at 950, 1040, 1900 (silent for 860); partition 1 at 980, 1500, 1990 (520).
    #[test]
    fn silence_is_the_longest_time_between_results() {
        let at = |partition, at_ms| Seen { partition, due_ms: 0, at_ms };
        let seen = [
            at(0, 950.0),
            at(1, 980.0),
            at(0, 1_040.0),
            at(1, 1_500.0),
            at(0, 1_900.0),
            at(1, 1_990.0),
            at(1, 2_100.0),
        ];
        assert_eq!(silences(&seen, 2, 1_000.0, 2_000.0), [520.0, 860.0]);
        // A partition that says nothing at all was silent throughout.
        assert_eq!(silences(&seen, 3, 1_000.0, 2_000.0), [520.0, 860.0, 1_000.0]);
    }
}
