//! Batch consume.

use super::{Offsets, RawError, check, client};
use rdkafka::bindings as rd;
use std::marker::PhantomData;
use std::time::Duration;

/// A read_committed reader of partitions it is told to read.
#[derive(Debug)]
pub struct Consumer {
    client: *mut rd::rd_kafka_t,
    queue: *mut rd::rd_kafka_queue_t,
}

impl Consumer {
    /// Makes a reader; `settings` go over its own.
    pub fn connect(brokers: &str, id: &str, settings: &[(&str, &str)]) -> Result<Self, RawError> {
        let mut all = vec![
            ("bootstrap.servers", brokers),
            ("client.id", id),
            ("group.id", id),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("isolation.level", "read_committed"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "error"),
        ];
        all.extend_from_slice(settings);
        let client = client(rd::rd_kafka_type_t::RD_KAFKA_CONSUMER, &all, false)?;
        // SAFETY: the client is alive.
        unsafe {
            rd::rd_kafka_poll_set_consumer(client);
            Ok(Self { client, queue: rd::rd_kafka_queue_get_consumer(client) })
        }
    }

    /// Reads all partitions of a topic from these offsets.
    pub fn assign(&self, topic: &str, starts: &[i64]) -> Result<(), RawError> {
        let offsets = Offsets::new(topic, starts)?;
        // SAFETY: client and list are alive; the list is copied.
        check("rd_kafka_assign", unsafe { rd::rd_kafka_assign(self.client, offsets.0) })
    }

    /// Fills the batch with what is there, waiting for the first message at most `timeout`.
    pub fn poll<'c>(&'c self, batch: &mut Batch<'c>, timeout: Duration) -> Result<(), RawError> {
        batch.clear();
        let capacity = batch.messages.capacity();
        // SAFETY: the vector has room for `capacity` pointers, and the call says how many it wrote.
        unsafe {
            let came = rd::rd_kafka_consume_batch_queue(
                self.queue,
                timeout.as_millis() as i32,
                batch.messages.as_mut_ptr(),
                capacity,
            );
            batch.messages.set_len(usize::try_from(came).unwrap_or(0));
        }
        batch.check()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // SAFETY: both were made in `connect` and are freed once, the queue first.
        unsafe {
            rd::rd_kafka_consumer_close(self.client);
            rd::rd_kafka_queue_destroy(self.queue);
            rd::rd_kafka_destroy(self.client);
        }
    }
}

/// One record; key and value lie in its batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'b> {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, ms; -1 where it has none.
    pub timestamp_ms: i64,
    /// Its key; `None` is Kafka's null.
    pub key: Option<&'b [u8]>,
    /// Its value; `None` is Kafka's null.
    pub value: Option<&'b [u8]>,
}

/// The end of a partition was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The partition.
    pub partition: i32,
    /// Where its next record will be at the earliest.
    pub offset: i64,
}

/// Messages as they came; used again and again.
#[derive(Debug)]
pub struct Batch<'c> {
    messages: Vec<*mut rd::rd_kafka_message_t>,
    client: PhantomData<&'c Consumer>,
}

impl Batch<'_> {
    /// An empty batch for at most so many messages.
    pub fn with_capacity(messages: usize) -> Self {
        Self { messages: Vec::with_capacity(messages), client: PhantomData }
    }

    /// Whether nothing came.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// The records, in the order of delivery.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.raw().filter(|message| message.err == OK).map(|message| Record {
            partition: message.partition,
            offset: message.offset,
            // SAFETY: the message is alive; a null type is not asked for.
            timestamp_ms: unsafe { rd::rd_kafka_message_timestamp(message, std::ptr::null_mut()) },
            // SAFETY: pointers and lengths are those of a message that is alive as long as `self` is borrowed.
            key: unsafe { slice(message.key, message.key_len) },
            // SAFETY: likewise.
            value: unsafe { slice(message.payload, message.len) },
        })
    }

    /// The ends reached.
    pub fn ends(&self) -> impl Iterator<Item = End> {
        self.raw()
            .filter(|message| message.err == END)
            .map(|message| End { partition: message.partition, offset: message.offset })
    }

    pub(super) fn raw_records(&self) -> impl Iterator<Item = &rd::rd_kafka_message_t> {
        self.raw().filter(|message| message.err == OK)
    }

    fn raw(&self) -> impl Iterator<Item = &rd::rd_kafka_message_t> {
        // SAFETY: the messages live until the batch is cleared, which needs it unborrowed.
        self.messages.iter().map(|message| unsafe { &**message })
    }

    fn check(&self) -> Result<(), RawError> {
        self.raw().filter(|message| message.err != END).try_for_each(|message| check("consume", message.err))
    }

    fn clear(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: each came from the client and is freed once.
            unsafe { rd::rd_kafka_message_destroy(message) }
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

const OK: rd::rd_kafka_resp_err_t = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
const END: rd::rd_kafka_resp_err_t = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF;

/// # Safety
/// `bytes` must be null or point at `length` bytes that live as long as `'b`.
unsafe fn slice<'b>(bytes: *const std::ffi::c_void, length: usize) -> Option<&'b [u8]> {
    // SAFETY: as the caller promises.
    (!bytes.is_null()).then(|| unsafe { std::slice::from_raw_parts(bytes.cast(), length) })
}
