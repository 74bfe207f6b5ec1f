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

mod managed;
mod row;
#[cfg(test)]
mod tests;

use self::row::{Held, History, Row, RowCodec};
use crate::{BufferOptions, BufferedStore, Codec, KeyValueStore, StateError, StoreId};
use std::fmt;
use std::ops::{Bound, ControlFlow};
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
        const MINUTE_MS: i64 = 60_000;
        let segment_ms = match history_ms {
            ..=MINUTE_MS => (history_ms / 3).max(2_000),
            ..=300_000 => (history_ms / 5).max(20_000),
            ..=3_600_000 => (history_ms / 12).max(MINUTE_MS),
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

/// What the store knows of itself.
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
        let (arena, waiting, row_key, bytes) = Default::default();
        Ok(Self { id, rows, codec, options, known: None, arena, waiting, restoring: false, row_key, bytes })
    }

    /// Puts a version; `None` deletes from then on.
    pub fn put(&mut self, key: &[u8], value: Option<V>, timestamp_ms: i64) -> Result<Put, StateError> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let held = match value.filter(|value| !self.codec.is_null(value)) {
            Some(value) => match self.codec.encode(&value, &mut bytes) {
                Ok(()) => Some(Held::with(&bytes, value)),
                Err(error) => {
                    return Err(StateError::Encode { store: self.id.to_string(), reason: error.reason });
                }
            },
            None => None,
        };
        let start = self.log(key, held.as_ref().map(|_| bytes.as_slice()), timestamp_ms);
        self.bytes = bytes;
        let put = self.put_held(key, held, timestamp_ms)?;
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

    fn put_held(&mut self, key: &[u8], value: Option<Held<V>>, timestamp_ms: i64) -> Result<Put, StateError> {
        if timestamp_ms < self.oldest_ms()? {
            return Ok(Put::TooLate);
        }
        self.advance(timestamp_ms)?;
        let latest_since_ms = self.latest_since(key)?;
        match latest_since_ms {
            Some(since_ms) if since_ms <= timestamp_ms => {
                let replaced = self.replace_latest(key, value, timestamp_ms)?;
                if let Some(replaced) = replaced.filter(|_| since_ms < timestamp_ms) {
                    self.push(key, Some(replaced), since_ms, timestamp_ms)?;
                }
                Ok(Put::Latest)
            }
            _ => self.put_into_history(key, value, timestamp_ms, latest_since_ms),
        }
    }

    /// Puts a version that may not be the latest. `until_ms` is when the next one begins, as far as it is known.
    fn put_into_history(
        &mut self,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
        mut until_ms: Option<i64>,
    ) -> Result<Put, StateError> {
        let first = self.segment_of(timestamp_ms);
        for at in (0..self.known()?.segments.len()).rev() {
            let segment = self.known()?.segments[at];
            if segment < first {
                break;
            }
            let Some(history) = self.history(segment, key)? else { continue };
            let (since_ms, ended_ms) = (history.since_ms(), history.until_ms);
            if ended_ms <= timestamp_ms {
                break;
            }
            if since_ms <= timestamp_ms {
                return self.put_within(segment, key, value, timestamp_ms).map(Put::Until);
            }
            until_ms = Some(since_ms);
        }
        match (until_ms, value) {
            (Some(until_ms), value) => self.put_before(key, value, timestamp_ms, until_ms).map(|()| Put::Until(until_ms)),
            (None, Some(value)) => {
                self.replace_latest(key, Some(value), timestamp_ms)?;
                Ok(Put::Latest)
            }
            (None, None) => self.mark_deleted(key, timestamp_ms).map(|()| Put::Latest),
        }
    }

    /// Puts a version where a segment has one of its time. Gives back until when it is valid.
    fn put_within(
        &mut self,
        segment: i64,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
    ) -> Result<i64, StateError> {
        let own_segment = self.segment_of(timestamp_ms);
        let (mut until_ms, mut moved) = (timestamp_ms, None);
        self.change_history(segment, key, |history| {
            let mut history = history?;
            let index = history.find(timestamp_ms);
            until_ms = history.end_ms(index);
            if history.version(index).from_ms == timestamp_ms {
                history.replace(index, value, timestamp_ms);
            } else if own_segment == segment {
                history.insert(index, value, timestamp_ms);
            } else {
                // The older one ends earlier now, in another segment.
                moved = Some(history.replace(index, value, timestamp_ms));
            }
            Some(history)
        })?;
        if let Some(moved) = moved {
            self.push(key, moved.value, moved.from_ms, timestamp_ms)?;
        }
        Ok(until_ms)
    }

    /// Puts a version that is valid until the next one begins, which lies elsewhere.
    fn put_before(
        &mut self,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
        until_ms: i64,
    ) -> Result<(), StateError> {
        self.change_history(self.segment_of(until_ms), key, |history| {
            let Some(mut history) = history else { return Some(History::of(value, timestamp_ms, until_ms)) };
            if history.until_ms <= timestamp_ms {
                history.push(value, timestamp_ms, until_ms);
            } else {
                history.push_oldest(value, timestamp_ms);
            }
            Some(history)
        })
    }

    /// Remembers the deletion of a key that has no latest value.
    fn mark_deleted(&mut self, key: &[u8], timestamp_ms: i64) -> Result<(), StateError> {
        self.change_history(self.segment_of(timestamp_ms), key, |history| {
            let Some(mut history) = history else { return Some(History::of(None, timestamp_ms, timestamp_ms)) };
            let ended_ms = history.until_ms;
            if ended_ms != timestamp_ms {
                history.push(None, ended_ms, timestamp_ms);
            }
            Some(history)
        })
    }

    /// Adds a version that has just ended.
    fn push(&mut self, key: &[u8], value: Option<Held<V>>, since_ms: i64, until_ms: i64) -> Result<(), StateError> {
        self.change_history(self.segment_of(until_ms), key, |history| {
            let Some(mut history) = history else { return Some(History::of(value, since_ms, until_ms)) };
            history.push(value, since_ms, until_ms);
            Some(history)
        })
    }

    fn change_history(
        &mut self,
        segment: i64,
        key: &[u8],
        change: impl FnOnce(Option<History<V>>) -> Option<History<V>>,
    ) -> Result<(), StateError> {
        let known = self.known()?;
        if let Err(at) = known.segments.binary_search(&segment) {
            known.segments.insert(at, segment);
            known.changed = true;
        }
        history_key(segment, key, &mut self.row_key);
        self.rows.update(&self.row_key, |row| {
            let history = match row {
                Some((Row::History(history), _)) => Some(history),
                _ => None,
            };
            change(history).map(|history| {
                let until_ms = history.until_ms;
                (Row::History(history), until_ms)
            })
        })
    }

    /// Gives back the latest value before.
    fn replace_latest(
        &mut self,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
    ) -> Result<Option<Held<V>>, StateError> {
        latest_key(key, &mut self.row_key);
        let mut replaced = None;
        self.rows.update(&self.row_key, |row| {
            if let Some((Row::Latest(held), _)) = row {
                replaced = Some(held);
            }
            value.map(|held| (Row::Latest(held), timestamp_ms))
        })?;
        Ok(replaced)
    }

    /// Moves the store's time, and drops the segments that the history no longer has.
    fn advance(&mut self, timestamp_ms: i64) -> Result<(), StateError> {
        let (history_ms, segment_ms) = (self.options.history_ms, self.options.segment_ms);
        let known = self.known()?;
        if timestamp_ms <= known.time_ms {
            return Ok(());
        }
        (known.time_ms, known.changed) = (timestamp_ms, true);
        let oldest = timestamp_ms.saturating_sub(history_ms).max(0) / segment_ms;
        let expired: Vec<i64> = known.segments.iter().copied().take_while(|segment| *segment < oldest).collect();
        known.segments.drain(..expired.len());
        expired.into_iter().try_for_each(|segment| self.drop_segment(segment))
    }

    fn drop_segment(&mut self, segment: i64) -> Result<(), StateError> {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        history_key(segment, &[], &mut from);
        history_key(segment + 1, &[], &mut to);
        let mut keys = Vec::new();
        let range = (Bound::Included(from.as_slice()), Bound::Excluded(to.as_slice()));
        self.rows.scan(range.0, range.1, crate::Direction::Forward, &mut |key, _, _| {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        keys.iter().try_for_each(|key| self.rows.put(key, None, 0))
    }

    /// Adds a record for the changelog and gives back where it begins.
    fn log(&mut self, key: &[u8], value: Option<&[u8]>, timestamp_ms: i64) -> usize {
        let start = self.arena.len();
        self.arena.extend_from_slice(key);
        let key_end = self.arena.len();
        let value_end = value.map(|value| {
            self.arena.extend_from_slice(value);
            self.arena.len()
        });
        self.waiting.push(Logged { start, key_end, value_end, timestamp_ms });
        start
    }

    fn unlog(&mut self, start: usize) {
        self.waiting.pop();
        self.arena.truncate(start);
    }

    /// Logs the latest version of a key again, behind one that came late.
    fn log_latest(&mut self, key: &[u8]) -> Result<(), StateError> {
        latest_key(key, &mut self.row_key);
        if let Some((Row::Latest(held), since_ms)) = self.rows.get(&self.row_key)? {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            bytes.extend_from_slice(&held.bytes);
            self.log(key, Some(&bytes), since_ms);
            self.bytes = bytes;
            return Ok(());
        }
        for at in (0..self.known()?.segments.len()).rev() {
            let segment = self.known()?.segments[at];
            if let Some(deleted_ms) = self.history(segment, key)?.map(|history| history.until_ms) {
                self.log(key, None, deleted_ms);
                break;
            }
        }
        Ok(())
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
