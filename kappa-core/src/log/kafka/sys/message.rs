//! Batches of fetched messages.
//!
//! **Invariants:** a batch owns its messages: each is destroyed once, before the batch lets go of the
//! client that they point into. An entry is null where its message was moved to another batch.

use super::layout::{self, InnerMessage};
use super::{Client, Code, Queue, millis, text_of};
use crate::log::{Header, Headers};
use rdkafka::bindings as ffi;
use std::ffi::{c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

/// `rd_kafka_message_t` with its error as a number.
#[repr(C)]
pub(super) struct RawMessage {
    pub(super) err: c_int,
    pub(super) rkt: *mut ffi::rd_kafka_topic_t,
    pub(super) partition: i32,
    pub(super) payload: *mut c_void,
    pub(super) len: usize,
    pub(super) key: *mut c_void,
    pub(super) key_len: usize,
    pub(super) offset: i64,
    pub(super) private: *mut c_void,
}

const _: () = assert!(size_of::<RawMessage>() == size_of::<ffi::rd_kafka_message_t>());

/// What is known of a message without looking into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct MessageHead {
    pub(in super::super) code: Code,
    /// The topic handle's address: equal for messages of one topic while one of them is alive.
    pub(in super::super) topic_address: usize,
    pub(in super::super) partition: i32,
    pub(in super::super) offset: i64,
    /// Bytes of key and value.
    pub(in super::super) bytes: usize,
}

/// Fetched messages.
pub(in super::super) struct Batch {
    messages: Vec<*mut RawMessage>,
    /// Whether messages may be looked at as [`InnerMessage`].
    is_known: bool,
    client: Arc<Client>,
}

// SAFETY: messages may be read and destroyed from any thread; the batch is their only owner.
unsafe impl Send for Batch {}

impl Batch {
    /// An empty batch.
    pub(in super::super) fn new(client: Arc<Client>) -> Self {
        Self { messages: Vec::new(), is_known: layout::is_known(), client }
    }

    /// Adds up to `max` messages of a consumer's queue; waits until there are that many or `timeout` is over.
    pub(in super::super) fn fill(&mut self, queue: &Queue, max: usize, timeout: Duration) -> usize {
        debug_assert!(Arc::ptr_eq(&self.client, queue.client()));
        self.messages.reserve(max);
        // SAFETY: there is room for `max` pointers behind the length; librdkafka fills in the first `count`
        // of them with messages that are ours, and the length then covers these.
        unsafe {
            let room = self.messages.as_mut_ptr().add(self.messages.len());
            let count = ffi::rd_kafka_consume_batch_queue(queue.raw(), millis(timeout), room.cast(), max);
            let count = usize::try_from(count).unwrap_or(0).min(max);
            self.messages.set_len(self.messages.len() + count);
            count
        }
    }

    /// The number of entries.
    pub(in super::super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Exchanges two entries.
    pub(in super::super) fn swap(&mut self, a: usize, b: usize) {
        self.messages.swap(a, b);
    }

    /// Destroys the messages from `len` on.
    pub(in super::super) fn truncate(&mut self, len: usize) {
        for message in self.messages.drain(len..) {
            destroy(message);
        }
    }

    /// Moves one message to the end of another batch of the same client.
    pub(in super::super) fn move_to(&mut self, index: usize, other: &mut Batch) {
        debug_assert!(Arc::ptr_eq(&self.client, &other.client));
        other.messages.push(std::mem::replace(&mut self.messages[index], ptr::null_mut()));
    }

    /// Takes the first `count` messages out.
    pub(in super::super) fn take_front(&mut self, count: usize) -> Batch {
        let messages = self.messages.drain(..count).collect();
        Batch { messages, is_known: self.is_known, client: self.client.clone() }
    }

    /// What is known of a message without looking into it.
    pub(in super::super) fn head(&self, index: usize) -> MessageHead {
        self.message(index).head()
    }

    /// The name of a message's topic; empty where it has none.
    pub(in super::super) fn topic_name(&self, index: usize) -> String {
        self.message(index).topic_name()
    }

    /// The text of an entry that is an error.
    pub(in super::super) fn error_text(&self, index: usize) -> String {
        let message: *const RawMessage = self.message(index);
        // SAFETY: a live message; the text is copied.
        unsafe { text_of(ffi::rd_kafka_message_errstr(message.cast())) }
    }

    /// Key and value.
    pub(in super::super) fn bytes(&self, index: usize) -> (Option<&[u8]>, Option<&[u8]>) {
        let message = self.message(index);
        // SAFETY: librdkafka keeps these bytes until the message is destroyed, which needs `&mut self`.
        unsafe { (slice_of(message.key, message.key_len), slice_of(message.payload, message.len)) }
    }

    /// The timestamp, or -1.
    pub(in super::super) fn timestamp(&self, index: usize) -> i64 {
        if let Some(inner) = self.inner(index) {
            return if inner.message.err == 0 { inner.timestamp_ms } else { -1 };
        }
        let message: *const RawMessage = self.message(index);
        // SAFETY: a live message; a null type pointer is not allowed, so one is given.
        unsafe {
            let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
            ffi::rd_kafka_message_timestamp(message.cast(), &mut kind)
        }
    }

    /// The headers, parsed by librdkafka when first asked for.
    pub(in super::super) fn headers(&self, index: usize) -> Headers {
        if self.inner(index).is_some_and(InnerMessage::has_no_headers) {
            return Headers::empty();
        }
        let message: *const RawMessage = self.message(index);
        let mut headers = ptr::null_mut();
        // SAFETY: a live message, which keeps the headers. Parsing changes the message, so two threads must
        // not ask at once: the batch is not `Sync`.
        let code = unsafe { ffi::rd_kafka_message_headers(message.cast(), &mut headers) };
        if code != ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || headers.is_null() {
            return Headers::empty();
        }
        (0..).map_while(|index| header_at(headers, index)).collect()
    }

    /// All of a message, where its layout is known.
    fn inner(&self, index: usize) -> Option<&InnerMessage> {
        if !self.is_known {
            return None;
        }
        let message: *const RawMessage = self.messages[index];
        assert!(!message.is_null(), "a message that was moved away is not asked for");
        // SAFETY: every message of a queue is the first part of an `InnerMessage` in this release, with the
        // fields of a fetched message; alive until destroyed, which needs `&mut self`.
        Some(unsafe { &*message.cast::<InnerMessage>() })
    }

    fn message(&self, index: usize) -> &RawMessage {
        let message = NonNull::new(self.messages[index]).expect("a message that was moved away is not asked for");
        // SAFETY: alive until destroyed, which needs `&mut self`.
        unsafe { message.as_ref() }
    }
}

impl RawMessage {
    fn head(&self) -> MessageHead {
        MessageHead {
            code: Code(self.err),
            topic_address: self.rkt as usize,
            partition: self.partition,
            offset: self.offset,
            bytes: self.len + self.key_len,
        }
    }

    fn topic_name(&self) -> String {
        if self.rkt.is_null() {
            return String::new();
        }
        // SAFETY: the message keeps its topic alive; the name is copied.
        unsafe { text_of(ffi::rd_kafka_topic_name(self.rkt)) }
    }
}

/// Topic and head of a message that an event keeps.
///
/// # Safety
/// `message` is alive.
pub(super) unsafe fn describe(message: NonNull<RawMessage>) -> (String, MessageHead) {
    // SAFETY: promised by the caller.
    let message = unsafe { message.as_ref() };
    (message.topic_name(), message.head())
}

/// # Safety
/// `start` is null or points to `len` bytes that live as long as `'b`.
unsafe fn slice_of<'b>(start: *const c_void, len: usize) -> Option<&'b [u8]> {
    // SAFETY: promised by the caller.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

fn header_at(headers: *mut ffi::rd_kafka_headers_t, index: usize) -> Option<Header> {
    let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
    // SAFETY: the headers are alive (their message is); out pointers are valid; an index past the end is an error.
    unsafe {
        let code = ffi::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size);
        (code == ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR)
            .then(|| Header { name: text_of(name).into(), value: slice_of(value, size).map(Arc::from) })
    }
}

fn destroy(message: *mut RawMessage) {
    if !message.is_null() {
        // SAFETY: the batch owned it, and gives it back once.
        unsafe { ffi::rd_kafka_message_destroy(message.cast()) };
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("messages", &self.messages.len()).finish_non_exhaustive()
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.truncate(0);
    }
}
