//! Encoded rows of a buffer, newest of each key: keys and rows back to back in an arena, found by one hash look-up.
//!
//! What is staged, what is committed and not yet written, and what a restore has read are kept so: about 32 bytes beside key
//! and row, no allocation of its own, nothing ever moved to grow.
//!
//! **Invariants:**
//! - Where there is an index, it has each key once, and every entry is in it.
//! - `live` is the sum of the lengths of keys and rows of all entries; what else was put into the arena is garbage, which is
//!   never more than `live` and `GARBAGE_BYTES` together.

use std::mem;

use hashbrown::HashTable;

use super::arena::{Address, Arena};
use crate::Entry;

/// Bytes that may lie about before the arena is looked at.
const GARBAGE_BYTES: usize = 1024 * 1024;
/// Instead of a row's length: a deletion.
const DELETED: u32 = u32::MAX;
/// Places in a block of them.
const BLOCK: usize = 4096;

/// Where a key and its row are in the arena.
#[derive(Debug, Clone, Copy)]
struct Place {
    address: Address,
    hash: u32,
    key_len: u32,
    row_len: u32,
}

impl Place {
    fn row_bytes(self) -> usize {
        if self.row_len == DELETED { 0 } else { self.row_len as usize }
    }

    fn bytes(self) -> usize {
        self.key_len as usize + self.row_bytes()
    }
}

/// What is found of a key: a row or a deletion.
pub(super) type Found<'r> = Option<&'r [u8]>;

#[derive(Debug, Default)]
pub(super) struct Rows {
    arena: Arena,
    places: Places,
    index: HashTable<Slot>,
    live: usize,
}

/// Places, in blocks, so that growing moves none.
#[derive(Debug, Default)]
struct Places {
    blocks: Vec<Vec<Place>>,
    len: usize,
}

impl Places {
    fn get(&self, at: u32) -> Place {
        self.blocks[at as usize / BLOCK][at as usize % BLOCK]
    }

    fn set(&mut self, at: u32, place: Place) {
        self.blocks[at as usize / BLOCK][at as usize % BLOCK] = place;
    }

    /// Its number.
    fn push(&mut self, place: Place) -> u32 {
        let number = u32::try_from(self.len).expect("four thousand million rows don't fit into memory");
        let block = self.len / BLOCK;
        if block == self.blocks.len() {
            // Few rows take little; from a whole block on blocks are whole.
            self.blocks.push(Vec::with_capacity(if block == 0 { 0 } else { BLOCK }));
        }
        self.blocks[block].push(place);
        self.len += 1;
        number
    }

    fn iter(&self) -> impl Iterator<Item = Place> {
        self.blocks.iter().flatten().copied()
    }

    fn clear(&mut self) {
        self.blocks.iter_mut().for_each(Vec::clear);
        self.len = 0;
    }
}

/// A place's number and the part of its hash that the table works with, so that neither a look-up that finds nothing nor the
/// table's growth looks at the places.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    place: u32,
}

/// The table takes a tag from the upper end and a bucket from the lower one.
#[inline]
pub(super) fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.places.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.len == 0
    }

    /// Bytes of the keys and rows.
    pub(super) fn live_bytes(&self) -> usize {
        self.live
    }

    /// Bytes taken, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.arena.used() + self.places.len * size_of::<Place>() + self.index.len() * size_of::<Slot>()
    }

    fn key(&self, place: Place) -> &[u8] {
        &self.arena.at(place.address)[..place.key_len as usize]
    }

    fn row(&self, place: Place) -> Found<'_> {
        let row = || &self.arena.at(place.address)[place.key_len as usize..place.bytes()];
        (place.row_len != DELETED).then(row)
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let part = hash as u32;
        let same = |slot: &Slot| slot.hash == part && self.key(self.places.get(slot.place)) == key;
        self.index.find(spread(part), same).map(|slot| slot.place)
    }

    /// What there is of a key.
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<Found<'_>> {
        if self.index.is_empty() {
            return None;
        }
        self.find(hash, key).map(|at| self.row(self.places.get(at)))
    }

    /// Sets a key's row, or notes that it is deleted. The row before, if any, goes.
    pub(super) fn set(&mut self, hash: u64, key: &[u8], row: Option<&[u8]>) {
        match self.find(hash, key) {
            None => {
                let part = hash as u32;
                let place = self.append(part, key, row);
                let slot = Slot { hash: part, place: self.places.push(place) };
                self.index.insert_unique(spread(part), slot, |slot| spread(slot.hash));
            }
            Some(at) => self.replace(at, key, row),
        }
    }

    fn replace(&mut self, at: u32, key: &[u8], row: Option<&[u8]>) {
        let before = self.places.get(at);
        match row {
            Some(row) if before.row_len as usize == row.len() => {
                let from = before.key_len as usize;
                self.arena.at_mut(before.address)[from..from + row.len()].copy_from_slice(row);
            }
            _ => {
                self.live -= before.bytes();
                let place = self.append(before.hash, key, row);
                self.places.set(at, place);
                if self.arena.used() - self.live > self.live + GARBAGE_BYTES {
                    self.compact();
                }
            }
        }
    }

    /// Adds a row without looking whether there is one of its key; only where there is no index.
    pub(super) fn push(&mut self, key: &[u8], row: Option<[&[u8]; 2]>) {
        let row_len = row.map_or(DELETED, |[head, tail]| length(head.len() + tail.len()));
        let [head, tail] = row.unwrap_or_default();
        let place = Place { address: self.arena.put([key, head, tail]), hash: 0, key_len: length(key.len()), row_len };
        self.live += place.bytes();
        self.places.push(place);
    }

    /// Puts a row into the arena.
    fn append(&mut self, hash: u32, key: &[u8], row: Option<&[u8]>) -> Place {
        let row_len = row.map_or(DELETED, |row| length(row.len()));
        let address = self.arena.put([key, row.unwrap_or_default()]);
        let place = Place { address, hash, key_len: length(key.len()), row_len };
        self.live += place.bytes();
        place
    }

    fn compact(&mut self) {
        let before = mem::take(&mut self.arena);
        for place in self.places.blocks.iter_mut().flatten() {
            place.address = self.arena.put([&before.at(place.address)[..place.bytes()]]);
        }
    }

    /// Everything that is there, oldest key first; of each key's hash the part that tables work with.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8], Found<'_>)> {
        self.places.iter().map(|place| (u64::from(place.hash), self.key(place), self.row(place)))
    }

    /// The places by key; of equal keys the later comes later.
    pub(super) fn order(&self) -> Vec<(u64, u32)> {
        let mut order = Vec::with_capacity(self.places.len);
        for block in &self.places.blocks {
            for place in block {
                order.push((first_bytes(self.key(*place)), order.len() as u32));
            }
        }
        // Most keys differ in their first bytes: only the others are looked up.
        order.sort_unstable_by(|&(a_first, a), &(b_first, b)| {
            let key = |at: u32| self.key(self.places.get(at));
            a_first.cmp(&b_first).then_with(|| key(a).cmp(key(b))).then(a.cmp(&b))
        });
        order
    }

    /// What is there in an order, each key once: of equal ones the last.
    pub(super) fn sorted<'r>(&'r self, order: &'r [(u64, u32)]) -> impl Iterator<Item = Entry<'r>> {
        order.iter().enumerate().filter_map(move |(at, &(first, number))| {
            let place = self.places.get(number);
            let key = self.key(place);
            let next = order.get(at + 1).filter(|(next_first, _)| *next_first == first);
            let again = next.is_some_and(|(_, next)| self.key(self.places.get(*next)) == key);
            (!again).then(|| (key, self.row(place)))
        })
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.places.clear();
        self.index.clear();
        self.live = 0;
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).ok().filter(|len| *len != DELETED).expect("no record is as long as four gigabytes")
}

/// The first eight bytes of a key as a number that sorts as they do; keys that are shorter than that are filled up with zeros.
fn first_bytes(key: &[u8]) -> u64 {
    match key.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..key.len()].copy_from_slice(key);
            u64::from_be_bytes(first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::hash::{DefaultHasher, Hash, Hasher};

    fn hash(key: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        hasher.finish()
    }

    fn entries(rows: &Rows) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let order = rows.order();
        rows.sorted(&order).map(|(key, row)| (key.to_vec(), row.map(<[u8]>::to_vec))).collect()
    }

    type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    fn check(rows: &Rows, model: &Model) {
        let expected: Vec<_> = model.clone().into_iter().collect();
        assert_eq!(entries(rows), expected);
        assert_eq!(rows.len(), model.len());
        let bytes: usize = model.iter().map(|(key, row)| key.len() + row.as_ref().map_or(0, Vec::len)).sum();
        assert_eq!(rows.live_bytes(), bytes);
        for (key, row) in model {
            assert_eq!(rows.get(hash(key), key), Some(row.as_deref()));
        }
        assert!(rows.arena.used() <= 2 * rows.live + GARBAGE_BYTES);
    }

    proptest! {
        #[test]
        fn rows_are_like_a_map(
            steps in proptest::collection::vec(
                (proptest::collection::vec(0..4_u8, 0..12), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..30))),
                0..200,
            ),
            // Keys of few hashes, so that keys with equal hashes meet.
            mask in prop_oneof![Just(u64::MAX), Just(0x1_0000_0003)],
        ) {
            let (mut rows, mut model) = (Rows::default(), Model::new());
            for (key, row) in steps {
                let hash = hash(&key) & mask;
                prop_assert_eq!(rows.get(hash, &key), model.get(&key).map(|row| row.as_deref()));
                rows.set(hash, &key, row.as_deref());
                model.insert(key, row);
            }
            if mask == u64::MAX {
                check(&rows, &model);
            }
            rows.clear();
            prop_assert!(rows.is_empty() && entries(&rows).is_empty() && rows.live_bytes() == 0);
        }
    }

    #[test]
    fn rows_that_change_their_length_leave_no_more_garbage_than_allowed() {
        let (mut rows, mut model) = (Rows::default(), Model::new());
        for round in 0..3_000_usize {
            let key = [(round % 3) as u8];
            let row = vec![round as u8; 1_000 + round % 7];
            rows.set(hash(&key), &key, Some(&row));
            model.insert(key.to_vec(), Some(row));
        }
        check(&rows, &model);
        assert!(rows.arena.used() < 2 * GARBAGE_BYTES, "{}", rows.arena.used());
    }

    #[test]
    fn of_equal_keys_pushed_the_last_counts() {
        let mut rows = Rows::default();
        for (key, row) in [
            ("long key b", Some("1")),
            ("a", Some("2")),
            ("", None),
            ("long key b", None),
            ("", Some("")),
            ("a\0", None),
        ] {
            rows.push(key.as_bytes(), row.map(|row: &str| [row.as_bytes(), b""]));
        }
        let expected = [("", Some("")), ("a", Some("2")), ("a\0", None), ("long key b", None)];
        let expected = expected.map(|(key, row)| (key.as_bytes().to_vec(), row.map(|row| row.as_bytes().to_vec())));
        assert_eq!(entries(&rows), expected);
    }
}
