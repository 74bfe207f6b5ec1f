//! Changelog records on their way into the store behind: gathered in one arena, sorted, lent as a layer.
//!
//! **Invariants:** of equal keys the last one counts.

use crate::Layer;
use crate::row::write_row;

/// A restore is written in steps of about so many bytes or records.
const STEP_BYTES: usize = 32 * 1024 * 1024;
const STEP_RECORDS: usize = 500_000;

/// What was read of a changelog and is not yet in the store behind.
#[derive(Debug)]
pub(super) struct Restoring {
    /// Keys and rows, back to back.
    bytes: Vec<u8>,
    entries: Vec<Restored>,
    pub(super) next_offset: i64,
}

/// Where a key begins in the arena, and where it ends; its row, if it has one, follows.
#[derive(Debug, Clone, Copy)]
struct Restored {
    start: usize,
    key_end: usize,
    row_end: Option<usize>,
}

impl Restoring {
    pub(super) fn from(next_offset: i64) -> Self {
        Self { bytes: Vec::new(), entries: Vec::new(), next_offset }
    }

    /// Takes a record in; `None` deletes.
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>, timestamp_ms: i64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        let row_end = value.map(|value| {
            write_row(timestamp_ms, value, &mut self.bytes);
            self.bytes.len()
        });
        self.entries.push(Restored { start, key_end, row_end });
    }

    /// Whether there is enough for a step.
    pub(super) fn is_step(&self) -> bool {
        let bytes = self.bytes.len() + self.entries.len() * size_of::<Restored>();
        bytes >= STEP_BYTES || self.entries.len() >= STEP_RECORDS
    }

    /// What is there, sorted, each key once.
    pub(super) fn layer(&self) -> Layer<'_> {
        let key = |entry: &Restored| &self.bytes[entry.start..entry.key_end];
        let numbered = self.entries.iter().enumerate();
        let mut order: Vec<(u64, usize)> = numbered.map(|(at, entry)| (first_bytes(key(entry)), at)).collect();
        // Most keys differ in their first bytes: only the others are looked up. Among equal ones the later comes later.
        order.sort_unstable_by(|&(a_first, a), &(b_first, b)| {
            let keys = || key(&self.entries[a]).cmp(key(&self.entries[b]));
            a_first.cmp(&b_first).then_with(keys).then(a.cmp(&b))
        });
        let mut entries: Vec<(&[u8], Option<&[u8]>)> = Vec::with_capacity(order.len());
        for (_, at) in order {
            let entry = &self.entries[at];
            let row = entry.row_end.map(|end| &self.bytes[entry.key_end..end]);
            match entries.last_mut() {
                Some(last) if last.0 == key(entry) => last.1 = row,
                _ => entries.push((key(entry), row)),
            }
        }
        Layer { entries }
    }

    /// It is in the store.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }
}

/// The first eight bytes of a key as a number that sorts as they do; keys that are shorter than that are filled up with zeros.
pub(super) fn first_bytes(key: &[u8]) -> u64 {
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

    #[test]
    fn a_layer_is_sorted_and_the_last_of_equal_keys_counts() {
        let mut restoring = Restoring::from(0);
        for (key, value) in
            [("long key b", Some("1")), ("a", Some("2")), ("", None), ("long key b", None), ("", Some(""))]
        {
            restoring.put(key.as_bytes(), value.map(str::as_bytes), 1);
        }
        restoring.put(b"a", Some(b"3"), 2);
        restoring.put(b"a\0", None, 2);
        let row = [0, 0, 0, 0, 0, 0, 0, 2, b'3'];
        let expected: [(&[u8], Option<&[u8]>); 4] =
            [(b"", Some(&[0, 0, 0, 0, 0, 0, 0, 1])), (b"a", Some(&row)), (b"a\0", None), (b"long key b", None)];
        assert_eq!(restoring.layer().entries, expected);
    }
}
