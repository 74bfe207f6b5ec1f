//! Rows by key and session.
//!
//! Row key in the store: `[8 byte segment of the end][key][8 byte end][8 byte start]`; in the changelog the same without the
//! segment, as Kafka Streams has it.
//!
//! **Invariants:** those of `Segmented`.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::managed::managed;
use super::segmented::{Layout, Scope, Segmented};
use crate::{BufferOptions, Change, Codec, Direction, KeyValueStore, StateError, StoreId};

const SUFFIX: usize = 16;

/// Settings of a session store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// The buffer in front.
    pub buffer: BufferOptions,
    /// How long a row is kept: until the largest end put is so much later than its own, ms.
    pub retention_ms: i64,
    /// The length of a segment, ms: what is dropped at once, and what is walked over at once, by key.
    pub segment_ms: i64,
    /// Whether rows stay, although they have expired, from the time that [`SessionStore::hold`] was told last.
    pub held: bool,
}

/// When a session was: both times belong to it, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Its first time.
    pub start_ms: i64,
    /// Its last time.
    pub end_ms: i64,
}

/// Values by key and session, with timestamps, buffered and transactional (Kafka Streams: `SessionStore`).
///
/// Times are never negative. See [`ManagedStore`](crate::ManagedStore) for the life of a transaction.
pub struct SessionStore<V> {
    rows: Segmented<V>,
}

impl<V: 'static> SessionStore<V> {
    /// Puts the buffer in front of a store.
    pub fn open(
        id: StoreId,
        store: Box<dyn KeyValueStore>,
        codec: Arc<dyn Codec<V>>,
        options: SessionOptions,
    ) -> Result<Self, StateError> {
        let SessionOptions { buffer, retention_ms, segment_ms, held } = options;
        let layout = Layout { suffix: SUFFIX, segment_ms, retention_ms, held, sought: true };
        Ok(Self { rows: Segmented::open(id, store, codec, buffer, layout)? })
    }

    /// The largest end put or removed, ms; `i64::MIN` before the first. After opening it is a lower bound: the owner that needs
    /// it exactly keeps it, and gives it back to [`observe`](Self::observe).
    pub fn observed_ms(&self) -> i64 {
        self.rows.observed_ms()
    }

    /// Moves the largest end forward to `time_ms`, if that is forward.
    pub fn observe(&mut self, time_ms: i64) {
        self.rows.observe(time_ms);
    }

    /// Rows that end before `from_ms` may go once they have expired; for a store with [`SessionOptions::held`]. Moves forward
    /// only. Until it is called the first time all rows stay.
    pub fn hold(&mut self, from_ms: i64) {
        self.rows.hold(from_ms);
    }

    /// Sets the value of a session; `None` removes it. Says whether it was written: not where the row has expired.
    pub fn put(
        &mut self,
        key: &[u8],
        session: Session,
        value: Option<V>,
        timestamp_ms: i64,
    ) -> Result<bool, StateError> {
        self.rows.put(key, &suffix(session.end_ms, session.start_ms), value, timestamp_ms)
    }

    /// Changes the value of a session in place: `f` is given the value with its timestamp and gives back the new one; `None`
    /// removes it. Says whether it was written: not where the row has expired, then `f` is given nothing.
    pub fn update(
        &mut self,
        key: &[u8],
        session: Session,
        f: impl FnOnce(Option<(V, i64)>) -> Option<(V, i64)>,
    ) -> Result<bool, StateError> {
        self.rows.update(key, &suffix(session.end_ms, session.start_ms), f)
    }

    /// The value of exactly this session with its timestamp.
    pub fn get(&mut self, key: &[u8], session: Session) -> Result<Option<(&V, i64)>, StateError> {
        self.rows.get(key, &suffix(session.end_ms, session.start_ms))
    }

    /// Visits the sessions of a key that end no earlier than `earliest_end_ms` and begin no later than `latest_start_ms`, in the
    /// order of their ends: with session, value and timestamp.
    pub fn find(
        &mut self,
        key: &[u8],
        earliest_end_ms: i64,
        latest_start_ms: i64,
        direction: Direction,
        mut visit: impl FnMut(Session, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let (from, to) = (suffix(earliest_end_ms.max(0), 0), suffix(i64::MAX, i64::MAX));
        let mut each = |_: &[u8], suffix: &[u8], value: &V, timestamp_ms: i64| match session(suffix) {
            session if session.start_ms <= latest_start_ms => visit(session, value, timestamp_ms),
            _ => ControlFlow::Continue(()),
        };
        self.rows.scan_key(key, &from, &to, direction, &mut each)
    }

    /// As [`find`](Self::find) over a range of keys, both ends included and `None` for all: segment by segment, in each by the
    /// bytes of key, end and start; with key, session, value and timestamp.
    pub fn find_range(
        &mut self,
        keys: (Option<&[u8]>, Option<&[u8]>),
        earliest_end_ms: i64,
        latest_start_ms: i64,
        direction: Direction,
        mut visit: impl FnMut(&[u8], Session, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let scope = Scope { keys, times: (earliest_end_ms, i64::MAX), expired: false, direction };
        let mut each = |key: &[u8], suffix: &[u8], value: &V, timestamp_ms: i64| match session(suffix) {
            session if session.start_ms <= latest_start_ms => visit(key, session, value, timestamp_ms),
            _ => ControlFlow::Continue(()),
        };
        self.rows.scan(&scope, &mut each)
    }

    /// Visits the sessions of all keys that end from `from_ms` to `to_ms`, both included, with what has expired and is still
    /// held: segment by segment.
    pub fn ended_held(
        &mut self,
        from_ms: i64,
        to_ms: i64,
        mut visit: impl FnMut(&[u8], Session, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), StateError> {
        let scope = Scope { keys: (None, None), times: (from_ms, to_ms), expired: true, direction: Direction::Forward };
        let mut each = |key: &[u8], suffix: &[u8], value: &V, ts: i64| visit(key, session(suffix), value, ts);
        self.rows.scan(&scope, &mut each)
    }

    /// As [`BufferedStore::stage`](crate::BufferedStore::stage); keys are those of the changelog:
    /// `[key][8 byte end][8 byte start]`.
    pub fn stage<E: From<StateError>>(&mut self, visit: impl FnMut(Change<'_, V>) -> Result<(), E>) -> Result<(), E> {
        self.rows.stage(visit)
    }

    /// Whether the changes take more than the cache may: the owner then stages before the commit.
    pub fn over_cache(&self) -> bool {
        self.rows.buffer().over_cache()
    }
}

managed!(SessionStore);

fn suffix(end_ms: i64, start_ms: i64) -> [u8; SUFFIX] {
    let mut out = [0; SUFFIX];
    out[..8].copy_from_slice(&end_ms.to_be_bytes());
    out[8..].copy_from_slice(&start_ms.to_be_bytes());
    out
}

fn session(suffix: &[u8]) -> Session {
    let time = |bytes: &[u8]| bytes.first_chunk().map_or(0, |time| i64::from_be_bytes(*time));
    Session { start_ms: time(&suffix[8..]), end_ms: time(suffix) }
}
