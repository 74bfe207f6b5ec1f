//! A write-back buffer of typed values in front of a store of bytes.
//!
//! A key that is updated again and again stays a typed value: it is encoded once a transaction, when it
//! is staged, for changelog and store together. What is committed waits, encoded, in the committed layer
//! until it is written in one sorted step: the buffer is the memtable.
//!
//! Each key the buffer knows has one cell with up to four versions of it: the typed value (dirty, or a
//! copy of the newest bytes), the staged row, the committed row, and what is known of the store behind.
//! Reads take the first there is.
//!
//! Memory is counted by cell: its own size, the key, and the encoded length of the value as last seen (so
//! a value that grows while dirty is counted with its former length until it is staged).
//!
//! **Invariants:**
//! - A cell is in `dirty` exactly when it is dirty, in `staged` when it has a staged row or deletion, in
//!   `tail` when it has a committed one; cells in a list are never removed.
//! - Only committed rows go to the store behind, and they leave the buffer only after they are there.

mod cell;
mod expire;
mod managed;
mod restoring;
mod scan;
mod small;
mod stage;
#[cfg(test)]
mod tests;
mod undo;

pub use self::scan::Visit;

use std::fmt;
use std::mem;
use std::sync::Arc;

use self::cell::{Cells, Current, Encoded, Stored};
use self::managed::Tail;
use self::restoring::Restoring;
use self::undo::Undo;
use crate::row::decode_row;
use crate::{Codec, KeyValueStore, Mark, StateError, StoreId, TailBound};

/// How many cells a single call looks at to make room.
const SWEEP_STEPS: usize = 8;

/// Settings of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferOptions {
    /// When the committed layer is written.
    pub tail_bound: TailBound,
    /// Bytes of changes after which [`BufferedStore::over_cache`] says so (Kafka Streams:
    /// `statestore.cache.max.bytes`, here for each store), and bytes of unchanged values that are kept
    /// decoded.
    pub cache_bytes: usize,
    /// Whether [`Change::old`](crate::Change::old) is filled.
    pub keep_old: bool,
}

impl Default for BufferOptions {
    fn default() -> Self {
        Self { tail_bound: TailBound::default(), cache_bytes: 10 * 1024 * 1024, keep_old: false }
    }
}

/// A store of typed values with their timestamps, buffered and transactional.
///
/// See [`ManagedStore`](crate::ManagedStore) for the life of a transaction. Where a function given to
/// [`update`](Self::update) panics, the transaction must be aborted.
pub struct BufferedStore<V> {
    id: StoreId,
    store: Box<dyn KeyValueStore>,
    codec: Arc<dyn Codec<V>>,
    options: BufferOptions,
    cells: Cells<V>,
    dirty: Vec<u32>,
    staged: Vec<u32>,
    tail: Tail,
    /// Changelog records of the running transaction.
    staged_records: u64,
    staged_bytes: usize,
    writes: u64,
    /// The mark of the last commit; the store behind has it once the tail is written.
    mark: Option<Mark>,
    restoring: Option<Restoring>,
    undo: Undo,
    row: Vec<u8>,
}

impl<V> fmt::Debug for BufferedStore<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedStore")
            .field("id", &self.id)
            .field("dirty", &self.dirty.len())
            .field("staged", &self.staged.len())
            .field("tail", &self.tail.cells.len())
            .field("mark", &self.mark)
            .finish_non_exhaustive()
    }
}

impl<V: 'static> BufferedStore<V> {
    /// Puts a buffer in front of a store.
    pub fn open(
        id: StoreId,
        store: Box<dyn KeyValueStore>,
        codec: Arc<dyn Codec<V>>,
        options: BufferOptions,
    ) -> Result<Self, StateError> {
        let mark = store.mark().cloned();
        Ok(Self {
            id,
            store,
            codec,
            options,
            cells: Cells::new(),
            dirty: Vec::new(),
            staged: Vec::new(),
            tail: Tail::default(),
            staged_records: 0,
            staged_bytes: 0,
            writes: 0,
            mark,
            restoring: None,
            undo: Undo::default(),
            row: Vec::new(),
        })
    }

    /// The value of a key and its timestamp.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<(&V, i64)>, StateError> {
        let hash = self.cells.hash(key);
        let index = match self.cells.find(hash, key) {
            Some(index) => {
                self.load(index)?;
                index
            }
            // An absent key gets no cell: asking again is cheap, keeping it is not.
            None => match self.read_behind(key)? {
                Some((value, timestamp_ms)) => self.insert_clean(hash, key, Some((value, timestamp_ms))),
                None => return Ok(None),
            },
        };
        let cell = &self.cells[index];
        Ok(match &cell.current {
            Current::Present(value) => Some((value, cell.timestamp_ms)),
            _ => None,
        })
    }

    /// Sets the value of a key; `None` deletes. Doesn't read the store behind.
    pub fn put(&mut self, key: &[u8], value: Option<V>, timestamp_ms: i64) -> Result<(), StateError> {
        let hash = self.cells.hash(key);
        let index = match self.cells.find(hash, key) {
            Some(index) => index,
            None => self.cells.insert(hash, key),
        };
        self.note(index)?;
        self.write(index, value, timestamp_ms);
        Ok(())
    }

    /// Changes the value of a key in place: `f` is given the value with its timestamp and gives back the
    /// new one; `None` deletes.
    pub fn update(
        &mut self,
        key: &[u8],
        f: impl FnOnce(Option<(V, i64)>) -> Option<(V, i64)>,
    ) -> Result<(), StateError> {
        let hash = self.cells.hash(key);
        let index = match self.cells.find(hash, key) {
            Some(index) => {
                self.load(index)?;
                index
            }
            None => {
                let row = self.read_behind(key)?;
                // Counted below, as what it is then.
                self.insert_found(hash, key, row)
            }
        };
        self.note(index)?;
        let cell = &mut self.cells[index];
        let before = match mem::replace(&mut cell.current, Current::Unknown) {
            Current::Present(value) => Some((value, cell.timestamp_ms)),
            _ => None,
        };
        let was_there = before.is_some();
        match f(before) {
            Some((value, timestamp_ms)) => self.write(index, Some(value), timestamp_ms),
            None if was_there => {
                let timestamp_ms = self.cells[index].timestamp_ms;
                self.write(index, None, timestamp_ms);
            }
            None => {
                self.cells[index].current = Current::Absent;
                self.count_clean(index);
            }
        }
        Ok(())
    }

    /// Whether the changes take more than the cache may: the owner then stages before the commit.
    pub fn over_cache(&self) -> bool {
        self.cells.dirty_bytes > self.options.cache_bytes
    }

    /// Whether there are changes to stage.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    fn write(&mut self, index: u32, value: Option<V>, timestamp_ms: i64) {
        self.writes += 1;
        let cell = &mut self.cells[index];
        cell.current = match value {
            // What is written as null is a deletion to every reader of the changelog.
            Some(value) if self.codec.is_null(&value) => Current::Absent,
            Some(value) => Current::Present(value),
            None => Current::Absent,
        };
        cell.timestamp_ms = timestamp_ms;
        cell.written = self.writes;
        if !cell.dirty {
            cell.dirty = true;
            self.dirty.push(index);
            self.cells.recount(index);
        }
    }

    /// Makes sure that a cell has its typed value.
    fn load(&mut self, index: u32) -> Result<(), StateError> {
        if !matches!(self.cells[index].current, Current::Unknown) {
            return Ok(());
        }
        self.load_unknown(index)
    }

    #[cold]
    fn load_unknown(&mut self, index: u32) -> Result<(), StateError> {
        let cell = &self.cells[index];
        let found = match (&cell.staged, &cell.committed, cell.stored) {
            (Encoded::Row(row), _, _) | (Encoded::Nothing, Encoded::Row(row), _) => {
                Some(decode_row(&self.id, &*self.codec, row)?)
            }
            (Encoded::Deleted, _, _)
            | (Encoded::Nothing, Encoded::Deleted, _)
            | (Encoded::Nothing, Encoded::Nothing, Stored::Absent) => None,
            (Encoded::Nothing, Encoded::Nothing, Stored::Present | Stored::Unknown) => {
                self.row.clear();
                if self.store.get(&cell.key, &mut self.row)? {
                    Some(decode_row(&self.id, &*self.codec, &self.row)?)
                } else {
                    None
                }
            }
        };
        self.fill_clean(index, found);
        Ok(())
    }

    fn read_behind(&mut self, key: &[u8]) -> Result<Option<(V, i64)>, StateError> {
        self.row.clear();
        if !self.store.get(key, &mut self.row)? {
            return Ok(None);
        }
        decode_row(&self.id, &*self.codec, &self.row).map(Some)
    }

    /// Adds a cell with what `read_behind` found; the row is still in `self.row`.
    fn insert_clean(&mut self, hash: u64, key: &[u8], found: Option<(V, i64)>) -> u32 {
        let index = self.insert_found(hash, key, found);
        self.count_clean(index);
        index
    }

    /// As `insert_clean`, but the cell is not counted yet.
    fn insert_found(&mut self, hash: u64, key: &[u8], found: Option<(V, i64)>) -> u32 {
        let index = self.cells.insert(hash, key);
        let cell = &mut self.cells[index];
        cell.stored = if found.is_some() { Stored::Present } else { Stored::Absent };
        if found.is_some() {
            cell.value_len = u32::try_from(self.row.len()).unwrap_or(u32::MAX);
            if self.options.keep_old {
                cell.stored_row = Some(self.row.as_slice().into());
            }
        }
        self.fill(index, found);
        index
    }

    fn fill_clean(&mut self, index: u32, found: Option<(V, i64)>) {
        self.fill(index, found);
        self.count_clean(index);
    }

    fn fill(&mut self, index: u32, found: Option<(V, i64)>) {
        let cell = &mut self.cells[index];
        cell.current = match found {
            Some((value, timestamp_ms)) => {
                cell.timestamp_ms = timestamp_ms;
                Current::Present(value)
            }
            None => Current::Absent,
        };
    }

    /// Counts a clean cell, and makes room for it.
    fn count_clean(&mut self, index: u32) {
        self.cells.recount(index);
        self.cells.sweep(self.options.cache_bytes, SWEEP_STEPS, Some(index));
    }
}
