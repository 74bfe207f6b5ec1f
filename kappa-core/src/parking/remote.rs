//! What is parked by an application elsewhere: read from its parking topics, and commands to it.

use super::format::parts;
use super::{ParkedKey, ParkingCommand, parked_keys};
use crate::log::{
    AppendBatch, AppendOptions, Headers, Isolation, LogError, OffsetSpec, RecordView, SharedLog, TopicPartition,
};
use crate::tail::Tail;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const POLL_RECORDS: usize = 10_000;
const POLL_WAIT: Duration = Duration::from_millis(100);
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// Reads a parking topic (`<application id>-<sub-topology>-parked-changelog`) as it is committed now: its keys by partition, topic
/// and key.
pub fn read_parked(
    log: &SharedLog,
    topic: &str,
    partitions: i32,
    deadline: Duration,
) -> Result<Vec<ParkedKey>, LogError> {
    let until = Instant::now() + deadline;
    let partitions: Vec<TopicPartition> =
        (0..partitions).map(|partition| TopicPartition::new(topic, partition)).collect();
    let latest = OffsetSpec::Latest(Isolation::ReadCommitted);
    let asked: Vec<_> = partitions.iter().map(|partition| (partition.clone(), latest)).collect();
    let ends = log.topics()?.offsets(&asked)?;
    let mut tail = Tail::open(log, "kappa-parked".to_owned(), partitions)?;
    tail.aim(&ends)?;
    // Only what tells of keys is kept, not the records.
    let mut heads: BTreeMap<i32, BTreeMap<Vec<u8>, Vec<u8>>> = BTreeMap::new();
    while !tail.reached() {
        if Instant::now() >= until {
            return Err(LogError::Timeout { operation: "reading the parking topic", deadline });
        }
        tail.poll(POLL_RECORDS, POLL_WAIT, |partition, record: RecordView<'_>| {
            let heads = heads.entry(partition.partition).or_default();
            match (record.key.filter(|key| matches!(parts(key), Some((_, _, 0)))), record.value) {
                (Some(key), Some(row)) => drop(heads.insert(key.to_vec(), row.to_vec())),
                (Some(key), None) => drop(heads.remove(key)),
                (None, _) => {}
            }
            Ok::<(), LogError>(())
        })?;
    }
    tail.close(CLOSE_DEADLINE)?;
    let mut keys = Vec::new();
    for (partition, heads) in heads {
        let parked = parked_keys(heads.iter().map(|(key, row)| (&**key, &**row))).map_err(|error| LogError::Fatal {
            operation: "reading the parking topic",
            reason: format!("{topic}, partition {partition}: {error}; is this program older than the application?"),
        });
        keys.extend(parked?);
    }
    Ok(keys)
}

/// Writes commands to a control topic (`<application id>-<sub-topology>-control`), each to the partition where its key is parked. When
/// this returns they are in the topic; the application takes them when it comes to them.
pub fn send_commands(
    log: &SharedLog,
    topic: &str,
    commands: &[(i32, ParkingCommand)],
    deadline: Duration,
) -> Result<(), LogError> {
    let mut client = log.append(AppendOptions {
        client_id: "kappa-parked".to_owned(),
        transactional_id: None,
        transaction_timeout: deadline,
        linger: Duration::ZERO,
        buffer_bytes: 1 << 20,
    })?;
    let handle = client.topic(topic, false)?;
    let mut batch = AppendBatch::default();
    for (partition, command) in commands {
        batch.push(handle, *partition, 0, None, Some(&command.to_bytes()), Headers::empty());
    }
    client.append(&batch)?;
    client.flush(deadline)?;
    client.close(CLOSE_DEADLINE)
}
