//! Repartition topics of a running application are purged: up to what is committed, never further, and a failure stops nothing.

#![cfg(feature = "testing")]

use kappa_core::codec::{i64_be, utf8};
use kappa_core::log::embedded::{EmbeddedLog, Fault, FaultPlan, InspectedKind, Operation};
use kappa_core::log::{
    Append, AppendBatch, AppendOptions, CleanupPolicy, Headers, Isolation, Log, LogError, OffsetSpec, TopicPartition,
    TopicSpec,
};
use kappa_core::runtime::{Guarantee, RunningApp, Runtime, Settings};
use kappa_core::topology::Topology;
use kappa_core::{App, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 2;
const GROUPS: i64 = 7;
const MIDDLE: &str = "groups-v1-per-group-repartition";

/// Counts the numbers of each group; the change of key puts a repartition topic in between.
fn app() -> App {
    let mut builder = Topology::builder();
    builder
        .stream("in", i64_be(), i64_be())
        .select_key(utf8(), |key, _| group(*key))
        .group_by_key()
        .count("per-group")
        .to("out");
    App::new("groups", Version(1), builder.build().expect("a topology")).expect("named")
}

fn group(number: i64) -> String {
    format!("group-{}", number % GROUPS)
}

struct Scene {
    log: EmbeddedLog,
    fed: i64,
}

impl Scene {
    fn new() -> Self {
        let log = EmbeddedLog::new();
        for name in ["in", "out"] {
            let (name, cleanup) = (name.to_owned(), CleanupPolicy::Delete);
            let spec = TopicSpec { name, partitions: PARTITIONS, replication_factor: None, cleanup, settings: vec![] };
            log.topics().expect("topics").create(&spec).expect("created");
        }
        Self { log, fed: 0 }
    }

    fn appender(&self, transactional_id: Option<&str>) -> Box<dyn Append> {
        let options = AppendOptions {
            client_id: "feeder".into(),
            transactional_id: transactional_id.map(str::to_owned),
            transaction_timeout: Duration::from_secs(60),
            linger: Duration::ZERO,
            buffer_bytes: 1 << 20,
        };
        self.log.append(options).expect("an appender")
    }

    /// The next numbers, one after the other.
    fn feed(&mut self, records: i64) {
        let mut client = self.appender(None);
        let topic = client.topic("in", false).expect("the input");
        let mut batch = AppendBatch::default();
        for number in self.fed..self.fed + records {
            let (key, partition) = (number.to_be_bytes(), (number % i64::from(PARTITIONS)) as i32);
            batch.push(topic, partition, number, Some(&key), Some(&key), Headers::empty());
        }
        client.append(&batch).expect("appended");
        client.flush(Duration::from_secs(5)).expect("flushed");
        self.fed += records;
    }

    fn start(&self, guarantee: Guarantee, repartition_purge_interval_ms: i64) -> RunningApp {
        let settings =
            Settings { guarantee, commit_interval_ms: 20, repartition_purge_interval_ms, ..Settings::default() };
        Runtime::new(Arc::new(self.log.clone()), settings).start(&app()).expect("started")
    }

    fn offset(&self, partition: i32, spec: OffsetSpec) -> i64 {
        let asked = [(TopicPartition::new(MIDDLE, partition), spec)];
        self.log.topics().expect("topics").offsets(&asked).expect("offsets")[0]
    }

    fn log_start(&self, partition: i32) -> i64 {
        self.offset(partition, OffsetSpec::Earliest)
    }

    fn log_end(&self, partition: i32) -> i64 {
        self.offset(partition, OffsetSpec::Latest(Isolation::ReadUncommitted))
    }

    fn committed(&self, partition: i32) -> Option<i64> {
        let offsets = self.log.group("groups-v1")?.offsets;
        offsets.get(&TopicPartition::new(MIDDLE, partition)).map(|committed| committed.offset)
    }

    /// The last count of each group.
    fn counts(&self) -> BTreeMap<String, i64> {
        let mut last = BTreeMap::new();
        for partition in 0..PARTITIONS {
            for record in self.log.inspect(&TopicPartition::new("out", partition)).expect("the output") {
                if let (InspectedKind::Committed | InspectedKind::Plain, Some(key), Some(value)) =
                    (record.kind, record.key, record.value)
                {
                    let value = i64::from_be_bytes(value.try_into().expect("8 bytes"));
                    last.insert(String::from_utf8(key).expect("text"), value);
                }
            }
        }
        last
    }

    /// What the counts must be in the end: of the numbers fed, group by group.
    fn expected(&self) -> BTreeMap<String, i64> {
        (0..self.fed).fold(BTreeMap::new(), |mut counts, number| {
            *counts.entry(group(number)).or_default() += 1;
            counts
        })
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn all_is_purged(scene: &Scene) -> bool {
    (0..PARTITIONS).all(|partition| {
        let end = scene.log_end(partition);
        end > 0 && scene.log_start(partition) == end && scene.committed(partition) == Some(end)
    })
}

fn is_purged_and_exact(guarantee: Guarantee) {
    let mut scene = Scene::new();
    scene.feed(1_000);
    let running = scene.start(guarantee, 30);
    wait_until("the first are counted", || scene.counts() == scene.expected());
    wait_until("the first are purged", || all_is_purged(&scene));
    let ends: i64 = (0..PARTITIONS).map(|partition| scene.log_end(partition)).sum();
    wait_until("each record is counted once", || running.metrics().purged_records.get() == ends as u64);
    assert_eq!(running.metrics().purge_failures.get(), 0);
    assert!(running.metrics().text().contains("kappa_purged_records_total"));
    running.stop(Duration::from_secs(10)).expect("stopped");
    // The next owner begins at the committed offset, which is where the log begins, and counts on from there.
    scene.feed(1_000);
    let running = scene.start(guarantee, 30);
    wait_until("all are counted", || scene.counts() == scene.expected());
    wait_until("all are purged", || all_is_purged(&scene));
    running.stop(Duration::from_secs(10)).expect("stopped");
}

#[test]
fn a_repartition_topic_is_purged_up_to_what_is_committed() {
    is_purged_and_exact(Guarantee::ExactlyOnce);
}

#[test]
fn at_least_once_too() {
    is_purged_and_exact(Guarantee::AtLeastOnce);
}

#[test]
fn nothing_is_purged_beyond_an_open_transaction() {
    let mut scene = Scene::new();
    scene.feed(700);
    let running = scene.start(Guarantee::ExactlyOnce, 30);
    wait_until("the first are purged", || all_is_purged(&scene) && scene.counts() == scene.expected());
    let open_from: Vec<i64> = (0..PARTITIONS).map(|partition| scene.log_end(partition)).collect();
    let mut other = scene.appender(Some("other"));
    other.init(Duration::from_secs(5)).expect("ready");
    let topic = other.topic(MIDDLE, false).expect("the topic");
    other.begin().expect("begun");
    let mut batch = AppendBatch::default();
    for partition in 0..PARTITIONS {
        batch.push(topic, partition, 0, Some(b"group-0"), Some(&0i64.to_be_bytes()), Headers::empty());
    }
    other.append(&batch).expect("appended");
    // What comes behind it is committed by the first stage and can't be read by the second.
    scene.feed(700);
    let is_fed = |partition: i32| scene.log_end(partition) > open_from[partition as usize] + 1;
    wait_until("the first stage is through", || (0..PARTITIONS).all(is_fed));
    std::thread::sleep(Duration::from_millis(200));
    for (partition, open_from) in (0..).zip(open_from) {
        assert_eq!((scene.log_start(partition), scene.committed(partition)), (open_from, Some(open_from)));
    }
    other.abort().expect("aborted");
    wait_until("all are counted", || scene.counts() == scene.expected());
    wait_until("all are purged", || all_is_purged(&scene));
    running.stop(Duration::from_secs(10)).expect("stopped");
}

#[test]
fn a_purge_that_fails_is_counted_and_tried_again() {
    let mut scene = Scene::new();
    let faults = FaultPlan::new();
    scene.log.set_faults(Arc::<FaultPlan>::clone(&faults));
    let refused = LogError::Unauthorized { operation: "delete records", reason: "a test".into() };
    faults.strike("topics", Operation::DeleteRecords, 0, 3, Fault::Fail(refused));
    // This one is done, and nobody is told.
    faults.strike("topics", Operation::DeleteRecords, 0, 1, Fault::LoseAnswer);
    scene.feed(700);
    let running = scene.start(Guarantee::ExactlyOnce, 30);
    wait_until("all are counted", || scene.counts() == scene.expected());
    wait_until("all are purged", || all_is_purged(&scene));
    wait_until("failures are counted", || running.metrics().purge_failures.get() == 4);
    assert!(!running.status().failed);
    running.stop(Duration::from_secs(10)).expect("stopped");
}

#[test]
fn an_interval_of_nought_purges_nothing() {
    let mut scene = Scene::new();
    scene.feed(700);
    let running = scene.start(Guarantee::ExactlyOnce, 0);
    wait_until("all are counted", || scene.counts() == scene.expected());
    std::thread::sleep(Duration::from_millis(400));
    assert!((0..PARTITIONS).all(|partition| scene.log_start(partition) == 0));
    running.stop(Duration::from_secs(10)).expect("stopped");
}
