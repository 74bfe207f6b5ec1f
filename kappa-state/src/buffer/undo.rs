//! Taking back what one record has done, while what the transaction did before it stays.
//!
//! **Invariants:**
//! - Changes are noted before they are made, and only while a record is recorded: else nothing is kept and nothing costs.
//! - A key that was not dirty before the record is undone by forgetting it: its newest bytes are still there. One that was dirty
//!   has no bytes of that value, so it is encoded when noted.
//! - Staging while a record is recorded can't be taken back: the owner must abort the transaction then.

use super::BufferedStore;
use super::cell::Current;
use crate::StateError;

/// What a key was before a change.
#[derive(Debug)]
enum Before {
    /// Not dirty: its value is in the bytes staged, committed or stored.
    Clean,
    /// Dirty and deleted.
    Absent,
    /// Dirty, with this value.
    Value(Vec<u8>),
}

#[derive(Debug)]
struct Noted {
    index: u32,
    before: Before,
    timestamp_ms: i64,
    written: u64,
}

/// What the record being recorded has changed.
#[derive(Debug, Default)]
pub(super) struct Undo {
    recording: bool,
    staged: bool,
    noted: Vec<Noted>,
    /// How many keys were dirty before the record.
    dirty_before: usize,
}

impl Undo {
    /// Changes are staged now.
    pub(super) fn note_staging(&mut self) {
        self.staged |= self.recording;
    }

    /// What is noted has no meaning any more: everything is committed or aborted.
    pub(super) fn end(&mut self) {
        self.recording = false;
        self.staged = false;
        self.noted.clear();
    }
}

impl<V: 'static> BufferedStore<V> {
    /// From here on changes can be taken back by [`undo_recorded`](Self::undo_recorded).
    pub(super) fn begin_recording(&mut self) {
        self.undo.end();
        self.undo.recording = true;
        self.undo.dirty_before = self.dirty.len();
    }

    /// A cell is about to be changed.
    #[inline]
    pub(super) fn note(&mut self, index: u32) -> Result<(), StateError> {
        if self.undo.recording { self.note_before(index) } else { Ok(()) }
    }

    #[cold]
    fn note_before(&mut self, index: u32) -> Result<(), StateError> {
        let cell = &self.cells[index];
        let before = match &cell.current {
            _ if !cell.dirty => Before::Clean,
            Current::Absent => Before::Absent,
            Current::Present(value) => {
                let mut bytes = Vec::new();
                if let Err(error) = self.codec.encode(value, &mut bytes) {
                    return Err(StateError::Encode { store: self.id.to_string(), reason: error.reason });
                }
                Before::Value(bytes)
            }
            Current::Unknown => return Err(self.misuse("an update did not end; the transaction must be aborted")),
        };
        let (timestamp_ms, written) = (cell.timestamp_ms, cell.written);
        self.undo.noted.push(Noted { index, before, timestamp_ms, written });
        Ok(())
    }

    /// Takes back everything since [`begin_recording`](Self::begin_recording); false where something was staged since.
    pub(super) fn undo_recorded(&mut self) -> Result<bool, StateError> {
        let possible = self.undo.recording && !self.undo.staged;
        if possible {
            let noted = std::mem::take(&mut self.undo.noted);
            for Noted { index, before, timestamp_ms, written } in noted.into_iter().rev() {
                self.undo_one(index, before, timestamp_ms, written)?;
            }
            self.dirty.truncate(self.undo.dirty_before);
        }
        self.undo.end();
        Ok(possible)
    }

    fn undo_one(&mut self, index: u32, before: Before, timestamp_ms: i64, written: u64) -> Result<(), StateError> {
        // What the record only looked at may have made room for others since.
        if !self.cells.has(index) {
            return Ok(());
        }
        let current = match before {
            Before::Clean => Current::Unknown,
            Before::Absent => Current::Absent,
            Before::Value(bytes) => match self.codec.decode(&bytes) {
                Ok(value) => Current::Present(value),
                Err(error) => {
                    return Err(StateError::Decode { store: self.id.to_string(), reason: error.reason });
                }
            },
        };
        let cell = &mut self.cells[index];
        let clean = matches!(current, Current::Unknown);
        cell.current = current;
        cell.timestamp_ms = timestamp_ms;
        cell.written = written;
        if clean && cell.dirty {
            self.cells.clean_again(index);
        }
        Ok(())
    }
}
