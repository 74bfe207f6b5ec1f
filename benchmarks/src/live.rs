//! A query on live records: an open loop of bids, and a reader that notes when each committed result came.

use crate::cluster::{Cluster, ClusterError};
use crate::loader::{LoadError, Writer};
use crate::nexmark::{Bid, Format};
use crate::raw::{Batch, Consumer, RawError};
use crate::synthetic::Synthetic;
use kappa_core::partitioner;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const BATCH_RECORDS: usize = 10_000;
/// A batch call waits for so long even when records are there, so this is what it may add to a latency.
const POLL: Duration = Duration::from_millis(1);
/// Bids of a few keys more than come between two commits many times over, so that few repeat within one.
const KEYS: u64 = 1_000_000;

/// Why there is nothing to observe.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A bid could not be sent.
    #[error("the feed: {0}")]
    Feed(#[from] LoadError),
    /// A bid could not be encoded.
    #[error("the feed: {0}")]
    Encode(#[from] serde_json::Error),
    /// Results could not be read.
    #[error("the reader of results: {0}")]
    Read(#[from] RawError),
    /// A thread panicked.
    #[error("a thread of the bench panicked")]
    Panicked,
}

/// Milliseconds since 1970.
pub fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64() * 1e3
}

/// Sends bid n as JSON at n / rate seconds after its start, however the application keeps up; the record's timestamp is the
/// moment it was due.
#[derive(Debug)]
pub struct Feed {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<f64, LiveError>>,
}

impl Feed {
    /// Begins.
    pub fn start(cluster: &Cluster, topic: &str, rate: u32) -> Result<Self, LiveError> {
        let partitions = cluster.extents(topic)?.len() as i32;
        let writer = Writer::connect(cluster.brokers(), 0)?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic) = (Arc::clone(&stop), topic.to_owned());
        let thread = std::thread::spawn(move || feed(writer, &topic, partitions, rate, &stopped));
        Ok(Self { stop, thread })
    }

    /// Ends; how late the latest bid was sent, ms: a feed that is late itself makes figures too low.
    pub fn stop(self) -> Result<f64, LiveError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| LiveError::Panicked)?
    }
}

fn feed(writer: Writer, topic: &str, partitions: i32, rate: u32, stop: &AtomicBool) -> Result<f64, LiveError> {
    let bids = Synthetic { keys: KEYS, bytes: 250, records: u64::MAX };
    let (start, start_ms) = (Instant::now(), now_ms());
    let (mut latest, mut value) = (Duration::ZERO, Vec::new());
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due = Duration::from_nanos(n * 1_000_000_000 / u64::from(rate));
        let now = start.elapsed();
        match due.checked_sub(now) {
            Some(early) => {
                writer.poll();
                std::thread::sleep(early);
            }
            None => latest = latest.max(now - due),
        }
        let due_ms = start_ms as i64 + due.as_millis() as i64;
        let bid = Bid { date_time: due_ms, ..bids.bid(n, Format::Json) };
        value.clear();
        serde_json::to_writer(&mut value, &bid)?;
        let key = bid.auction.to_be_bytes();
        writer.write(topic, partitioner::partition(&key, partitions), due_ms, &key, &value)?;
    }
    writer.finish()?;
    Ok(latest.as_secs_f64() * 1e3)
}

/// A committed result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Its partition.
    pub partition: i32,
    /// When the newest bid behind it was due, ms since 1970.
    pub due_ms: i64,
    /// When it was read, ms since 1970.
    pub at_ms: f64,
}

/// Reads committed results as they come, until dropped. What it has seen is kept: as much as the feed sends.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Seen>>>,
    thread: Option<JoinHandle<Result<(), LiveError>>>,
}

impl Watch {
    /// Of a topic that is still empty.
    pub fn start(cluster: &Cluster, topic: &str) -> Result<Self, LiveError> {
        let starts: Vec<i64> = cluster.extents(topic)?.iter().map(|extent| extent.start).collect();
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stopped, found) = (Arc::clone(&stop), Arc::clone(&seen));
        let (brokers, topic) = (cluster.brokers().to_owned(), topic.to_owned());
        let thread = std::thread::spawn(move || watch(&brokers, &topic, &starts, &stopped, &found));
        Ok(Self { stop, seen, thread: Some(thread) })
    }

    /// What has been seen from the `from`th on.
    pub fn since(&self, from: usize) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(from..).unwrap_or_default().to_vec()
    }

    /// Ends; all that has been seen.
    pub fn stop(mut self) -> Result<Vec<Seen>, LiveError> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| LiveError::Panicked)??;
        }
        Ok(self.since(0))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn watch(
    brokers: &str,
    topic: &str,
    starts: &[i64],
    stop: &AtomicBool,
    seen: &Mutex<Vec<Seen>>,
) -> Result<(), LiveError> {
    let settings = [("fetch.wait.max.ms", "10"), ("fetch.queue.backoff.ms", "1")];
    let consumer = Consumer::connect(brokers, "kappa-bench-watch", &settings)?;
    consumer.assign(topic, starts)?;
    let mut batch = Batch::with_capacity(BATCH_RECORDS);
    while !stop.load(Ordering::Relaxed) {
        consumer.poll(&mut batch, POLL)?;
        let at_ms = now_ms();
        let records = batch.records();
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(records.map(|record| Seen { partition: record.partition, due_ms: record.timestamp_ms, at_ms }));
    }
    Ok(())
}
