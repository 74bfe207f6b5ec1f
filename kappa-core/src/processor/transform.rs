//! Transformers of the user's own, for tables.

use super::{
    Cx, GlobalHandle, Links, ProcessorGlobalStore, ProcessorReadOnlyStore, ProcessorStore, ReadOnlyHandle, StoreHandle,
};
use crate::task::ProcessError;
use std::fmt;

/// Makes new values of a table's rows (Kafka Streams: `ValueTransformerWithKey`). See
/// [`KTable::transform_values`](crate::dsl::KTable::transform_values).
pub trait ValueTransformer<K, V>: Send + 'static {
    /// The values it makes.
    type Value: 'static;

    /// The new value of a row; `None` leaves it out. `value` is `None` for a row that was deleted.
    fn transform(
        &mut self,
        key: &K,
        value: Option<&V>,
        cx: &mut TransformContext<'_, '_>,
    ) -> Result<Option<Self::Value>, ProcessError>;
}

/// What a transformer can see.
pub struct TransformContext<'a, 'c> {
    cx: &'a mut Cx<'c>,
    links: &'a Links,
    timestamp_ms: i64,
}

impl<'a, 'c> TransformContext<'a, 'c> {
    pub(crate) fn new(cx: &'a mut Cx<'c>, links: &'a Links, timestamp_ms: i64) -> Self {
        Self { cx, links, timestamp_ms }
    }

    /// A store that the transformer is connected to.
    pub fn store<'s, K: 'static, V: Send + 'static>(
        &'s mut self,
        handle: &'s StoreHandle<K, V>,
    ) -> Result<ProcessorStore<'s, K, V>, ProcessError> {
        match self.links.stores.iter().find(|(index, _)| *index == handle.index) {
            Some((_, slot)) => Ok(ProcessorStore::new(self.cx.store(*slot), handle)),
            None => Err(self.error(format_args!(
                "it is not connected to store {}: name the store where transform_values() is called",
                handle.name
            ))),
        }
    }

    /// A read-only store that the transformer is connected to.
    pub fn read_only_store<'s, K: 'static, V: Send + 'static>(
        &'s mut self,
        handle: &'s ReadOnlyHandle<K, V>,
    ) -> Result<ProcessorReadOnlyStore<'s, K, V>, ProcessError> {
        Ok(ProcessorReadOnlyStore::new(self.store(&handle.0)?))
    }

    /// A global table or global store, to be read. It needs no connecting.
    pub fn global_store<'s, K: 'static, V: 'static>(
        &'s self,
        handle: &'s GlobalHandle<K, V>,
    ) -> Result<ProcessorGlobalStore<'s, K, V>, ProcessError> {
        self.links.global_store(handle)
    }

    /// The timestamp of the row, ms; -1 for a row that is looked up and not there.
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// The largest timestamp that the task has seen, ms.
    pub fn stream_time_ms(&self) -> i64 {
        self.cx.state.stream_time_ms
    }

    /// An error of this transformer's, with a reason in words.
    pub fn error(&self, reason: impl fmt::Display) -> ProcessError {
        ProcessError::Operator { operator: self.links.name.to_string(), reason: reason.to_string() }
    }
}

impl fmt::Debug for TransformContext<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransformContext").field("transformer", &self.links.name).finish_non_exhaustive()
    }
}
