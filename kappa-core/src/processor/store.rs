//! Stores as processors see them.

use crate::codec::{CodecError, SharedCodec};
use crate::task::ProcessError;
use kappa_state::{BufferedStore, Direction, StateError};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, ControlFlow};
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

    /// Whether the store can only be read by this handle.
    #[doc(hidden)]
    fn is_read_only(&self) -> bool {
        false
    }
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

    /// Sets the value of a key that has none; gives back the one it has.
    pub fn put_if_absent(&mut self, key: &K, value: V, timestamp_ms: i64) -> Result<Option<&V>, ProcessError> {
        self.encode(key)?;
        if self.store.get(&self.bytes)?.is_none() {
            self.store.put(&self.bytes, Some(value), timestamp_ms)?;
            return Ok(None);
        }
        Ok(self.store.get(&self.bytes)?.map(|(value, _)| value))
    }

    /// Visits the entries of a range of keys, both ends included, in the order of the keys' bytes, until `visit` breaks.
    /// `None` is an open end. Nothing can be forwarded meanwhile: gather what is to be forwarded, or use
    /// [`range`](Self::range).
    pub fn scan(
        &mut self,
        from: Option<&K>,
        to: Option<&K>,
        direction: Direction,
        mut visit: impl FnMut(K, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), ProcessError> {
        let mut end = |key: Option<&K>| -> Result<Option<Vec<u8>>, ProcessError> {
            let Some(key) = key else { return Ok(None) };
            self.encode(key)?;
            Ok(Some(self.bytes.clone()))
        };
        let (from, to) = (end(from)?, end(to)?);
        let mut undecodable = None;
        let (codec, name) = (self.key, self.name);
        let visited = self.store.scan(
            bound(from.as_deref()),
            bound(to.as_deref()),
            direction,
            &mut |key, value, timestamp_ms| match codec.codec.decode(key) {
                Ok(key) => visit(key, value, timestamp_ms),
                Err(error) => {
                    undecodable = Some(StateError::Decode { store: name.to_owned(), reason: error.reason });
                    ControlFlow::Break(())
                }
            },
        );
        visited?;
        undecodable.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The entries of a range of keys, both ends included, in the order of the keys' bytes.
    pub fn range(&mut self, from: &K, to: &K) -> Result<Vec<(K, V)>, ProcessError>
    where
        V: Clone,
    {
        self.gather(Some(from), Some(to), Direction::Forward)
    }

    /// As [`range`](Self::range), from the last to the first.
    pub fn reverse_range(&mut self, from: &K, to: &K) -> Result<Vec<(K, V)>, ProcessError>
    where
        V: Clone,
    {
        self.gather(Some(from), Some(to), Direction::Backward)
    }

    /// All entries of the task's partition, in the order of the keys' bytes.
    pub fn all(&mut self) -> Result<Vec<(K, V)>, ProcessError>
    where
        V: Clone,
    {
        self.gather(None, None, Direction::Forward)
    }

    /// As [`all`](Self::all), from the last to the first.
    pub fn reverse_all(&mut self) -> Result<Vec<(K, V)>, ProcessError>
    where
        V: Clone,
    {
        self.gather(None, None, Direction::Backward)
    }

    /// The entries whose keys' bytes begin with `prefix`, in the order of the keys' bytes.
    pub fn prefix(&mut self, prefix: impl AsRef<[u8]>) -> Result<Vec<(K, V)>, ProcessError>
    where
        V: Clone,
    {
        let (mut entries, mut undecodable) = (Vec::new(), None);
        self.store.scan_prefix(prefix.as_ref(), &mut |key, value, _| {
            match self.key.codec.decode(key) {
                Ok(key) => entries.push((key, value.clone())),
                Err(error) => undecodable = Some(error),
            }
            ControlFlow::Continue(())
        })?;
        match undecodable {
            Some(error) => Err(StateError::Decode { store: self.name.to_owned(), reason: error.reason }.into()),
            None => Ok(entries),
        }
    }

    fn gather(&mut self, from: Option<&K>, to: Option<&K>, direction: Direction) -> Result<Vec<(K, V)>, ProcessError>
    where
        V: Clone,
    {
        let mut entries = Vec::new();
        self.scan(from, to, direction, |key, value, _| {
            entries.push((key, value.clone()));
            ControlFlow::Continue(())
        })?;
        Ok(entries)
    }

    fn encode(&mut self, key: &K) -> Result<(), ProcessError> {
        encode_key(self.key, self.name, key, &mut self.bytes)
    }
}

/// Writes a key as a store has it.
pub(super) fn encode_key<K: 'static>(
    codec: &SharedCodec<K>,
    store: &str,
    key: &K,
    bytes: &mut Vec<u8>,
) -> Result<(), ProcessError> {
    bytes.clear();
    let failed = |error: CodecError| StateError::Encode { store: store.to_owned(), reason: error.reason };
    Ok(codec.codec.encode(key, bytes).map_err(failed)?)
}

/// An end of a range that belongs to it; an open one where there is none.
fn bound(end: Option<&[u8]>) -> Bound<&[u8]> {
    end.map_or(Bound::Unbounded, Bound::Included)
}

impl<K, V> fmt::Debug for ProcessorStore<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorStore").field(&self.name).finish()
    }
}
