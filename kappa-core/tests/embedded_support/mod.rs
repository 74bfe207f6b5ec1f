//! Topics of one partition on the embedded log, for tests of whole applications: made, written and read.
#![allow(dead_code, reason = "each test file uses a part of it")]

use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use kappa_core::log::{
    Append, AppendBatch, AppendOptions, Assignment, CleanupPolicy, FetchOptions, Headers, Isolation, Log,
    PARTITION_BYTES_LEAN, SharedLog, Start, TopicPartition, TopicSpec,
};
use kappa_core::runtime::machines::{Machine, Started};
use std::sync::Arc;
use std::time::Duration;

/// Key, value, timestamp in ms.
pub(crate) type Sent = (Option<String>, Vec<u8>, i64);

/// A record as it is read.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Headers,
}

impl Found {
    /// The value as a number, which it must be.
    pub(crate) fn number(&self) -> i64 {
        let bytes = self.value.as_deref().expect("a value");
        i64::from_be_bytes(bytes.try_into().expect("8 bytes"))
    }
}

/// So many rounds of a process whose threads are driven by hand, 20 ms each.
pub(crate) fn turns(started: &mut Started, clock: &ManualClock, rounds: usize) {
    for _ in 0..rounds {
        for place in &mut started.machines {
            let Some(machine) = place.1.take() else { continue };
            let tasks = started.layout.task_count();
            let (machine, done): (Option<Machine>, _) = machine.turn(&started.shared, tasks, clock.now_ms());
            done.expect("no failure");
            place.1 = machine;
        }
        clock.advance(Duration::from_millis(20));
    }
}

pub(crate) fn log_with(topics: &[&str]) -> SharedLog {
    let log = EmbeddedLog::new();
    for name in topics {
        let (name, cleanup, settings) = ((*name).to_owned(), CleanupPolicy::Delete, vec![]);
        let spec = TopicSpec { name, partitions: 1, replication_factor: None, cleanup, settings };
        log.topics().and_then(|mut topics| topics.create(&spec)).expect("created");
    }
    Arc::new(log)
}

/// Writes outside any transaction.
pub(crate) fn appender(log: &SharedLog) -> Box<dyn Append> {
    let options = AppendOptions {
        client_id: "feeder".into(),
        transactional_id: None,
        transaction_timeout: Duration::from_secs(10),
        linger: Duration::ZERO,
        buffer_bytes: 1 << 20,
    };
    log.append(options).expect("an appender")
}

pub(crate) fn append(log: &SharedLog, topic: &str, records: impl Iterator<Item = Sent>) {
    let mut client = appender(log);
    let topic = client.topic(topic, false).expect("topic");
    let mut batch = AppendBatch::default();
    for (key, value, timestamp_ms) in records {
        let key = key.as_ref().map(String::as_bytes);
        batch.push(topic, 0, timestamp_ms, key, Some(&value), Headers::empty());
    }
    client.append(&batch).expect("appended");
    client.flush(Duration::from_secs(5)).expect("flushed");
}

/// The numbers as values and times, `k0` and so on as keys, as many of these as said.
pub(crate) fn feed(log: &SharedLog, topic: &str, values: std::ops::Range<i64>, keys: i64) {
    let record = |value: i64| (Some(format!("k{}", value % keys)), value.to_be_bytes().to_vec(), value);
    append(log, topic, values.map(record));
}

/// All committed records of a topic.
pub(crate) fn read(log: &SharedLog, topic: &str) -> Vec<Found> {
    let options = FetchOptions {
        client_id: "check".into(),
        isolation: Isolation::ReadCommitted,
        buffer_bytes: 1 << 20,
        wait_max: Duration::from_millis(20),
        ahead_records: 10_000,
        partition_bytes: PARTITION_BYTES_LEAN,
    };
    let mut fetch = log.fetch(options).expect("fetch");
    let partition = TopicPartition::new(topic, 0);
    fetch.assign(&[Assignment { partition, start: Start::Earliest, token: 0 }]).expect("assigned");
    let mut found = Vec::new();
    loop {
        let polled = fetch.poll(10_000, Duration::from_millis(100)).expect("polled");
        if let Some(batch) = polled.batch {
            found.extend((0..batch.len()).map(|index| {
                let record = batch.record(index);
                let key = String::from_utf8_lossy(record.key.expect("a key")).into_owned();
                Found { key, value: record.value.map(<[u8]>::to_vec), headers: batch.headers(index) }
            }));
        }
        if !polled.ends.is_empty() {
            return found;
        }
    }
}
