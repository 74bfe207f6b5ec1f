//! Scans of all keys with a prefix, which cost no look behind the buffer where the filter knows that there is none.
//!
//! **Invariants:**
//! - Whenever the filter is given a key of a store that has prefixes, it is given the key's prefix too.

use std::ops::Bound;

use super::filter::Knowledge;
use super::{BufferedStore, Visit};
use crate::{Direction, StateError};

/// How many bytes at the beginning of a key are the prefix by which it is looked for; no more than the key has.
pub type PrefixLen = fn(&[u8]) -> usize;

impl<V: 'static> BufferedStore<V> {
    /// Says which part of its keys the store is scanned by, before anything is written.
    pub fn with_prefixes(mut self, prefix_len: PrefixLen) -> Self {
        self.prefix_len = Some(prefix_len);
        self
    }

    /// The hash of a key's prefix, where the store has prefixes.
    pub(super) fn prefix_hash(&self, key: &[u8]) -> Option<u64> {
        let prefix_len = self.prefix_len?;
        Some(self.cells.hash(&key[..prefix_len(key)]))
    }

    /// Visits the values of all keys that begin with `prefix`, in key order, with their timestamps, until `visit` breaks. Where the
    /// store has prefixes, `prefix` must be one of them.
    pub fn scan_prefix(&mut self, prefix: &[u8], visit: &mut Visit<'_, V>) -> Result<(), StateError> {
        let behind = match (self.prefix_len, &self.filter) {
            (Some(_), Knowledge::All(filter)) => filter.may_have(self.cells.hash(prefix)),
            _ => true,
        };
        let end = successor(prefix);
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

/// The first key after all that begin with `prefix`; `None` where there is no such key.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_all_keys_with_a_prefix() {
        assert_eq!(successor(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(successor(&[1, 255, 255]), Some(vec![2]));
        assert_eq!(successor(&[255, 255]), None);
        assert_eq!(successor(&[]), None);
    }
}
