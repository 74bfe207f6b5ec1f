//! Rows that expire, over a buffered store: the ground of window and session stores.
//!
//! A row's key in the store is `[8 byte segment][key][8 byte time][rest]`, numbers big-endian, the segment being its time divided by
//! the segment's length. In the changelog it is the same without the segment, as Kafka Streams has it. So whatever has expired is
//! one range at the beginning of the store, which is dropped as a whole, without a tombstone for each row.
//!
//! **Invariants:**
//! - A row is there for a reader exactly while its time is later than the largest time put, less the retention. That does not
//!   depend on when segments go.
//! - `segments` has every segment that has a row, in the buffer or behind it; it may have others.
//! - Only what the last commit let expire is dropped, and only when the committed layer is written: an abort or a crash brings
//!   back nothing and loses nothing.

mod managed;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::keys::{KeysOfSegments, Whereabouts};
use crate::{BufferOptions, BufferedStore, Change, Codec, Direction, KeyValueStore, ManagedStore, StateError, StoreId};

const SEGMENT_BYTES: usize = 8;
const TIME_BYTES: usize = 8;

/// What a scan calls with a row's key, what stands behind it (time first), value and timestamp.
type VisitRow<'v, V> = dyn FnMut(&[u8], &[u8], &V, i64) -> ControlFlow<()> + 'v;

/// How long rows are kept, and how they are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes behind the key, time included.
    pub(super) suffix: usize,
    pub(super) segment_ms: i64,
    pub(super) retention_ms: i64,
    /// The owner says from when on rows must stay although they have expired.
    pub(super) held: bool,
    /// Rows are looked for by key with every record.
    pub(super) sought: bool,
}

/// What moves on with every put.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// The largest time put.
    observed_ms: i64,
    /// Rows from here on stay, expired or not.
    hold_ms: i64,
    /// The number that tells rows of one key and time apart, as it was used last.
    sequence: i64,
}

/// Which rows a scan visits.
pub(super) struct Scope<'s> {
    /// The smallest and the largest key.
    pub(super) keys: (Option<&'s [u8]>, Option<&'s [u8]>),
    /// The first and the last time.
    pub(super) times: (i64, i64),
    /// Also what has expired and is still there.
    pub(super) expired: bool,
    pub(super) direction: Direction,
}

pub(super) struct Segmented<V> {
    store: BufferedStore<V>,
    layout: Layout,
    segments: BTreeSet<i64>,
    /// Kept where rows are looked for by key with every record.
    keys: Option<KeysOfSegments>,
    now: Progress,
    committed: Progress,
    before_record: Progress,
    key: Vec<u8>,
    upper: Vec<u8>,
}

impl<V> fmt::Debug for Segmented<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segmented")
            .field("store", &self.store)
            .field("segments", &self.segments.len())
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl<V: 'static> Segmented<V> {
    pub(super) fn open(
        id: StoreId,
        store: Box<dyn KeyValueStore>,
        codec: Arc<dyn Codec<V>>,
        buffer: BufferOptions,
        layout: Layout,
    ) -> Result<Self, StateError> {
        if layout.segment_ms < 1 || layout.retention_ms < 0 {
            let reason =
                format!("segments of {} ms, kept {} ms, make no sense", layout.segment_ms, layout.retention_ms);
            return Err(StateError::Misuse { store: id.to_string(), reason });
        }
        let segments = segments_of(&id, &*store)?;
        let observed_ms = segments.last().map_or(i64::MIN, |segment| segment.saturating_mul(layout.segment_ms));
        let now = Progress { observed_ms, hold_ms: if layout.held { i64::MIN } else { i64::MAX }, sequence: 0 };
        // As much as a filter of all its keys may take.
        let keys = layout.sought.then(|| KeysOfSegments::new(buffer.cache_bytes / 2));
        let store = BufferedStore::open(id, store, codec, buffer)?;
        let (committed, before_record) = (now, now);
        Ok(Self { store, layout, segments, keys, now, committed, before_record, key: Vec::new(), upper: Vec::new() })
    }

    pub(super) fn observed_ms(&self) -> i64 {
        self.now.observed_ms
    }

    pub(super) fn observe(&mut self, time_ms: i64) {
        self.now.observed_ms = self.now.observed_ms.max(time_ms);
    }

    pub(super) fn sequence(&self) -> i64 {
        self.now.sequence
    }

    pub(super) fn resume(&mut self, sequence: i64) {
        self.now.sequence = self.now.sequence.max(sequence);
    }

    pub(super) fn hold(&mut self, from_ms: i64) {
        if self.layout.held {
            self.now.hold_ms = self.now.hold_ms.max(from_ms);
        }
    }

    pub(super) fn is_expired(&self, time_ms: i64) -> bool {
        time_ms <= self.now.observed_ms.saturating_sub(self.layout.retention_ms)
    }

    /// Writes the row's key into `self.key`.
    fn row_key(&mut self, key: &[u8], suffix: &[u8]) -> i64 {
        let time_ms = suffix.first_chunk().map_or(0, |time| i64::from_be_bytes(*time));
        let segment = time_ms.div_euclid(self.layout.segment_ms);
        self.key.clear();
        self.key.extend_from_slice(&segment.to_be_bytes());
        self.key.extend_from_slice(key);
        self.key.extend_from_slice(suffix);
        segment
    }

    /// Moves the observed time; false, and nothing is written, where the row has expired.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        suffix: &[u8],
        value: Option<V>,
        timestamp_ms: i64,
    ) -> Result<bool, StateError> {
        if !self.admit(key, suffix, value.is_some()) {
            return Ok(false);
        }
        self.store.put(&self.key, value, timestamp_ms)?;
        Ok(true)
    }

    pub(super) fn update(
        &mut self,
        key: &[u8],
        suffix: &[u8],
        f: impl FnOnce(Option<(V, i64)>) -> Option<(V, i64)>,
    ) -> Result<bool, StateError> {
        if !self.admit(key, suffix, true) {
            f(None);
            return Ok(false);
        }
        self.store.update(&self.key, f)?;
        Ok(true)
    }

    fn admit(&mut self, key: &[u8], suffix: &[u8], adds: bool) -> bool {
        let segment = self.row_key(key, suffix);
        let time_ms = suffix.first_chunk().map_or(0, |time| i64::from_be_bytes(*time));
        self.observe(time_ms);
        if self.is_expired(time_ms) {
            return false;
        }
        if adds {
            let first = self.segments.insert(segment);
            if let Some(keys) = &mut self.keys {
                keys.add(segment, first, key);
            }
        }
        true
    }

    pub(super) fn get(&mut self, key: &[u8], suffix: &[u8]) -> Result<Option<(&V, i64)>, StateError> {
        let segment = self.row_key(key, suffix);
        let time_ms = suffix.first_chunk().map_or(0, |time| i64::from_be_bytes(*time));
        if self.is_expired(time_ms) || !self.segments.contains(&segment) {
            return Ok(None);
        }
        self.store.get(&self.key)
    }

    /// Visits the rows of one key with suffixes from `from` to `to`, both included, in their order.
    pub(super) fn scan_key(
        &mut self,
        key: &[u8],
        from: &[u8],
        to: &[u8],
        direction: Direction,
        visit: &mut VisitRow<'_, V>,
    ) -> Result<(), StateError> {
        let time = |suffix: &[u8]| suffix.first_chunk().map_or(0, |time| i64::from_be_bytes(*time));
        let earliest = self.earliest(time(from));
        for segment in self.segments_between(earliest, time(to), direction) {
            let whereabouts = self.keys.as_ref().map_or(Whereabouts::Anywhere, |keys| keys.whereabouts(segment, key));
            if whereabouts == Whereabouts::Nowhere {
                continue;
            }
            let (suffix, length) = (self.layout.suffix, SEGMENT_BYTES + key.len() + self.layout.suffix);
            for (bound, end) in [(&mut self.key, from), (&mut self.upper, to)] {
                bound.clear();
                bound.extend_from_slice(&segment.to_be_bytes());
                bound.extend_from_slice(key);
                bound.extend_from_slice(end);
            }
            let mut flow = ControlFlow::Continue(());
            let mut each = |row: &[u8], value: &V, timestamp_ms: i64| {
                // A longer key may lie between.
                let (row_key, row_suffix) = row[SEGMENT_BYTES..].split_at(row.len() - SEGMENT_BYTES - suffix);
                if row.len() == length && row_key == key && time(row_suffix) >= earliest {
                    flow = visit(row_key, row_suffix, value, timestamp_ms);
                }
                flow
            };
            let (lower, upper) = (Bound::Included(self.key.as_slice()), Bound::Included(self.upper.as_slice()));
            let behind = whereabouts == Whereabouts::Anywhere;
            self.store.scan_from(lower, upper, direction, behind, &mut each)?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Visits the rows of a scope segment by segment, in each by key and suffix.
    pub(super) fn scan(&mut self, scope: &Scope<'_>, visit: &mut VisitRow<'_, V>) -> Result<(), StateError> {
        let (smallest, largest) = scope.keys;
        let latest = scope.times.1;
        let earliest = if scope.expired { scope.times.0 } else { self.earliest(scope.times.0) };
        let within = |key: &[u8], time_ms: i64| {
            smallest.is_none_or(|smallest| key >= smallest)
                && largest.is_none_or(|largest| key <= largest)
                && (earliest..=latest).contains(&time_ms)
        };
        for segment in self.segments_between(earliest, latest, scope.direction) {
            let suffix = self.layout.suffix;
            self.key.clear();
            self.key.extend_from_slice(&segment.to_be_bytes());
            self.key.extend_from_slice(smallest.unwrap_or_default());
            self.upper.clear();
            self.upper.extend_from_slice(&(segment + 1).to_be_bytes());
            let mut flow = ControlFlow::Continue(());
            let mut each = |row: &[u8], value: &V, timestamp_ms: i64| {
                let (key, suffix) = row[SEGMENT_BYTES..].split_at(row.len() - SEGMENT_BYTES - suffix);
                if within(key, suffix.first_chunk().map_or(0, |time| i64::from_be_bytes(*time))) {
                    flow = visit(key, suffix, value, timestamp_ms);
                }
                flow
            };
            let (lower, upper) = (Bound::Included(self.key.as_slice()), Bound::Excluded(self.upper.as_slice()));
            self.store.scan(lower, upper, scope.direction, &mut each)?;
            if flow.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The first time at or after `from_ms` that has not expired.
    fn earliest(&self, from_ms: i64) -> i64 {
        let first = self.now.observed_ms.saturating_sub(self.layout.retention_ms).saturating_add(1);
        from_ms.max(0).max(first)
    }

    fn segments_between(&self, from_ms: i64, to_ms: i64, direction: Direction) -> Vec<i64> {
        let (from_ms, length) = (from_ms.max(0), self.layout.segment_ms);
        if from_ms > to_ms {
            return Vec::new();
        }
        let mut segments: Vec<i64> =
            self.segments.range(from_ms.div_euclid(length)..=to_ms.div_euclid(length)).copied().collect();
        if direction == Direction::Backward {
            segments.reverse();
        }
        segments
    }

    /// As [`BufferedStore::stage`], with the changelog's keys.
    pub(super) fn stage<E: From<StateError>>(
        &mut self,
        mut visit: impl FnMut(Change<'_, V>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.store.stage(|change| visit(Change { key: &change.key[SEGMENT_BYTES..], ..change }))
    }

    pub(super) fn buffer(&self) -> &BufferedStore<V> {
        &self.store
    }
}

impl<V: Send + 'static> Segmented<V> {
    fn drop_expired(&mut self) -> Result<(), StateError> {
        if self.store.tail_records() > 0 {
            return Ok(());
        }
        let Progress { observed_ms, hold_ms, .. } = self.committed;
        let expired_until = observed_ms.saturating_sub(self.layout.retention_ms).saturating_add(1).min(hold_ms);
        let first_kept = expired_until.max(0).div_euclid(self.layout.segment_ms);
        let Some(first) = self.segments.first().copied().filter(|first| *first < first_kept) else { return Ok(()) };
        self.store.drop_range(&first.to_be_bytes(), &first_kept.to_be_bytes())?;
        self.segments = self.segments.split_off(&first_kept);
        if let Some(keys) = &mut self.keys {
            keys.drop_before(first_kept);
        }
        Ok(())
    }
}

/// The segments that have rows, found by skipping from one to the next.
fn segments_of(id: &StoreId, store: &dyn KeyValueStore) -> Result<BTreeSet<i64>, StateError> {
    let mut segments = BTreeSet::new();
    let mut from = Vec::new();
    loop {
        let mut cursor = store.scan(Bound::Included(&from), Bound::Unbounded, Direction::Forward)?;
        let Some((key, _)) = cursor.next()? else { return Ok(segments) };
        let Some(segment) = key.first_chunk::<SEGMENT_BYTES>() else {
            let reason = format!("a row's key of {} bytes has no segment", key.len());
            return Err(StateError::Decode { store: id.to_string(), reason });
        };
        let segment = i64::from_be_bytes(*segment);
        segments.insert(segment);
        from.clear();
        from.extend_from_slice(&segment.saturating_add(1).to_be_bytes());
    }
}
