//! On a real broker: a reader of several topics brings partitions with large batches forward evenly.
#![cfg(feature = "kafka")]

use kappa_core::log::{Assignment, FetchOptions, Isolation, PARTITION_BYTES_EVEN, SharedLog, Start, TopicPartition};
use kappa_integration_tests::harness::{self, unique};
use kappa_integration_tests::random::Random;
use kappa_integration_tests::records::{Writer, create_topic, kafka};
use kappa_integration_tests::wait::wait_until;
use std::time::Duration;

const PARTITIONS: i32 = 4;
/// In each partition, each a batch of its own.
const RECORDS: usize = 24;
/// More than half of the largest batch that Kafka takes, and too random to be compressed.
const RECORD_BYTES: usize = 600_000;
/// In front of one of the partitions, where a reader favours it.
const EMPTY_PARTITIONS: i32 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

fn fill(log: &SharedLog, topic: &str) {
    create_topic(log, topic, PARTITIONS);
    let mut random = Random::from_env();
    let mut writer = Writer::open(log, topic);
    for _ in 0..RECORDS {
        for partition in 0..PARTITIONS {
            let value: Vec<u8> =
                std::iter::repeat_with(|| random.bits().to_be_bytes()).flatten().take(RECORD_BYTES).collect();
            writer.put(partition, 1_000, None, Some(&value));
        }
        writer.flush();
    }
}

/// How many records of each partition are among the first half of all.
fn first_half(log: &SharedLog, topics: [&str; 2]) -> Vec<usize> {
    let options = FetchOptions {
        client_id: unique("even"),
        isolation: Isolation::ReadCommitted,
        buffer_bytes: 64 << 20,
        wait_max: Duration::from_millis(100),
        // One waits: so much less than there is.
        ahead_records: 1,
        partition_bytes: PARTITION_BYTES_EVEN,
    };
    let mut fetch = log.fetch(options).expect("a reader");
    let partitions = [(topics[0], EMPTY_PARTITIONS), (topics[1], PARTITIONS)]
        .into_iter()
        .flat_map(|(topic, count)| (0..count).map(move |partition| TopicPartition { topic: topic.into(), partition }));
    let assigned: Vec<_> = (0..)
        .zip(partitions)
        .map(|(token, partition)| Assignment { partition, start: Start::Earliest, token })
        .collect();
    fetch.assign(&assigned).expect("assigned");
    let mut read = vec![0; PARTITIONS as usize];
    let half = RECORDS * PARTITIONS as usize / 2;
    let come = wait_until(PATIENCE, || {
        let polled = fetch.poll(1, Duration::from_millis(100)).expect("polled");
        assert!(polled.failures.is_empty(), "{:?}", polled.failures);
        for run in polled.batch.iter().flat_map(|batch| batch.runs()) {
            read[(run.token as i32 - EMPTY_PARTITIONS) as usize] += (run.end - run.start) as usize;
        }
        read.iter().sum::<usize>() >= half
    });
    assert!(come, "{read:?}");
    let _ = fetch.close(Duration::from_secs(5));
    read
}

#[test]
fn partitions_with_large_batches_come_forward_evenly_beside_empty_ones() {
    let Some(brokers) = harness::brokers() else { return };
    let log = kafka(&brokers);
    let (empty, large) = (unique("empty"), unique("large"));
    create_topic(&log, &empty, EMPTY_PARTITIONS);
    fill(&log, &large);
    let read = first_half(&log, [&empty, &large]);
    let fair = RECORDS / 2;
    assert!(read.iter().all(|&count| count > fair / 2), "of {RECORDS} each, half of all: {read:?}");
}
