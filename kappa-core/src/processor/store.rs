//! Stores as processors see them.

use crate::codec::{CodecError, SharedCodec};
use crate::task::ProcessError;
use kappa_state::{BufferedStore, StateError};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Names a store to processors: made by
/// [`TopologyBuilder::store`](crate::topology::TopologyBuilder::store), moved into the processor, and
/// resolved by [`ProcessorContext::store`](super::ProcessorContext::store) without looking up a name.
pub struct StoreHandle<K, V> {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    key: SharedCodec<K>,
    types: PhantomData<fn(V)>,
}

impl<K, V> StoreHandle<K, V> {
    pub(crate) fn new(index: usize, name: &str, key: SharedCodec<K>) -> Self {
        Self { index, name: Arc::from(name), key, types: PhantomData }
    }
}

impl<K, V> Clone for StoreHandle<K, V> {
    fn clone(&self) -> Self {
        Self { index: self.index, name: Arc::clone(&self.name), key: self.key.clone(), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for StoreHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreHandle").field(&self.name).finish()
    }
}

pub(super) mod sealed {
    pub trait Sealed {}
    impl<K, V> Sealed for super::StoreHandle<K, V> {}
}

/// A store handle of any type, for connecting.
pub trait ConnectedStore: sealed::Sealed {
    /// The store's number in its topology.
    #[doc(hidden)]
    fn index(&self) -> usize;

    /// The store's name.
    fn name(&self) -> &str;
}

impl<K, V> ConnectedStore for StoreHandle<K, V> {
    fn index(&self) -> usize {
        self.index
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A store, borrowed by a processor while it handles a record.
pub struct ProcessorStore<'s, K, V> {
    store: &'s mut BufferedStore<V>,
    name: &'s str,
    key: &'s SharedCodec<K>,
    bytes: Vec<u8>,
}

impl<'s, K: 'static, V: Send + 'static> ProcessorStore<'s, K, V> {
    pub(crate) fn new(store: &'s mut BufferedStore<V>, handle: &'s StoreHandle<K, V>) -> Self {
        Self { store, name: &handle.name, key: &handle.key, bytes: Vec::new() }
    }

    /// The value of a key.
    pub fn get(&mut self, key: &K) -> Result<Option<&V>, ProcessError> {
        Ok(self.get_with_timestamp(key)?.map(|(value, _)| value))
    }

    /// The value of a key with its timestamp.
    pub fn get_with_timestamp(&mut self, key: &K) -> Result<Option<(&V, i64)>, ProcessError> {
        self.encode(key)?;
        Ok(self.store.get(&self.bytes)?)
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: &K, value: V, timestamp_ms: i64) -> Result<(), ProcessError> {
        self.encode(key)?;
        Ok(self.store.put(&self.bytes, Some(value), timestamp_ms)?)
    }

    /// Removes a key.
    pub fn delete(&mut self, key: &K, timestamp_ms: i64) -> Result<(), ProcessError> {
        self.encode(key)?;
        Ok(self.store.put(&self.bytes, None, timestamp_ms)?)
    }

    /// Changes the value of a key in place: `change` is given the value with its timestamp, and gives back
    /// the new one; `None` deletes.
    pub fn update(
        &mut self,
        key: &K,
        change: impl FnOnce(Option<(V, i64)>) -> Option<(V, i64)>,
    ) -> Result<(), ProcessError> {
        self.encode(key)?;
        Ok(self.store.update(&self.bytes, change)?)
    }

    fn encode(&mut self, key: &K) -> Result<(), ProcessError> {
        self.bytes.clear();
        let failed = |error: CodecError| StateError::Encode { store: self.name.to_owned(), reason: error.reason };
        Ok(self.key.codec.encode(key, &mut self.bytes).map_err(failed)?)
    }
}

impl<K, V> fmt::Debug for ProcessorStore<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorStore").field(&self.name).finish()
    }
}
