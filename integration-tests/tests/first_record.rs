//! On a real broker: a reader has the first record of a topic that is new to it without waiting for librdkafka's next look at the leaders.
#![cfg(feature = "kafka")]

use kappa_core::log::{Assignment, Fetch, FetchOptions, Isolation, PARTITION_BYTES_LEAN, Start, TopicPartition};
use kappa_integration_tests::harness::{self, unique};
use kappa_integration_tests::records::{Writer, create_topic, kafka};
use kappa_integration_tests::wait::wait_until;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
/// librdkafka looks once a second. Each topic is assigned when the one before has come, which without asking is just after a look.
const QUICK: Duration = Duration::from_millis(500);

/// How long it is from the assignment to the topic's record.
fn first_record(fetch: &mut dyn Fetch, topic: &str, token: u32) -> Duration {
    let assigned = Instant::now();
    let partition = TopicPartition::new(topic, 0);
    fetch.assign(&[Assignment { partition, start: Start::Offset(0), token }]).expect("assigned");
    let come = wait_until(PATIENCE, || fetch.poll(1, Duration::from_millis(10)).expect("polled").batch.is_some());
    assert!(come, "no record came");
    assigned.elapsed()
}

#[test]
fn a_reader_has_the_first_record_of_a_new_topic_at_once() {
    let Some(brokers) = harness::brokers() else { return };
    let log = kafka(&brokers);
    let topics: Vec<String> = (0..5).map(|_| unique("first")).collect();
    for topic in &topics {
        create_topic(&log, topic, 1);
        let mut writer = Writer::open(&log, topic);
        writer.put(0, 1_000, None, Some(b"one"));
        writer.flush();
    }
    let options = FetchOptions {
        client_id: unique("first"),
        isolation: Isolation::ReadCommitted,
        buffer_bytes: 1 << 20,
        wait_max: Duration::from_millis(10),
        ahead_records: 10_000,
        partition_bytes: PARTITION_BYTES_LEAN,
    };
    let mut fetch = log.fetch(options).expect("a reader");
    let mut took: Vec<Duration> =
        topics.iter().zip(0..).map(|(topic, token)| first_record(&mut *fetch, topic, token)).collect();
    let _ = fetch.close(Duration::from_secs(5));
    eprintln!("{took:?}");
    // The median: on a busy machine any one may be late.
    took.sort_unstable();
    assert!(took[2] < QUICK, "{took:?}");
}
