//! Read-only stores: made of a topic, restored from it. Expected values by hand, from Kafka Streams' documentation of
//! `addReadOnlyStateStore` (KIP-813).

use super::{AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::dsl::{Repartition, Timestamps};
use kappa_core::processor::{ConnectedStore, Processor, ProcessorContext, ReadOnlyHandle, StoreHandle};
use kappa_core::record::Record;
use kappa_core::runtime::BadRecords;
use kappa_core::task::ProcessError;
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{ChangelogSource, StoreKind, StorePlan, TopicRef, Topology, TopologyBuilder, TopologyError};
use std::convert::Infallible;

/// Forwards what the store has of a key, and how many keys it has.
struct Looks(ReadOnlyHandle<String, String>);

impl Processor<String, String> for Looks {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        let key = record.key()?;
        let mut store = cx.read_only_store(&self.0)?;
        let found = store.get_with_timestamp(key)?.map(|(value, at_ms)| format!("{value} at {at_ms}"));
        let all = store.all()?.len();
        cx.forward(key.clone(), format!("{} of {all}", found.unwrap_or_else(|| "none".into())))
    }
}

/// Keeps what it is given with an exclamation mark.
struct Shouts(StoreHandle<String, String>);

impl Processor<String, String> for Shouts {
    type Key = Infallible;
    type Value = Infallible;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, Infallible, Infallible>,
    ) -> Result<(), ProcessError> {
        let (key, at_ms) = (record.key()?, record.timestamp_ms);
        match record.value()? {
            Some(value) if value == "fail" => Err(cx.error("told to")),
            Some(value) => cx.store(&self.0)?.put(key, format!("{value}!"), at_ms),
            None => cx.store(&self.0)?.delete(key, at_ms),
        }
    }
}

fn looked_into(app: &mut TopologyBuilder, store: &ReadOnlyHandle<String, String>) {
    let handle = store.clone();
    app.stream("questions", utf8(), utf8())
        .process("looks", &[store], move || Looks(handle.clone()))
        .with_codecs(utf8(), utf8())
        .to("answers");
}

fn put() -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let store = app.read_only_store("names", "people", utf8(), utf8());
    looked_into(&mut app, &store);
    app.build()
}

fn shouted() -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let store = app.read_only_store_with("names", "people", utf8(), utf8(), |store| move || Shouts(store.clone()));
    looked_into(&mut app, &store);
    app.build()
}

fn ask(driver: &TestDriver, key: &str) -> Result<String, Box<dyn std::error::Error>> {
    driver.input("questions", utf8(), utf8()).pipe(key, "", 100)?;
    Ok(driver.output("answers", utf8(), utf8()).read_values()?.into_iter().flatten().collect())
}

/// The topic is the changelog: nothing is logged, and what reads the store has its partitions.
#[test]
fn a_read_only_store_has_no_changelog_of_its_own() -> Outcome {
    let topology = put()?;
    let [sub] = topology.plan().sub_topologies.as_slice() else { panic!("one: {topology:?}") };
    let topics: Vec<&TopicRef> = sub.sources.iter().map(|source| &source.topic).collect();
    let external = |name: &str| TopicRef::External(name.into());
    assert_eq!(topics, [&external("people"), &external("questions")]);
    assert_eq!(sub.outputs, [external("answers")]);
    let changelog = ChangelogSource::Input { source: 0 };
    assert_eq!(sub.stores, [StorePlan { name: "names".into(), changelog, kind: StoreKind::KeyValue }]);
    assert_eq!(sub.copartitioned, [[0, 1]]);
    assert_eq!(topology.description().sub_topologies[0].stores[0].changelog, external("people"));
    Ok(())
}

/// As a table: the latest value of each key, a null deletes; the same after a restart and after a move.
#[test]
fn processors_read_it_and_it_is_restored_from_its_topic() -> Outcome {
    for partitions in [1, 3] {
        let driver = TestDriver::with_options(&put()?, TestOptions { partitions, ..AT_ONCE })?;
        let people = driver.input("people", utf8(), utf8());
        people.pipe("a", "Ann", 1)?;
        people.pipe("b", "Bob", 2)?;
        people.pipe("a", "Anna", 3)?;
        assert!(ask(&driver, "a")?.starts_with("Anna at 3 of "));
        people.pipe_null("b", 4)?;
        driver.restart()?;
        people.pipe("a", "Anne", 2)?;
        for task in driver.tasks() {
            driver.move_task(&task)?;
        }
        assert_eq!(ask(&driver, "a")?, "Anne at 2 of 1");
        assert!(ask(&driver, "b")?.starts_with("none of "));
        assert_eq!(driver.store("names", utf8(), utf8()).rows()?, [("a".to_owned(), "Anne".to_owned(), 2)]);
        assert_eq!(driver.dropped(), [].into());
    }
    Ok(())
}

/// What is not committed is not restored, and is not lost either where it is processed again.
#[test]
fn a_restore_ends_with_what_is_committed() -> Outcome {
    let driver = TestDriver::with_options(&shouted()?, TestOptions { commit_every_record: false, ..AT_ONCE })?;
    let people = driver.input("people", utf8(), utf8());
    people.pipe("a", "Ann", 1)?;
    driver.commit()?;
    people.pipe("a", "Anna", 2)?;
    assert!(people.pipe("b", "fail", 3).is_err(), "what is not committed is taken back");
    driver.move_task("names-0")?;
    assert_eq!(ask(&driver, "a")?, "Ann at 1 of 1");
    Ok(())
}

/// A processor of one's own writes what it likes; a restore puts the topic's records, as in Kafka Streams.
#[test]
fn a_restore_goes_past_the_processor() -> Outcome {
    let driver = TestDriver::with_options(&shouted()?, AT_ONCE)?;
    let people = driver.input("people", utf8(), utf8());
    people.pipe("a", "Ann", 1)?;
    people.pipe("b", "Bob", 2)?;
    people.pipe_null("b", 3)?;
    assert_eq!(ask(&driver, "a")?, "Ann! at 1 of 1");
    driver.restart()?;
    assert_eq!(ask(&driver, "a")?, "Ann! at 1 of 1", "local state is kept as it is");
    assert_eq!(driver.store("names", utf8(), utf8()).all()?, [("a".to_owned(), "Ann!".to_owned())]);
    driver.move_task("names-0")?;
    assert_eq!(ask(&driver, "a")?, "Ann at 1 of 1");
    people.pipe("a", "Anna", 4)?;
    assert_eq!(ask(&driver, "a")?, "Anna! at 4 of 1");
    Ok(())
}

/// What could not be used when it came is not brought in by a restore: looking it up would stop the application.
#[test]
fn bad_records_stay_out() -> Outcome {
    let mut app = Topology::builder();
    let _ = app.read_only_store("numbers", "amounts", utf8(), i64_be());
    let skip = TestOptions { bad_records: BadRecords::Skip, ..AT_ONCE };
    let driver = TestDriver::with_options(&app.build()?, skip)?;
    let (good, bad) = (driver.input("amounts", utf8(), i64_be()), driver.input("amounts", utf8(), utf8()));
    good.pipe("a", 1, 1)?;
    bad.pipe("a", "no number", 2)?;
    good.pipe("b", 2, 3)?;
    bad.pipe("c", "", 4)?;
    let rows = [("a".to_owned(), 1, 1), ("b".to_owned(), 2, 3)];
    assert_eq!(driver.store("numbers", utf8(), i64_be()).rows()?, rows);
    driver.move_task("numbers-0")?;
    assert_eq!(driver.store("numbers", utf8(), i64_be()).rows()?, rows);
    assert_eq!(driver.dropped(), [("bad_record", 2)].into());
    Ok(())
}

/// The topic may be read as a stream as well, and be the topic of several stores.
#[test]
fn a_topic_has_room_for_others() -> Outcome {
    let mut app = Topology::builder();
    let store = app.read_only_store("names", "people", utf8(), utf8());
    let _ = app.read_only_store("again", "people", utf8(), utf8());
    looked_into(&mut app, &store);
    app.stream("people", utf8(), utf8()).to("copies");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("people", utf8(), utf8()).pipe("a", "Ann", 1)?;
    driver.move_task("again-0")?;
    assert_eq!(ask(&driver, "a")?, "Ann at 1 of 1");
    assert_eq!(driver.store("again", utf8(), utf8()).all()?, [("a".to_owned(), "Ann".to_owned())]);
    assert_eq!(driver.output("copies", utf8(), utf8()).read_all()?, [at("a", Some("Ann".to_owned()), 1)]);
    Ok(())
}

/// Who reads it from behind another partitioning is told; and nobody writes it with a handle that has got about.
#[test]
fn what_would_find_other_rows_or_write_them_is_refused() {
    let mut app = Topology::builder();
    let store = app.read_only_store("names", "people", utf8(), utf8());
    let handle = store.clone();
    let questions = |app: &mut TopologyBuilder, topic: &str, partitions| {
        app.stream(topic, utf8(), utf8()).repartition(Repartition::named(topic).partitions(partitions))
    };
    let both = questions(&mut app, "x", 3).merge(&questions(&mut app, "y", 4));
    both.process("looks", &[&store], move || Looks(handle.clone())).with_codecs(utf8(), utf8()).to("answers");
    let error = app.build().expect_err("two numbers of partitions");
    assert!(matches!(error, TopologyError::PartitionCounts { .. }), "{error}");

    let mut app = Topology::builder();
    let mut leaked = None;
    let _ = app.read_only_store_with("names", "people", utf8(), utf8(), |store: StoreHandle<String, String>| {
        leaked = Some(store.clone());
        move || Shouts(store.clone())
    });
    let leaked = leaked.expect("made");
    let connected: &[&dyn ConnectedStore] = &[&leaked];
    let writer = leaked.clone();
    let _ = app.stream("in", utf8(), utf8()).process("writes", connected, move || Shouts(writer.clone()));
    let error = app.build().expect_err("a second writer");
    assert_eq!(error, TopologyError::ReadOnlyStore { operator: "process(writes)".into(), store: "names".into() });
    assert!(error.to_string().contains("use the handle that read_only_store() gives"), "{error}");

    let theirs = Topology::builder().read_only_store("names", "people", utf8(), utf8());
    let mut app = Topology::builder();
    looked_into(&mut app, &theirs);
    assert!(matches!(app.build().expect_err("of another builder"), TopologyError::Foreign { .. }));
}

/// A restore would bring a parked record back, so what fails in the store's topic goes by the policy, and what fails elsewhere is parked.
#[test]
fn what_fails_in_a_topic_that_a_store_is_restored_from_is_not_parked() -> Outcome {
    let mut app = Topology::builder();
    app.park_failed_keys();
    let store = app.read_only_store_with("rows", "rows", utf8(), utf8(), |store| move || Shouts(store.clone()));
    looked_into(&mut app, &store);
    let options = TestOptions { failed_records: BadRecords::Skip, bad_records: BadRecords::Skip, ..AT_ONCE };
    let driver = TestDriver::with_options(&app.build()?, options)?;
    let rows = driver.input("rows", utf8(), utf8());
    rows.pipe("a", "fail", 1)?;
    rows.pipe("a", "x", 2)?;
    assert_eq!(driver.store("rows", utf8(), utf8()).all()?, [("a".to_owned(), "x!".to_owned())]);
    driver.input("questions", utf8(), i64_be()).pipe("a", i64::from_be_bytes([0xff; 8]), 3)?;
    driver.input("questions", utf8(), utf8()).pipe("a", "?", 4)?;
    let parked = driver.parked()?;
    let waiting: Vec<_> = parked.iter().map(|key| (key.topic.as_str(), key.records)).collect();
    assert_eq!(waiting, [("questions", 2)], "a question that is no text, and the one behind it");
    driver.discard_first("questions", "a")?;
    driver.release("questions", "a")?;
    assert_eq!(driver.output("answers", utf8(), utf8()).read_all()?, [at("a", Some("x! at 2 of 1".to_owned()), 4)]);
    Ok(())
}

/// What parks stands around the task: what restores and reads such stores must go through it.
#[test]
fn a_topology_that_parks_restores_them_as_others_do() -> Outcome {
    let mut app = Topology::builder();
    app.park_failed_keys();
    let store = app.read_only_store("names", "people", utf8(), utf8());
    looked_into(&mut app, &store);
    let options = TestOptions { bad_records: BadRecords::Skip, ..AT_ONCE };
    let driver = TestDriver::with_options(&app.build()?, options)?;
    driver.input("people", utf8(), utf8()).pipe("a", "Ann", 1)?;
    driver.input("people", utf8(), i64_be()).pipe("b", i64::from_be_bytes([0xff; 8]), 2)?;
    let rows = [("a".to_owned(), "Ann".to_owned(), 1)];
    assert_eq!(driver.store("names", utf8(), utf8()).rows()?, rows, "b is no text");
    driver.move_task("names-0")?;
    assert_eq!(driver.store("names", utf8(), utf8()).rows()?, rows);
    driver.input("questions", utf8(), utf8()).pipe("a", "?", 3)?;
    assert_eq!(driver.output("answers", utf8(), utf8()).read_all()?, [at("a", Some("Ann at 1 of 1".to_owned()), 3)]);
    Ok(())
}

/// A restore sees the records' own times only.
#[test]
fn a_topic_whose_times_are_extracted_makes_no_read_only_store() {
    let mut app = Topology::builder();
    app.stream("rows", utf8(), utf8()).with_timestamps(Timestamps::wall_clock()).to("copy");
    let store = app.read_only_store("names", "rows", utf8(), utf8());
    looked_into(&mut app, &store);
    let error = app.build().unwrap_err().to_string();
    assert!(
        error.contains("rows.source: read-only store names") && error.contains("without with_timestamps()"),
        "{error}"
    );
}
