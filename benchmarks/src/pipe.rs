//! The floor: bids from topic to topic in exactly-once transactions, by librdkafka's batch calls alone.
//!
//! Nothing is decoded, no group is joined, keys stay in their partitions. Timestamps are not carried: the
//! batch call has no place for them.

use crate::cluster::{Cluster, ClusterError};
use crate::raw::{Batch, Consumer, OutputTopic, Producer, RawError};
use crate::stats::{self, Cost, Mark};
use std::time::{Duration, Instant};

const BATCH_RECORDS: usize = 10_000;
const POLL: Duration = Duration::from_millis(50);
const INIT_DEADLINE: Duration = Duration::from_secs(30);

/// A run of the pipe.
#[derive(Debug, Clone)]
pub struct Pipe<'a> {
    /// Where to read, one topic after the other.
    pub inputs: &'a [&'a str],
    /// Where to write; it must exist with as many partitions.
    pub output: &'a str,
    /// Transactional id, and the group whose offsets are committed.
    pub id: &'a str,
    /// A transaction lasts so long.
    pub commit_interval: Duration,
}

/// Why the pipe broke.
#[derive(Debug, thiserror::Error)]
pub enum PipeError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The client failed.
    #[error("pipe: {0}")]
    Client(#[from] RawError),
}

/// Runs until the input's present end.
pub fn run(cluster: &Cluster, pipe: &Pipe<'_>) -> Result<Cost, PipeError> {
    let cost = flow(cluster, pipe)?;
    Ok(Cost { cpu_total_s: stats::cpu_seconds(), ..cost })
}

/// The same, but the clients' closing is not counted yet.
fn flow(cluster: &Cluster, pipe: &Pipe<'_>) -> Result<Cost, PipeError> {
    let producer = Producer::connect(cluster.brokers(), pipe.id)?;
    let output = producer.topic(pipe.output)?;
    producer.init(INIT_DEADLINE)?;
    let consumer = Consumer::connect(cluster.brokers(), pipe.id, FETCH_SETTINGS)?;
    let start = Mark::now();
    let mut records = 0;
    for input in pipe.inputs {
        records += pass_on(cluster, pipe, input, (&consumer, &producer, &output))?;
    }
    Ok(Cost {
        input_records: records,
        wall_s: start.wall_seconds(),
        cpu_s: start.cpu_seconds(),
        cpu_total_s: 0.0,
        start_cpu_s: start.cpu_before(),
        restoring_s: 0.0,
        peak_rss_mib: stats::peak_rss_mib().unwrap_or_default(),
        threads: stats::threads().unwrap_or_default(),
    })
}

fn pass_on(
    cluster: &Cluster,
    pipe: &Pipe<'_>,
    input: &str,
    clients: (&Consumer, &Producer, &OutputTopic<'_>),
) -> Result<u64, PipeError> {
    let (consumer, producer, output) = clients;
    let extents = cluster.extents(input)?;
    let mut positions: Vec<i64> = extents.iter().map(|extent| extent.start).collect();
    consumer.assign(input, &positions)?;
    let mut batch = Batch::with_capacity(BATCH_RECORDS);
    let mut records = 0;
    let drained = |positions: &[i64]| positions.iter().zip(&extents).all(|(at, extent)| *at >= extent.end);
    while !drained(&positions) {
        producer.begin()?;
        let until = Instant::now() + pipe.commit_interval;
        while Instant::now() < until && !drained(&positions) {
            consumer.poll(&mut batch, POLL)?;
            for record in batch.records() {
                positions[record.partition as usize] = record.offset + 1;
                records += 1;
            }
            for end in batch.ends() {
                positions[end.partition as usize] = end.offset;
            }
            producer.pass_on(output, &batch)?;
        }
        producer.send_offsets(pipe.id, input, &positions)?;
        producer.commit()?;
    }
    Ok(records)
}

/// The best found for a pipe: an eager fetcher that does not hoard.
pub const FETCH_SETTINGS: &[(&str, &str)] = &[("fetch.queue.backoff.ms", "5"), ("queued.min.messages", "10000")];
