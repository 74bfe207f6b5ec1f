//! Scanning: the buffer's keys and the store behind, merged in key order.

use std::cmp::Ordering;
use std::collections::btree_set;
use std::ops::{Bound, ControlFlow};

use super::BufferedStore;
use super::cell::Current;
use crate::range::is_empty_range;
use crate::row::decode_row;
use crate::{Direction, StateError, StoreCursor};

/// What a scan calls with key, value and timestamp.
pub type Visit<'v, V> = dyn FnMut(&[u8], &V, i64) -> ControlFlow<()> + 'v;

/// The buffer's keys in a range, either way.
struct Walk<'c> {
    range: btree_set::Range<'c, Box<[u8]>>,
    direction: Direction,
}

impl<'c> Walk<'c> {
    fn next(&mut self) -> Option<&'c [u8]> {
        let next = match self.direction {
            Direction::Forward => self.range.next(),
            Direction::Backward => self.range.next_back(),
        };
        next.map(|key| &**key)
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
    fn advance(&mut self, cursor: Option<&mut (dyn StoreCursor + '_)>) -> Result<(), StateError> {
        self.valid = false;
        let Some(cursor) = cursor else { return Ok(()) };
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
        self.scan_from(from, to, direction, true, visit)
    }

    /// As [`scan`](Self::scan); `behind` is false where it is known that the store behind has no key of the range.
    pub(crate) fn scan_from(
        &mut self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
        behind: bool,
        visit: &mut Visit<'_, V>,
    ) -> Result<(), StateError> {
        if is_empty_range(from, to) {
            return Ok(());
        }
        if !self.overlay.is_kept() {
            self.begin_overlay();
        }
        let Some(keys) = self.overlay.keys() else { return Ok(()) };
        let mut walk = Walk { range: keys.range::<[u8], _>((from, to)), direction };
        let mut cursor = if behind { Some(self.store.scan(from, to, direction)?) } else { None };
        let mut behind = Behind::default();
        behind.advance(cursor.as_deref_mut())?;
        let mut here = walk.next();
        loop {
            let order = match (here, behind.valid) {
                (None, false) => return Ok(()),
                (Some(_), false) => Ordering::Less,
                (None, true) => Ordering::Greater,
                (Some(key), true) => match direction {
                    Direction::Forward => key.cmp(&behind.key),
                    Direction::Backward => behind.key.as_slice().cmp(key),
                },
            };
            let flow = match here {
                Some(key) if order.is_le() => {
                    let stored = if order.is_eq() { Some(behind.row.as_slice()) } else { None };
                    self.visit_buffered(key, stored, visit)?
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
                here = walk.next();
            }
            if order.is_ge() {
                behind.advance(cursor.as_deref_mut())?;
            }
        }
    }

    /// `stored` is the key's row in the store behind.
    fn visit_buffered(
        &self,
        key: &[u8],
        stored: Option<&[u8]>,
        visit: &mut Visit<'_, V>,
    ) -> Result<ControlFlow<()>, StateError> {
        let hash = self.cells.hash(key);
        match self.cells.peek(hash, key).map(|cell| (&cell.current, cell.timestamp_ms)) {
            Some((Current::Present(value), timestamp_ms)) => return Ok(visit(key, value, timestamp_ms)),
            Some((Current::Absent, _)) => return Ok(ControlFlow::Continue(())),
            Some((Current::Unknown, _)) | None => {}
        }
        let buffered = self.staged.get(hash, key).or_else(|| self.tail.rows.get(hash, key));
        let Some(row) = buffered.unwrap_or(stored) else { return Ok(ControlFlow::Continue(())) };
        let (value, timestamp_ms) = decode_row(&self.id, &*self.codec, row)?;
        Ok(visit(key, &value, timestamp_ms))
    }
}
