//! Scanning: the buffer's cells and the store behind, merged in key order.

use std::cmp::Ordering;
use std::collections::btree_map;
use std::ops::{Bound, ControlFlow};

use super::BufferedStore;
use super::cell::{Cell, Current, Encoded, Stored};
use crate::row::decode_row;
use crate::store::is_empty_range;
use crate::{Direction, StateError, StoreCursor};

/// What a scan calls with key, value and timestamp.
pub type Visit<'v, V> = dyn FnMut(&[u8], &V, i64) -> ControlFlow<()> + 'v;

/// The cells of a range, either way.
struct Walk<'c> {
    range: btree_map::Range<'c, Box<[u8]>, u32>,
    direction: Direction,
}

impl<'c> Walk<'c> {
    fn next(&mut self) -> Option<(&'c [u8], u32)> {
        let next = match self.direction {
            Direction::Forward => self.range.next(),
            Direction::Backward => self.range.next_back(),
        };
        next.map(|(key, &index)| (&**key, index))
    }
}

/// The entry a cursor stands on, copied, because the cursor lends it only until its next call.
#[derive(Default)]
struct Behind {
    key: Vec<u8>,
    row: Vec<u8>,
    valid: bool,
}

impl Behind {
    fn advance(&mut self, cursor: &mut dyn StoreCursor) -> Result<(), StateError> {
        self.valid = false;
        if let Some((key, row)) = cursor.next()? {
            self.key.clear();
            self.key.extend_from_slice(key);
            self.row.clear();
            self.row.extend_from_slice(row);
            self.valid = true;
        }
        Ok(())
    }
}

impl<V: 'static> BufferedStore<V> {
    /// Visits the values of a range of keys in key order, with their timestamps, until `visit` breaks.
    pub fn scan(
        &mut self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
        visit: &mut Visit<'_, V>,
    ) -> Result<(), StateError> {
        if is_empty_range(from, to) {
            return Ok(());
        }
        self.cells.ordered();
        let Some(ordered) = self.cells.ordered_now() else { return Ok(()) };
        let mut walk = Walk { range: ordered.range::<[u8], _>((from, to)), direction };
        let mut cursor = self.store.scan(from, to, direction)?;
        let mut behind = Behind::default();
        behind.advance(&mut *cursor)?;
        let mut cell = walk.next();
        loop {
            let order = match (cell, behind.valid) {
                (None, false) => return Ok(()),
                (Some(_), false) => Ordering::Less,
                (None, true) => Ordering::Greater,
                (Some((key, _)), true) => match direction {
                    Direction::Forward => key.cmp(&behind.key),
                    Direction::Backward => behind.key.as_slice().cmp(key),
                },
            };
            let flow = match cell {
                Some((_, index)) if order.is_le() => {
                    let stored = if order.is_eq() { Some(behind.row.as_slice()) } else { None };
                    self.visit_cell(&self.cells[index], stored, visit)?
                }
                _ => {
                    let (value, timestamp_ms) = decode_row(&self.id, &*self.codec, &behind.row)?;
                    visit(&behind.key, &value, timestamp_ms)
                }
            };
            if flow.is_break() {
                return Ok(());
            }
            if order.is_le() {
                cell = walk.next();
            }
            if order.is_ge() {
                behind.advance(&mut *cursor)?;
            }
        }
    }

    /// `stored` is the key's row in the store behind.
    fn visit_cell(
        &self,
        cell: &Cell<V>,
        stored: Option<&[u8]>,
        visit: &mut Visit<'_, V>,
    ) -> Result<ControlFlow<()>, StateError> {
        let row = match (&cell.current, &cell.staged, &cell.committed) {
            (Current::Present(value), ..) => return Ok(visit(&cell.key, value, cell.timestamp_ms)),
            (Current::Absent, ..) | (_, Encoded::Deleted, _) | (_, Encoded::Nothing, Encoded::Deleted) => {
                return Ok(ControlFlow::Continue(()));
            }
            (_, Encoded::Row(row), _) | (_, Encoded::Nothing, Encoded::Row(row)) => &**row,
            (_, Encoded::Nothing, Encoded::Nothing) => match stored {
                Some(row) if cell.stored != Stored::Absent => row,
                _ => return Ok(ControlFlow::Continue(())),
            },
        };
        let (value, timestamp_ms) = decode_row(&self.id, &*self.codec, row)?;
        Ok(visit(&cell.key, &value, timestamp_ms))
    }
}
