//! Runs a scenario through kappa.

use super::context::{Context, Peeks, ReadStore};
use super::text::SEPARATOR;
use super::{BuildError, Family, Outcome, Output, Row, Scenario, Step, Window};
use crate::random::Random;
use kappa_core::codec::bytes;
use kappa_core::log::Headers;
use kappa_core::runtime::BadRecords;
use kappa_core::testing::{TestDriver, TestError, TestOptions, WrittenRecord};
use kappa_core::topology::{TopicRef, Topology};
use std::collections::BTreeMap;
use std::fmt;

/// Drops that Kafka Streams makes without counting them.
const NOT_COUNTED_BY_KAFKA_STREAMS: [&str; 1] = ["null-key-repartition"];

/// What kappa makes of a scenario; an error where it has nothing to compare.
pub fn run(family: &dyn Family, scenario: &Scenario) -> Result<Outcome, String> {
    run_disturbed(family, scenario, None)
}

/// The same, with restarts of all tasks and moves of single ones to where their state is not, at moments that `random`
/// chooses. `None` where the scenario is no case for it: a restart commits, so it is only one where every record is committed.
pub fn run_with_restarts(
    family: &dyn Family,
    scenario: &Scenario,
    random: &mut Random,
) -> Option<Result<Outcome, String>> {
    let possible = scenario.params.text("commit") != Some("manual") && family.survives(scenario);
    possible.then(|| run_disturbed(family, scenario, Some(random)))
}

fn disturb(driver: &TestDriver, random: &mut Random) -> Result<(), TestError> {
    match random.below(6) {
        0 => driver.restart(),
        1 => {
            let tasks = driver.tasks();
            driver.move_task(&tasks[random.index(tasks.len())])
        }
        _ => Ok(()),
    }
}

/// A family's topology for a scenario, and what goes with it.
pub struct Built {
    /// The topology.
    pub topology: Topology,
    /// What becomes of records that can't be decoded.
    pub bad_records: BadRecords,
    /// What becomes of records that an operator fails on.
    pub failed_records: BadRecords,
    peeks: Peeks,
    stores: Vec<(String, ReadStore)>,
}

impl fmt::Debug for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Built").field("topology", &self.topology).finish_non_exhaustive()
    }
}

impl Built {
    /// Builds the topology of a scenario.
    pub fn new(family: &dyn Family, scenario: &Scenario) -> Result<Self, BuildError> {
        let mut context = Context::new(scenario.params.clone());
        let probe = |step: &Step| match step {
            Step::Record(input) => Some((input.key.clone(), input.ts)),
            _ => None,
        };
        context.probes = scenario.steps.iter().filter_map(probe).collect();
        family.build(&mut context)?;
        let Context { app, peeks, stores, bad_records, failed_records, .. } = context;
        Ok(Self { topology: app.build()?, bad_records, failed_records, peeks, stores })
    }

    /// Whether it reads topics of its own.
    pub fn repartitions(&self) -> bool {
        let mut sources = self.topology.plan().sub_topologies.iter().flat_map(|sub| &sub.sources);
        sources.any(|source| matches!(source.topic, TopicRef::Repartition(_)))
    }

    /// The rows of the stores that are compared.
    pub fn read_stores(&self, driver: &TestDriver) -> Result<BTreeMap<String, Vec<Row>>, TestError> {
        self.stores.iter().map(|(name, read)| Ok((name.clone(), read(driver)?))).collect()
    }
}

fn run_disturbed(family: &dyn Family, scenario: &Scenario, random: Option<&mut Random>) -> Result<Outcome, String> {
    match Built::new(family, scenario) {
        Ok(built) => run_built(&built, scenario, random, false),
        Err(BuildError::Missing(what)) => Err(what),
        Err(BuildError::Topology(error)) => {
            let (error, error_step) = (Some(error.to_string()), Some(-1));
            Ok(Outcome { id: scenario.id.clone(), error, error_step, ..Outcome::default() })
        }
    }
}

/// What kappa makes of a scenario, or of some steps of it, with a topology that has been built. With `restored`, the stores are
/// read as they are when they have just been made of their changelogs, by tasks that have lost their disks: they must know what has
/// expired.
pub fn run_built(
    built: &Built,
    scenario: &Scenario,
    mut random: Option<&mut Random>,
    restored: bool,
) -> Result<Outcome, String> {
    let mut outcome = Outcome { id: scenario.id.clone(), repartitions: built.repartitions(), ..Outcome::default() };
    let manual = scenario.params.text("commit") == Some("manual");
    let options = TestOptions {
        partitions: 1,
        cache_bytes: scenario.params.number_or("cache_bytes", 0) as usize,
        commit_every_record: !manual,
        wall_clock_ms: scenario.params.number_or("wall_start", 0),
        bad_records: built.bad_records.clone(),
        failed_records: built.failed_records.clone(),
    };
    let driver = TestDriver::with_options(&built.topology, options).map_err(|error| error.to_string())?;
    let ends = (0..if manual { 5 } else { 0 }).map(|_| (scenario.steps.len(), &Step::Commit { commit: true }));
    for (index, step) in scenario.steps.iter().enumerate().chain(ends) {
        if let Some(random) = &mut random {
            disturb(&driver, random).map_err(|error| format!("a restart before step {index}: {error}"))?;
        }
        let done = apply(&driver, step);
        let peeked = built.peeks.take();
        if let Err(error) = done {
            outcome.error = Some(error.to_string());
            outcome.error_step = Some(index as i64);
            break;
        }
        outcome.outputs.extend(peeked.into_iter().map(|text| peek(index, text)));
        outcome.outputs.extend(driver.take_written().into_iter().filter_map(|record| output(index, record)));
    }
    if outcome.error.is_none() {
        if restored {
            driver.tasks().iter().try_for_each(|task| driver.move_task(task)).map_err(|error| error.to_string())?;
        }
        outcome.stores = Some(built.read_stores(&driver).map_err(|error| error.to_string())?);
    }
    let counted = |(reason, _): &(&&str, &u64)| !NOT_COUNTED_BY_KAFKA_STREAMS.contains(*reason);
    outcome.dropped = Some(driver.dropped().iter().filter(counted).map(|(_, count)| count).sum());
    Ok(outcome)
}

fn apply(driver: &TestDriver, step: &Step) -> Result<(), TestError> {
    match step {
        Step::Wall { advance_wall_ms } => driver.advance_wall_clock_ms(*advance_wall_ms),
        Step::Commit { .. } => driver.commit(),
        Step::Record(input) => {
            let headers = input
                .headers
                .iter()
                .fold(Headers::empty(), |all, (name, value)| all.with(&**name, Some(value.as_bytes())));
            let (key, value) = (input.key.as_ref().map(String::as_bytes), input.value.as_ref().map(String::as_bytes));
            match driver.input(&input.topic, bytes(), bytes()).pipe_bytes_with(key, value, input.ts, headers) {
                // The judge ignores records of topics that the topology does not read.
                Err(TestError::Unknown { .. }) => Ok(()),
                done => done,
            }
        }
    }
}

fn peek(step: usize, text: String) -> Output {
    let topic = "#peek".to_owned();
    Output { step, topic, key: None, value: Some(text), ts: 0, window: None, headers: Vec::new() }
}

fn output(step: usize, record: WrittenRecord) -> Option<Output> {
    let TopicRef::External(topic) = record.topic else { return None };
    Some(shown(step, topic, record.key, record.value, record.timestamp_ms, &record.headers))
}

/// A written record as outcomes show it.
pub fn shown(
    step: usize,
    topic: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    ts: i64,
    headers: &Headers,
) -> Output {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (key, window) = split_key(key.map(text));
    let header = |header: &kappa_core::log::Header| {
        (header.name.to_string(), header.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned()))
    };
    let headers = headers.as_slice().iter().map(header).collect();
    Output { step, topic, key, value: value.map(text), ts, window, headers }
}

/// A key, and its window where it has one.
fn split_key(text: Option<String>) -> (Option<String>, Option<Window>) {
    let Some(text) = text else { return (None, None) };
    let parts: Vec<&str> = text.split(SEPARATOR).collect();
    let [key, start, end] = parts[..] else { return (Some(text), None) };
    match (start.parse(), end.parse()) {
        (Ok(start), Ok(end)) => (Some(key.to_owned()), Some(Window { start, end })),
        _ => (Some(text), None),
    }
}
