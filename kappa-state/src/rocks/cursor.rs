//! A scan over a column family.

use std::fmt::Display;
use std::ops::Bound;

use rocksdb::{DBRawIteratorWithThreadMode, ReadOptions};

use super::handle::{Db, Family};
use super::{DATA, rocks_error};
use crate::{Direction, StateError, StoreCursor};

/// Borrows the store it walks over, so neither the database nor the column family can go before it.
pub(super) struct Cursor<'s, Id> {
    id: &'s Id,
    iterator: DBRawIteratorWithThreadMode<'s, Db>,
    direction: Direction,
    /// Whether the iterator stands on an entry that was handed out.
    started: bool,
}

impl<'s, Id: Display> Cursor<'s, Id> {
    pub(super) fn new(
        id: &'s Id,
        family: &'s Family,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Self {
        let mut options = ReadOptions::default();
        // RocksDB's bounds are [lower, upper). A key's successor is itself with a zero byte.
        options.set_iterate_lower_bound(match from {
            Bound::Included(key) => data_key(key, false),
            Bound::Excluded(key) => data_key(key, true),
            Bound::Unbounded => vec![DATA],
        });
        options.set_iterate_upper_bound(match to {
            Bound::Included(key) => data_key(key, true),
            Bound::Excluded(key) => data_key(key, false),
            Bound::Unbounded => vec![DATA + 1],
        });
        let iterator = family.db().raw_iterator_cf_opt(family.handle(), options);
        Self { id, iterator, direction, started: false }
    }

    fn step(&mut self) {
        match (self.started, self.direction) {
            (false, Direction::Forward) => self.iterator.seek_to_first(),
            (false, Direction::Backward) => self.iterator.seek_to_last(),
            (true, Direction::Forward) => self.iterator.next(),
            (true, Direction::Backward) => self.iterator.prev(),
        }
        self.started = true;
    }
}

impl<Id: Display> StoreCursor for Cursor<'_, Id> {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>, StateError> {
        // Past the end there is no next: RocksDB wants a valid iterator.
        if !self.started || self.iterator.valid() {
            self.step();
        }
        if let Some((key, value)) = self.iterator.item() {
            return Ok(Some((key.strip_prefix(&[DATA]).unwrap_or(key), value)));
        }
        match self.iterator.status() {
            Ok(()) => Ok(None),
            Err(error) => Err(rocks_error(self.id, "scanning", &error)),
        }
    }
}

fn data_key(key: &[u8], successor: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 2);
    out.push(DATA);
    out.extend_from_slice(key);
    if successor {
        out.push(0);
    }
    out
}
