//! Which of a worker's stores are written after a commit: of those whose tails have grown old together one, and the largest when all of
//! them take more room than there is.

#![cfg(feature = "testing")]

mod embedded_support;

use embedded_support::{appender, turns};
use kappa_core::codec::utf8;
use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use kappa_core::log::{AppendBatch, CleanupPolicy, Headers, Log, SharedLog, TopicSpec};
use kappa_core::runtime::Settings;
use kappa_core::runtime::machines::{Started, start};
use kappa_core::task::Program;
use kappa_core::topology::Topology;
use kappa_state::{MemoryBackend, TailBound};
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: i32 = 4;
/// Less than the 100 ms from one commit to the next, so that all tails but new ones are old.
const AGE_MS: i64 = 50;

/// Keys of a partition, each of them new.
fn feed(log: &SharedLog, partition: i32, keys: impl Iterator<Item = String>) {
    let mut client = appender(log);
    let topic = client.topic("in", false).expect("the input");
    let mut batch = AppendBatch::default();
    for key in keys {
        batch.push(topic, partition, 1_000, Some(key.as_bytes()), Some(b"v"), Headers::empty());
    }
    client.append(&batch).expect("appended");
    client.flush(Duration::from_secs(5)).expect("flushed");
}

/// A process that counts by key, with all its tasks running.
fn counting(clock: &ManualClock, settings: Settings) -> (SharedLog, Started) {
    let embedded = EmbeddedLog::with_clock(clock);
    let (name, cleanup) = ("in".to_owned(), CleanupPolicy::Delete);
    let spec = TopicSpec { name, partitions: PARTITIONS, replication_factor: None, cleanup, settings: vec![] };
    embedded.topics().and_then(|mut topics| topics.create(&spec)).expect("created");
    let log: SharedLog = embedded.shared();
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8()).group_by_key().count("counts").to_stream().for_each(|_, _| {});
    let program: Arc<dyn Program> = Arc::new(app.build().expect("a topology"));
    let settings = Settings { commit_interval_ms: 10, ..settings };
    let state = Arc::new(MemoryBackend::new());
    let mut started = start(&log, "counts-v1", &program, settings, "A", state, clock.now_ms()).expect("started");
    turns(&mut started, clock, 20);
    (log, started)
}

#[test]
fn stores_that_grow_old_together_are_written_in_turn() {
    let clock = ManualClock::new(1_000);
    let tail_bound = TailBound { age_ms: AGE_MS, ..TailBound::default() };
    let (log, mut started) = counting(&clock, Settings { tail_bound, ..Settings::default() });
    let waiting: Vec<i64> = [20, 1, 1, 1, 1, 1]
        .into_iter()
        .scan(0, |fed, count| {
            for partition in 0..PARTITIONS {
                feed(&log, partition, (*fed..*fed + count).map(|number| format!("{partition}-{number}")));
            }
            *fed += count;
            turns(&mut started, &clock, 5);
            Some(started.shared.metrics.tail_records.get())
        })
        .collect();
    // Twenty each, all new. With one more each all are old, and one is written: 3 × 21. Then another: 1 + 22 + 22, 2 + 1 + 23, 3 + 2 + 1;
    // then it is the first one's turn again: 3 + 2 + 1.
    assert_eq!(waiting, [80, 63, 45, 26, 6, 6]);
}

#[test]
fn the_largest_store_is_written_when_all_of_them_have_no_more_room() {
    let clock = ManualClock::new(1_000);
    let (log, mut started) = counting(&clock, Settings { tails_bytes: 450_000, ..Settings::default() });
    let mut waiting = |partition: i32, count: usize| {
        // Ten thousand bytes each.
        feed(&log, partition, (0..count).map(|number| format!("{number:010000}")));
        turns(&mut started, &clock, 5);
        started.shared.metrics.tail_records.get()
    };
    assert_eq!(waiting(0, 5), 5);
    assert_eq!(waiting(1, 20), 25, "250,000 bytes");
    assert_eq!(waiting(2, 30), 25, "of 550,000 the 300,000 are written");
    assert_eq!(waiting(3, 10), 35, "350,000 have room");
}
