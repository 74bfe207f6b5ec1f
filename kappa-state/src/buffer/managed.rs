//! What the runtime sees of a buffered store: commit, abort, writing the tail, restore.

use std::ops::Bound;
use std::{iter, mem};

use super::BufferedStore;
use super::filter::{Filter, Knowledge};
use super::prefix::prefix_hash;
use super::restoring::Restoring;
use super::rows::Rows;
use crate::{Direction, Layer, ManagedStore, Mark, RestoringBytes, StateError, StoreId};

/// Look-ups in vain after which a filter is worth a walk over the store.
const WALK_AFTER: u32 = if cfg!(test) { 2 } else { 1_000 };
/// Keys walked over at a time: about a millisecond.
const WALK_KEYS: usize = if cfg!(test) { 3 } else { 5_000 };

/// A restore writes steps of about so many bytes, if it is not told to before.
const STEP_BYTES: usize = 32 * 1024 * 1024;

/// What is committed and not yet in the store behind.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) rows: Rows,
    records: u64,
    /// When the oldest was committed.
    since_ms: Option<i64>,
}

impl<V: 'static> BufferedStore<V> {
    fn flush_is_due(&self, now_ms: i64) -> bool {
        let bound = &self.options.tail_bound;
        let old = self.tail.since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= bound.age_ms);
        old || self.tail.records >= bound.records || self.tail.rows.live_bytes() as u64 >= bound.bytes
    }

    /// Writes the tail; where that fails it is as before.
    fn write_tail(&mut self) -> Result<(), StateError> {
        let Some(mark) = self.mark.clone() else { return Ok(()) };
        let rows = &self.tail.rows;
        self.store.apply_sorted(&mut rows.sorted(&rows.order()), &mark)?;
        self.tail.rows.clear();
        self.tail.records = 0;
        self.tail.since_ms = None;
        if self.overlay.is_kept() {
            self.begin_overlay();
        }
        Ok(())
    }

    /// Begins to keep the keys that a scan finds in the buffer.
    pub(super) fn begin_overlay(&mut self) {
        let dirty = self.dirty.iter().map(|&index| &*self.cells[index].key);
        let rows = self.staged.iter().chain(self.tail.rows.iter()).map(|(_, key, _)| key);
        self.overlay.begin(dirty.chain(rows));
    }

    /// Takes the keys of the next part of the store into the filter, where it does not know them and that would help.
    fn walk(&mut self) -> Result<(), StateError> {
        let bytes_max = self.filter_bound();
        let (cells, prefix_len) = (&self.cells, self.prefix_len);
        let hashes = |key: &[u8]| iter::once(cells.hash(key)).chain(prefix_hash(cells, prefix_len, key));
        if matches!(self.filter, Knowledge::Nothing { in_vain } if in_vain >= WALK_AFTER) {
            self.filter = Knowledge::Some { filter: Filter::default(), walked: Vec::new() };
            for (_, key, _) in self.staged.iter().chain(self.tail.rows.iter()) {
                hashes(key).for_each(|hash| self.filter.add(hash, bytes_max));
            }
        }
        let Knowledge::Some { filter, walked } = &mut self.filter else { return Ok(()) };
        // The empty key comes before all others, and is not walked over: it is taken as there.
        let mut fits = filter.add(cells.hash(&[]), bytes_max);
        let mut left = WALK_KEYS;
        let mut cursor = self.store.scan(Bound::Excluded(walked), Bound::Unbounded, Direction::Forward)?;
        let mut last = Vec::new();
        while left > 0 && fits {
            let Some((key, _)) = cursor.next()? else { break };
            fits = hashes(key).all(|hash| filter.add(hash, bytes_max));
            last.clear();
            last.extend_from_slice(key);
            left -= 1;
        }
        drop(cursor);
        *walked = last;
        if !fits {
            self.filter = Knowledge::TooMany;
        } else if left > 0 {
            self.filter = Knowledge::All(mem::take(filter));
        }
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.dirty.is_empty() && self.staged.is_empty() && self.tail.rows.is_empty()
    }
}

impl<V: Send + 'static> ManagedStore for BufferedStore<V> {
    fn id(&self) -> &StoreId {
        &self.id
    }

    fn mark(&self) -> Option<Mark> {
        let mark = self.mark.clone();
        match &self.restoring {
            Some(restoring) => {
                let operator_time = mark.map(|mark| mark.operator_time).unwrap_or_default();
                Some(Mark { changelog_offset: restoring.next_offset, operator_time })
            }
            None => mark,
        }
    }

    fn restore(
        &mut self,
        records: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>, i64)>,
        next_offset: i64,
    ) -> Result<(), StateError> {
        if !self.is_quiet() {
            return Err(self.misuse("a restore needs a buffer without changes"));
        }
        if self.restoring.is_none() {
            // What was read before the restore is no longer what lies behind.
            self.cells.clear();
        }
        let restoring = self.restoring.get_or_insert_with(|| Restoring::from(next_offset));
        for (key, value, timestamp_ms) in records {
            // A filter would cost a third more, and many stores never need one: it can still walk over what was restored.
            self.filter = Knowledge::of(false);
            restoring.put(key, value, timestamp_ms);
        }
        // Only now: a step that is written in mid-batch would need a mark in mid-batch.
        restoring.next_offset = next_offset;
        if restoring.bytes().gathered >= STEP_BYTES { self.begin_write_restored() } else { Ok(()) }
    }

    fn restoring_bytes(&self) -> RestoringBytes {
        self.restoring.as_ref().map(Restoring::bytes).unwrap_or_default()
    }

    fn begin_write_restored(&mut self) -> Result<(), StateError> {
        let Some(restoring) = &mut self.restoring else { return Ok(()) };
        let operator_time = self.mark.as_ref().map_or(&[][..], |mark| &mark.operator_time);
        restoring.begin_step(&mut *self.store, operator_time)
    }

    fn is_writing_restored(&self) -> bool {
        self.restoring.as_ref().is_some_and(Restoring::is_writing)
    }

    fn end_write_restored(&mut self) -> Result<(), StateError> {
        let Some(restoring) = &mut self.restoring else { return Ok(()) };
        restoring.end_step(&mut *self.store)
    }

    fn restored(&mut self, next_offset: i64, operator_time: &[u8]) -> Result<(), StateError> {
        if !self.is_quiet() {
            return Err(self.misuse("a restore needs a buffer without changes"));
        }
        if let Some(restoring) = &mut self.restoring {
            // The last step and the end of the restore are one file.
            restoring.next_offset = next_offset;
            restoring.begin_step(&mut *self.store, operator_time)?;
            restoring.end_step(&mut *self.store)?;
        }
        let mark = Mark { changelog_offset: next_offset, operator_time: operator_time.to_vec() };
        if self.store.mark() != Some(&mark) {
            self.store.apply(&Layer::default(), &mark)?;
        }
        self.restoring = None;
        self.mark = Some(mark);
        Ok(())
    }

    fn committed(
        &mut self,
        changelog_offset: Option<i64>,
        operator_time: &[u8],
        now_ms: i64,
    ) -> Result<(), StateError> {
        if self.restoring.is_some() {
            return Err(self.misuse("a commit before the restore has ended"));
        }
        self.undo.end();
        if self.tail.rows.is_empty() {
            mem::swap(&mut self.tail.rows, &mut self.staged);
        } else {
            for (hash, key, row) in self.staged.iter() {
                self.tail.rows.set(hash, key, row);
            }
            self.staged.clear();
        }
        self.tail.records += mem::take(&mut self.staged_records);
        let before = self.mark.as_ref().map_or(0, |mark| mark.changelog_offset);
        let mark = Mark { changelog_offset: changelog_offset.unwrap_or(before), operator_time: operator_time.to_vec() };
        if self.mark.as_ref() != Some(&mark) || !self.tail.rows.is_empty() {
            self.tail.since_ms.get_or_insert(now_ms);
            self.mark = Some(mark);
        }
        Ok(())
    }

    fn aborted(&mut self) {
        self.undo.end();
        let cells = &self.cells;
        let mut gone: Vec<u32> = self.staged.iter().filter_map(|(hash, key, _)| cells.index_of(hash, key)).collect();
        gone.append(&mut self.dirty);
        // Those that were left in mid-update are not dirty.
        self.cells.forget(gone);
        self.staged.clear();
        self.staged_records = 0;
    }

    fn begin_record(&mut self) {
        self.begin_recording();
    }

    fn undo_record(&mut self) -> Result<bool, StateError> {
        self.undo_recorded()
    }

    fn flush(&mut self, now_ms: i64, force: bool) -> Result<(), StateError> {
        let waiting = self.tail.since_ms.is_some();
        if waiting && (force || self.flush_is_due(now_ms)) {
            self.write_tail()?;
        }
        if self.restoring.is_some() { Ok(()) } else { self.walk() }
    }

    fn dirty_bytes(&self) -> usize {
        self.cells.dirty_bytes + self.staged.live_bytes()
    }

    fn tail_records(&self) -> u64 {
        self.tail.records
    }

    fn tail_bytes(&self) -> u64 {
        self.tail.rows.live_bytes() as u64
    }

    fn size_bytes(&self) -> u64 {
        self.store.size_bytes()
    }
}
