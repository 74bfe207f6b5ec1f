//! Session stores as processors see them.

use super::ConnectedStore;
use super::store::{encode_key, sealed};
use crate::codec::SharedCodec;
use crate::task::ProcessError;
use crate::window::Windowed;
use kappa_state::{Direction, Session, SessionStore, StateError};
use std::fmt;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Names a session store to processors: made by
/// [`TopologyBuilder::session_store`](crate::topology::TopologyBuilder::session_store), used with
/// [`ProcessorContext::session_store`](super::ProcessorContext::session_store).
pub struct SessionHandle<K, V> {
    pub(crate) index: usize,
    pub(crate) name: Arc<str>,
    pub(crate) key: SharedCodec<K>,
    types: PhantomData<fn(V)>,
}

impl<K, V> SessionHandle<K, V> {
    pub(crate) fn new(index: usize, name: &str, key: SharedCodec<K>) -> Self {
        Self { index, name: Arc::from(name), key, types: PhantomData }
    }
}

impl<K, V> Clone for SessionHandle<K, V> {
    fn clone(&self) -> Self {
        Self { name: Arc::clone(&self.name), key: self.key.clone(), ..*self }
    }
}

impl<K, V> fmt::Debug for SessionHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionHandle").field(&self.name).finish()
    }
}

impl<K, V> sealed::Sealed for SessionHandle<K, V> {}

impl<K, V> ConnectedStore for SessionHandle<K, V> {
    fn index(&self) -> usize {
        self.index
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A session store, borrowed by a processor while it handles a record (Kafka Streams: `SessionStore`).
///
/// Rows are there until they expire, exactly: readers do not see what has expired, wherever it still lies.
pub struct ProcessorSessionStore<'s, K, V> {
    store: &'s mut SessionStore<V>,
    handle: &'s SessionHandle<K, V>,
    bytes: Vec<u8>,
    expired: &'s mut u64,
}

impl<'s, K: 'static, V: Send + 'static> ProcessorSessionStore<'s, K, V> {
    pub(crate) fn new(store: &'s mut SessionStore<V>, handle: &'s SessionHandle<K, V>, expired: &'s mut u64) -> Self {
        Self { store, handle, bytes: Vec::new(), expired }
    }

    /// Puts the value of a session of a key. Says whether it was put: where the session has expired it is not, and counted as
    /// dropped (`expired`).
    pub fn put(&mut self, key: &K, session: Session, value: V, timestamp_ms: i64) -> Result<bool, ProcessError> {
        self.write(key, session, Some(value), timestamp_ms)
    }

    /// Removes a session. Says, as [`put`](Self::put), whether it has not expired.
    pub fn remove(&mut self, key: &K, session: Session, timestamp_ms: i64) -> Result<bool, ProcessError> {
        self.write(key, session, None, timestamp_ms)
    }

    fn write(&mut self, key: &K, session: Session, value: Option<V>, timestamp_ms: i64) -> Result<bool, ProcessError> {
        let Session { start_ms, end_ms } = session;
        if start_ms < 0 || end_ms < start_ms {
            let reason = format!("there is no session from {start_ms} to {end_ms} ms");
            return Err(StateError::Misuse { store: self.handle.name.to_string(), reason }.into());
        }
        self.encode(key)?;
        let lives = self.store.put(&self.bytes, session, value, timestamp_ms)?;
        *self.expired += u64::from(!lives);
        Ok(lives)
    }

    /// The value of exactly this session (Kafka Streams: `fetchSession`).
    pub fn get(&mut self, key: &K, session: Session) -> Result<Option<&V>, ProcessError> {
        self.encode(key)?;
        Ok(self.store.get(&self.bytes, session)?.map(|(value, _)| value))
    }

    /// The sessions of a key that end no earlier than `earliest_end_ms` and begin no later than `latest_start_ms`, by their ends
    /// (Kafka Streams: `findSessions`).
    pub fn find(
        &mut self,
        key: &K,
        earliest_end_ms: i64,
        latest_start_ms: i64,
        direction: Direction,
    ) -> Result<Vec<(Session, V)>, ProcessError>
    where
        V: Clone,
    {
        self.encode(key)?;
        let mut rows = Vec::new();
        self.store.find(&self.bytes, earliest_end_ms, latest_start_ms, direction, |session, value, _| {
            rows.push((session, value.clone()));
            ControlFlow::Continue(())
        })?;
        Ok(rows)
    }

    /// All sessions of a key that have not expired, by their ends (Kafka Streams: `fetch`).
    pub fn all_of(&mut self, key: &K, direction: Direction) -> Result<Vec<(Session, V)>, ProcessError>
    where
        V: Clone,
    {
        self.find(key, 0, i64::MAX, direction)
    }

    /// As [`find`](Self::find) for the keys from the first to the last, both included and `None` for all. They come by segments
    /// of time as long as half the retention, a minute at least; in each by the bytes of key, end and start (as from Kafka
    /// Streams' RocksDB store).
    pub fn find_range(
        &mut self,
        keys: (Option<&K>, Option<&K>),
        earliest_end_ms: i64,
        latest_start_ms: i64,
        direction: Direction,
    ) -> Result<Vec<(Windowed<K>, V)>, ProcessError>
    where
        V: Clone,
    {
        let (first, last) = (self.end(keys.0)?, self.end(keys.1)?);
        let (mut rows, mut undecodable) = (Vec::new(), None);
        let codec = &self.handle.key;
        let keys = (first.as_deref(), last.as_deref());
        self.store.find_range(
            keys,
            earliest_end_ms,
            latest_start_ms,
            direction,
            |key, session, value, _| match codec.codec.decode(key) {
                Ok(key) => {
                    rows.push((Windowed::new(key, session.start_ms, session.end_ms), value.clone()));
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    undecodable = Some(error.reason);
                    ControlFlow::Break(())
                }
            },
        )?;
        match undecodable {
            Some(reason) => Err(StateError::Decode { store: self.handle.name.to_string(), reason }.into()),
            None => Ok(rows),
        }
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

impl<K, V> fmt::Debug for ProcessorSessionStore<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorSessionStore").field(&self.handle.name).finish()
    }
}
