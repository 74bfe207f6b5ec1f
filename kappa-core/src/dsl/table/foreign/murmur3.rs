//! The hash that tells whether an answer is still about the row that asked: Murmur3, 128 bits, as Kafka Streams has it
//! (`Murmur3.hash128` with its seed of 104729; both halves big-endian).

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;
const SEED: u64 = 104_729;

/// The hash of a value's bytes.
pub(super) type Hash = [u8; 16];

/// Hashes the bytes.
pub(super) fn hash(bytes: &[u8]) -> Hash {
    hash_with(bytes, SEED)
}

fn hash_with(bytes: &[u8], seed: u64) -> Hash {
    let (mut h1, mut h2) = (seed, seed);
    let blocks = bytes.chunks_exact(16);
    let tail = blocks.remainder();
    for block in blocks {
        let (k1, k2) = words(block);
        h1 ^= mix1(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= mix2(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (k1, k2) = words(tail);
    h2 ^= mix2(k2);
    h1 ^= mix1(k1);
    let length = bytes.len() as u64;
    h1 ^= length;
    h2 ^= length;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let mut hash = [0; 16];
    hash[..8].copy_from_slice(&h1.to_be_bytes());
    hash[8..].copy_from_slice(&h2.to_be_bytes());
    hash
}

/// Up to 16 bytes as two words, little-endian; what is missing is 0.
fn words(bytes: &[u8]) -> (u64, u64) {
    let mut padded = [0; 16];
    padded[..bytes.len()].copy_from_slice(bytes);
    let both = u128::from_le_bytes(padded);
    (both as u64, (both >> 64) as u64)
}

fn mix1(word: u64) -> u64 {
    word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix2(word: u64) -> u64 {
    word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(hash: Hash) -> String {
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Published vectors of MurmurHash3_x64_128 with seed 0.
    #[test]
    fn the_algorithm_equals_its_vectors() {
        assert_eq!(hex(hash_with(b"", 0)), "00000000000000000000000000000000");
        assert_eq!(hex(hash_with(b"hello", 0)), "cbd8a7b341bd9b025b1e906a48ae1d19");
        assert_eq!(
            hex(hash_with(b"The quick brown fox jumps over the lazy dog", 0)),
            "e34bbc7bbc071b6c7a433ca9c49a9347"
        );
    }

    /// What the class of Kafka Streams 4.3.0 says.
    #[test]
    fn the_seed_is_kafka_streams() {
        assert_eq!(hex(hash(b"")), "9d2764a018e329428c3cf3b035938518");
        assert_eq!(hex(hash(b"r0|1")), "47d613082b7f3ae82ac10ceb46a02de3");
        assert_eq!(hex(hash(b"0123456789abcdef")), "1a6e941ec6a76967d7d82808f505d6b1");
        assert_eq!(hex(hash(b"The quick brown fox jumps over the lazy dog")), "e74c5921af0f99c8b7f85ec81df06726");
    }
}
