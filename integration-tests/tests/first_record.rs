//! On a real broker: a reader has the first record of a topic that is new to it without waiting for librdkafka's next look at the leaders.
#![cfg(feature = "kafka")]

use kappa_core::log::{Assignment, FetchOptions, Isolation, PARTITION_BYTES_LEAN, SharedLog, Start, TopicPartition};
use kappa_integration_tests::harness::{self, unique};
use kappa_integration_tests::records::{Writer, create_topic, kafka};
use kappa_integration_tests::wait::wait_until;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// librdkafka looks once a second, counted from when its client was made, which is just before.
const QUICK: Duration = Duration::from_millis(600);

/// How long a reader of its own takes to the first record.
fn first_record(log: &SharedLog, topic: &str) -> Duration {
    let options = FetchOptions {
        client_id: unique("first"),
        isolation: Isolation::ReadCommitted,
        buffer_bytes: 1 << 20,
        wait_max: Duration::from_millis(10),
        ahead_records: 10_000,
        partition_bytes: PARTITION_BYTES_LEAN,
    };
    let mut fetch = log.fetch(options).expect("a reader");
    let assigned = Instant::now();
    let partition = TopicPartition { topic: topic.into(), partition: 0 };
    fetch.assign(&[Assignment { partition, start: Start::Offset(0), token: 0 }]).expect("assigned");
    let come = wait_until(PATIENCE, || fetch.poll(1, Duration::from_millis(10)).expect("polled").batch.is_some());
    let took = assigned.elapsed();
    assert!(come, "no record came");
    let _ = fetch.close(Duration::from_secs(5));
    took
}

#[test]
fn a_reader_has_the_first_record_of_a_new_topic_at_once() {
    let Some(brokers) = harness::brokers() else { return };
    let (log, topic) = (kafka(&brokers), unique("first"));
    create_topic(&log, &topic, 1);
    let mut writer = Writer::open(&log, &topic);
    writer.put(0, 1_000, None, Some(b"one"));
    writer.flush();
    let took: Vec<Duration> = (0..5).map(|_| first_record(&log, &topic)).collect();
    // The quickest: on a busy machine any one may be late.
    assert!(took.iter().any(|took| *took < QUICK), "{took:?}");
}
