//! Loads the generated events into the input topics of one format, replacing those topics.

use crate::cluster::{Cluster, ClusterError};
use crate::nexmark::{Format, Generator, Kind};
use crate::stats::Mark;
use kappa_core::codec::CodecError;
use kappa_core::partitioner;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Mutex;
use std::time::Duration;

const FLUSH_DEADLINE: Duration = Duration::from_secs(60);
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(20);
const THROUGHPUT_LINGER_MS: u32 = 50;
/// Delivery reports are looked at each so many records.
const POLL_EVERY: u64 = 1024;

/// What to load.
#[derive(Debug, Clone)]
pub struct Load {
    /// The encoding.
    pub format: Format,
    /// How many events, of all kinds.
    pub events: u64,
    /// The generator's seed.
    pub seed: u64,
    /// Partitions of each topic.
    pub partitions: i32,
    /// The kinds of events to load, each with its topic.
    pub topics: Vec<(Kind, String)>,
}

/// What a load did.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Loaded {
    /// Records written.
    pub records: u64,
    /// Bytes of their values.
    pub value_bytes: u64,
    /// How long it took.
    pub wall_s: f64,
    /// CPU seconds it took.
    pub cpu_s: f64,
}

/// Why a load failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The topics could not be replaced.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// An event could not be encoded.
    #[error("event {event}: {source}")]
    Codec {
        /// The event's number.
        event: u64,
        /// Why.
        source: CodecError,
    },
    /// A record could not be written.
    #[error("write to {topic}: {source}")]
    Write {
        /// The topic.
        topic: String,
        /// Why.
        source: KafkaError,
    },
}

/// Loads.
pub fn load(cluster: &Cluster, load: &Load) -> Result<Loaded, LoadError> {
    let topics = &load.topics;
    for (_, topic) in topics {
        cluster.delete(&[topic])?;
        cluster.create(topic, load.partitions)?;
    }
    let writer = Writer::connect(cluster.brokers(), THROUGHPUT_LINGER_MS)?;
    let generator = Generator::new(load.seed);
    let start = Mark::now();
    let (mut records, mut value_bytes) = (0, 0);
    let mut value = Vec::new();
    for i in 0..load.events {
        let Some((_, topic)) = topics.iter().find(|(kind, _)| *kind == Kind::of(i)) else { continue };
        let event = generator.event(i);
        value.clear();
        load.format.encode(&event, &mut value).map_err(|source| LoadError::Codec { event: i, source })?;
        let key = event.key().to_be_bytes();
        writer.write(topic, partitioner::partition(&key, load.partitions), event.time_ms(), &key, &value)?;
        records += 1;
        value_bytes += value.len() as u64;
        if records % POLL_EVERY == 0 {
            writer.poll();
        }
    }
    writer.finish()?;
    Ok(Loaded { records, value_bytes, wall_s: start.wall_seconds(), cpu_s: start.cpu_seconds() })
}

/// Replaces one topic by records that `each` makes: it appends a value and says key and time.
pub fn load_topic(
    cluster: &Cluster,
    topic: &str,
    partitions: i32,
    records: impl Iterator<Item = u64>,
    mut each: impl FnMut(u64, &mut Vec<u8>) -> Result<(i64, i64), CodecError>,
) -> Result<Loaded, LoadError> {
    cluster.delete(&[topic])?;
    cluster.create(topic, partitions)?;
    let writer = Writer::connect(cluster.brokers(), THROUGHPUT_LINGER_MS)?;
    let start = Mark::now();
    let mut value = Vec::new();
    let (mut count, mut value_bytes) = (0, 0);
    for i in records {
        value.clear();
        let (key, time_ms) = each(i, &mut value).map_err(|source| LoadError::Codec { event: i, source })?;
        let key = key.to_be_bytes();
        writer.write(topic, partitioner::partition(&key, partitions), time_ms, &key, &value)?;
        count += 1;
        value_bytes += value.len() as u64;
        if count % POLL_EVERY == 0 {
            writer.poll();
        }
    }
    writer.finish()?;
    Ok(Loaded { records: count, value_bytes, wall_s: start.wall_seconds(), cpu_s: start.cpu_seconds() })
}

/// The kinds of events, for a load of everything.
pub const ALL_KINDS: [Kind; 3] = [Kind::Person, Kind::Auction, Kind::Bid];

/// Writes records one by one.
pub(crate) struct Writer {
    producer: BaseProducer<FirstFailure>,
}

impl Writer {
    /// A writer that waits at most so long for more records to send together.
    pub(crate) fn connect(brokers: &str, linger_ms: u32) -> Result<Self, LoadError> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("client.id", "kappa-bench-loader")
            .set("enable.idempotence", "true")
            .set("compression.codec", "lz4")
            .set("linger.ms", linger_ms.to_string())
            .set("batch.size", "1000000")
            .set("queue.buffering.max.messages", "500000")
            .set("delivery.report.only.error", "true")
            .create_with_context(FirstFailure::default())
            .map_err(|source| LoadError::Write { topic: brokers.to_owned(), source })?;
        Ok(Self { producer })
    }

    /// Serves delivery reports that are there.
    pub(crate) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Hands a record over, waiting for room.
    pub(crate) fn write(
        &self,
        topic: &str,
        partition: i32,
        time_ms: i64,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), LoadError> {
        let mut record = BaseRecord::to(topic).partition(partition).timestamp(time_ms).key(key).payload(value);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(QUEUE_FULL_WAIT);
                    self.failure()?;
                }
                Err((source, _)) => return Err(LoadError::Write { topic: topic.to_owned(), source }),
            }
        }
    }

    /// Waits until all records are written.
    pub(crate) fn finish(self) -> Result<(), LoadError> {
        let flushed = self.producer.flush(FLUSH_DEADLINE);
        self.failure()?;
        flushed.map_err(|source| LoadError::Write { topic: "the input topics".to_owned(), source })
    }

    fn failure(&self) -> Result<(), LoadError> {
        match self.producer.context().take() {
            Some((topic, source)) => Err(LoadError::Write { topic, source }),
            None => Ok(()),
        }
    }
}

/// Remembers the first record that was not taken.
#[derive(Default)]
struct FirstFailure(Mutex<Option<(String, KafkaError)>>);

impl FirstFailure {
    fn take(&self) -> Option<(String, KafkaError)> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl ClientContext for FirstFailure {}

impl ProducerContext for FirstFailure {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let mut first = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            first.get_or_insert_with(|| (rdkafka::Message::topic(message).to_owned(), error.clone()));
        }
    }
}
