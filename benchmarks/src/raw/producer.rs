//! Batch produce in transactions.

use super::{Batch, Offsets, RawError, client, text, words};
use rdkafka::bindings as rd;
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const OFFSETS_DEADLINE_MS: i32 = 10_000;
const COMMIT_DEADLINE_MS: i32 = 60_000;
/// librdkafka's `RD_KAFKA_PARTITION_UA`, not among the bindings: each message names its own.
const ANY_PARTITION: i32 = -1;
const EVENT_POLL_MS: i32 = 100;
const QUEUE_FULL_WAIT: Duration = Duration::from_millis(1);

/// A transactional producer in event mode: nothing waits on a timer.
#[derive(Debug)]
pub struct Producer {
    client: *mut rd::rd_kafka_t,
    stop: Arc<AtomicBool>,
    events: Option<JoinHandle<()>>,
}

impl Producer {
    /// Makes a producer.
    pub fn connect(brokers: &str, id: &str) -> Result<Self, RawError> {
        let settings = [
            ("bootstrap.servers", brokers),
            ("client.id", id),
            ("transactional.id", id),
            ("retry.backoff.ms", "1"),
            ("linger.ms", "50"),
            ("compression.codec", "lz4"),
            ("queue.buffering.max.messages", "500000"),
            ("delivery.report.only.error", "true"),
        ];
        let client = client(rd::rd_kafka_type_t::RD_KAFKA_PRODUCER, &settings, true)?;
        // SAFETY: the client is alive.
        let queue = MainQueue(unsafe { rd::rd_kafka_queue_get_main(client) });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let events = std::thread::spawn(move || serve(queue, &stopped));
        Ok(Self { client, stop, events: Some(events) })
    }

    /// Keeps a topic at hand.
    pub fn topic(&self, name: &str) -> Result<OutputTopic<'_>, RawError> {
        let c_name = text(name)?;
        // SAFETY: client and name are alive; a null configuration is the default one.
        let topic = unsafe { rd::rd_kafka_topic_new(self.client, c_name.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            return Err(RawError::new("rd_kafka_topic_new", name));
        }
        Ok(OutputTopic { topic, client: PhantomData })
    }

    /// Takes the transactional id over.
    pub fn init(&self, deadline: Duration) -> Result<(), RawError> {
        // SAFETY: the client is alive; the error is owned by `outcome`.
        unsafe { outcome("init", rd::rd_kafka_init_transactions(self.client, deadline.as_millis() as i32)) }
    }

    /// Begins a transaction.
    pub fn begin(&self) -> Result<(), RawError> {
        // SAFETY: as in `init`.
        unsafe { outcome("begin", rd::rd_kafka_begin_transaction(self.client)) }
    }

    /// Makes offsets of all partitions of a topic part of the transaction, for a group without members.
    pub fn send_offsets(&self, group: &str, topic: &str, offsets: &[i64]) -> Result<(), RawError> {
        let (group, offsets) = (text(group)?, Offsets::new(topic, offsets)?);
        // SAFETY: all that is passed is alive; the metadata is freed after the call.
        unsafe {
            let metadata = rd::rd_kafka_consumer_group_metadata_new(group.as_ptr());
            let error = rd::rd_kafka_send_offsets_to_transaction(self.client, offsets.0, metadata, OFFSETS_DEADLINE_MS);
            rd::rd_kafka_consumer_group_metadata_destroy(metadata);
            outcome("send offsets", error)
        }
    }

    /// Commits.
    pub fn commit(&self) -> Result<(), RawError> {
        // SAFETY: as in `init`.
        unsafe { outcome("commit", rd::rd_kafka_commit_transaction(self.client, COMMIT_DEADLINE_MS)) }
    }

    /// Writes a batch's records to the partitions they came from.
    pub fn pass_on(&self, topic: &OutputTopic<'_>, batch: &Batch<'_>) -> Result<(), RawError> {
        let mut messages: Vec<rd::rd_kafka_message_t> = batch
            .raw_records()
            .map(|record| {
                // SAFETY: the structure is plain data, for which zero is a valid value in every field.
                let mut message: rd::rd_kafka_message_t = unsafe { mem::zeroed() };
                message.partition = record.partition;
                (message.key, message.key_len) = (record.key, record.key_len);
                (message.payload, message.len) = (record.payload, record.len);
                message
            })
            .collect();
        while !messages.is_empty() {
            // SAFETY: the array is as long as said; keys and values live in `batch` and are copied by the call.
            let taken = unsafe {
                rd::rd_kafka_produce_batch(
                    topic.topic,
                    ANY_PARTITION,
                    rd::RD_KAFKA_MSG_F_COPY | rd::RD_KAFKA_MSG_F_PARTITION,
                    messages.as_mut_ptr(),
                    messages.len() as i32,
                )
            };
            if taken as usize == messages.len() {
                return Ok(());
            }
            messages.retain(|message| message.err != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR);
            let full = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL;
            messages
                .iter()
                .filter(|message| message.err != full)
                .try_for_each(|message| super::check("produce", message.err))?;
            std::thread::sleep(QUEUE_FULL_WAIT);
        }
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.events.take().is_some_and(|events| events.join().is_err()) {
            eprintln!("the producer's event thread panicked");
        }
        // SAFETY: made in `connect`, freed once; topics borrow the producer, and the queue's thread has ended.
        unsafe { rd::rd_kafka_destroy(self.client) }
    }
}

/// A topic of a producer's.
#[derive(Debug)]
pub struct OutputTopic<'p> {
    topic: *mut rd::rd_kafka_topic_t,
    client: PhantomData<&'p Producer>,
}

impl Drop for OutputTopic<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `Producer::topic`, freed once, before its client.
        unsafe { rd::rd_kafka_topic_destroy(self.topic) }
    }
}

struct MainQueue(*mut rd::rd_kafka_queue_t);

// SAFETY: librdkafka's queues may be used from any thread, and this one moves to a single other thread.
unsafe impl Send for MainQueue {}

/// Serves events until told to stop. Refused records make the commit fail, so here they are only told.
fn serve(queue: MainQueue, stop: &AtomicBool) {
    let MainQueue(queue) = queue;
    while !stop.load(Ordering::Relaxed) {
        // SAFETY: the queue is alive until destroyed below; an event is freed once, after its string was copied.
        unsafe {
            let event = rd::rd_kafka_queue_poll(queue, EVENT_POLL_MS);
            if event.is_null() {
                continue;
            }
            if rd::rd_kafka_event_error(event) != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                eprintln!("producer: {}", words(rd::rd_kafka_event_error_string(event)));
            }
            rd::rd_kafka_event_destroy(event);
        }
    }
    // SAFETY: this thread's own reference, given back once.
    unsafe { rd::rd_kafka_queue_destroy(queue) }
}

/// # Safety
/// `error` must be null or an error that nobody else frees.
unsafe fn outcome(call: &str, error: *mut rd::rd_kafka_error_t) -> Result<(), RawError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: the error is alive until destroyed here.
    unsafe {
        let reason = words(rd::rd_kafka_error_string(error));
        rd::rd_kafka_error_destroy(error);
        Err(RawError::new(call, reason))
    }
}
