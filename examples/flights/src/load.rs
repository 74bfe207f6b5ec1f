//! Brings the records into the log: what is past at once, what is to come bit by bit.

use crate::app::{Airport, Flight};
use crate::data::{DataError, timestamp_ms};
use crate::names::Names;
use kappa_core::log::{Append, AppendBatch, AppendOptions, CleanupPolicy, Headers, SharedLog, TopicHandle, TopicSpec};
use kappa_core::partitioner;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Partitions of both topics: joined topics have equally many.
pub const PARTITIONS: i32 = 4;

const DEADLINE: Duration = Duration::from_secs(30);
const BATCH_RECORDS: usize = 5_000;
/// A quarter of a year: how far each repetition of the history is moved on.
const QUARTER_MS: i64 = 91 * 86_400_000;

/// Creates the two topics.
pub fn create_topics(log: &SharedLog, names: &Names) -> Result<(), DataError> {
    let mut topics = log.topics()?;
    for (name, cleanup) in [(&names.flights, CleanupPolicy::Delete), (&names.airports, CleanupPolicy::Compact)] {
        // Flights of 2001 must not be taken for outdated records.
        let settings = match cleanup {
            CleanupPolicy::Delete => vec![("retention.ms".to_owned(), "-1".to_owned())],
            CleanupPolicy::Compact | CleanupPolicy::CompactDelete => vec![],
        };
        let name = name.clone();
        topics.create(&TopicSpec { name, partitions: PARTITIONS, replication_factor: None, cleanup, settings })?;
    }
    Ok(())
}

/// Writes records to one topic.
struct Writer {
    append: Box<dyn Append>,
    topic: TopicHandle,
    batch: AppendBatch,
}

impl Writer {
    fn open(log: &SharedLog, topic: &str) -> Result<Self, DataError> {
        let mut append = log.append(AppendOptions {
            client_id: format!("{topic}-loader"),
            transactional_id: None,
            transaction_timeout: Duration::from_secs(60),
            linger: Duration::from_millis(20),
            buffer_bytes: 16 << 20,
        })?;
        let topic = append.topic(topic, false)?;
        Ok(Self { append, topic, batch: AppendBatch::default() })
    }

    fn put(&mut self, key: &str, value: &impl Serialize, timestamp_ms: i64) -> Result<(), DataError> {
        let partition = partitioner::partition(key.as_bytes(), PARTITIONS);
        let value = serde_json::to_vec(value)?;
        let key = Some(key.as_bytes());
        self.batch.push(self.topic, partition, timestamp_ms, key, Some(&value), Headers::empty());
        if self.batch.entries.len() >= BATCH_RECORDS { self.flush() } else { Ok(()) }
    }

    fn put_flight(&mut self, flight: &Flight, moved_ms: i64) -> Result<(), DataError> {
        let at = timestamp_ms(&flight.date).ok_or_else(|| format!("no date: {}", flight.date))?;
        self.put(&format!("{}-{}", flight.origin, flight.destination), flight, at + moved_ms)
    }

    fn flush(&mut self) -> Result<(), DataError> {
        self.append.append(&self.batch)?;
        self.batch.clear();
        self.append.flush(DEADLINE)?;
        Ok(())
    }
}

/// Loads all airports, and the flights `rounds` times over, each time a quarter of a year later.
pub fn history(
    log: &SharedLog,
    names: &Names,
    airports: &[Airport],
    flights: &[Flight],
    rounds: i64,
) -> Result<(), DataError> {
    let mut writer = Writer::open(log, &names.airports)?;
    for airport in airports {
        writer.put(&airport.iata, airport, 0)?;
    }
    writer.flush()?;
    let mut writer = Writer::open(log, &names.flights)?;
    for round in 0..rounds {
        for flight in flights {
            writer.put_flight(flight, round * QUARTER_MS)?;
        }
    }
    writer.flush()
}

/// Keeps flights coming until it is stopped.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), DataError>>,
}

impl Feeder {
    /// Sends `per_second` of these flights, after `rounds` rounds of history; from the first again after the last.
    pub fn start(
        log: &SharedLog,
        names: &Names,
        flights: Vec<Flight>,
        rounds: i64,
        per_second: u64,
    ) -> Result<Self, DataError> {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut writer = Writer::open(log, &names.flights)?;
        let (until, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let body = move || {
            let mut coming = flights.iter().cycle();
            while !until.load(Ordering::Relaxed) {
                for flight in coming.by_ref().take((per_second / 10).max(1) as usize) {
                    writer.put_flight(flight, (rounds - 1) * QUARTER_MS)?;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                writer.flush()?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        };
        let thread = std::thread::Builder::new().name("feeder".into()).spawn(body)?;
        Ok(Self { stop, sent, thread })
    }

    /// Ends; returns how many flights were sent.
    pub fn stop(self) -> Result<u64, DataError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the feeder panicked")??;
        Ok(self.sent.load(Ordering::Relaxed))
    }
}
