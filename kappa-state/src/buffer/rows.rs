//! Encoded rows of a buffer, newest of each key: keys and rows back to back in one arena, found by one hash look-up.
//!
//! What is staged, what is committed and not yet written, and what a restore has read are kept so: 32 bytes beside key and
//! row, no allocation of its own.
//!
//! **Invariants:**
//! - Where there is an index, it has each key once, and every entry is in it.
//! - `live` is the sum of the lengths of keys and rows of all entries; what else the arena holds is garbage, which is never
//!   more than `live` and `GARBAGE_BYTES` together.

use hashbrown::HashTable;

use crate::Layer;

/// Bytes that may lie about before the arena is looked at.
const GARBAGE_BYTES: usize = 1024 * 1024;
/// Instead of a row's length: a deletion.
const DELETED: u32 = u32::MAX;

/// Where a key and its row are in the arena.
#[derive(Debug, Clone, Copy)]
struct Place {
    hash: u64,
    start: usize,
    key_len: u32,
    row_len: u32,
}

impl Place {
    fn row_bytes(self) -> usize {
        if self.row_len == DELETED { 0 } else { self.row_len as usize }
    }

    fn key_end(self) -> usize {
        self.start + self.key_len as usize
    }

    fn end(self) -> usize {
        self.key_end() + self.row_bytes()
    }

    fn bytes(self) -> usize {
        self.key_len as usize + self.row_bytes()
    }
}

/// What is found of a key: a row or a deletion.
pub(super) type Found<'r> = Option<&'r [u8]>;

#[derive(Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    places: Vec<Place>,
    index: HashTable<Slot>,
    live: usize,
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
        self.places.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of the keys and rows.
    pub(super) fn live_bytes(&self) -> usize {
        self.live
    }

    /// Bytes taken, about.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Place>() + self.index.len() * size_of::<Slot>()
    }

    fn key(&self, place: Place) -> &[u8] {
        &self.bytes[place.start..place.key_end()]
    }

    fn row(&self, place: Place) -> Found<'_> {
        (place.row_len != DELETED).then(|| &self.bytes[place.key_end()..place.end()])
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let part = hash as u32;
        let same = |slot: &Slot| slot.hash == part && self.key(self.places[slot.place as usize]) == key;
        self.index.find(spread(part), same).map(|slot| slot.place)
    }

    /// What there is of a key.
    pub(super) fn get(&self, hash: u64, key: &[u8]) -> Option<Found<'_>> {
        if self.index.is_empty() {
            return None;
        }
        self.find(hash, key).map(|at| self.row(self.places[at as usize]))
    }

    /// Sets a key's row, or notes that it is deleted. The row before, if any, goes.
    pub(super) fn set(&mut self, hash: u64, key: &[u8], row: Option<&[u8]>) {
        match self.find(hash, key) {
            None => {
                let place = self.append(hash, key, row);
                let (part, number) = (hash as u32, self.places.len());
                let number = u32::try_from(number).expect("four thousand million rows don't fit into memory");
                self.places.push(place);
                self.index.insert_unique(spread(part), Slot { hash: part, place: number }, |slot| spread(slot.hash));
            }
            Some(at) => self.replace(at, key, row),
        }
    }

    fn replace(&mut self, at: u32, key: &[u8], row: Option<&[u8]>) {
        let before = self.places[at as usize];
        match row {
            Some(row) if before.row_len as usize == row.len() => {
                self.bytes[before.key_end()..before.end()].copy_from_slice(row);
            }
            _ => {
                self.live -= before.bytes();
                self.places[at as usize] = self.append(before.hash, key, row);
                if self.bytes.len() - self.live > self.live + GARBAGE_BYTES {
                    self.compact();
                }
            }
        }
    }

    /// Adds a row without looking whether there is one of its key; only where there is no index.
    pub(super) fn push(&mut self, key: &[u8], row: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let before = self.bytes.len();
        let row_len = if row(&mut self.bytes) { length(self.bytes.len() - before) } else { DELETED };
        let place = Place { hash: 0, start, key_len: length(key.len()), row_len };
        self.live += place.bytes();
        self.places.push(place);
    }

    /// Puts a row into the arena.
    fn append(&mut self, hash: u64, key: &[u8], row: Option<&[u8]>) -> Place {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        if let Some(row) = row {
            self.bytes.extend_from_slice(row);
        }
        let place =
            Place { hash, start, key_len: length(key.len()), row_len: row.map_or(DELETED, |row| length(row.len())) };
        self.live += place.bytes();
        place
    }

    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.live + self.live / 4);
        for place in &mut self.places {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[place.start..place.end()]);
            place.start = start;
        }
        self.bytes = bytes;
    }

    /// Everything that is there, with each key's hash, oldest key first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8], Found<'_>)> {
        self.places.iter().map(|&place| (place.hash, self.key(place), self.row(place)))
    }

    /// What is there sorted by key, each key once: of equal ones the last.
    pub(super) fn layer(&self) -> Layer<'_> {
        let numbered = self.places.iter().enumerate();
        let mut order: Vec<(u64, u32)> =
            numbered.map(|(at, place)| (first_bytes(self.key(*place)), at as u32)).collect();
        // Most keys differ in their first bytes: only the others are looked up. Of equal ones the later comes later.
        order.sort_unstable_by(|&(a_first, a), &(b_first, b)| {
            let key = |at: u32| self.key(self.places[at as usize]);
            a_first.cmp(&b_first).then_with(|| key(a).cmp(key(b))).then(a.cmp(&b))
        });
        let mut entries: Vec<(&[u8], Option<&[u8]>)> = Vec::with_capacity(order.len());
        for (_, at) in order {
            let place = self.places[at as usize];
            let (key, row) = (self.key(place), self.row(place));
            match entries.last_mut() {
                Some(last) if last.0 == key => last.1 = row,
                _ => entries.push((key, row)),
            }
        }
        Layer { entries }
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
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

    type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    fn check(rows: &Rows, model: &Model) {
        let expected: Vec<_> = model.iter().map(|(key, row)| (key.as_slice(), row.as_deref())).collect();
        assert_eq!(rows.layer().entries, expected);
        assert_eq!(rows.len(), model.len());
        let bytes: usize = model.iter().map(|(key, row)| key.len() + row.as_ref().map_or(0, Vec::len)).sum();
        assert_eq!(rows.live_bytes(), bytes);
        for (key, row) in model {
            assert_eq!(rows.get(hash(key), key), Some(row.as_deref()));
        }
        assert!(rows.bytes.len() <= 2 * rows.live + GARBAGE_BYTES);
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
            prop_assert!(rows.is_empty() && rows.layer().entries.is_empty() && rows.live_bytes() == 0);
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
        assert!(rows.bytes.len() < 2 * GARBAGE_BYTES, "{}", rows.bytes.len());
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
            rows.push(key.as_bytes(), |out| row.inspect(|row| out.extend_from_slice(row.as_bytes())).is_some());
        }
        let expected: [(&[u8], Option<&[u8]>); 4] =
            [(b"", Some(b"")), (b"a", Some(b"2")), (b"a\0", None), (b"long key b", None)];
        assert_eq!(rows.layer().entries, expected);
    }
}
