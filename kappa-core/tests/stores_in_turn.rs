//! Stores of one worker whose tails have grown old together are written one after the other, one after each commit.

#![cfg(feature = "testing")]

mod embedded_support;

use embedded_support::turns;
use kappa_core::codec::utf8;
use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use kappa_core::log::{AppendBatch, AppendOptions, CleanupPolicy, Headers, Log, SharedLog, TopicSpec};
use kappa_core::runtime::Settings;
use kappa_core::runtime::machines::start;
use kappa_core::task::Program;
use kappa_core::topology::Topology;
use kappa_state::{MemoryBackend, TailBound};
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: i32 = 4;
/// Less than the 100 ms from one commit to the next, so that all tails but new ones are old.
const AGE_MS: i64 = 50;

/// So many new keys in each partition.
fn feed(log: &SharedLog, first: usize, count: usize) {
    let options = AppendOptions {
        client_id: "feeder".into(),
        transactional_id: None,
        transaction_timeout: Duration::from_secs(10),
        linger: Duration::ZERO,
        buffer_bytes: 1 << 20,
    };
    let mut client = log.append(options).expect("an appender");
    let topic = client.topic("in", false).expect("the input");
    let mut batch = AppendBatch::default();
    for partition in 0..PARTITIONS {
        for number in first..first + count {
            let key = format!("{partition}-{number}");
            batch.push(topic, partition, 1_000, Some(key.as_bytes()), Some(b"v"), Headers::empty());
        }
    }
    client.append(&batch).expect("appended");
    client.flush(Duration::from_secs(5)).expect("flushed");
}

#[test]
fn stores_that_grow_old_together_are_written_in_turn() {
    let clock = ManualClock::new(1_000);
    let embedded = EmbeddedLog::with_clock(&clock);
    let (name, cleanup) = ("in".to_owned(), CleanupPolicy::Delete);
    let spec = TopicSpec { name, partitions: PARTITIONS, replication_factor: None, cleanup, settings: vec![] };
    embedded.topics().and_then(|mut topics| topics.create(&spec)).expect("created");
    let log: SharedLog = embedded.shared();
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8()).group_by_key().count("counts").to_stream().for_each(|_, _| {});
    let program: Arc<dyn Program> = Arc::new(app.build().expect("a topology"));
    let tail_bound = TailBound { age_ms: AGE_MS, ..TailBound::default() };
    let settings = Settings { commit_interval_ms: 10, tail_bound, ..Settings::default() };
    let state = Arc::new(MemoryBackend::new());
    let mut started = start(&log, "counts-v1", &program, settings, "A", state, clock.now_ms()).expect("started");
    turns(&mut started, &clock, 20);

    let waiting: Vec<i64> = [20, 1, 1, 1, 1, 1]
        .into_iter()
        .scan(0, |fed, count| {
            feed(&log, *fed, count);
            *fed += count;
            turns(&mut started, &clock, 5);
            Some(started.shared.metrics.tail_records.get())
        })
        .collect();
    // Twenty each, all new. With one more each all are old, and one is written: 3 × 21. Then another: 1 + 22 + 22, 2 + 1 + 23, 3 + 2 + 1;
    // then it is the first one's turn again: 3 + 2 + 1.
    assert_eq!(waiting, [80, 63, 45, 26, 6, 6]);
}
