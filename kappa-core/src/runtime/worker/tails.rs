//! What is committed and still only in memory, over all stores of a worker: the largest are written when together they take more
//! than they may. A store that changes much so has as much of the room as it can use, its files are few and large, and what it
//! has just written is found in memory for longer.
//!
//! What has only grown old is written a few stores after each commit: stores that were written together grow old together, and
//! all of them at once would hold the stream thread up for as many files.

use crate::runtime::settings::Settings;

/// A file smaller than this is not worth its merges.
const FILE_BYTES_MIN: u64 = 256 * 1024;

/// One more store after each commit for so many of them: with 100 ms between commits, 500 stores have all been written within 10 s.
const STORES_A_WRITE: usize = 64;

/// How many of so many stores are written after one commit because of their age.
pub(super) fn writes_max(stores: usize) -> usize {
    1 + stores / STORES_A_WRITE
}

/// A worker's part of what all may keep in memory.
pub(super) fn room_bytes(settings: &Settings) -> u64 {
    (settings.tails_bytes / settings.stream_threads.max(1)) as u64
}

/// Which of the stores that keep so many bytes are to be written, so that all of them fit into the room: the largest.
pub(super) fn to_write(tails: &[u64], room_bytes: u64) -> Vec<usize> {
    let mut all: u64 = tails.iter().sum();
    if all <= room_bytes {
        return Vec::new();
    }
    let mut largest: Vec<usize> = (0..tails.len()).filter(|at| tails[*at] >= FILE_BYTES_MIN).collect();
    largest.sort_by_key(|at| std::cmp::Reverse(tails[*at]));
    let too_much = |at: &usize| {
        let more = all > room_bytes;
        all -= tails[*at];
        more
    };
    largest.into_iter().take_while(too_much).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_largest_are_written_until_the_rest_fits() {
        let tails = [MIB, 13 * MIB, 2 * MIB, 9 * MIB, 13 * MIB];
        assert_eq!(to_write(&tails, 38 * MIB), [] as [usize; 0], "it is all there is room for");
        assert_eq!(to_write(&tails, 38 * MIB - 1), [1]);
        assert_eq!(to_write(&tails, 25 * MIB), [1]);
        assert_eq!(to_write(&tails, 25 * MIB - 1), [1, 4]);
        assert_eq!(to_write(&tails, 0), [1, 4, 3, 2, 0]);
    }

    #[test]
    fn what_would_be_a_small_file_waits() {
        assert_eq!(to_write(&[FILE_BYTES_MIN - 1, FILE_BYTES_MIN, 10], 0), [1]);
        assert_eq!(to_write(&[1_000; 100], 99_999), [] as [usize; 0]);
    }

    #[test]
    fn workers_share_the_room() {
        let settings = Settings { tails_bytes: 64 << 20, stream_threads: 4, ..Settings::default() };
        assert_eq!(room_bytes(&settings), 16 * MIB);
    }
}
