//! Which keys a store may have: a blocked Bloom filter in front of everything that is not a cell, so that a key never seen
//! is known to be new after one or two reads of memory instead of a look-up in every sorted file.
//!
//! It grows by segments, each larger than the one before; a key goes into the newest, also where an older one has it: it is
//! in no more than one of each size. Nothing is ever taken out, so a key that was
//! deleted may cost a look-up later.
//!
//! **Invariants:**
//! - A key that was added is never denied, by any segment that came later.
//! - A filter that has not seen every key of its store is not asked (`Knowledge`).

/// Bits in a block: a line of a processor's cache.
const BLOCK_BITS: u64 = 512;
const BITS_PER_KEY: usize = 12;
const PROBES: u32 = 6;
/// Keys of the first segment.
const FIRST_KEYS: usize = 1024;
/// Up to so many keys a segment is eight times the one before: each lets something through.
const SMALL_KEYS: usize = 65_536;

#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Block([u64; 8]);

impl Block {
    /// The bits of a hash, word by word.
    #[inline]
    fn probes(hash: u64) -> impl Iterator<Item = (usize, u64)> {
        // The block was chosen by the upper half of the hash.
        let bits = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (0..PROBES).map(move |probe| {
            let bit = (bits >> (probe * 9 + 10)) % BLOCK_BITS;
            ((bit / 64) as usize, 1 << (bit % 64))
        })
    }

    #[inline]
    fn has(&self, hash: u64) -> bool {
        Self::probes(hash).all(|(word, bit)| self.0[word] & bit != 0)
    }

    /// Whether it was new.
    #[inline]
    fn add(&mut self, hash: u64) -> bool {
        let mut new = false;
        for (word, bit) in Self::probes(hash) {
            new |= self.0[word] & bit == 0;
            self.0[word] |= bit;
        }
        new
    }
}

#[derive(Debug)]
struct Segment {
    blocks: Vec<Block>,
    keys: usize,
    keys_max: usize,
}

impl Segment {
    fn of(keys_max: usize) -> Self {
        let blocks = (keys_max * BITS_PER_KEY).div_ceil(BLOCK_BITS as usize);
        Self { blocks: vec![Block([0; 8]); blocks], keys: 0, keys_max }
    }

    #[inline]
    fn block_of(&self, hash: u64) -> usize {
        (((hash >> 32) * self.blocks.len() as u64) >> 32) as usize
    }

    fn bytes(&self) -> usize {
        self.blocks.len() * size_of::<Block>()
    }
}

/// The filter.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// The newest, and largest, last.
    segments: Vec<Segment>,
    bytes: usize,
}

impl Filter {
    /// Whether a key with this hash may have been added.
    #[inline]
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        self.segments.iter().rev().any(|segment| segment.blocks[segment.block_of(hash)].has(hash))
    }

    /// Adds a key. False where that would take more than `bytes_max`: the filter is then of no more use.
    pub(crate) fn add(&mut self, hash: u64, bytes_max: usize) -> bool {
        if self.segments.last().is_none_or(|last| last.keys >= last.keys_max) && !self.grow(bytes_max) {
            return false;
        }
        let Some(last) = self.segments.last_mut() else { return false };
        let block = last.block_of(hash);
        if last.blocks[block].add(hash) {
            last.keys += 1;
        }
        true
    }

    fn grow(&mut self, bytes_max: usize) -> bool {
        let keys = self
            .segments
            .last()
            .map_or(FIRST_KEYS, |last| if last.keys_max < SMALL_KEYS { 8 * last.keys_max } else { 2 * last.keys_max });
        let bytes = (keys * BITS_PER_KEY).div_ceil(BLOCK_BITS as usize) * size_of::<Block>();
        if self.bytes + bytes > bytes_max {
            return false;
        }
        let segment = Segment::of(keys);
        self.bytes += segment.bytes();
        self.segments.push(segment);
        true
    }

    /// Memory taken.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// How much of its store a filter knows.
#[derive(Debug)]
pub(super) enum Knowledge {
    /// Every key the store has was added.
    All(Filter),
    /// Nothing is known. Counts the look-ups that found nothing, and so would have been spared.
    Nothing { in_vain: u32 },
    /// Keys written since the walk began were added, and those the store had before up to `walked`.
    Some { filter: Filter, walked: Vec<u8> },
    /// The store has more keys than there is room for.
    TooMany,
}

impl Knowledge {
    /// Of a store that is empty, or may not be.
    pub(super) fn of(empty: bool) -> Self {
        if empty { Self::All(Filter::default()) } else { Self::Nothing { in_vain: 0 } }
    }

    /// Whether the store may have a key: true where that is not known.
    #[inline]
    pub(super) fn may_have(&self, hash: u64) -> bool {
        match self {
            Self::All(filter) => filter.may_have(hash),
            _ => true,
        }
    }

    /// A key is written.
    #[inline]
    pub(super) fn add(&mut self, hash: u64, bytes_max: usize) {
        if let Self::All(filter) | Self::Some { filter, .. } = self
            && !filter.add(hash, bytes_max)
        {
            *self = Self::TooMany;
        }
    }

    /// Memory taken.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::All(filter) | Self::Some { filter, .. } => filter.bytes(),
            _ => 0,
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn no_key_is_denied_and_few_others_are_let_through() {
        let mut random = Random::new(1);
        let mut filter = Filter::default();
        let added: Vec<u64> = (0..300_000).map(|_| random.number()).collect();
        for (at, hash) in added.iter().enumerate() {
            assert!(filter.add(*hash, usize::MAX));
            assert!(filter.may_have(*hash));
            if at % 50_000 == 0 {
                assert!(added[..=at].iter().all(|hash| filter.may_have(*hash)), "after {at}");
            }
        }
        assert!(added.iter().all(|hash| filter.may_have(*hash)));
        // Half a hundredth lets a full segment through, and there are six.
        let through = (0..100_000).filter(|_| filter.may_have(random.number())).count();
        assert!(through < 4_000, "{through} of 100,000");
        assert!(filter.bytes() < 300_000 * 20 / 8 * 2, "{}", filter.bytes());
        let bytes = filter.bytes();
        for _ in 0..3 {
            assert!(
                added[100_000..].iter().all(|hash| filter.add(*hash, bytes)),
                "keys that come again take no more room"
            );
        }
    }

    #[test]
    fn one_that_would_take_too_much_gives_up_and_lets_all_through() {
        let mut random = Random::new(2);
        let mut knowledge = Knowledge::of(true);
        assert!(!knowledge.may_have(7));
        for _ in 0..100_000 {
            knowledge.add(random.number(), 10_000);
            assert!(knowledge.bytes() <= 10_000);
        }
        assert!(matches!(knowledge, Knowledge::TooMany));
        assert!(knowledge.may_have(7));
    }

    #[test]
    fn what_is_not_known_is_let_through() {
        let mut knowledge = Knowledge::of(false);
        assert!(knowledge.may_have(7));
        knowledge = Knowledge::Some { filter: Filter::default(), walked: Vec::new() };
        knowledge.add(8, usize::MAX);
        assert!(knowledge.may_have(7) && knowledge.may_have(8));
    }
}
