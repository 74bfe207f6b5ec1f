//! Seeded choices for tests. The seed is the whole difference between two runs, and is printed.

use std::time::{Duration, SystemTime};

/// Runs with a given seed.
const SEED: &str = "KAPPA_TEST_SEED";

/// A small generator (SplitMix64): repeatable, and good enough to choose victims and moments.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator with this seed.
    pub fn seeded(seed: u64) -> Random {
        Random { state: seed }
    }

    /// Seeded by `KAPPA_TEST_SEED`, else by the clock; prints how to repeat the run.
    pub fn from_env() -> Random {
        let given = std::env::var(SEED).ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            since.as_nanos() as u64
        });
        eprintln!("repeat with {SEED}={seed}");
        Random::seeded(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a 128-bit product: no division, and no bias that a test could see.
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// An index into something of this length; 0 if it is empty.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A duration of at least `min` and less than `max`.
    pub fn between(&mut self, min: Duration, max: Duration) -> Duration {
        let span = max.saturating_sub(min).as_micros() as u64;
        min + Duration::from_micros(self.below(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_of_splitmix64() {
        // From the reference implementation, seed 1234567.
        let mut random = Random::seeded(1_234_567);
        let bits: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(bits, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn choices_stay_within_their_bounds_and_reach_both_ends() {
        let mut random = Random::seeded(7);
        let mut seen = [false; 5];
        (0..200).for_each(|_| seen[random.index(5)] = true);
        assert_eq!(seen, [true; 5]);
        let (min, max) = (Duration::from_millis(3), Duration::from_millis(5));
        assert!((0..200).map(|_| random.between(min, max)).all(|d| (min..max).contains(&d)));
        assert_eq!(random.between(max, max), max);
    }
}
