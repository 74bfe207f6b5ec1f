//! Topics made, fed and read through the seam.
//!
//! Everything here panics with what the log said: a test can do nothing about it.

use kappa_core::log::{
    Append, AppendBatch, AppendOptions, Assignment, CleanupPolicy, FetchOptions, Headers, Isolation, OffsetSpec,
    PARTITION_BYTES_LEAN, SharedLog, Start, TopicHandle, TopicPartition, TopicSpec,
};
use kappa_test_broker::wait::{wait_for, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);

/// A Kafka cluster.
///
/// # Panics
/// When the settings are refused.
#[cfg(feature = "kafka")]
pub fn kafka(brokers: &str) -> SharedLog {
    use kappa_core::log::kafka::{KafkaLog, KafkaSettings};
    Arc::new(KafkaLog::connect(KafkaSettings::new(brokers)).expect("valid settings"))
}

/// Creates a topic that keeps everything.
///
/// # Panics
/// When it can't be created.
pub fn create_topic(log: &SharedLog, name: &str, partitions: i32) {
    let spec = TopicSpec {
        name: name.to_owned(),
        partitions,
        replication_factor: None,
        cleanup: CleanupPolicy::Delete,
        settings: vec![("retention.ms".into(), "-1".into())],
    };
    log.topics().and_then(|mut topics| topics.create(&spec)).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// A topic's partitions.
///
/// # Panics
/// When the topic is missing.
pub fn partitions(log: &SharedLog, topic: &str) -> Vec<TopicPartition> {
    let info = log.topics().and_then(|mut topics| topics.describe(topic)).expect("described").expect("it is there");
    (0..info.partitions).map(|partition| TopicPartition::new(topic, partition)).collect()
}

/// Each partition's high watermark, open transactions included.
///
/// # Panics
/// When the log does not answer.
pub fn ends(log: &SharedLog, partitions: &[TopicPartition]) -> Vec<i64> {
    let latest = |partition: &TopicPartition| (partition.clone(), OffsetSpec::Latest(Isolation::ReadUncommitted));
    let wanted: Vec<_> = partitions.iter().map(latest).collect();
    let answer = wait_for(DEADLINE, || log.topics().and_then(|mut topics| topics.offsets(&wanted)).ok());
    answer.expect("the log says where its partitions end")
}

/// Waits until the group has committed these offsets or later ones; false if it did not within the deadline.
pub fn wait_committed(
    log: &SharedLog,
    group: &str,
    partitions: &[TopicPartition],
    offsets: &[i64],
    deadline: Duration,
) -> bool {
    let Ok(mut reader) = log.group_offsets(group) else { return false };
    wait_until(deadline, || {
        let Ok(committed) = reader.committed(partitions, Duration::from_secs(1)) else { return false };
        committed.iter().zip(offsets).all(|(committed, wanted)| {
            *wanted == 0 || committed.as_ref().is_some_and(|committed| committed.offset >= *wanted)
        })
    })
}

/// A record as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms.
    pub timestamp_ms: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Headers,
}

/// All committed records up to the topic's present end (its high watermark), in the order of each partition.
///
/// # Panics
/// When that end is not reached within a minute: an open transaction holds readers up, say.
pub fn read_all(log: &SharedLog, topic: &str) -> Vec<Found> {
    let partitions = partitions(log, topic);
    let targets = ends(log, &partitions);
    let client_id = format!("{topic}-check");
    let options = FetchOptions {
        client_id,
        isolation: Isolation::ReadCommitted,
        buffer_bytes: 32 << 20,
        wait_max: Duration::from_millis(20),
        ahead_records: 10_000,
        partition_bytes: PARTITION_BYTES_LEAN,
    };
    let mut fetch = log.fetch(options).expect("a reader");
    let assignments: Vec<Assignment> = partitions
        .iter()
        .map(|partition| Assignment {
            partition: partition.clone(),
            start: Start::Earliest,
            token: partition.partition as u32,
        })
        .collect();
    fetch.assign(&assignments).expect("assigned");
    let mut reached = vec![0; partitions.len()];
    let mut found = Vec::new();
    let read = wait_until(DEADLINE, || {
        let polled = fetch.poll(10_000, Duration::from_millis(100)).expect("polled");
        if let Some(batch) = polled.batch {
            for run in batch.runs() {
                found.extend((run.start..run.end).map(|index| {
                    let (record, headers) = (batch.record(index as usize), batch.headers(index as usize));
                    Found {
                        partition: run.token as i32,
                        offset: record.offset,
                        timestamp_ms: record.timestamp_ms,
                        key: record.key.map(<[u8]>::to_vec),
                        value: record.value.map(<[u8]>::to_vec),
                        headers,
                    }
                }));
            }
        }
        assert!(polled.failures.is_empty(), "{:?}", polled.failures);
        polled.ends.iter().for_each(|end| reached[end.token as usize] = end.offset);
        reached.iter().zip(&targets).all(|(reached, target)| reached >= target)
    });
    assert!(read, "{topic} could not be read to its end: reached {reached:?} of {targets:?}");
    let _ = fetch.close(Duration::from_secs(5));
    found
}

/// Appends records outside transactions.
#[derive(Debug)]
pub struct Writer {
    append: Box<dyn Append>,
    topic: TopicHandle,
    batch: AppendBatch,
}

impl Writer {
    /// A writer to one topic.
    ///
    /// # Panics
    /// When the topic is missing; [`Writer::flush`] panics when the log does not take the records.
    pub fn open(log: &SharedLog, topic: &str) -> Writer {
        let options = AppendOptions {
            client_id: format!("{topic}-feeder"),
            transactional_id: None,
            transaction_timeout: DEADLINE,
            linger: Duration::from_millis(5),
            buffer_bytes: 16 << 20,
        };
        let mut append = log.append(options).expect("an appender");
        let topic = append.topic(topic, false).expect("the topic is there");
        Writer { append, topic, batch: AppendBatch::default() }
    }

    /// Adds a record.
    pub fn put(&mut self, partition: i32, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.batch.push(self.topic, partition, timestamp_ms, key, value, Headers::empty());
    }

    /// The same with headers.
    pub fn put_with(&mut self, partition: i32, key: &[u8], value: &[u8], headers: Headers) {
        self.batch.push(self.topic, partition, 1_000, Some(key), Some(value), headers);
    }

    /// Sends what was added, and waits until the log has it.
    pub fn flush(&mut self) {
        self.append.append(&self.batch).expect("appended");
        self.batch.clear();
        self.append.flush(DEADLINE).expect("acknowledged");
    }
}

/// Keeps records coming until it is stopped.
#[derive(Debug)]
pub struct Feeder {
    stop: Arc<AtomicBool>,
    fed: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Feeder {
    /// Calls `put` with 0, 1, 2, … about `per_second` times a second.
    ///
    /// # Panics
    /// When no thread can be started.
    pub fn start(mut writer: Writer, per_second: u64, put: impl Fn(&mut Writer, u64) + Send + 'static) -> Feeder {
        const BEAT: Duration = Duration::from_millis(20);
        let (stop, fed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (until, count) = (Arc::clone(&stop), Arc::clone(&fed));
        let each_beat = (per_second * BEAT.as_millis() as u64 / 1000).max(1);
        let feed = move || {
            while !until.load(Ordering::SeqCst) {
                let from = count.load(Ordering::SeqCst);
                (from..from + each_beat).for_each(|n| put(&mut writer, n));
                writer.flush();
                count.store(from + each_beat, Ordering::SeqCst);
                std::thread::sleep(BEAT);
            }
        };
        let thread = std::thread::Builder::new().name("feeder".into()).spawn(feed).expect("a thread");
        Feeder { stop, fed, thread: Some(thread) }
    }

    /// Records sent and acknowledged so far.
    pub fn fed(&self) -> u64 {
        self.fed.load(Ordering::SeqCst)
    }

    /// Stops; returns how many records there are.
    ///
    /// # Panics
    /// When feeding had failed.
    pub fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("fed to the end");
        }
        self.fed()
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
