//! The cells of a buffer: everything it knows of a key, in one place, found by one hash look-up.
//!
//! **Invariants:**
//! - `clean_bytes` and `dirty_bytes` are the sums of what the cells were counted with, each cell in at
//!   most one of them.
//! - A cell that is dirty, staged or committed is never removed by `sweep`; it only loses a typed value
//!   that can be decoded again.
//! - Nothing iterates over the hash table, so its order is never seen.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::small::Small;

/// The typed value of a key, as reads see it.
#[derive(Debug)]
pub(super) enum Current<V> {
    /// Not decoded; to be loaded from the newest bytes.
    Unknown,
    Absent,
    Present(V),
}

/// What a layer has of a key.
#[derive(Debug)]
pub(super) enum Encoded {
    /// The layer says nothing.
    Nothing,
    Deleted,
    Row(Small),
}

impl Encoded {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Encoded::Nothing)
    }

    /// Bytes of the value in the layer.
    pub(super) fn len(&self) -> usize {
        match self {
            Encoded::Row(row) => row.len(),
            _ => 0,
        }
    }
}

/// What the store behind is known to have of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    Unknown,
    Absent,
    Present,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    No,
    Clean,
    Dirty,
}

#[derive(Debug)]
pub(super) struct Cell<V> {
    pub(super) key: Small,
    hash: u64,
    pub(super) current: Current<V>,
    pub(super) timestamp_ms: i64,
    /// The number of the last write, for the order of staging.
    pub(super) written: u64,
    /// Encoded in the running transaction.
    pub(super) staged: Encoded,
    /// Encoded in committed transactions, not yet in the store behind.
    pub(super) committed: Encoded,
    pub(super) stored: Stored,
    /// The row in the store behind; only where old values are kept.
    pub(super) stored_row: Option<Box<[u8]>>,
    pub(super) dirty: bool,
    referenced: bool,
    counted: Counted,
    counted_bytes: u32,
    /// Its place in the ring while it is counted clean.
    ring_at: u32,
    /// Encoded length of the value when it was last seen.
    pub(super) value_len: u32,
}

impl<V> Cell<V> {
    /// Whether the cell holds something that is not yet in the store behind.
    pub(super) fn is_pinned(&self) -> bool {
        self.dirty || !self.staged.is_nothing() || !self.committed.is_nothing()
    }
}

#[derive(Debug)]
pub(super) struct Cells<V> {
    table: HashTable<u32>,
    slots: Vec<Option<Cell<V>>>,
    free: Vec<u32>,
    /// Keys in order; made by the first scan and kept up from then on, so that stores which are never
    /// scanned don't pay for it.
    ordered: Option<BTreeMap<Box<[u8]>, u32>>,
    hasher: FixedState,
    /// The cells counted clean, for the hand of the clock to walk over.
    ring: Vec<u32>,
    hand: usize,
    pub(super) clean_bytes: usize,
    pub(super) dirty_bytes: usize,
}

impl<V> Cells<V> {
    pub(super) fn new() -> Self {
        Self {
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            ordered: None,
            // A fixed seed: runs repeat exactly.
            hasher: FixedState::with_seed(0x6b61_7070_615f_7374),
            ring: Vec::new(),
            hand: 0,
            clean_bytes: 0,
            dirty_bytes: 0,
        }
    }

    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The cell of a key; marks it as used of late.
    pub(super) fn find(&mut self, hash: u64, key: &[u8]) -> Option<u32> {
        let slots = &self.slots;
        let found = self.table.find(hash, |&at| matches!(&slots[at as usize], Some(cell) if *cell.key == *key));
        let index = *found?;
        if let Some(cell) = &mut self.slots[index as usize] {
            cell.referenced = true;
        }
        Some(index)
    }

    /// Adds a cell for a key that has none.
    pub(super) fn insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        let cell = Cell {
            key: key.into(),
            hash,
            current: Current::Unknown,
            timestamp_ms: 0,
            written: 0,
            staged: Encoded::Nothing,
            committed: Encoded::Nothing,
            stored: Stored::Unknown,
            stored_row: None,
            dirty: false,
            referenced: false,
            counted: Counted::No,
            counted_bytes: 0,
            ring_at: 0,
            value_len: 0,
        };
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
        let slots = &self.slots;
        let hash_of = |&at: &u32| slots[at as usize].as_ref().map_or(0, |cell| cell.hash);
        self.table.insert_unique(hash, index, hash_of);
        if let Some(ordered) = &mut self.ordered {
            ordered.insert(key.into(), index);
        }
        index
    }

    pub(super) fn remove(&mut self, index: u32) {
        self.discount(index);
        let Some(cell) = self.slots[index as usize].take() else { return };
        if let Ok(entry) = self.table.find_entry(cell.hash, |&at| at == index) {
            entry.remove();
        }
        if let Some(ordered) = &mut self.ordered {
            ordered.remove(&*cell.key);
        }
        self.free.push(index);
    }

    pub(super) fn has(&self, index: u32) -> bool {
        self.slots[index as usize].is_some()
    }

    /// Counts a cell anew after its value, or what it is to the buffer, has changed.
    pub(super) fn recount(&mut self, index: u32) {
        self.discount(index);
        let cell = self.slots[index as usize].as_mut().expect("only cells that are there are counted");
        // The cell, its place in table, slots and ring, the key, and a value of about its encoded size.
        let bytes = size_of::<Option<Cell<V>>>() + 12 + cell.key.len() + cell.value_len as usize;
        cell.counted_bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match (cell.dirty, &cell.current) {
            (true, _) => {
                cell.counted = Counted::Dirty;
                self.dirty_bytes += cell.counted_bytes as usize;
            }
            (false, Current::Unknown) => {}
            (false, _) => {
                cell.counted = Counted::Clean;
                self.clean_bytes += cell.counted_bytes as usize;
                cell.ring_at = self.ring.len() as u32;
                self.ring.push(index);
            }
        }
    }

    fn discount(&mut self, index: u32) {
        let Some(cell) = &mut self.slots[index as usize] else { return };
        let ring_at = cell.ring_at;
        match std::mem::replace(&mut cell.counted, Counted::No) {
            Counted::No => {}
            Counted::Dirty => self.dirty_bytes -= cell.counted_bytes as usize,
            Counted::Clean => {
                self.clean_bytes -= cell.counted_bytes as usize;
                self.ring.swap_remove(ring_at as usize);
                if let Some(&moved) = self.ring.get(ring_at as usize)
                    && let Some(moved) = &mut self.slots[moved as usize]
                {
                    moved.ring_at = ring_at;
                }
            }
        }
    }

    /// Takes clean typed values away until they fit into `bound` bytes, by second chance, looking at no
    /// more than `steps` cells. `keep` stays.
    pub(super) fn sweep(&mut self, bound: usize, steps: usize, keep: Option<u32>) {
        for _ in 0..steps {
            if self.clean_bytes <= bound || self.ring.is_empty() {
                return;
            }
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            let index = self.ring[self.hand];
            let Some(cell) = &mut self.slots[index as usize] else { return };
            if keep == Some(index) || cell.referenced {
                cell.referenced = false;
                self.hand += 1;
            } else if cell.is_pinned() {
                cell.current = Current::Unknown;
                self.discount(index);
            } else {
                self.remove(index);
            }
        }
    }

    /// As many steps as it takes to look at every cell twice.
    pub(super) fn full_round(&self) -> usize {
        2 * self.ring.len()
    }

    /// The keys in order.
    pub(super) fn ordered(&mut self) -> &BTreeMap<Box<[u8]>, u32> {
        let slots = &self.slots;
        self.ordered.get_or_insert_with(|| {
            let cells = slots.iter().enumerate();
            cells.filter_map(|(at, cell)| Some((Box::from(&*cell.as_ref()?.key), at as u32))).collect()
        })
    }

    /// The keys in order, where [`Self::ordered`] was called before.
    pub(super) fn ordered_now(&self) -> Option<&BTreeMap<Box<[u8]>, u32>> {
        self.ordered.as_ref()
    }

    /// Forgets all cells.
    pub(super) fn clear(&mut self) {
        *self = Self::new();
    }
}

impl<V> Index<u32> for Cells<V> {
    type Output = Cell<V>;

    fn index(&self, index: u32) -> &Cell<V> {
        self.slots[index as usize].as_ref().expect("lists of cells name only cells that are there")
    }
}

impl<V> IndexMut<u32> for Cells<V> {
    fn index_mut(&mut self, index: u32) -> &mut Cell<V> {
        self.slots[index as usize].as_mut().expect("lists of cells name only cells that are there")
    }
}
