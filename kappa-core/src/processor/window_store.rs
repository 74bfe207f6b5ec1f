//! Window stores as processors see them.

use super::ConnectedStore;
use super::store::{encode_key, sealed};
use crate::codec::SharedCodec;
use crate::task::ProcessError;
use crate::window::Windowed;
use kappa_state::{Direction, StateError, WindowStore};
use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

/// What a window store for processors keeps: made into one by
/// [`TopologyBuilder::window_store`](crate::topology::TopologyBuilder::window_store).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredWindows {
    pub(crate) size_ms: i64,
    pub(crate) retention_ms: i64,
    pub(crate) retain_duplicates: bool,
}

impl StoredWindows {
    /// Windows of `size_ms`, kept until the largest start put is `retention_ms` later than their own.
    pub fn new(size_ms: i64, retention_ms: i64) -> Self {
        Self { size_ms, retention_ms, retain_duplicates: false }
    }

    /// Keeps all values that are put for a key and start, in the order in which they came; else the last replaces the others.
    /// They can be read by ranges only, and are never deleted but by the retention.
    pub fn retain_duplicates(self) -> Self {
        Self { retain_duplicates: true, ..self }
    }
}

/// Names a window store to processors: made by
/// [`TopologyBuilder::window_store`](crate::topology::TopologyBuilder::window_store), used with
/// [`ProcessorContext::window_store`](super::ProcessorContext::window_store).
pub struct WindowHandle<K, V> {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    pub(crate) key: SharedCodec<K>,
    pub(crate) windows: StoredWindows,
    types: PhantomData<fn(V)>,
}

impl<K, V> WindowHandle<K, V> {
    pub(crate) fn new(index: usize, name: &str, key: SharedCodec<K>, windows: StoredWindows) -> Self {
        Self { index, name: Arc::from(name), key, windows, types: PhantomData }
    }
}

impl<K, V> Clone for WindowHandle<K, V> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), key: self.key.clone(), ..*self }
    }
}

impl<K, V> fmt::Debug for WindowHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WindowHandle").field(&self.name).finish()
    }
}

impl<K, V> sealed::Sealed for WindowHandle<K, V> {}

impl<K, V> ConnectedStore for WindowHandle<K, V> {
    fn index(&self) -> usize {
        self.index
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A window store, borrowed by a processor while it handles a record (Kafka Streams: `WindowStore`).
///
/// Rows are there until they expire, exactly: readers do not see what has expired, wherever it still lies.
pub struct ProcessorWindowStore<'s, K, V> {
    store: &'s mut WindowStore<V>,
    handle: &'s WindowHandle<K, V>,
    bytes: Vec<u8>,
    expired: &'s mut u64,
}

impl<'s, K: 'static, V: Send + 'static> ProcessorWindowStore<'s, K, V> {
    pub(crate) fn new(store: &'s mut WindowStore<V>, handle: &'s WindowHandle<K, V>, expired: &'s mut u64) -> Self {
        Self { store, handle, bytes: Vec::new(), expired }
    }

    /// Puts the value of the window of a key that starts at `start_ms`. Says whether it was put: where the window has expired it
    /// is not, and counted as dropped (`expired`).
    pub fn put(&mut self, key: &K, value: V, start_ms: i64, timestamp_ms: i64) -> Result<bool, ProcessError> {
        self.write(key, Some(value), start_ms, timestamp_ms)
    }

    /// Deletes the value of a window; where duplicates are retained that only moves the store's time. Says, as
    /// [`put`](Self::put), whether the window has not expired.
    pub fn delete(&mut self, key: &K, start_ms: i64, timestamp_ms: i64) -> Result<bool, ProcessError> {
        self.write(key, None, start_ms, timestamp_ms)
    }

    fn write(&mut self, key: &K, value: Option<V>, start_ms: i64, timestamp_ms: i64) -> Result<bool, ProcessError> {
        if start_ms < 0 {
            let reason = format!("a window can't start at {start_ms} ms");
            return Err(StateError::Misuse { store: self.handle.name.to_string(), reason }.into());
        }
        self.encode(key)?;
        self.store.observe(start_ms);
        let lives = !self.store.is_expired(start_ms) && self.store.put(&self.bytes, start_ms, value, timestamp_ms)?;
        *self.expired += u64::from(!lives);
        Ok(lives)
    }

    /// The value of a window; `None` also where duplicates are retained.
    pub fn get(&mut self, key: &K, start_ms: i64) -> Result<Option<&V>, ProcessError> {
        Ok(self.get_with_timestamp(key, start_ms)?.map(|(value, _)| value))
    }

    /// The value of a window with its timestamp; `None` also where duplicates are retained.
    pub fn get_with_timestamp(&mut self, key: &K, start_ms: i64) -> Result<Option<(&V, i64)>, ProcessError> {
        self.encode(key)?;
        if self.handle.windows.retain_duplicates {
            return Ok(None);
        }
        Ok(self.store.get(&self.bytes, start_ms)?)
    }

    /// The windows of a key that start from `from_ms` to `to_ms`, both included, by their starts (Kafka Streams: `fetch`,
    /// `backwardFetch`).
    pub fn fetch(
        &mut self,
        key: &K,
        from_ms: i64,
        to_ms: i64,
        direction: Direction,
    ) -> Result<Vec<(i64, V)>, ProcessError>
    where
        V: Clone,
    {
        self.encode(key)?;
        let mut rows = Vec::new();
        self.store.fetch(&self.bytes, from_ms, to_ms, direction, |start_ms, value, _| {
            rows.push((start_ms, value.clone()));
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// The windows of the keys from the first to the last, both included and `None` for all, that start from `from_ms` to `to_ms`,
    /// both included. They come by segments of time as long as half the retention, a minute at least; in each by the bytes of
    /// key and start (as from Kafka Streams' RocksDB store).
    pub fn fetch_range(
        &mut self,
        keys: (Option<&K>, Option<&K>),
        from_ms: i64,
        to_ms: i64,
        direction: Direction,
    ) -> Result<Vec<(Windowed<K>, V)>, ProcessError>
    where
        V: Clone,
    {
        let (first, last) = (self.end(keys.0)?, self.end(keys.1)?);
        let (mut rows, mut undecodable) = (Vec::new(), None);
        let WindowHandle { key: codec, windows, .. } = self.handle;
        let keys = (first.as_deref(), last.as_deref());
        self.store.fetch_range(keys, from_ms, to_ms, direction, |key, start_ms, value, _| {
            match codec.codec.decode(key) {
                Ok(key) => {
                    let end_ms = start_ms.saturating_add(windows.size_ms);
                    rows.push((Windowed::new(key, start_ms, end_ms), value.clone()));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    undecodable = Some(error.reason);
                    ControlFlow::Break(())
                }
            }
        })?;
        match undecodable {
            Some(reason) => Err(StateError::Decode { store: self.handle.name.to_string(), reason }.into()),
            None => Ok(rows),
        }
    }

    /// All windows that have not expired, as [`fetch_range`](Self::fetch_range) has them.
    pub fn all(&mut self, direction: Direction) -> Result<Vec<(Windowed<K>, V)>, ProcessError>
    where
        V: Clone,
    {
        self.fetch_range((None, None), 0, i64::MAX, direction)
    }

    fn end(&self, key: Option<&K>) -> Result<Option<Vec<u8>>, ProcessError> {
        let Some(key) = key else { return Ok(None) };
        let mut bytes = Vec::new();
        encode_key(&self.handle.key, &self.handle.name, key, &mut bytes)?;
        Ok(Some(bytes))
    }

    fn encode(&mut self, key: &K) -> Result<(), ProcessError> {
        encode_key(&self.handle.key, &self.handle.name, key, &mut self.bytes)
    }
}

impl<K, V> fmt::Debug for ProcessorWindowStore<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorWindowStore").field(&self.handle.name).finish()
    }
}
