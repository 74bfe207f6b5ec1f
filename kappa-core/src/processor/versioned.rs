//! Versioned stores: as tables are looked up in them, and as processors see them.

use super::store::sealed;
use super::{ConnectedStore, Cx, Getter, Wanted};
use crate::codec::{CodecError, SharedCodec};
use crate::processor::lookup::Found;
use crate::task::ProcessError;
use kappa_state::{Deleted, Put, StateError, VersionedStore};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Looks into a versioned store.
pub(crate) struct VersionedGetter {
    pub(crate) slot: usize,
}

impl<K, V: Send + 'static> Getter<K, V> for VersionedGetter {
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, V>) -> Result<(), ProcessError> {
        let store = cx.typed::<VersionedStore<V>>(self.slot).0;
        with(match wanted.as_of_ms {
            Some(as_of_ms) => store.get_as_of(wanted.bytes, as_of_ms)?,
            None => store.get(wanted.bytes)?,
        })
    }
}

/// Names a versioned store to processors: made by
/// [`TopologyBuilder::versioned_store`](crate::topology::TopologyBuilder::versioned_store), used with
/// [`ProcessorContext::versioned_store`](super::ProcessorContext::versioned_store).
pub struct VersionedHandle<K, V> {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    key: SharedCodec<K>,
    types: PhantomData<fn(V)>,
}

impl<K, V> VersionedHandle<K, V> {
    pub(crate) fn new(index: usize, name: &str, key: SharedCodec<K>) -> Self {
        Self { index, name: Arc::from(name), key, types: PhantomData }
    }
}

impl<K, V> Clone for VersionedHandle<K, V> {
    fn clone(&self) -> Self {
        Self { index: self.index, name: Arc::clone(&self.name), key: self.key.clone(), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for VersionedHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VersionedHandle").field(&self.name).finish()
    }
}

impl<K, V> sealed::Sealed for VersionedHandle<K, V> {}

impl<K, V> ConnectedStore for VersionedHandle<K, V> {
    fn index(&self) -> usize {
        self.index
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A versioned store, borrowed by a processor while it handles a record (Kafka Streams: `VersionedKeyValueStore`).
pub struct ProcessorVersionedStore<'s, K, V: Send + 'static> {
    store: &'s mut VersionedStore<V>,
    name: &'s str,
    key: &'s SharedCodec<K>,
    bytes: Vec<u8>,
    too_late: &'s mut u64,
}

impl<'s, K: 'static, V: Send + 'static> ProcessorVersionedStore<'s, K, V> {
    pub(crate) fn new(
        store: &'s mut VersionedStore<V>,
        handle: &'s VersionedHandle<K, V>,
        too_late: &'s mut u64,
    ) -> Self {
        Self { store, name: &handle.name, key: &handle.key, bytes: Vec::new(), too_late }
    }

    /// Puts a version that is valid from its timestamp on; `None` deletes the key from then on. One that comes later than the
    /// history allows is not put; it is counted as dropped.
    pub fn put(&mut self, key: &K, value: Option<V>, timestamp_ms: i64) -> Result<Put, ProcessError> {
        self.encode(key)?;
        let put = self.store.put(&self.bytes, value, timestamp_ms)?;
        *self.too_late += u64::from(put == Put::TooLate);
        Ok(put)
    }

    /// Deletes a key from a time on, and gives back what was valid then, and since when.
    pub fn delete(&mut self, key: &K, timestamp_ms: i64) -> Result<Option<(V, i64)>, ProcessError>
    where
        V: Clone,
    {
        self.encode(key)?;
        match self.store.delete(&self.bytes, timestamp_ms)? {
            Deleted::Was(found) => Ok(found),
            Deleted::TooLate => {
                *self.too_late += 1;
                Ok(None)
            }
        }
    }

    /// The latest value of a key, and since when it is valid.
    pub fn get(&mut self, key: &K) -> Result<Option<(&V, i64)>, ProcessError> {
        self.encode(key)?;
        Ok(self.store.get(&self.bytes)?)
    }

    /// The value of a key that was valid at a time, and since when; `None` also where the history does not go back so far.
    pub fn get_as_of(&mut self, key: &K, as_of_ms: i64) -> Result<Option<(&V, i64)>, ProcessError> {
        self.encode(key)?;
        Ok(self.store.get_as_of(&self.bytes, as_of_ms)?)
    }

    fn encode(&mut self, key: &K) -> Result<(), ProcessError> {
        self.bytes.clear();
        let failed = |error: CodecError| StateError::Encode { store: self.name.to_owned(), reason: error.reason };
        Ok(self.key.codec.encode(key, &mut self.bytes).map_err(failed)?)
    }
}

impl<K, V: Send + 'static> fmt::Debug for ProcessorVersionedStore<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorVersionedStore").field(&self.name).finish()
    }
}
