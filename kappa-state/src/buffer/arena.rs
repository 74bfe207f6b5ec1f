//! Bytes that are put one behind the other and stay where they are: in chunks, so that growing moves nothing and takes no
//! more than a chunk beyond what is used.
//!
//! **Invariants:** what was put at once lies in one chunk; `used` is the sum of the lengths of all that was put.

/// Bytes of a chunk; something larger has one of its own.
const CHUNK: usize = 64 * 1024;
/// Bytes of the first chunk, to begin with.
const FIRST: usize = 1024;

/// Where something was put.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address {
    chunk: u32,
    offset: u32,
}

#[derive(Debug, Default)]
pub(super) struct Arena {
    /// Those up to the current one have something in them, those behind are empty.
    chunks: Vec<Vec<u8>>,
    current: usize,
    used: usize,
}

impl Arena {
    /// Bytes that were put.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// What was put at an address, and what was put behind it.
    #[inline]
    pub(super) fn at(&self, address: Address) -> &[u8] {
        &self.chunks[address.chunk as usize][address.offset as usize..]
    }

    /// As `at`, to be overwritten.
    pub(super) fn at_mut(&mut self, address: Address) -> &mut [u8] {
        &mut self.chunks[address.chunk as usize][address.offset as usize..]
    }

    /// Puts these one behind the other.
    #[inline]
    pub(super) fn put<const PARTS: usize>(&mut self, parts: [&[u8]; PARTS]) -> Address {
        let len = parts.iter().map(|part| part.len()).sum();
        if self.chunks.get(self.current).is_none_or(|chunk| chunk.capacity() - chunk.len() < len) {
            self.make_room(len);
        }
        let chunk = &mut self.chunks[self.current];
        let offset = chunk.len();
        for part in parts {
            chunk.extend_from_slice(part);
        }
        self.used += len;
        // A chunk ends before the first thing that makes it larger than it may be, unless that is all it holds.
        Address { chunk: self.current as u32, offset: offset as u32 }
    }

    /// Makes a chunk in which so much has room the current one.
    #[cold]
    fn make_room(&mut self, len: usize) {
        // The first one grows until it is a whole chunk; one that is empty takes anything.
        let fits = |chunk: &Vec<u8>| chunk.is_empty() || chunk.len() + len <= CHUNK.max(chunk.capacity());
        while self.chunks.get(self.current).is_some_and(|chunk| !fits(chunk)) {
            self.current += 1;
        }
        if self.current == self.chunks.len() {
            let least = if self.current == 0 { FIRST } else { CHUNK };
            self.chunks.push(Vec::with_capacity(len.max(least)));
            assert!(u32::try_from(self.current).is_ok(), "an arena of {CHUNK} × 2³² bytes does not fit into memory");
        }
    }

    /// Forgets everything, and keeps the memory for what comes next.
    pub(super) fn clear(&mut self) {
        // What was put in parts larger than a chunk gives its memory back.
        self.chunks.retain(|chunk| chunk.capacity() <= CHUNK);
        self.chunks.iter_mut().for_each(Vec::clear);
        self.current = 0;
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_stays_where_it_is() {
        let mut arena = Arena::default();
        for round in 0..3 {
            let sizes = [0, 1, 100, CHUNK - 200, 99, 1, 0, CHUNK, CHUNK + 1, 5, 10 * CHUNK, 7];
            let parts = |at: usize| (vec![at as u8; sizes[at] / 3], vec![100 + at as u8; sizes[at] - sizes[at] / 3]);
            let addresses: Vec<_> = (0..sizes.len())
                .map(|at| {
                    let (head, tail) = parts(at);
                    arena.put([&head, &tail])
                })
                .collect();
            for (at, address) in addresses.into_iter().enumerate() {
                let (head, tail) = parts(at);
                assert_eq!(arena.at(address)[..sizes[at]], [head, tail].concat(), "round {round}, {at}");
            }
            assert_eq!(arena.used(), sizes.iter().sum::<usize>());
            arena.clear();
            assert_eq!(arena.used(), 0);
            assert!(arena.chunks.iter().all(|chunk| chunk.capacity() <= CHUNK), "large ones are given back");
        }
    }

    #[test]
    fn little_takes_little() {
        let mut arena = Arena::default();
        arena.put([b"key", b"row"]);
        assert!(arena.chunks.iter().map(Vec::capacity).sum::<usize>() <= FIRST);
        for _ in 0..100_000 {
            arena.put([b"key", b"row"]);
        }
        let taken: usize = arena.chunks.iter().map(Vec::capacity).sum();
        assert!(taken < 600_006 + 2 * CHUNK, "{taken}");
    }
}
