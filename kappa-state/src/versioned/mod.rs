//! A store that keeps the versions of each key for some time (Kafka Streams: `VersionedKeyValueStore`).
//!
//! A version begins with its record's timestamp and ends with the next one's. The latest lies in a row of its own; older ones
//! lie by *segment* of their end, all of a key in one row, so that what is older than the history leaves the store a segment
//! at a time. The changelog has plain records (key, value, timestamp), and a restore puts them again.
//!
//! **Invariants:**
//! - What is seen when is Kafka Streams' (4.3), including what its segments make of deletions: a value that is deleted with its
//!   own timestamp leaves no trace unless an older version ended with it.
//! - The store's time is the largest timestamp put. It is committed with the rows, so it is as exact after a restart.
//! - The last record of a key in the changelog is its latest version: after one that came late the latest is logged again, so
//!   that compaction never keeps an old version in its place.

mod changelog;
mod managed;
mod putting;
mod row;
#[cfg(test)]
mod tests;

use self::row::{History, Row, RowCodec};
use crate::{BufferOptions, BufferedStore, Codec, Held, KeyValueStore, StateError, StoreId};
use std::fmt;
use std::sync::Arc;

/// Settings of a versioned store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionedOptions {
    /// How long versions are kept after they have ended, and how late one may come, ms.
    pub history_ms: i64,
    /// How long a segment is, ms: history is dropped by segments.
    pub segment_ms: i64,
    /// Those of the buffer.
    pub buffer: BufferOptions,
}

impl VersionedOptions {
    /// With the segments that Kafka Streams has for a history of that length.
    pub fn of_history(history_ms: i64, buffer: BufferOptions) -> Self {
        let segment_ms = match history_ms {
            ..=60_000 => (history_ms / 3).max(2_000),
            60_001..=300_000 => (history_ms / 5).max(20_000),
            300_001..=3_600_000 => (history_ms / 12).max(60_000),
            _ => (history_ms / 24).max(300_000),
        };
        Self { history_ms, segment_ms, buffer }
    }
}

/// What became of a version that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is the latest of its key.
    Latest,
    /// Newer ones were there: it is valid until then, ms.
    Until(i64),
    /// It came later than the history allows and was not put.
    TooLate,
}

/// A record of the changelog that waits for the flush: where its key ends, and its value.
#[derive(Debug, Clone, Copy)]
struct Logged {
    start: usize,
    key_end: usize,
    value_end: Option<usize>,
    timestamp_ms: i64,
}

/// What a record that is taken back is measured by.
#[derive(Default)]
struct Before {
    known: Option<Known>,
    waiting: usize,
    arena: usize,
}

/// What the store knows of itself.
#[derive(Clone)]
struct Known {
    /// The largest timestamp put.
    time_ms: i64,
    /// Ascending.
    segments: Vec<i64>,
    changed: bool,
}

/// A store of typed values with their versions, buffered and transactional.
///
/// See [`ManagedStore`](crate::ManagedStore) for the life of a transaction.
pub struct VersionedStore<V: Send + 'static> {
    id: StoreId,
    rows: BufferedStore<Row<V>>,
    codec: Arc<dyn Codec<V>>,
    options: VersionedOptions,
    /// `None` until it is read, after opening and after an abort.
    known: Option<Known>,
    /// Keys and values of the records that wait.
    arena: Vec<u8>,
    waiting: Vec<Logged>,
    /// A restore has begun and not ended.
    restoring: bool,
    /// What was there when the record began that may be taken back.
    before: Before,
    /// Segments before this one are out of the store as of the last commit, and out of the store behind.
    expired: i64,
    dropped: i64,
    /// A row's key, and a value's bytes.
    row_key: Vec<u8>,
    bytes: Vec<u8>,
}

impl<V: Send + 'static> fmt::Debug for VersionedStore<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VersionedStore")
            .field("rows", &self.rows)
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

/// The key of the row in which the store keeps what it knows of itself.
const STORE_KEY: [u8; 1] = [0];

fn latest_key(key: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.push(1);
    into.extend_from_slice(key);
}

fn history_key(segment: i64, key: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.push(2);
    into.extend_from_slice(&segment.to_be_bytes());
    into.extend_from_slice(key);
}

impl<V: Send + 'static> VersionedStore<V> {
    /// Puts a buffer in front of a store.
    pub fn open(
        id: StoreId,
        store: Box<dyn KeyValueStore>,
        codec: Arc<dyn Codec<V>>,
        options: VersionedOptions,
    ) -> Result<Self, StateError> {
        let buffer = BufferOptions { keep_old: false, ..options.buffer };
        let rows = BufferedStore::open(id.clone(), store, Arc::new(RowCodec), buffer)?;
        let (arena, waiting, before, row_key, bytes) = Default::default();
        let (known, restoring, expired, dropped) = (None, false, 0, 0);
        Ok(Self {
            id,
            rows,
            codec,
            options,
            known,
            arena,
            waiting,
            restoring,
            before,
            expired,
            dropped,
            row_key,
            bytes,
        })
    }

    /// Puts a version; `None` deletes from then on.
    pub fn put(&mut self, key: &[u8], value: Option<V>, timestamp_ms: i64) -> Result<Put, StateError> {
        let held = match value.filter(|value| !self.codec.is_null(value)) {
            Some(value) => {
                self.bytes.clear();
                if let Err(error) = self.codec.encode(&value, &mut self.bytes) {
                    return Err(StateError::Encode { store: self.id.to_string(), reason: error.reason });
                }
                Some(Held::with(&self.bytes, value))
            }
            None => None,
        };
        self.put_logged(key, held, timestamp_ms)
    }

    /// As [`put`](Self::put), with a value as its codec writes it.
    pub fn put_encoded(&mut self, key: &[u8], value: Option<&[u8]>, timestamp_ms: i64) -> Result<Put, StateError> {
        self.put_logged(key, value.map(Held::of), timestamp_ms)
    }

    fn put_logged(&mut self, key: &[u8], value: Option<Held<V>>, timestamp_ms: i64) -> Result<Put, StateError> {
        let start = self.log(key, value.as_ref().map(Held::bytes), timestamp_ms);
        let put = self.put_held(key, value, timestamp_ms)?;
        match put {
            Put::Latest => {}
            Put::Until(_) => self.log_latest(key)?,
            Put::TooLate => self.unlog(start),
        }
        Ok(put)
    }

    /// Deletes a key from a time on, and gives back what was valid then, with the time since when.
    pub fn delete(&mut self, key: &[u8], timestamp_ms: i64) -> Result<Deleted<V>, StateError>
    where
        V: Clone,
    {
        if timestamp_ms < self.oldest_ms()? {
            return Ok(Deleted::TooLate);
        }
        let found = self.get_as_of(key, timestamp_ms)?.map(|(value, since_ms)| (value.clone(), since_ms));
        self.put(key, None, timestamp_ms)?;
        Ok(Deleted::Was(found))
    }

    /// The latest value of a key and its timestamp.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<(&V, i64)>, StateError> {
        latest_key(key, &mut self.row_key);
        match self.rows.get(&self.row_key)? {
            Some((Row::Latest(held), since_ms)) => decoded(&self.id, held, &*self.codec).map(|v| Some((v, since_ms))),
            _ => Ok(None),
        }
    }

    /// The latest value of a key, as its codec writes it.
    pub fn get_encoded(&mut self, key: &[u8]) -> Result<Option<&[u8]>, StateError> {
        latest_key(key, &mut self.row_key);
        match self.rows.get(&self.row_key)? {
            Some((Row::Latest(held), _)) => Ok(Some(held.bytes())),
            _ => Ok(None),
        }
    }

    /// The value of a key that was valid at a time, with the timestamp since when; `None` where there was none, or none that
    /// the history still has.
    pub fn get_as_of(&mut self, key: &[u8], as_of_ms: i64) -> Result<Option<(&V, i64)>, StateError> {
        let latest_since_ms = self.latest_since(key)?;
        if latest_since_ms.is_some_and(|since_ms| since_ms <= as_of_ms) {
            return self.get(key);
        }
        if as_of_ms < self.oldest_ms()? {
            return Ok(None);
        }
        let first = self.segment_of(as_of_ms);
        for at in (0..self.known()?.segments.len()).rev() {
            let segment = self.known()?.segments[at];
            if segment < first {
                break;
            }
            match self.history(segment, key)? {
                Some(history) if history.until_ms <= as_of_ms => break,
                Some(history) if history.since_ms() <= as_of_ms => return self.in_history(segment, key, as_of_ms),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Whether the changes take more than the cache may: the owner then stages before the commit.
    pub fn over_cache(&self) -> bool {
        self.rows.over_cache() || self.arena.len() > self.options.buffer.cache_bytes
    }

    /// Hands the records of all changes to `visit` (key, value, timestamp), in the order they were put, and keeps the rows for
    /// the commit.
    pub fn stage<E: From<StateError>>(
        &mut self,
        mut visit: impl FnMut(&[u8], Option<&[u8]>, i64) -> Result<(), E>,
    ) -> Result<(), E> {
        self.keep_known()?;
        for logged in &self.waiting {
            let value = logged.value_end.map(|end| &self.arena[logged.key_end..end]);
            visit(&self.arena[logged.start..logged.key_end], value, logged.timestamp_ms)?;
        }
        self.waiting.clear();
        self.arena.clear();
        self.rows.stage(|_| Ok::<(), E>(()))
    }

    /// The oldest time that the history has.
    fn oldest_ms(&mut self) -> Result<i64, StateError> {
        Ok(self.known()?.time_ms.saturating_sub(self.options.history_ms))
    }

    fn segment_of(&self, time_ms: i64) -> i64 {
        time_ms.max(0) / self.options.segment_ms
    }

    fn known(&mut self) -> Result<&mut Known, StateError> {
        if self.known.is_none() {
            let (time_ms, segments) = match self.rows.get(&STORE_KEY)? {
                Some((Row::Store { segments }, time_ms)) => (time_ms, segments.clone()),
                _ => (-1, Vec::new()),
            };
            self.known = Some(Known { time_ms, segments, changed: false });
        }
        match &mut self.known {
            Some(known) => Ok(known),
            None => unreachable!("it was read above"),
        }
    }

    /// Writes what the store knows of itself into its row.
    fn keep_known(&mut self) -> Result<(), StateError> {
        let Some(known) = self.known.as_mut().filter(|known| known.changed) else { return Ok(()) };
        known.changed = false;
        self.rows.put(&STORE_KEY, Some(Row::Store { segments: known.segments.clone() }), known.time_ms)
    }

    fn latest_since(&mut self, key: &[u8]) -> Result<Option<i64>, StateError> {
        latest_key(key, &mut self.row_key);
        Ok(self.rows.get(&self.row_key)?.map(|(_, since_ms)| since_ms))
    }

    fn history(&mut self, segment: i64, key: &[u8]) -> Result<Option<&History<V>>, StateError> {
        history_key(segment, key, &mut self.row_key);
        match self.rows.get(&self.row_key)? {
            Some((Row::History(history), _)) => Ok(Some(history)),
            _ => Ok(None),
        }
    }

    fn in_history(&mut self, segment: i64, key: &[u8], as_of_ms: i64) -> Result<Option<(&V, i64)>, StateError> {
        history_key(segment, key, &mut self.row_key);
        let Some((Row::History(history), _)) = self.rows.get(&self.row_key)? else { return Ok(None) };
        let version = history.version(history.find(as_of_ms));
        match &version.value {
            Some(held) => decoded(&self.id, held, &*self.codec).map(|value| Some((value, version.from_ms))),
            None => Ok(None),
        }
    }
}

/// What [`VersionedStore::delete`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deleted<V> {
    /// The value that was valid at that time and since when, if any.
    Was(Option<(V, i64)>),
    /// It came later than the history allows: nothing was done.
    TooLate,
}

fn decoded<'h, V: 'static>(id: &StoreId, held: &'h Held<V>, codec: &dyn Codec<V>) -> Result<&'h V, StateError> {
    held.get(codec).map_err(|error| StateError::Decode { store: id.to_string(), reason: error.reason })
}
