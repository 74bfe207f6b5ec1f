//! Staging: dirty values become bytes, once, for changelog and store together.

use std::mem;

use super::BufferedStore;
use super::cell::{Current, Encoded, Stored};
use crate::row::{TIMESTAMP_BYTES, decode_row};
use crate::{Change, StateError};

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
        self.cells.sweep(self.options.cache_bytes, self.cells.full_round(), None);
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
                Encoded::Row(row.as_slice().into())
            }
            Current::Absent => {
                let exists = if self.options.keep_old { old.is_some() } else { self.existed(index, row)? };
                if exists {
                    visit(self.change(index, None, None, old.as_ref()))?;
                    Encoded::Deleted
                } else {
                    Encoded::Nothing
                }
            }
            Current::Unknown => {
                return Err(self.misuse("an update did not end; the transaction must be aborted").into());
            }
        };
        self.keep_staged(index, staged);
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

    /// `Nothing` is a deletion that was left out.
    fn keep_staged(&mut self, index: u32, staged: Encoded) {
        let cell = &mut self.cells[index];
        cell.dirty = false;
        if !staged.is_nothing() {
            let bytes = cell.key.len() + staged.len();
            cell.value_len = u32::try_from(staged.len()).unwrap_or(u32::MAX);
            match mem::replace(&mut cell.staged, staged) {
                Encoded::Nothing => self.staged.push(index),
                replaced => self.staged_bytes -= cell.key.len() + replaced.len(),
            }
            self.staged_bytes += bytes;
            self.staged_records += 1;
        }
        self.cells.recount(index);
    }

    /// Whether the key has a value as of the last staging.
    fn existed(&self, index: u32, row: &mut Vec<u8>) -> Result<bool, StateError> {
        let cell = &self.cells[index];
        Ok(match (&cell.staged, &cell.committed, cell.stored) {
            (Encoded::Row(_), _, _)
            | (Encoded::Nothing, Encoded::Row(_), _)
            | (Encoded::Nothing, Encoded::Nothing, Stored::Present) => true,
            (Encoded::Deleted, _, _)
            | (Encoded::Nothing, Encoded::Deleted, _)
            | (Encoded::Nothing, Encoded::Nothing, Stored::Absent) => false,
            (Encoded::Nothing, Encoded::Nothing, Stored::Unknown) => {
                row.clear();
                self.store.get(&cell.key, row)?
            }
        })
    }

    /// The value as of the last staging.
    fn last_staged(&self, index: u32, row: &mut Vec<u8>) -> Result<Option<V>, StateError> {
        if !self.existed(index, row)? {
            return Ok(None);
        }
        let cell = &self.cells[index];
        let bytes = match (&cell.staged, &cell.committed, &cell.stored_row, cell.stored) {
            (Encoded::Row(bytes), ..) | (_, Encoded::Row(bytes), ..) => &**bytes,
            (_, _, Some(bytes), _) => bytes,
            // `existed` has just read it.
            (.., Stored::Unknown) => row.as_slice(),
            _ => {
                row.clear();
                self.store.get(&cell.key, row)?;
                row.as_slice()
            }
        };
        decode_row(&self.id, &*self.codec, bytes).map(|(value, _)| Some(value))
    }

    pub(super) fn misuse(&self, reason: &str) -> StateError {
        StateError::Misuse { store: self.id.to_string(), reason: reason.into() }
    }
}
