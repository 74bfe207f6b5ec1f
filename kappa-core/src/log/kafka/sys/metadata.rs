//! The cluster's topics, as any broker tells them.

use super::{Client, Code, RawError, millis, text_of};
use rdkafka::bindings as ffi;
use std::ffi::c_int;
use std::ptr::{self, NonNull};
use std::time::Duration;

unsafe extern "C" {
    #[link_name = "rd_kafka_metadata"]
    fn metadata(
        rk: *mut ffi::rd_kafka_t,
        all_topics: c_int,
        only: *mut ffi::rd_kafka_topic_t,
        metadata: *mut *const ffi::rd_kafka_metadata,
        timeout_ms: c_int,
    ) -> c_int;
}

/// What one broker knows of the cluster.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Metadata {
    /// How many brokers there are.
    pub(in super::super) brokers: usize,
    /// The names of all topics.
    pub(in super::super) topics: Vec<String>,
}

impl Client {
    /// Waits until a broker has answered, and asks it for nothing but the brokers.
    pub(in super::super) fn connected(&self, timeout: Duration) -> Result<(), RawError> {
        let mut answer: *const ffi::rd_kafka_metadata = ptr::null();
        // SAFETY: a live handle and an out pointer; the answer is ours.
        let code = unsafe { metadata(self.raw(), 0, ptr::null_mut(), &mut answer, millis(timeout)) };
        Code(code).ok()?;
        if !answer.is_null() {
            // SAFETY: ours, destroyed once.
            unsafe { ffi::rd_kafka_metadata_destroy(answer) };
        }
        Ok(())
    }

    /// Asks a broker for all topics. Never creates one.
    pub(in super::super) fn all_topics(&self, timeout: Duration) -> Result<Metadata, RawError> {
        let mut answer: *const ffi::rd_kafka_metadata = ptr::null();
        // SAFETY: a live handle and an out pointer; the answer is ours.
        let code = unsafe { metadata(self.raw(), 1, ptr::null_mut(), &mut answer, millis(timeout)) };
        Code(code).ok()?;
        let Some(answer) = NonNull::new(answer.cast_mut()) else { return Ok(Metadata::default()) };
        // SAFETY: alive until destroyed below; `topics` holds `topic_cnt` entries with terminated names.
        unsafe {
            let read = answer.as_ref();
            let topics = (0..read.topic_cnt as usize).map(|index| text_of((*read.topics.add(index)).topic)).collect();
            let brokers = read.broker_cnt as usize;
            ffi::rd_kafka_metadata_destroy(answer.as_ptr());
            Ok(Metadata { brokers, topics })
        }
    }
}
