//! A record as it lies in a topic of a test driver.

use super::{Recorded, RecordedHeader};
use crate::log::{Header, Headers, RecordView};
use crate::task::SourceRecord;
use crate::topology::{TopicRef, display};

/// A record as it lies in a topic.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) partition: i32,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
    /// The step of the test that it follows from.
    pub(super) step: usize,
    /// Its place in the order of writing, over all topics.
    pub(super) sequence: u64,
}

impl Stored {
    /// As a task reads it.
    pub(super) fn as_source(&self, offset: i64) -> SourceRecord<'_> {
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        let view = RecordView { offset, timestamp_ms: self.timestamp_ms, key, value };
        SourceRecord { view, headers: self.headers.clone() }
    }

    /// As a step of a recording.
    pub(super) fn as_recorded(&self, topic: &TopicRef) -> Recorded {
        let header = |header: &Header| RecordedHeader {
            name: header.name.to_string(),
            value: header.value.as_deref().map(<[u8]>::to_vec),
        };
        Recorded::Record {
            topic: display(topic),
            partition: self.partition,
            timestamp_ms: self.timestamp_ms,
            key: self.key.clone(),
            value: self.value.clone(),
            headers: self.headers.as_slice().iter().map(header).collect(),
        }
    }
}
