//! Changelog records on their way into the store behind: gathered in one arena, sorted, lent as a layer.
//!
//! **Invariants:** of equal keys the last one counts.

use super::rows::Rows;
use crate::Layer;
use crate::row::write_row;

/// A restore is written in steps of about so many bytes or records.
const STEP_BYTES: usize = 32 * 1024 * 1024;
const STEP_RECORDS: usize = 500_000;

/// What was read of a changelog and is not yet in the store behind.
#[derive(Debug)]
pub(super) struct Restoring {
    rows: Rows,
    pub(super) next_offset: i64,
}

impl Restoring {
    pub(super) fn from(next_offset: i64) -> Self {
        Self { rows: Rows::default(), next_offset }
    }

    /// Takes a record in; `None` deletes.
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>, timestamp_ms: i64) {
        self.rows.push(key, |out| value.inspect(|value| write_row(timestamp_ms, value, out)).is_some());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there is enough for a step.
    pub(super) fn is_step(&self) -> bool {
        self.rows.memory_bytes() >= STEP_BYTES || self.rows.len() >= STEP_RECORDS
    }

    /// What is there, sorted, each key once.
    pub(super) fn layer(&self) -> Layer<'_> {
        self.rows.layer()
    }

    /// It is in the store.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
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
