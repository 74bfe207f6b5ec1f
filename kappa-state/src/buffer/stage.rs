//! Staging: dirty values become bytes, once, for changelog and store together.

use std::mem;

use super::BufferedStore;
use super::cell::{Current, Last};
use super::prefix::prefix_hash;
use crate::row::{TIMESTAMP_BYTES, decode_row};
use crate::{Change, StateError};

/// What becomes of a key.
enum Staged {
    Row,
    Deleted,
    /// A deletion of what never was, which is left out.
    Nothing,
}

impl<V: 'static> BufferedStore<V> {
    /// Hands all changes to `visit`, in the order of the last write of each key, and keeps them for the
    /// commit. A deletion of a key that does not exist is left out.
    ///
    /// May be called several times in one transaction; what comes later supersedes. Where `visit` fails,
    /// the change it failed on and those after it stay dirty.
    pub fn stage<E: From<StateError>>(
        &mut self,
        mut visit: impl FnMut(Change<'_, V>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        if self.restoring.is_some() {
            return Err(self.misuse("changes can't be staged before the restore has ended").into());
        }
        self.undo.note_staging();
        let dirty = mem::take(&mut self.dirty);
        let mut order: Vec<(u64, u32)> = dirty.iter().map(|&index| (self.cells[index].written, index)).collect();
        order.sort_unstable();
        let mut row = mem::take(&mut self.row);
        let mut outcome = Ok(());
        for (at, &(_, index)) in order.iter().enumerate() {
            outcome = self.stage_one(index, &mut row, &mut visit);
            if outcome.is_err() {
                self.dirty = order[at..].iter().map(|&(_, index)| index).collect();
                break;
            }
        }
        self.row = row;
        if outcome.is_ok() {
            self.dirty = dirty;
            self.dirty.clear();
        }
        self.cells.sweep(self.clean_bound(), self.cells.full_round(), None);
        outcome
    }

    fn stage_one<E: From<StateError>>(
        &mut self,
        index: u32,
        row: &mut Vec<u8>,
        visit: &mut impl FnMut(Change<'_, V>) -> Result<(), E>,
    ) -> Result<(), E> {
        let old = if self.options.keep_old { self.last_staged(index, row)? } else { None };
        let staged = match &self.cells[index].current {
            Current::Present(value) => {
                row.clear();
                row.extend_from_slice(&self.cells[index].timestamp_ms.to_be_bytes());
                if let Err(error) = self.codec.encode(value, row) {
                    return Err(StateError::Encode { store: self.id.to_string(), reason: error.reason }.into());
                }
                visit(self.change(index, Some(&row[TIMESTAMP_BYTES..]), Some(value), old.as_ref()))?;
                Staged::Row
            }
            Current::Absent => {
                let exists = if self.options.keep_old { old.is_some() } else { self.existed(index, row)? };
                if exists {
                    visit(self.change(index, None, None, old.as_ref()))?;
                    Staged::Deleted
                } else {
                    Staged::Nothing
                }
            }
            Current::Unknown => {
                return Err(self.misuse("an update did not end; the transaction must be aborted").into());
            }
        };
        self.keep_staged(index, &staged, row);
        Ok(())
    }

    fn change<'c>(
        &'c self,
        index: u32,
        value_bytes: Option<&'c [u8]>,
        value: Option<&'c V>,
        old: Option<&'c V>,
    ) -> Change<'c, V> {
        let cell = &self.cells[index];
        Change { key: &cell.key, value_bytes, value, old, timestamp_ms: cell.timestamp_ms }
    }

    fn keep_staged(&mut self, index: u32, staged: &Staged, row: &[u8]) {
        let filter_bound = self.filter_bound();
        let cell = &self.cells[index];
        if let Staged::Nothing = staged {
            return self.cells.make_clean(index, 0, Last::Absent, None);
        }
        self.staged_records += 1;
        if let Staged::Deleted = staged {
            self.staged.set(cell.hash, &cell.key, None);
            // The filter has it, if it has all that was there.
            return self.cells.make_clean(index, 0, Last::Absent, None);
        }
        if cell.last != Last::Present {
            self.filter.add(cell.hash, filter_bound);
            if let Some(prefix) = prefix_hash(&self.cells, self.prefix_len, &cell.key) {
                self.filter.add(prefix, filter_bound);
            }
        }
        self.staged.set(cell.hash, &cell.key, Some(row));
        let last_row = self.options.keep_old.then(|| Box::from(row));
        self.cells.make_clean(index, row.len(), Last::Present, last_row);
    }

    /// Whether the key has a value as of the last staging.
    fn existed(&self, index: u32, row: &mut Vec<u8>) -> Result<bool, StateError> {
        let cell = &self.cells[index];
        match cell.last {
            Last::Present => Ok(true),
            Last::Absent => Ok(false),
            Last::Unknown => self.read_last(cell.hash, &cell.key, row),
        }
    }

    /// The value as of the last staging.
    fn last_staged(&self, index: u32, row: &mut Vec<u8>) -> Result<Option<V>, StateError> {
        let cell = &self.cells[index];
        let bytes = match (&cell.last_row, cell.last) {
            (_, Last::Absent) => return Ok(None),
            (Some(bytes), _) => bytes,
            (None, _) if !self.read_last(cell.hash, &cell.key, row)? => return Ok(None),
            (None, _) => row.as_slice(),
        };
        decode_row(&self.id, &*self.codec, bytes).map(|(value, _)| Some(value))
    }

    pub(super) fn misuse(&self, reason: &str) -> StateError {
        StateError::Misuse { store: self.id.to_string(), reason: reason.into() }
    }
}
