//! Rows by key and window.
//!
//! Row key in the store: `[8 byte segment][key][8 byte start][4 byte sequence number]`; in the changelog the same without the
//! segment, as Kafka Streams has it.
//!
//! **Invariants:** those of `Segmented`; a sequence number is used once, as long as the owner gives back the one it was told last.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::managed::managed;
use super::segmented::{Layout, Scope, Segmented};
use crate::{BufferOptions, Change, Codec, Direction, KeyValueStore, StateError, StoreId};

const SUFFIX: usize = 12;

/// Settings of a window store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// The buffer in front.
    pub buffer: BufferOptions,
    /// How long a row is kept: until the largest start put is so much later than its own, ms.
    pub retention_ms: i64,
    /// The length of a segment, ms: what is dropped at once, and what is walked over at once, by key. Scans that span many
    /// segments are slow; where it is the distance of windows' starts, scans of all keys are in the order of time.
    pub segment_ms: i64,
    /// Whether several rows of a key may begin at one time; else the later replaces the earlier.
    pub retain_duplicates: bool,
    /// Whether rows stay, although they have expired, from the time that [`WindowStore::hold`] was told last.
    pub held: bool,
}

/// Values by key and the start of their window, with timestamps, buffered and transactional (Kafka Streams: `WindowStore`).
///
/// Starts are never negative. See [`ManagedStore`](crate::ManagedStore) for the life of a transaction.
pub struct WindowStore<V> {
    rows: Segmented<V>,
    retain_duplicates: bool,
}

impl<V: 'static> WindowStore<V> {
    /// Puts the buffer in front of a store.
    pub fn open(
        id: StoreId,
        store: Box<dyn KeyValueStore>,
        codec: Arc<dyn Codec<V>>,
        options: WindowOptions,
    ) -> Result<Self, StateError> {
        let WindowOptions { buffer, retention_ms, segment_ms, retain_duplicates, held } = options;
        let layout = Layout { suffix: SUFFIX, segment_ms, retention_ms, held, sought: retain_duplicates };
        Ok(Self { rows: Segmented::open(id, store, codec, buffer, layout)?, retain_duplicates })
    }

    /// The largest start put, ms; `i64::MIN` before the first. After opening it is a lower bound: the owner that needs it exactly
    /// keeps it, and gives it back to [`observe`](Self::observe).
    pub fn observed_ms(&self) -> i64 {
        self.rows.observed_ms()
    }

    /// Whether a row that begins at `time_ms` would have expired.
    pub fn is_expired(&self, time_ms: i64) -> bool {
        self.rows.is_expired(time_ms)
    }

    /// Moves the largest start put forward to `time_ms`, if that is forward.
    pub fn observe(&mut self, time_ms: i64) {
        self.rows.observe(time_ms);
    }

    /// Rows that begin before `from_ms` may go once they have expired; for a store with [`WindowOptions::held`]. Moves forward
    /// only. Until it is called the first time all rows stay.
    pub fn hold(&mut self, from_ms: i64) {
        self.rows.hold(from_ms);
    }

    /// The sequence number used last, for the owner to keep.
    pub fn sequence(&self) -> i64 {
        self.rows.sequence()
    }

    /// Goes on after `sequence`, if that is forward.
    pub fn resume(&mut self, sequence: i64) {
        self.rows.resume(sequence);
    }

    /// Sets the value of a window; `None` deletes it, which does nothing where duplicates are retained. Says whether it was
    /// written: not where the row has expired.
    pub fn put(&mut self, key: &[u8], start_ms: i64, value: Option<V>, timestamp_ms: i64) -> Result<bool, StateError> {
        let mut sequence = 0;
        if self.retain_duplicates {
            if value.is_none() {
                return Ok(true);
            }
            self.rows.resume(self.rows.sequence() + 1);
            // Kafka Streams' wraps around at the same place.
            sequence = (self.rows.sequence() & 0x7fff_ffff) as u32;
        }
        self.rows.put(key, &suffix(start_ms, sequence), value, timestamp_ms)
    }

    /// Changes the value of a window in place: `f` is given the value with its timestamp and gives back the new one; `None`
    /// deletes. Says whether it was written: not where the row has expired, then `f` is given nothing.
    pub fn update(
        &mut self,
        key: &[u8],
        start_ms: i64,
        f: impl FnOnce(Option<(V, i64)>) -> Option<(V, i64)>,
    ) -> Result<bool, StateError> {
        self.rows.update(key, &suffix(start_ms, 0), f)
    }

    /// The value of a window with its timestamp.
    pub fn get(&mut self, key: &[u8], start_ms: i64) -> Result<Option<(&V, i64)>, StateError> {
        self.rows.get(key, &suffix(start_ms, 0))
    }

    /// Visits the windows of a key that begin from `from_ms` to `to_ms`, both included, in the order of their starts, then of
    /// their writing: with start, value and timestamp.
    pub fn fetch(
        &mut self,
        key: &[u8],
        from_ms: i64,
        to_ms: i64,
        direction: Direction,
        mut visit: impl FnMut(i64, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let (from, to) = (suffix(from_ms.max(0), 0), suffix(to_ms, u32::MAX));
        let mut each =
            |_: &[u8], suffix: &[u8], value: &V, timestamp_ms: i64| visit(start(suffix), value, timestamp_ms);
        self.rows.scan_key(key, &from, &to, direction, &mut each)
    }

    /// Visits the windows of a range of keys, both ends included and `None` for all, that begin from `from_ms` to `to_ms`, both
    /// included: segment by segment, in each by the bytes of key and start; with key, start, value and timestamp.
    pub fn fetch_range(
        &mut self,
        keys: (Option<&[u8]>, Option<&[u8]>),
        from_ms: i64,
        to_ms: i64,
        direction: Direction,
        mut visit: impl FnMut(&[u8], i64, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let scope = Scope { keys, times: (from_ms, to_ms), expired: false, direction };
        let mut each = |key: &[u8], suffix: &[u8], value: &V, ts: i64| visit(key, start(suffix), value, ts);
        self.rows.scan(&scope, &mut each)
    }

    /// As [`fetch_range`](Self::fetch_range) for all keys, forward, with what has expired and is still held.
    pub fn fetch_held(
        &mut self,
        from_ms: i64,
        to_ms: i64,
        mut visit: impl FnMut(&[u8], i64, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let scope = Scope { keys: (None, None), times: (from_ms, to_ms), expired: true, direction: Direction::Forward };
        let mut each = |key: &[u8], suffix: &[u8], value: &V, ts: i64| visit(key, start(suffix), value, ts);
        self.rows.scan(&scope, &mut each)
    }

    /// As [`BufferedStore::stage`](crate::BufferedStore::stage); keys are those of the changelog:
    /// `[key][8 byte start][4 byte sequence number]`.
    pub fn stage<E: From<StateError>>(&mut self, visit: impl FnMut(Change<'_, V>) -> Result<(), E>) -> Result<(), E> {
        self.rows.stage(visit)
    }

    /// Whether the changes take more than the cache may: the owner then stages before the commit.
    pub fn over_cache(&self) -> bool {
        self.rows.buffer().over_cache()
    }
}

managed!(WindowStore);

fn suffix(start_ms: i64, sequence: u32) -> [u8; SUFFIX] {
    let mut out = [0; SUFFIX];
    out[..8].copy_from_slice(&start_ms.to_be_bytes());
    out[8..].copy_from_slice(&sequence.to_be_bytes());
    out
}

fn start(suffix: &[u8]) -> i64 {
    suffix.first_chunk().map_or(0, |start| i64::from_be_bytes(*start))
}
