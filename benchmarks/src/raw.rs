//! The few raw librdkafka calls that the floor is measured with: batch consume, batch produce, transactions.
//!
//! The safe wrapper costs twice as much a record and 100 ms a commit, so the floor is not to be had with it.
//!
//! **Invariants:**
//! - A client's pointer is valid from `connect` to `drop`, and nothing that came from it outlives it: queues and
//!   topics are destroyed before it.
//! - Messages of a [`Batch`] are valid until it is polled into again, cleared or dropped.
#![allow(unsafe_code)]

mod consumer;
mod producer;

pub use consumer::{Batch, Consumer, End, Record};
pub use producer::{OutputTopic, Producer};

use rdkafka::bindings as rd;
use std::ffi::{CStr, CString, c_char};

/// A refusal of librdkafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {reason}")]
pub struct RawError {
    /// The call that failed.
    pub call: String,
    /// librdkafka's words.
    pub reason: String,
}

impl RawError {
    fn new(call: &str, reason: impl Into<String>) -> Self {
        Self { call: call.to_owned(), reason: reason.into() }
    }
}

fn text(string: &str) -> Result<CString, RawError> {
    CString::new(string).map_err(|_| RawError::new(string, "holds a zero byte"))
}

/// Makes a client. In event mode its events come by `rd_kafka_queue_poll` instead of call-backs.
fn client(
    kind: rd::rd_kafka_type_t,
    settings: &[(&str, &str)],
    event_mode: bool,
) -> Result<*mut rd::rd_kafka_t, RawError> {
    let mut reason = [0 as c_char; 256];
    // SAFETY: the configuration is freed on refusal and handed to `rd_kafka_new` otherwise, which owns it when it
    // succeeds; the buffer for the reason is as long as said, and librdkafka ends what it writes with a zero.
    unsafe {
        let config = rd::rd_kafka_conf_new();
        for (name, value) in settings {
            let (c_name, c_value) = (text(name)?, text(value)?);
            let set =
                rd::rd_kafka_conf_set(config, c_name.as_ptr(), c_value.as_ptr(), reason.as_mut_ptr(), reason.len());
            if set != rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                rd::rd_kafka_conf_destroy(config);
                return Err(RawError::new(name, words(reason.as_ptr())));
            }
        }
        if event_mode {
            rd::rd_kafka_conf_set_events(config, rd::RD_KAFKA_EVENT_DR | rd::RD_KAFKA_EVENT_ERROR);
        }
        let client = rd::rd_kafka_new(kind, config, reason.as_mut_ptr(), reason.len());
        if client.is_null() {
            rd::rd_kafka_conf_destroy(config);
            return Err(RawError::new("rd_kafka_new", words(reason.as_ptr())));
        }
        Ok(client)
    }
}

fn check(call: &str, code: rd::rd_kafka_resp_err_t) -> Result<(), RawError> {
    if code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    // SAFETY: the string is static.
    Err(RawError::new(call, unsafe { words(rd::rd_kafka_err2str(code)) }))
}

/// # Safety
/// `string` must be null or a string that ends with a zero.
unsafe fn words(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// A list of one topic's partitions with offsets, freed when dropped.
struct Offsets(*mut rd::rd_kafka_topic_partition_list_t);

impl Offsets {
    fn new(topic: &str, offsets: &[i64]) -> Result<Self, RawError> {
        let topic = text(topic)?;
        // SAFETY: `add` copies the name and returns an element of the list, which is alive.
        unsafe {
            let list = rd::rd_kafka_topic_partition_list_new(offsets.len() as i32);
            for (partition, offset) in offsets.iter().enumerate() {
                let element = rd::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), partition as i32);
                (*element).offset = *offset;
            }
            Ok(Self(list))
        }
    }
}

impl Drop for Offsets {
    fn drop(&mut self) {
        // SAFETY: made in `new`, freed once.
        unsafe { rd::rd_kafka_topic_partition_list_destroy(self.0) }
    }
}
