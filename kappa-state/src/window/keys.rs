//! Which keys have rows in which segment, so that looking for a key's rows need not open a cursor on the store behind where none of
//! them can be there, nor walk over the buffer where there are none at all.
//!
//! **Invariants:**
//! - A key is denied only in a segment that had no row when its first was put: nothing is known of segments that were there when
//!   the store was opened, or that a restore has written to.
//! - Whatever may have gone behind is in `behind`: all keys go there whenever the committed layer has been written.
//! - Nothing is taken out but by segments, so an abort may leave keys that have no row; it costs a look.

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use crate::buffer::Filter;

/// Where a key's rows of a segment may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// There are none.
    Nowhere,
    /// In the buffer alone.
    Buffered,
    /// In the buffer and behind it.
    Anywhere,
}

/// What is known of a segment.
#[derive(Debug, Default)]
struct Keys {
    behind: Filter,
    /// Hashes of the keys put since the committed layer was written last.
    young: HashSet<u64, FixedState>,
}

/// Keys by segment.
#[derive(Debug)]
pub(super) struct KeysOfSegments {
    segments: BTreeMap<i64, Keys>,
    hasher: FixedState,
    bytes_max: usize,
}

impl KeysOfSegments {
    /// Of nothing yet; the filters of what is behind may take so many bytes in a segment.
    pub(super) fn new(bytes_max: usize) -> Self {
        let hasher = FixedState::with_seed(0x7365_676d_656e_7473);
        Self { segments: BTreeMap::new(), hasher, bytes_max }
    }

    /// A key is put; `first` where the segment had no row before.
    pub(super) fn add(&mut self, segment: i64, first: bool, key: &[u8]) {
        let hash = self.hasher.hash_one(key);
        if first {
            self.segments.entry(segment).or_default();
        }
        if let Some(keys) = self.segments.get_mut(&segment) {
            keys.young.insert(hash);
        }
    }

    /// Where the rows of a key may be.
    pub(super) fn whereabouts(&self, segment: i64, key: &[u8]) -> Whereabouts {
        let Some(keys) = self.segments.get(&segment) else { return Whereabouts::Anywhere };
        let hash = self.hasher.hash_one(key);
        if keys.behind.may_have(hash) {
            Whereabouts::Anywhere
        } else if keys.young.contains(&hash) {
            Whereabouts::Buffered
        } else {
            Whereabouts::Nowhere
        }
    }

    /// The committed layer has been written. A segment with more keys than there is room for is not known any more.
    pub(super) fn written(&mut self) {
        let bytes_max = self.bytes_max;
        self.segments.retain(|_, Keys { behind, young }| young.drain().all(|hash| behind.add(hash, bytes_max)));
    }

    /// Segments before this one are gone.
    pub(super) fn drop_before(&mut self, segment: i64) {
        self.segments = self.segments.split_off(&segment);
    }

    /// Nothing is known any more of what is there.
    pub(super) fn forget(&mut self) {
        self.segments.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Whereabouts::{Anywhere, Buffered, Nowhere};
    use super::*;

    #[test]
    fn a_key_is_denied_only_where_all_are_known() {
        let mut keys = KeysOfSegments::new(1 << 20);
        keys.add(1, false, b"a");
        assert_eq!(keys.whereabouts(1, b"b"), Anywhere, "a segment that had rows");
        keys.add(2, true, b"a");
        keys.add(2, false, b"b");
        let of_two = |keys: &KeysOfSegments| [b"a", b"b", b"c"].map(|key| keys.whereabouts(2, key));
        assert_eq!(of_two(&keys), [Buffered, Buffered, Nowhere]);
        keys.written();
        assert_eq!(of_two(&keys), [Anywhere, Anywhere, Nowhere]);
        keys.add(2, false, b"c");
        assert_eq!(of_two(&keys), [Anywhere, Anywhere, Buffered]);
        keys.drop_before(3);
        assert_eq!(keys.whereabouts(2, b"c"), Anywhere);
        keys.add(3, true, b"c");
        keys.forget();
        assert_eq!(keys.whereabouts(3, b"a"), Anywhere);
    }

    #[test]
    fn a_segment_with_too_many_keys_is_known_no_more() {
        let mut keys = KeysOfSegments::new(4_000);
        for key in 0..5_000_u32 {
            keys.add(1, key == 0, &key.to_be_bytes());
        }
        assert_eq!(keys.whereabouts(1, b"other"), Nowhere);
        keys.written();
        assert_eq!(keys.whereabouts(1, b"other"), Anywhere);
        assert_eq!(keys.whereabouts(1, &7_u32.to_be_bytes()), Anywhere);
    }
}
