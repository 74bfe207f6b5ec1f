//! Records as they were written, whatever the topic.

use super::world::World;
use crate::log::Headers;
use crate::topology::TopicRef;

/// A record as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenRecord {
    /// The topic.
    pub topic: TopicRef,
    /// The partition.
    pub partition: i32,
    /// The key's bytes; `None` for null.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; `None` for null.
    pub value: Option<Vec<u8>>,
    /// The timestamp, ms.
    pub timestamp_ms: i64,
    /// The headers.
    pub headers: Headers,
    /// The step of the test that it follows from, counted from 1: see [`TestDriver::steps`](super::TestDriver::steps).
    pub step: usize,
}

impl WrittenRecord {
    /// Takes all that was not read yet.
    pub(super) fn take(world: &mut World) -> Vec<Self> {
        let mut all = Vec::new();
        for (topic, written) in &mut world.written {
            all.extend(written.drain(..).map(|record| (topic.clone(), record)));
        }
        all.sort_by_key(|(_, record)| record.sequence);
        let shown = |(topic, record): (TopicRef, super::stored::Stored)| Self {
            topic,
            partition: record.partition,
            key: record.key,
            value: record.value,
            timestamp_ms: record.timestamp_ms,
            headers: record.headers,
            step: record.step,
        };
        all.into_iter().map(shown).collect()
    }
}
