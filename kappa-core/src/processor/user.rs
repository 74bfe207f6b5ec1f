//! Processors of the user's own (Kafka Streams: Processor API).

use super::chain::Next;
use super::{Cx, ProcessorStore, ProcessorVersionedStore, StoreHandle, VersionedHandle};
use crate::log::Headers;
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::TopicRef;
use std::fmt;
use std::sync::Arc;

/// An operator of the user's own: takes records, looks into stores, forwards records (Kafka Streams:
/// `Processor`). See [`KStream::process`](crate::dsl::KStream::process).
///
/// One lives in each task and is called by one thread at a time. What it must not lose it keeps in stores;
/// fields of its own are fine for what can be made anew: after an aborted transaction a new one is made.
pub trait Processor<K, V>: Send + 'static {
    /// The keys it forwards.
    type Key: 'static;
    /// The values it forwards.
    type Value: 'static;

    /// Takes one record.
    fn process(
        &mut self,
        record: &Record<'_, K, V>,
        cx: &mut ProcessorContext<'_, '_, Self::Key, Self::Value>,
    ) -> Result<(), ProcessError>;
}

/// What a processor's place in a task is connected to.
pub(crate) struct Links {
    pub(crate) name: Arc<str>,
    /// Indices of stores in the topology, with their slots in the task.
    pub(crate) stores: Vec<(usize, usize)>,
    pub(crate) sources: Vec<TopicRef>,
    pub(crate) partition: i32,
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMetadata<'a> {
    /// The topic.
    pub topic: &'a TopicRef,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What a processor can do (Kafka Streams: `ProcessorContext`).
pub struct ProcessorContext<'a, 'c, K, V> {
    cx: &'a mut Cx<'c>,
    next: &'a mut Next<K, V>,
    links: &'a Links,
    timestamp_ms: i64,
    headers: &'a Headers,
}

impl<'a, 'c, K: 'static, V: 'static> ProcessorContext<'a, 'c, K, V> {
    pub(crate) fn new(
        cx: &'a mut Cx<'c>,
        next: &'a mut Next<K, V>,
        links: &'a Links,
        timestamp_ms: i64,
        headers: &'a Headers,
    ) -> Self {
        Self { cx, next, links, timestamp_ms, headers }
    }

    /// Forwards a new record with the timestamp and headers of the one being processed.
    pub fn forward(&mut self, key: K, value: V) -> Result<(), ProcessError> {
        let headers = self.headers;
        self.forward_with(key, Some(value), self.timestamp_ms, headers)
    }

    /// Forwards a new record; `None` is a null value.
    pub fn forward_with(
        &mut self,
        key: K,
        value: Option<V>,
        timestamp_ms: i64,
        headers: &Headers,
    ) -> Result<(), ProcessError> {
        let (key, value) = (Lazy::ready(key), value.map(Lazy::ready));
        self.pass_on(&Record::new(&key, value.as_ref(), timestamp_ms, headers))
    }

    /// Forwards a record as it is, with the bytes it came in.
    pub fn pass_on(&mut self, record: &Record<'_, K, V>) -> Result<(), ProcessError> {
        self.next.receive(record, self.cx)
    }

    /// A store that the processor is connected to.
    pub fn store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s StoreHandle<SK, SV>,
    ) -> Result<ProcessorStore<'s, SK, SV>, ProcessError> {
        match self.links.stores.iter().find(|(index, _)| *index == handle.index) {
            Some((_, slot)) => Ok(ProcessorStore::new(self.cx.store(*slot), handle)),
            None => Err(self.error(format_args!(
                "it is not connected to store {}: name the store where process() is called",
                handle.name
            ))),
        }
    }

    /// A versioned store that the processor is connected to.
    pub fn versioned_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s VersionedHandle<SK, SV>,
    ) -> Result<ProcessorVersionedStore<'s, SK, SV>, ProcessError> {
        match self.links.stores.iter().find(|(index, _)| *index == handle.index) {
            Some((_, slot)) => {
                let (store, too_late) = self.cx.typed_and_expired(*slot);
                Ok(ProcessorVersionedStore::new(store, handle, too_late))
            }
            None => Err(self.error(format_args!(
                "it is not connected to store {}: name the store where process() is called",
                handle.name
            ))),
        }
    }

    /// The largest timestamp that the task has seen, ms (Kafka Streams: `currentStreamTimeMs`).
    pub fn stream_time_ms(&self) -> i64 {
        self.cx.state.stream_time_ms
    }

    /// Where the record comes from; `None` where it comes from a table upstream that is being flushed.
    pub fn metadata(&self) -> Option<RecordMetadata<'_>> {
        let origin = self.cx.origin?;
        let topic = self.links.sources.get(origin.source)?;
        Some(RecordMetadata { topic, partition: self.links.partition, offset: origin.offset })
    }

    /// An error of this processor's, with a reason in words.
    pub fn error(&self, reason: impl fmt::Display) -> ProcessError {
        ProcessError::Operator { operator: self.links.name.to_string(), reason: reason.to_string() }
    }
}

impl<K, V> fmt::Debug for ProcessorContext<'_, '_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessorContext").field("processor", &self.links.name).finish_non_exhaustive()
    }
}
