//! Scans of all keys with a prefix, which cost no look behind the buffer where the filter knows that there is none.
//!
//! **Invariants:**
//! - Whenever the filter is given a key of a store that has prefixes, it is given the key's prefix too.

use std::ops::Bound;

use super::cell::Cells;
use super::filter::Knowledge;
use super::{BufferedStore, Visit};
use crate::range::prefix_end;
use crate::{Direction, StateError};

/// The hash of a key's prefix, where the store has prefixes: what the filter is given beside the key's own.
pub(super) fn prefix_hash<V>(cells: &Cells<V>, prefix_len: Option<PrefixLen>, key: &[u8]) -> Option<u64> {
    prefix_len.map(|prefix_len| cells.hash(&key[..prefix_len(key)]))
}

/// How many bytes at the beginning of a key are the prefix by which it is looked for; no more than the key has.
pub type PrefixLen = fn(&[u8]) -> usize;

impl<V: 'static> BufferedStore<V> {
    /// Says which part of its keys the store is scanned by, before anything is written.
    pub fn with_prefixes(mut self, prefix_len: PrefixLen) -> Self {
        self.prefix_len = Some(prefix_len);
        self
    }

    /// Visits the values of all keys that begin with `prefix`, in key order, with their timestamps, until `visit` breaks. Where the
    /// store has prefixes, `prefix` must be one of them.
    pub fn scan_prefix(&mut self, prefix: &[u8], visit: &mut Visit<'_, V>) -> Result<(), StateError> {
        let behind = match (self.prefix_len, &self.filter) {
            (Some(_), Knowledge::All(filter)) => filter.may_have(self.cells.hash(prefix)),
            _ => true,
        };
        let end = prefix_end(prefix);
        let to = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut any = false;
        self.scan_from(Bound::Included(prefix), to, Direction::Forward, behind, &mut |key, value, timestamp_ms| {
            any = true;
            visit(key, value, timestamp_ms)
        })?;
        if let (false, Some(_), Knowledge::Nothing { in_vain }) = (any, self.prefix_len, &mut self.filter) {
            *in_vain = in_vain.saturating_add(1);
        }
        Ok(())
    }
}
