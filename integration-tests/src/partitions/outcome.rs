//! What is committed, and whether it is what must come.

use super::plan::PARTITIONS;
use crate::oracle::run::{Built, shown};
use crate::oracle::{Outcome, Output, Row, Window};
use kappa_core::log::TopicPartition;
use kappa_core::log::embedded::{EmbeddedLog, InspectedKind, InspectedRecord};
use kappa_core::runtime::{AppLayout, OffsetMetadata};
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::TopicRef;
use std::collections::{BTreeMap, BTreeSet};

/// What is committed in the topics of an application: its outputs, and the rows of its stores as its changelogs have them.
pub fn committed(log: &EmbeddedLog, layout: &AppLayout, built: &Built) -> Result<Outcome, String> {
    let mut outcome = Outcome::default();
    // No cache, as in the runs that this is compared with: stores with one keep some rows longer.
    let options = TestOptions { partitions: PARTITIONS, cache_bytes: 0, ..TestOptions::default() };
    let driver = TestDriver::with_options(&built.topology, options).map_err(|error| error.to_string())?;
    let (mut read, mut changelogs) = (BTreeSet::new(), Vec::new());
    for output in layout.sub_topologies.iter().flat_map(|sub| &sub.outputs) {
        if !read.insert(&output.topic) {
            continue;
        }
        for partition in 0..output.partitions {
            let records = records(log, &TopicPartition::new(output.topic.clone(), partition))?;
            match &output.reference {
                TopicRef::Changelog(store) => {
                    let row =
                        |record: InspectedRecord| (record.key.unwrap_or_default(), record.value, record.timestamp_ms);
                    changelogs.push((store.clone(), partition, records.into_iter().map(row).collect()));
                }
                TopicRef::External(_) => outcome.outputs.extend(records.into_iter().map(|record| {
                    let (key, value, topic) = (record.key, record.value, output.topic.to_string());
                    shown(0, topic, key, value, record.timestamp_ms, &record.headers)
                })),
                _ => {}
            }
        }
    }
    driver.load(changelogs, &times(log, layout)).map_err(|error| error.to_string())?;
    outcome.stores = Some(built.read_stores(&driver).map_err(|error| error.to_string())?);
    // What is in a global table is no instance's own.
    let globals = built.topology.plan().globals.iter().map(|global| global.name.as_str());
    globals.for_each(|name| drop(outcome.stores.as_mut().and_then(|stores| stores.remove(name))));
    Ok(outcome)
}

/// What each task knows of time: of what its partitions say, the newest.
fn times(log: &EmbeddedLog, layout: &AppLayout) -> BTreeMap<String, Vec<i64>> {
    let offsets = log.group(&layout.application_id).map(|group| group.offsets).unwrap_or_default();
    let mut all: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for sub in &layout.sub_topologies {
        for (partition, committed) in &offsets {
            if sub.sources.iter().any(|source| source.topic == partition.topic) {
                let said = OffsetMetadata::decode(&committed.metadata).task_times_ms;
                let times = all.entry(format!("{}-{}", sub.name, partition.partition)).or_default();
                times.resize(times.len().max(said.len()), i64::MIN);
                times.iter_mut().zip(said).for_each(|(time, said)| *time = (*time).max(said));
            }
        }
    }
    all
}

fn records(log: &EmbeddedLog, partition: &TopicPartition) -> Result<Vec<InspectedRecord>, String> {
    let mut records = log.inspect(partition).map_err(|error| error.to_string())?;
    records.retain(|record| matches!(record.kind, InspectedKind::Plain | InspectedKind::Committed));
    Ok(records)
}

/// Topic, key, window.
type Of = (String, Option<String>, Option<Window>);

/// The results of each key; without their order where several runs have made them, or where there is none.
fn by_key(outcomes: &[&Outcome], in_order: bool, several: &BTreeSet<Of>) -> BTreeMap<Of, Vec<Output>> {
    let mut all: BTreeMap<Of, Vec<Output>> = BTreeMap::new();
    for output in outcomes.iter().flat_map(|outcome| &outcome.outputs).filter(|output| output.topic != "#peek") {
        let of = (output.topic.clone(), output.key.clone(), output.window);
        let value = output.value.as_deref().map(without_clock);
        let mut output = Output { step: 0, value, ..output.clone() };
        if !in_order {
            // What is due by time has the headers of the record that moved it.
            output.headers.clear();
        }
        all.entry(of).or_default().push(output);
    }
    for (of, outputs) in &mut all {
        if !in_order || of.1.is_none() || several.contains(of) {
            outputs.sort();
        }
    }
    all
}

/// A value without what it says of the wall clock (the processor's schedules do), which is each run's own.
fn without_clock(value: &str) -> String {
    value.split(' ').filter(|word| !word.starts_with("wt=")).collect::<Vec<_>>().join(" ")
}

/// The rows of each store, of all runs.
fn rows(outcomes: &[&Outcome]) -> BTreeMap<String, Vec<Row>> {
    let mut all: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for (name, rows) in outcomes.iter().filter_map(|outcome| outcome.stores.as_ref()).flatten() {
        all.entry(name.clone()).or_default().extend(rows.iter().cloned());
    }
    all.values_mut().for_each(|rows| rows.sort());
    all
}

/// Compares what must come, of one run or of one for each partition, with what is committed; says how many records were
/// compared, or the first difference.
pub fn compare(expected: &[Outcome], found: &Outcome, in_order: bool) -> Result<u64, String> {
    let mut seen = BTreeSet::new();
    let mut several = BTreeSet::new();
    for outcome in expected {
        let of = |output: &Output| (output.topic.clone(), output.key.clone(), output.window);
        let keys: BTreeSet<Of> = outcome.outputs.iter().map(of).collect();
        several.extend(keys.into_iter().filter(|of| !seen.insert(of.clone())));
    }
    let all: Vec<&Outcome> = expected.iter().collect();
    let (theirs, ours) = (by_key(&all, in_order, &several), by_key(&[found], in_order, &several));
    for of in theirs.keys().chain(ours.keys()) {
        if theirs.get(of) != ours.get(of) {
            let list = |side: &BTreeMap<Of, Vec<Output>>| {
                let outputs = side.get(of).map_or(&[][..], Vec::as_slice);
                let line = |output: &Output| format!("    {:?}@{} {:?}", output.value, output.ts, output.headers);
                outputs.iter().map(line).collect::<Vec<_>>().join("\n")
            };
            let (must, has) = (list(&theirs), list(&ours));
            return Err(format!("{of:?}\n  must have\n{must}\n  and has\n{has}"));
        }
    }
    let (must, has) = (rows(&all), rows(&[found]));
    for (name, rows) in &has {
        let must = must.get(name).map_or(&[][..], Vec::as_slice);
        if must != rows {
            return Err(format!("store {name} must have\n  {must:?}\nand has\n  {rows:?}"));
        }
    }
    Ok(ours.values().map(|outputs| outputs.len() as u64).sum())
}
