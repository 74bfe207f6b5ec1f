//! What the runtime sees of a buffered store: commit, abort, writing the committed layer, restore.

use std::mem;

use super::BufferedStore;
use super::cell::{Current, Encoded, Stored};
use super::restoring::{Restoring, first_bytes};
use crate::{Layer, ManagedStore, Mark, StateError, StoreId};

/// What is committed and not yet in the store behind.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The cells that have a committed row.
    pub(super) cells: Vec<u32>,
    records: u64,
    bytes: u64,
    /// When the oldest was committed.
    since_ms: Option<i64>,
}

impl<V: 'static> BufferedStore<V> {
    fn flush_is_due(&self, now_ms: i64) -> bool {
        let bound = &self.options.tail_bound;
        let old = self.tail.since_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= bound.age_ms);
        old || self.tail.records >= bound.records || self.tail.bytes >= bound.bytes
    }

    /// Writes the committed layer; where that fails it is as before.
    fn write_tail(&mut self) -> Result<(), StateError> {
        let Some(mark) = self.mark.clone() else { return Ok(()) };
        let order = self.sorted_tail();
        let entry = |&index: &u32| {
            let cell = &self.cells[index];
            let row = match &cell.committed {
                Encoded::Row(row) => Some(&**row),
                _ => None,
            };
            (&*cell.key, row)
        };
        let layer = Layer { entries: order.iter().map(entry).collect() };
        self.store.apply(&layer, &mark)?;
        for index in order {
            self.settle(index);
        }
        self.tail = Tail::default();
        self.cells.sweep(self.options.cache_bytes, self.cells.full_round(), None);
        Ok(())
    }

    /// The cells of the tail by key.
    fn sorted_tail(&self) -> Vec<u32> {
        let mut order: Vec<(u64, u32)> =
            self.tail.cells.iter().map(|&index| (first_bytes(&self.cells[index].key), index)).collect();
        // Most keys differ in their first bytes: only the others are looked up.
        order.sort_unstable_by(|(a_first, a), (b_first, b)| {
            a_first.cmp(b_first).then_with(|| self.cells[*a].key.cmp(&self.cells[*b].key))
        });
        order.into_iter().map(|(_, index)| index).collect()
    }

    /// The committed row of a cell is in the store behind.
    fn settle(&mut self, index: u32) {
        let cell = &mut self.cells[index];
        let row = match mem::replace(&mut cell.committed, Encoded::Nothing) {
            Encoded::Row(row) => Some(row),
            _ => None,
        };
        cell.stored = if row.is_some() { Stored::Present } else { Stored::Absent };
        cell.stored_row = row.filter(|_| self.options.keep_old).map(|row| Box::from(&*row));
        if !cell.is_pinned() && !matches!(cell.current, Current::Present(_)) {
            self.cells.remove(index);
        }
    }

    fn write_restored(&mut self) -> Result<(), StateError> {
        let Some(restoring) = &mut self.restoring else { return Ok(()) };
        let operator_time = self.store.mark().map(|mark| mark.operator_time.clone()).unwrap_or_default();
        let mark = Mark { changelog_offset: restoring.next_offset, operator_time };
        // Where that fails everything is still there.
        self.store.apply(&restoring.layer(), &mark)?;
        restoring.clear();
        self.cells.clear();
        Ok(())
    }

    fn is_quiet(&self) -> bool {
        self.dirty.is_empty() && self.staged.is_empty() && self.tail.cells.is_empty()
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
        let restoring = self.restoring.get_or_insert_with(|| Restoring::from(next_offset));
        for (key, value, timestamp_ms) in records {
            restoring.put(key, value, timestamp_ms);
        }
        // Only now: a step that is written in mid-batch would need a mark in mid-batch.
        restoring.next_offset = next_offset;
        if restoring.is_step() {
            self.write_restored()?;
        }
        Ok(())
    }

    fn restored(&mut self, next_offset: i64, operator_time: &[u8]) -> Result<(), StateError> {
        if !self.is_quiet() {
            return Err(self.misuse("a restore needs a buffer without changes"));
        }
        self.write_restored()?;
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
        for index in self.staged.drain(..) {
            let cell = &mut self.cells[index];
            let staged = mem::replace(&mut cell.staged, Encoded::Nothing);
            self.tail.bytes += (cell.key.len() + staged.len()) as u64;
            match mem::replace(&mut cell.committed, staged) {
                Encoded::Nothing => self.tail.cells.push(index),
                replaced => self.tail.bytes -= (cell.key.len() + replaced.len()) as u64,
            }
        }
        self.tail.records += mem::take(&mut self.staged_records);
        self.staged_bytes = 0;
        let before = self.mark.as_ref().map_or(0, |mark| mark.changelog_offset);
        let mark = Mark { changelog_offset: changelog_offset.unwrap_or(before), operator_time: operator_time.to_vec() };
        if self.mark.as_ref() != Some(&mark) || !self.tail.cells.is_empty() {
            self.tail.since_ms.get_or_insert(now_ms);
            self.mark = Some(mark);
        }
        Ok(())
    }

    fn aborted(&mut self) {
        self.undo.end();
        for index in self.dirty.drain(..).chain(self.staged.drain(..)) {
            // A cell can be in both lists.
            if !self.cells.has(index) {
                continue;
            }
            let cell = &mut self.cells[index];
            cell.dirty = false;
            cell.staged = Encoded::Nothing;
            if cell.committed.is_nothing() {
                self.cells.remove(index);
            } else {
                cell.current = Current::Unknown;
                self.cells.recount(index);
            }
        }
        self.staged_records = 0;
        self.staged_bytes = 0;
    }

    fn begin_record(&mut self) {
        self.begin_recording();
    }

    fn undo_record(&mut self) -> Result<bool, StateError> {
        self.undo_recorded()
    }

    fn flush(&mut self, now_ms: i64, force: bool) -> Result<(), StateError> {
        let waiting = self.tail.since_ms.is_some();
        if waiting && (force || self.flush_is_due(now_ms)) { self.write_tail() } else { Ok(()) }
    }

    fn dirty_bytes(&self) -> usize {
        self.cells.dirty_bytes + self.staged_bytes
    }

    fn tail_records(&self) -> u64 {
        self.tail.records
    }

    fn size_bytes(&self) -> u64 {
        self.store.size_bytes()
    }
}
