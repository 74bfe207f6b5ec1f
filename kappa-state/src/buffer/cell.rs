//! The cells of a buffer: the typed values it knows, each found by one hash look-up.
//!
//! A cell is a cache of what lies behind it, but for the time that it is dirty. Which clean cell goes first: cells begin
//! *young*, in a queue that may take a small part of the room; at its end those that were used again move to the *settled*
//! ones, the others go. A key that is new to the store is not likely to come again, so many new keys turn over a small part
//! of the memory; one that the store has already is settled at once.
//!
//! **Invariants:**
//! - Every cell is in exactly one of the two queues, from its insertion to its removal.
//! - `dirty_bytes` is what the dirty cells were counted with, `young_bytes` and `settled_bytes` all of the queue's.
//! - A dirty cell is never removed by `sweep`.
//! - Nothing iterates over the hash table, so its order is never seen.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::rows::spread;
use super::small::Small;

/// The young cells' part of the room: enough for some transactions.
const YOUNG_PART: usize = 16;

/// The typed value of a key, as reads see it.
#[derive(Debug)]
pub(super) enum Current<V> {
    /// Not decoded: an update has not ended.
    Unknown,
    Absent,
    Present(V),
}

/// What there was of a key when it was last staged, or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Unknown,
    Absent,
    Present,
}

#[derive(Debug)]
pub(super) struct Cell<V> {
    pub(super) key: Small,
    pub(super) hash: u64,
    pub(super) current: Current<V>,
    pub(super) timestamp_ms: i64,
    /// The number of the last write, for the order of staging.
    pub(super) written: u64,
    /// The row of `last`; only where old values are kept.
    pub(super) last_row: Option<Box<[u8]>>,
    /// Encoded length of the value when it was last seen.
    value_len: u32,
    pub(super) last: Last,
    pub(super) dirty: bool,
    referenced: bool,
    settled: bool,
}

impl<V> Cell<V> {
    /// The cell, its place in table, slots and queue, the key, and a value of about its encoded size.
    fn bytes(&self) -> usize {
        let rows = if self.last_row.is_some() { 2 } else { 1 };
        size_of::<Option<Cell<V>>>() + 16 + self.key.len() + rows * self.value_len as usize
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    cell: u32,
}

#[derive(Debug)]
pub(super) struct Cells<V> {
    table: HashTable<Slot>,
    slots: Vec<Option<Cell<V>>>,
    free: Vec<u32>,
    hasher: FixedState,
    young: VecDeque<u32>,
    settled: VecDeque<u32>,
    young_bytes: usize,
    settled_bytes: usize,
    pub(super) dirty_bytes: usize,
}

impl<V> Cells<V> {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            // A fixed seed: runs repeat exactly.
            hasher: FixedState::with_seed(0x6b61_7070_615f_7374),
            young: VecDeque::new(),
            settled: VecDeque::new(),
            young_bytes: 0,
            settled_bytes: 0,
            dirty_bytes: 0,
        }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    #[inline]
    fn slot(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let (slots, part) = (&self.slots, hash as u32);
        let same =
            |slot: &Slot| slot.hash == part && matches!(&slots[slot.cell as usize], Some(cell) if *cell.key == *key);
        self.table.find(spread(part), same).map(|slot| slot.cell)
    }

    /// The cell of a key; marks it as used of late.
    #[inline]
    pub(super) fn find(&mut self, hash: u64, key: &[u8]) -> Option<u32> {
        let index = self.slot(hash, key)?;
        if let Some(cell) = &mut self.slots[index as usize] {
            cell.referenced = true;
        }
        Some(index)
    }

    /// The cell of a key, for a look that does not count as use.
    pub(super) fn peek(&self, hash: u64, key: &[u8]) -> Option<&Cell<V>> {
        self.slot(hash, key).map(|index| &self[index])
    }

    /// Adds a cell for a key that has none. `settled` says that the key was there before.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8], last: Last, value_len: usize) -> u32 {
        let settled = last == Last::Present;
        let cell = Cell {
            key: key.into(),
            hash,
            current: Current::Unknown,
            timestamp_ms: 0,
            written: 0,
            last_row: None,
            value_len: u32::try_from(value_len).unwrap_or(u32::MAX),
            last,
            dirty: false,
            referenced: false,
            settled,
        };
        let bytes = cell.bytes();
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index as usize] = Some(cell);
                index
            }
            None => {
                self.slots.push(Some(cell));
                u32::try_from(self.slots.len() - 1).expect("four thousand million cells don't fit into memory")
            }
        };
        let slot = Slot { hash: hash as u32, cell: index };
        self.table.insert_unique(spread(slot.hash), slot, |slot| spread(slot.hash));
        if settled {
            self.settled.push_back(index);
            self.settled_bytes += bytes;
        } else {
            self.young.push_back(index);
            self.young_bytes += bytes;
        }
        index
    }

    /// Takes a cell away that is in no queue any more.
    fn remove(&mut self, index: u32) {
        let Some(cell) = self.slots[index as usize].take() else { return };
        let bytes = cell.bytes();
        if cell.settled {
            self.settled_bytes -= bytes;
        } else {
            self.young_bytes -= bytes;
        }
        if cell.dirty {
            self.dirty_bytes -= bytes;
        }
        if let Ok(entry) = self.table.find_entry(spread(cell.hash as u32), |slot| slot.cell == index) {
            entry.remove();
        }
        self.free.push(index);
    }

    /// A cell is dirty from now on.
    pub(super) fn make_dirty(&mut self, index: u32) {
        let cell = &mut self[index];
        cell.dirty = true;
        let bytes = cell.bytes();
        self.dirty_bytes += bytes;
    }

    /// A cell is clean from now on; its value, where there is one, takes `value_len` bytes encoded.
    pub(super) fn make_clean(&mut self, index: u32, value_len: usize, last: Last, last_row: Option<Box<[u8]>>) {
        let cell = &mut self[index];
        let before = cell.bytes();
        cell.dirty = false;
        cell.last = last;
        cell.last_row = last_row;
        cell.value_len = u32::try_from(value_len).unwrap_or(u32::MAX);
        let (after, settled) = (cell.bytes(), cell.settled);
        self.dirty_bytes -= before;
        let queue = if settled { &mut self.settled_bytes } else { &mut self.young_bytes };
        *queue = *queue - before + after;
    }

    /// A cell is not dirty after all: the row last staged is still its newest.
    pub(super) fn clean_again(&mut self, index: u32) {
        let cell = &mut self[index];
        cell.dirty = false;
        let bytes = cell.bytes();
        self.dirty_bytes -= bytes;
    }

    /// Whether there is a cell of this number.
    pub(super) fn has(&self, index: u32) -> bool {
        self.slots.get(index as usize).is_some_and(Option::is_some)
    }

    /// Gives a cell that was just inserted the row that it was read from.
    pub(super) fn keep_row(&mut self, index: u32, row: &[u8]) {
        let cell = &mut self[index];
        let before = cell.bytes();
        cell.last_row = Some(row.into());
        let (more, settled) = (cell.bytes() - before, cell.settled);
        *(if settled { &mut self.settled_bytes } else { &mut self.young_bytes }) += more;
    }

    /// Bytes that are there only to be found again.
    pub(super) fn clean_bytes(&self) -> usize {
        self.young_bytes + self.settled_bytes - self.dirty_bytes
    }

    /// Takes clean cells away until they fit into `bound` bytes, the young ones into a part of it, looking at no more than
    /// `steps` cells. `keep` stays.
    pub(super) fn sweep(&mut self, bound: usize, steps: usize, keep: Option<u32>) {
        for _ in 0..steps {
            let young = self.young_bytes > bound / YOUNG_PART && !self.young.is_empty();
            if !young && self.clean_bytes() <= bound {
                return;
            }
            let first =
                if young || self.settled.is_empty() { self.young.pop_front() } else { self.settled.pop_front() };
            let Some(index) = first else { return };
            let cell = &mut self[index];
            if cell.referenced && !cell.settled {
                let bytes = cell.bytes();
                cell.settled = true;
                cell.referenced = false;
                self.young_bytes -= bytes;
                self.settled_bytes += bytes;
                self.settled.push_back(index);
            } else if cell.dirty || cell.referenced || keep == Some(index) {
                cell.referenced = false;
                if cell.settled { self.settled.push_back(index) } else { self.young.push_back(index) }
            } else {
                self.remove(index);
            }
        }
    }

    /// As many steps as it takes to look at every cell twice.
    pub(super) fn full_round(&self) -> usize {
        2 * (self.young.len() + self.settled.len())
    }

    /// Forgets these cells.
    pub(super) fn forget(&mut self, indexes: impl IntoIterator<Item = u32>) {
        for index in indexes {
            self.remove(index);
        }
        let slots = &self.slots;
        let there = |index: &u32| slots[*index as usize].is_some();
        self.young.retain(there);
        self.settled.retain(there);
    }

    /// The cell of a key, as a number.
    pub(super) fn index_of(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.slot(hash, key)
    }

    /// Forgets all cells.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut seen = vec![false; self.slots.len()];
        let (mut bytes, mut dirty) = ([0, 0], 0);
        for (settled, queue) in [(false, &self.young), (true, &self.settled)] {
            for index in queue {
                assert!(!std::mem::replace(&mut seen[*index as usize], true), "cell {index} is queued twice");
                let cell = &self[*index];
                assert_eq!(cell.settled, settled);
                bytes[usize::from(settled)] += cell.bytes();
                dirty += if cell.dirty { cell.bytes() } else { 0 };
                assert_eq!(self.slot(cell.hash, &cell.key), Some(*index));
            }
        }
        let there: Vec<bool> = self.slots.iter().map(Option::is_some).collect();
        assert_eq!(seen, there);
        assert_eq!(self.table.len(), there.iter().filter(|there| **there).count());
        assert_eq!(([self.young_bytes, self.settled_bytes], self.dirty_bytes), (bytes, dirty));
    }
}

impl<V> Index<u32> for Cells<V> {
    type Output = Cell<V>;

    fn index(&self, index: u32) -> &Cell<V> {
        self.slots[index as usize].as_ref().expect("queues and lists of cells name only cells that are there")
    }
}

impl<V> IndexMut<u32> for Cells<V> {
    fn index_mut(&mut self, index: u32) -> &mut Cell<V> {
        self.slots[index as usize].as_mut().expect("queues and lists of cells name only cells that are there")
    }
}
