//! The runtime end to end on the embedded log, with a program written by hand: counts records per key into `out`.

use kappa_core::app::{App, Version};
use kappa_core::log::embedded::EmbeddedLog;
use kappa_core::log::{
    AppendBatch, AppendOptions, Assignment, CleanupPolicy, FetchOptions, Headers, Isolation, Log, PARTITION_BYTES_LEAN,
    SharedLog, Start, TopicSpec,
};
use kappa_core::runtime::{Runtime, Settings};
use kappa_core::task::{Output, ProcessError, Program, SourceRecord, TaskProcessor, TaskScope};
use kappa_core::topology::{
    ChangelogSource, SourcePlan, StoreKind, StorePlan, SubTopologyPlan, TopicRef, TopologyPlan,
};
use kappa_state::{BufferOptions, BufferedStore, Codec, CodecError, ManagedStore, StateError, StoreId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Be64;

impl Codec<i64> for Be64 {
    fn encode(&self, value: &i64, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }
    fn decode(&self, bytes: &[u8]) -> Result<i64, CodecError> {
        bytes.try_into().map(i64::from_be_bytes).map_err(|_| CodecError::new("not 8 bytes"))
    }
}

#[derive(Debug)]
struct CountProgram(TopologyPlan);

impl CountProgram {
    fn new() -> Self {
        Self(TopologyPlan {
            sub_topologies: vec![SubTopologyPlan {
                name: "counts".into(),
                sources: vec![SourcePlan { topic: TopicRef::External("in".into()), partitions: None, aligned: true }],
                outputs: vec![TopicRef::External("out".into()), TopicRef::Changelog("counts".into())],
                stores: vec![StorePlan {
                    name: "counts".into(),
                    changelog: ChangelogSource::Own { output: 1 },
                    kind: StoreKind::KeyValue,
                }],
                copartitioned: vec![],
            }],
            views: vec![],
            globals: vec![],
            fingerprint: "count-1".into(),
        })
    }
}

impl Program for CountProgram {
    fn plan(&self) -> &TopologyPlan {
        &self.0
    }

    fn instantiate(&self, _: usize, scope: &TaskScope<'_>) -> Result<Box<dyn TaskProcessor>, StateError> {
        let id = StoreId { task: scope.name.into(), store: "counts".into() };
        let options =
            BufferOptions { tail_bound: scope.tail_bound, cache_bytes: scope.cache_bytes_per_store, keep_old: false };
        let store = BufferedStore::open(id.clone(), scope.state.open(&id)?, Arc::new(Be64), options)?;
        Ok(Box::new(CountTask { store }))
    }
}

struct CountTask {
    store: BufferedStore<i64>,
}

impl TaskProcessor for CountTask {
    fn process(&mut self, _: usize, record: &SourceRecord<'_>, _: &mut Output) -> Result<(), ProcessError> {
        let Some(key) = record.view.key else { return Ok(()) };
        let time = record.view.timestamp_ms;
        self.store.update(key, |row| match row {
            Some((count, at)) => Some((count + 1, at.max(time))),
            None => Some((1, time)),
        })?;
        Ok(())
    }

    fn flush(&mut self, out: &mut Output) -> Result<(), ProcessError> {
        self.store.stage(|change| {
            out.log(1, change.timestamp_ms, change.key, change.value_bytes);
            out.send::<ProcessError>(
                0,
                change.timestamp_ms,
                &Headers::empty(),
                (Some(change.key), Some(change.key)),
                |bytes| {
                    bytes.extend_from_slice(change.value_bytes.unwrap_or_default());
                    Ok(true)
                },
            )
        })
    }

    fn store_count(&self) -> usize {
        1
    }
    fn store(&mut self, _: usize) -> &mut dyn ManagedStore {
        &mut self.store
    }
    fn take_dropped(&mut self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
    fn dirty_bytes(&self) -> usize {
        ManagedStore::dirty_bytes(&self.store)
    }
    fn aborted(&mut self) {}
}

const PARTITIONS: i32 = 4;

fn log_with_topics() -> SharedLog {
    let log = EmbeddedLog::new();
    let mut topics = log.topics().expect("topics");
    for name in ["in", "out"] {
        let spec = TopicSpec {
            name: name.into(),
            partitions: PARTITIONS,
            replication_factor: None,
            cleanup: CleanupPolicy::Delete,
            settings: vec![],
        };
        topics.create(&spec).expect("created");
    }
    Arc::new(log)
}

/// Appends records `from..to` to `in`; record `n` has key `n % keys`.
fn feed(log: &SharedLog, range: std::ops::Range<u64>, keys: u64) {
    let mut client = log
        .append(AppendOptions {
            client_id: "feeder".into(),
            transactional_id: None,
            transaction_timeout: Duration::from_secs(10),
            linger: Duration::ZERO,
            buffer_bytes: 1 << 20,
        })
        .expect("appender");
    let topic = client.topic("in", false).expect("topic");
    let mut batch = AppendBatch::default();
    for n in range {
        let key = (n % keys).to_be_bytes();
        let partition = kappa_core::partitioner::partition(&key, PARTITIONS);
        batch.push(topic, partition, n as i64, Some(&key), Some(b"x"), Headers::empty());
    }
    client.append(&batch).expect("appended");
    client.flush(Duration::from_secs(5)).expect("flushed");
}

/// Reads all of `out`, read_committed; per key the values in order.
fn read_out(log: &SharedLog) -> BTreeMap<u64, Vec<i64>> {
    let mut values: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
    visit(log, "out", |key, value| {
        let key = u64::from_be_bytes(key.try_into().expect("8 bytes"));
        values.entry(key).or_default().push(value);
    });
    values
}

/// Calls `f` with every record of a topic, read_committed, in the order of each partition.
fn visit(log: &SharedLog, topic: &str, mut f: impl FnMut(&[u8], i64)) {
    let mut fetch = log
        .fetch(FetchOptions {
            client_id: "check".into(),
            isolation: Isolation::ReadCommitted,
            buffer_bytes: 1 << 20,
            wait_max: Duration::from_millis(20),
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
        })
        .expect("fetch");
    let assignments: Vec<Assignment> = (0..PARTITIONS)
        .map(|partition| Assignment {
            partition: kappa_core::log::TopicPartition::new(topic, partition),
            start: Start::Earliest,
            token: partition as u32,
        })
        .collect();
    fetch.assign(&assignments).expect("assigned");
    let mut ends = [false; PARTITIONS as usize];
    while !ends.iter().all(|end| *end) {
        let polled = fetch.poll(10_000, Duration::from_millis(100)).expect("polled");
        if let Some(batch) = polled.batch {
            for index in 0..batch.len() {
                let record = batch.record(index);
                let value = i64::from_be_bytes(record.value.expect("value").try_into().expect("8 bytes"));
                f(record.key.expect("key"), value);
            }
        }
        for end in polled.ends {
            ends[end.token as usize] = true;
        }
    }
}

fn settings(threads: usize) -> Settings {
    Settings { stream_threads: threads, commit_interval_ms: 20, ..Settings::default() }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn total(log: &SharedLog) -> i64 {
    read_out(log).values().filter_map(|values| values.last()).sum()
}

/// Every history only counts up, and ends at what was fed.
fn check(log: &SharedLog, records: u64, keys: u64) {
    let histories = read_out(log);
    assert_eq!(histories.len() as u64, keys.min(records));
    for (key, values) in &histories {
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "key {key} went back: {values:?}");
        let expected = (records / keys + u64::from(key < &(records % keys))) as i64;
        assert_eq!(values.last(), Some(&expected), "key {key}");
    }
}

#[test]
fn counts_are_exact_over_stop_and_start() {
    let log = log_with_topics();
    feed(&log, 0..10_000, 100);
    let app = App::new("counter", Version(1), CountProgram::new()).expect("named");
    let runtime = Runtime::new(Arc::clone(&log), settings(2));
    let running = runtime.start(&app).expect("started");
    wait_until("first records counted", || total(&log) == 10_000);
    running.stop(Duration::from_secs(10)).expect("stopped");
    feed(&log, 10_000..15_050, 100);
    let running = runtime.start(&app).expect("started again");
    wait_until("all records counted", || total(&log) == 15_050);
    running.stop(Duration::from_secs(10)).expect("stopped");
    check(&log, 15_050, 100);
}

#[test]
fn two_processes_share_the_tasks() {
    let log = log_with_topics();
    let app = App::new("counter", Version(1), CountProgram::new()).expect("named");
    let runtime = Runtime::new(Arc::clone(&log), settings(1));
    let first = runtime.start(&app).expect("started");
    feed(&log, 0..5_000, 50);
    wait_until("the first counts alone", || total(&log) == 5_000);
    let second = runtime.start(&app).expect("started");
    wait_until("tasks are shared", || first.status().tasks_assigned == 2 && second.status().tasks_assigned == 2);
    feed(&log, 5_000..9_000, 50);
    wait_until("both count", || total(&log) == 9_000);
    first.stop(Duration::from_secs(10)).expect("stopped");
    feed(&log, 9_000..10_000, 50);
    wait_until("the second counts alone", || total(&log) == 10_000);
    assert_eq!(second.status().tasks_assigned, 4);
    second.stop(Duration::from_secs(10)).expect("stopped");
    check(&log, 10_000, 50);
}

/// The same with the DSL: a key change puts a repartition topic in between, so two sub-topologies and four plus four tasks.
#[test]
fn a_repartitioned_count_is_exact() {
    use kappa_core::codec::{bytes, i64_be, utf8};
    use kappa_core::topology::Topology;
    let mut builder = Topology::builder();
    builder
        .stream("in", i64_be(), bytes())
        .select_key(utf8(), |key, _| format!("group-{}", key % 7))
        .group_by_key()
        .count("per-group")
        .to("out");
    let topology = builder.build().expect("a topology");
    let log = log_with_topics();
    feed(&log, 0..7_000, 700);
    let app = App::new("groups", Version(1), topology).expect("named");
    let runtime = Runtime::new(Arc::clone(&log), settings(2));
    let first = runtime.start(&app).expect("started");
    let second = runtime.start(&app).expect("started");
    feed(&log, 7_000..14_000, 700);
    let counts = || -> BTreeMap<Vec<u8>, i64> { read_last(&log, "out") };
    wait_until("everything counted", || counts().values().sum::<i64>() == 14_000);
    first.stop(Duration::from_secs(10)).expect("stopped");
    feed(&log, 14_000..21_000, 700);
    wait_until("the rest counted", || counts().values().sum::<i64>() == 21_000);
    second.stop(Duration::from_secs(10)).expect("stopped");
    // 700 keys, 30 records each; keys 0..700 fall into 7 groups of 100.
    let expected: BTreeMap<Vec<u8>, i64> = (0..7).map(|group| (format!("group-{group}").into_bytes(), 3_000)).collect();
    assert_eq!(counts(), expected);
}

/// The last value of each key of a topic, read_committed.
fn read_last(log: &SharedLog, topic: &str) -> BTreeMap<Vec<u8>, i64> {
    let mut last = BTreeMap::new();
    visit(log, topic, |key, value| {
        last.insert(key.to_vec(), value);
    });
    last
}

/// A global table is read to its end before the first record is joined with it, and followed from then on; a restart reads
/// it anew.
#[test]
fn a_global_table_is_there_before_the_first_record() {
    use kappa_core::codec::{bytes, i64_be};
    use kappa_core::topology::Topology;
    let mut builder = Topology::builder();
    let factors = builder.global_table("factors", i64_be(), i64_be());
    builder
        .stream("in", i64_be(), bytes())
        .left_join_global(&factors, |key, _| Some(key % 3), |_, factor| factor.copied().unwrap_or(-1))
        .with_value_codec(i64_be())
        .to("out");
    let topology = builder.build().expect("a topology");
    let log = log_with_topics();
    let factors = TopicSpec {
        name: "factors".into(),
        partitions: 2,
        replication_factor: None,
        cleanup: CleanupPolicy::Compact,
        settings: vec![],
    };
    log.topics().expect("topics").create(&factors).expect("created");
    let put = |key: i64, value: i64| {
        let options = AppendOptions {
            client_id: "factors".into(),
            transactional_id: None,
            transaction_timeout: Duration::from_secs(10),
            linger: Duration::ZERO,
            buffer_bytes: 1 << 20,
        };
        let mut client = log.append(options).expect("appender");
        let topic = client.topic("factors", false).expect("topic");
        let mut batch = AppendBatch::default();
        let key = key.to_be_bytes();
        let partition = kappa_core::partitioner::partition(&key, 2);
        batch.push(topic, partition, 0, Some(&key), Some(&value.to_be_bytes()), Headers::empty());
        client.append(&batch).expect("appended");
        client.flush(Duration::from_secs(5)).expect("flushed");
    };
    for key in 0..3 {
        put(key, 1000 + key);
    }
    feed(&log, 0..3_000, 30);
    let app = App::new("global", Version(1), topology).expect("named");
    let runtime = Runtime::new(Arc::clone(&log), settings(2));
    let running = runtime.start(&app).expect("started");
    let count = || read_out(&log).values().map(Vec::len).sum::<usize>();
    wait_until("all joined", || count() == 3_000);
    for (key, values) in read_out(&log) {
        assert_eq!(values, vec![1000 + (key % 3) as i64; 100], "key {key}");
    }
    // A change comes by itself.
    put(0, 7);
    let last = || read_out(&log)[&0].last().copied();
    wait_until("the change is seen", || {
        last() == Some(7) || {
            feed(&log, 0..1, 30);
            false
        }
    });
    running.stop(Duration::from_secs(10)).expect("stopped");
    put(1, 8);
    let running = runtime.start(&app).expect("started again");
    feed(&log, 1..2, 30);
    wait_until("joined after the restart", || read_out(&log)[&1].last() == Some(&8));
    running.stop(Duration::from_secs(10)).expect("stopped");
}
