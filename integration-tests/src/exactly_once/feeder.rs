//! Writes the input, at a pace, from a thread of its own.
//!
//! **Invariants:** the input topic holds every record once, in order: the appender is idempotent, and whatever it refuses fails the
//! test, since the oracle would be wrong.

use super::topology;
use super::workload::{InputRecord, Workload};
use kappa_core::log::{Append, AppendBatch, AppendOptions, Headers, LogError, SharedLog, TopicHandle};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(20);
/// Long enough for a broker to be killed, restarted, and found again.
const FLUSH: Duration = Duration::from_secs(110);
/// What may wait while a broker is away.
const BUFFER_BYTES: usize = 128 * 1024 * 1024;

/// Input being written.
#[derive(Debug)]
pub struct Feeder {
    fed: Arc<AtomicU64>,
    limit: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), LogError>>>,
}

impl Feeder {
    /// Begins to write `workload` to `topic`, `rate` records a second.
    ///
    /// # Panics
    /// Where the log can't be written to.
    pub fn start(log: &SharedLog, topic: &str, workload: Workload, rate: u64) -> Feeder {
        let (mut client, topic) =
            open(log, topic).unwrap_or_else(|error| panic!("the input can't be written: {error}"));
        let (fed, limit) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(workload.records)));
        let (count, bound) = (Arc::clone(&fed), Arc::clone(&limit));
        let thread = std::thread::spawn(move || {
            feed(&mut *client, topic, workload, rate, &count, &bound)?;
            client.close(Duration::from_secs(10))
        });
        Feeder { fed, limit, thread: Some(thread) }
    }

    /// Writes no more than that many records in all, until another limit is set.
    pub fn limit(&self, records: u64) {
        self.limit.store(records, Ordering::Relaxed);
    }

    /// Records handed over so far.
    pub fn fed(&self) -> u64 {
        self.fed.load(Ordering::Relaxed)
    }

    /// Whether everything is written.
    ///
    /// # Panics
    /// Where writing has failed.
    pub fn is_done(&mut self) -> bool {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(thread) = self.thread.take()
        {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => panic!("the input could not be written: {error}"),
                Err(_) => panic!("the feeder panicked (above)"),
            }
        }
        self.thread.is_none()
    }
}

fn open(log: &SharedLog, topic: &str) -> Result<(Box<dyn Append>, TopicHandle), LogError> {
    let mut client = log.append(AppendOptions {
        client_id: "feeder".into(),
        transactional_id: None,
        transaction_timeout: Duration::from_secs(60),
        linger: Duration::from_millis(5),
        buffer_bytes: BUFFER_BYTES,
    })?;
    let topic = client.topic(topic, false)?;
    Ok((client, topic))
}

fn feed(
    client: &mut dyn Append,
    topic: TopicHandle,
    workload: Workload,
    rate: u64,
    fed: &AtomicU64,
    limit: &AtomicU64,
) -> Result<(), LogError> {
    let mut last = Instant::now();
    // In millionths of a record.
    let mut due = 0;
    let mut records = workload.records().peekable();
    let mut batch = AppendBatch::default();
    while records.peek().is_some() {
        let limit = limit.load(Ordering::Relaxed);
        due = (due + last.elapsed().as_micros() as u64 * rate).min(limit.saturating_mul(1_000_000));
        last = Instant::now();
        while let Some(record) = records.next_if(|record| record.number < due / 1_000_000) {
            push(&mut batch, topic, &record)?;
        }
        let count = batch.entries.len() as u64;
        client.append(&batch)?;
        batch.clear();
        fed.fetch_add(count, Ordering::Relaxed);
        std::thread::sleep(STEP);
    }
    client.flush(FLUSH).map(drop)
}

fn push(batch: &mut AppendBatch, topic: TopicHandle, record: &InputRecord) -> Result<(), LogError> {
    let mut value = Vec::new();
    topology::encode(record.payment, &mut value)
        .map_err(|error| LogError::Fatal { operation: "encode a payment", reason: error.to_string() })?;
    let key = record.number.to_be_bytes();
    batch.push(topic, record.partition, record.timestamp_ms, Some(&key), Some(&value), Headers::empty());
    Ok(())
}
