//! The random draws of one event: SplitMix64, started from seed and event number.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Draws for one event, in the order in which its fields need them.
#[derive(Debug)]
pub struct Draw {
    state: u64,
}

impl Draw {
    /// Draws for event `event` of a seed.
    pub fn new(seed: u64, event: u64) -> Self {
        Self { state: mix(seed) ^ mix(event.wrapping_add(GOLDEN)) }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number from 0 to below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((self.next() >> 32) * bound) >> 32
    }

    pub(super) fn one_of(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Prices spread evenly over the orders of magnitude from 100 to 10^8.
    ///
    /// The power is fdlibm's, as Java's `StrictMath` defines it: the platform's may differ in the last bit.
    pub fn price(&mut self) -> i64 {
        let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        (libm::pow(10.0, unit * 6.0) * 100.0 + 0.5).floor() as i64
    }

    /// So many lower-case letters.
    pub fn text(&mut self, length: u64) -> String {
        self.characters(length, b'a', 26)
    }

    pub(super) fn digits(&mut self, length: u64) -> String {
        self.characters(length, b'0', 10)
    }

    /// Filler that brings an event of `size` bytes to `wanted` on average, give or take a fifth of what is missing.
    pub(super) fn filler(&mut self, size: usize, wanted: usize) -> String {
        let missing = wanted.saturating_sub(size) as u64;
        if missing == 0 {
            return String::new();
        }
        let spread = missing / 5;
        let length = missing - spread + self.below(2 * spread + 1);
        self.text(length)
    }

    /// One draw gives four characters, 16 bits each.
    fn characters(&mut self, length: u64, first: u8, choices: u64) -> String {
        let mut out = String::with_capacity(length as usize);
        let mut bits = 0;
        for index in 0..length {
            if index % 4 == 0 {
                bits = self.next();
            }
            out.push(char::from(first + (((bits & 0xFFFF) * choices) >> 16) as u8));
            bits >>= 16;
        }
        out
    }
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
