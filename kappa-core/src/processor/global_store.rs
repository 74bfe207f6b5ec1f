//! Global tables as processors see them.

use super::Links;
use super::store::encode_key;
use crate::codec::SharedCodec;
use crate::task::{GlobalTable, ProcessError};
use kappa_state::{Direction, StateError, prefix_end};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// Names a global table or global store to processors: made by [`GlobalKTable::handle`](crate::dsl::GlobalKTable::handle) or
/// [`TopologyBuilder::global_store`](crate::topology::TopologyBuilder::global_store), moved into the processor, and resolved by
/// [`ProcessorContext::global_store`](super::ProcessorContext::global_store) without looking up a name. Nothing has to be
/// connected: every processor may read every global table.
pub struct GlobalHandle<K, V> {
    pub(crate) index: usize,
    /// A topology has one global table of a topic: tells those of two topologies apart.
    pub(crate) topic: Arc<str>,
    pub(crate) key: SharedCodec<K>,
    pub(crate) value: SharedCodec<V>,
}

impl<K, V> Clone for GlobalHandle<K, V> {
    fn clone(&self) -> Self {
        let (topic, key, value) = (Arc::clone(&self.topic), self.key.clone(), self.value.clone());
        Self { index: self.index, topic, key, value }
    }
}

impl<K, V> fmt::Debug for GlobalHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GlobalHandle").field(&self.topic).finish()
    }
}

/// A global table with its topic, as a processor's place in a task is linked to it.
pub(crate) type GlobalLink = (Arc<str>, Arc<GlobalTable>);

impl Links {
    /// The global table of a handle.
    pub(crate) fn global_store<'s, K: 'static, V: 'static>(
        &'s self,
        handle: &'s GlobalHandle<K, V>,
    ) -> Result<ProcessorGlobalStore<'s, K, V>, ProcessError> {
        ProcessorGlobalStore::new(&self.globals, handle).ok_or_else(|| ProcessError::Operator {
            operator: self.name.to_string(),
            reason: format!(
                "the global table of {} belongs to another topology: take the handle of this one's",
                handle.topic
            ),
        })
    }
}

/// A global table that a processor reads (Kafka Streams: a read-only `KeyValueStore`). It holds what has arrived by now, whatever
/// the time of the record being processed, and may change between two calls.
pub struct ProcessorGlobalStore<'s, K, V> {
    table: &'s GlobalTable,
    key: &'s SharedCodec<K>,
    value: &'s SharedCodec<V>,
    key_bytes: Vec<u8>,
    value_bytes: Vec<u8>,
}

impl<'s, K: 'static, V: 'static> ProcessorGlobalStore<'s, K, V> {
    /// The table of a handle, among those of a topology.
    fn new(links: &'s [GlobalLink], handle: &'s GlobalHandle<K, V>) -> Option<Self> {
        let (_, table) = links.get(handle.index).filter(|(topic, _)| *topic == handle.topic)?;
        let (key_bytes, value_bytes) = (Vec::new(), Vec::new());
        Some(Self { table, key: &handle.key, value: &handle.value, key_bytes, value_bytes })
    }

    /// The value of a key.
    pub fn get(&mut self, key: &K) -> Result<Option<V>, ProcessError> {
        Ok(self.get_with_timestamp(key)?.map(|(value, _)| value))
    }

    /// The value of a key with its timestamp, ms: that of the record that set it.
    pub fn get_with_timestamp(&mut self, key: &K) -> Result<Option<(V, i64)>, ProcessError> {
        encode_key(self.key, self.table.name(), key, &mut self.key_bytes)?;
        self.value_bytes.clear();
        let Some(timestamp_ms) = self.table.get(&self.key_bytes, &mut self.value_bytes)? else { return Ok(None) };
        Ok(Some((self.decode(self.value, &self.value_bytes)?, timestamp_ms)))
    }

    /// The entries of a range of keys, both ends included, in the order of the keys' bytes.
    pub fn range(&mut self, from: &K, to: &K) -> Result<Vec<(K, V)>, ProcessError> {
        self.between(from, to, Direction::Forward)
    }

    /// As [`range`](Self::range), from the last to the first.
    pub fn reverse_range(&mut self, from: &K, to: &K) -> Result<Vec<(K, V)>, ProcessError> {
        self.between(from, to, Direction::Backward)
    }

    /// All entries, of all partitions, in the order of the keys' bytes.
    pub fn all(&mut self) -> Result<Vec<(K, V)>, ProcessError> {
        self.gather(Bound::Unbounded, Bound::Unbounded, Direction::Forward)
    }

    /// As [`all`](Self::all), from the last to the first.
    pub fn reverse_all(&mut self) -> Result<Vec<(K, V)>, ProcessError> {
        self.gather(Bound::Unbounded, Bound::Unbounded, Direction::Backward)
    }

    /// The entries whose keys' bytes begin with `prefix`, in the order of the keys' bytes.
    pub fn prefix(&mut self, prefix: impl AsRef<[u8]>) -> Result<Vec<(K, V)>, ProcessError> {
        let prefix = prefix.as_ref();
        let end = prefix_end(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.gather(Bound::Included(prefix), to, Direction::Forward)
    }

    fn between(&mut self, from: &K, to: &K, direction: Direction) -> Result<Vec<(K, V)>, ProcessError> {
        let (mut first, mut last) = (Vec::new(), Vec::new());
        encode_key(self.key, self.table.name(), from, &mut first)?;
        encode_key(self.key, self.table.name(), to, &mut last)?;
        self.gather(Bound::Included(&first), Bound::Included(&last), direction)
    }

    fn gather(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, direction: Direction) -> Result<Vec<(K, V)>, ProcessError> {
        let rows = self.table.range(from, to, direction)?.into_iter();
        rows.map(|(key, value, _)| Ok((self.decode(self.key, &key)?, self.decode(self.value, &value)?))).collect()
    }

    fn decode<T: 'static>(&self, codec: &SharedCodec<T>, bytes: &[u8]) -> Result<T, ProcessError> {
        codec
            .codec
            .decode(bytes)
            .map_err(|error| StateError::Decode { store: self.table.name().to_owned(), reason: error.reason }.into())
    }
}

impl<K, V> fmt::Debug for ProcessorGlobalStore<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorGlobalStore").field(&self.table.name()).finish()
    }
}
