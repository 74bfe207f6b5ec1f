//! A write-back buffer of typed values in front of a store of bytes.
//!
//! A key that is updated again and again stays a typed value: it is encoded once a transaction, when it
//! is staged, for changelog and store together. What is committed waits, encoded, in the tail
//! until it is written in one sorted step: the buffer is the memtable.
//!
//! Reads take the first there is of: the key's cell (a typed value, dirty or a copy of what lies behind), the row
//! staged in the running transaction, the row in the tail, and the row in the store behind. A filter knows which keys
//! the last three may have, so a key never seen before costs none of these look-ups.
//!
//! Memory of cells is counted by cell: its own size, the key, and the encoded length of the value as last seen (so
//! a value that grows while dirty is counted with its former length until it is staged).
//!
//! **Invariants:**
//! - A cell is in `dirty` exactly when it is dirty. One that is clean says what staged rows, tail and store say together,
//!   and may go at any time.
//! - Only the tail goes to the store behind, and it leaves the buffer only after it is there.
//! - Where the filter knows its store, it has every key of the staged rows, the tail and the store.
//! - `overlay`, where it is kept, has every key that is dirty, staged or in the tail; it may have others.

mod arena;
mod cell;
mod expire;
mod filter;
mod managed;
mod overlay;
mod prefix;
mod restoring;
mod rows;
mod scan;
mod small;
mod stage;
#[cfg(test)]
mod tests;
mod undo;

pub(crate) use self::filter::Filter;
pub use self::prefix::PrefixLen;
pub use self::scan::Visit;

use std::fmt;
use std::mem;
use std::sync::Arc;

use self::cell::{Cells, Current, Last};
use self::filter::Knowledge;
use self::managed::Tail;
use self::overlay::Overlay;
use self::restoring::Restoring;
use self::rows::Rows;
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
    /// What the running transaction has staged.
    staged: Rows,
    tail: Tail,
    filter: Knowledge,
    prefix_len: Option<PrefixLen>,
    overlay: Overlay,
    /// Changelog records of the running transaction.
    staged_records: u64,
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
            .field("tail", &self.tail.rows.len())
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
        // What was never written to is empty.
        let filter = Knowledge::of(mark.is_none());
        Ok(Self {
            id,
            store,
            codec,
            options,
            cells: Cells::new(),
            dirty: Vec::new(),
            staged: Rows::default(),
            tail: Tail::default(),
            filter,
            prefix_len: None,
            overlay: Overlay::default(),
            staged_records: 0,
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
            None => {
                if !self.read_behind(hash, key)? {
                    // An absent key gets no cell: asking again is cheap, keeping it is not.
                    return Ok(None);
                }
                let index = self.insert_read(hash, key)?;
                self.cells.sweep(self.clean_bound(), SWEEP_STEPS, Some(index));
                index
            }
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
            None => self.cells.insert(hash, key, Last::Unknown, 0),
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
            None if self.read_behind(hash, key)? => self.insert_read(hash, key)?,
            None => {
                let index = self.cells.insert(hash, key, Last::Absent, 0);
                self.cells[index].current = Current::Absent;
                index
            }
        };
        self.note(index)?;
        let cell = &mut self.cells[index];
        let before = match mem::replace(&mut cell.current, Current::Unknown) {
            Current::Present(value) => Some((value, cell.timestamp_ms)),
            _ => None,
        };
        let was_there = before.is_some();
        let (value, timestamp_ms) = match f(before) {
            Some((value, timestamp_ms)) => (Some(value), timestamp_ms),
            None if was_there => (None, self.cells[index].timestamp_ms),
            None => {
                self.cells[index].current = Current::Absent;
                self.cells.sweep(self.clean_bound(), SWEEP_STEPS, Some(index));
                return Ok(());
            }
        };
        self.write(index, value, timestamp_ms);
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

    /// What the clean cells may take: the cache's bytes, of which the filter has taken its part.
    fn clean_bound(&self) -> usize {
        self.options.cache_bytes.saturating_sub(self.filter.bytes())
    }

    /// What the filter may take at most.
    fn filter_bound(&self) -> usize {
        self.options.cache_bytes / 2
    }

    #[inline(always)]
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
            self.overlay.add(&cell.key);
            self.dirty.push(index);
            self.cells.make_dirty(index);
        }
    }

    /// Makes sure that a cell has its typed value.
    #[inline]
    fn load(&mut self, index: u32) -> Result<(), StateError> {
        if !matches!(self.cells[index].current, Current::Unknown) {
            return Ok(());
        }
        self.load_unknown(index)
    }

    /// An update of this cell has not ended.
    #[cold]
    fn load_unknown(&mut self, index: u32) -> Result<(), StateError> {
        let key = self.cells[index].key.clone();
        if !self.read_behind(self.cells[index].hash, &key)? {
            self.cells[index].current = Current::Absent;
            return Ok(());
        }
        let (value, timestamp_ms) = decode_row(&self.id, &*self.codec, &self.row)?;
        let cell = &mut self.cells[index];
        cell.current = Current::Present(value);
        cell.timestamp_ms = timestamp_ms;
        Ok(())
    }

    /// Puts the row of a key, as it was last staged, into `self.row`. False where there is none.
    fn read_behind(&mut self, hash: u64, key: &[u8]) -> Result<bool, StateError> {
        let mut row = mem::take(&mut self.row);
        let found = self.read_last(hash, key, &mut row);
        self.row = row;
        if let (Ok(false), Knowledge::Nothing { in_vain }) = (&found, &mut self.filter) {
            *in_vain = in_vain.saturating_add(1);
        }
        found
    }

    /// The value of a key as it was last staged, with its timestamp: what was passed on last. Always decodes.
    pub fn get_staged(&mut self, key: &[u8]) -> Result<Option<(V, i64)>, StateError> {
        let hash = self.cells.hash(key);
        let mut row = mem::take(&mut self.row);
        let found = self.read_last(hash, key, &mut row);
        let value = match found {
            Ok(true) => decode_row(&self.id, &*self.codec, &row).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        };
        self.row = row;
        value
    }

    /// Puts the row of a key, as it was last staged, into `row`. False where there is none.
    fn read_last(&self, hash: u64, key: &[u8], row: &mut Vec<u8>) -> Result<bool, StateError> {
        row.clear();
        if !self.filter.may_have(hash) {
            return Ok(false);
        }
        match self.staged.get(hash, key).or_else(|| self.tail.rows.get(hash, key)) {
            Some(Some(found)) => {
                row.extend_from_slice(found);
                Ok(true)
            }
            Some(None) => Ok(false),
            None => self.store.get(key, row),
        }
    }

    /// Adds a cell with what `read_behind` found.
    fn insert_read(&mut self, hash: u64, key: &[u8]) -> Result<u32, StateError> {
        let (value, timestamp_ms) = decode_row(&self.id, &*self.codec, &self.row)?;
        let index = self.cells.insert(hash, key, Last::Present, self.row.len());
        if self.options.keep_old {
            self.cells.keep_row(index, &self.row);
        }
        let cell = &mut self.cells[index];
        cell.current = Current::Present(value);
        cell.timestamp_ms = timestamp_ms;
        Ok(index)
    }
}
