//! Bids with as many keys and as many bytes as wanted, to see how costs grow.

use crate::nexmark::{Bid, Draw, Format};

const BASE_TIME_MS: i64 = 1_436_918_400_000;
/// Coprime to powers of ten, so that a cycle over so many keys visits each once.
const STRIDE: u64 = 7_368_787;
/// What a bid is without its filler, about.
const BARE_JSON_BYTES: usize = 155;
const BARE_BIN_BYTES: usize = 74;

/// Made-up bids: auctions come in a fixed scattered order, each once in `keys` bids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Synthetic {
    /// Different auctions; a power of ten.
    pub keys: u64,
    /// About the bytes of an encoded bid.
    pub bytes: usize,
    /// How many bids.
    pub records: u64,
}

impl Synthetic {
    /// The key of bid `i`.
    pub fn auction(&self, i: u64) -> i64 {
        (i % self.keys * STRIDE % self.keys) as i64
    }

    /// Bid `i` without its texts, for those who look at its key alone.
    pub fn short(&self, i: u64) -> Bid {
        Bid {
            auction: self.auction(i),
            bidder: 0,
            price: 0,
            channel: String::new(),
            url: String::new(),
            date_time: BASE_TIME_MS + (i / 10) as i64,
            extra: String::new(),
        }
    }

    /// Bid `i`, to be encoded in this format.
    pub fn bid(&self, i: u64, format: Format) -> Bid {
        let mut draw = Draw::new(1, i);
        let bare = match format {
            Format::Json => BARE_JSON_BYTES,
            Format::Bin => BARE_BIN_BYTES,
        };
        let filler = self.bytes.saturating_sub(bare) as u64;
        Bid {
            auction: self.auction(i),
            bidder: draw.below(1_000_000) as i64,
            price: draw.price(),
            channel: "Google".to_owned(),
            url: "https://www.nexmark.com/Google".to_owned(),
            date_time: BASE_TIME_MS + (i / 10) as i64,
            extra: draw.text(filler),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_cycle_visits_every_key_once() {
        let synthetic = Synthetic { keys: 10_000, bytes: 100, records: 20_000 };
        let cycle = |from: u64| (from..from + 10_000).map(|i| synthetic.auction(i)).collect::<BTreeSet<_>>();
        assert_eq!((cycle(0).len(), cycle(10_000).len()), (10_000, 10_000));
    }

    #[test]
    fn a_bid_has_about_the_bytes_wanted() {
        for (format, bytes) in [(Format::Bin, 100), (Format::Json, 1_024), (Format::Bin, 10_240)] {
            let mut value = Vec::new();
            let bid = Synthetic { keys: 100, bytes, records: 1 }.bid(77, format);
            format.encode(&crate::nexmark::Event::Bid(bid), &mut value).unwrap();
            assert!(value.len().abs_diff(bytes) < 20, "{} instead of {bytes}", value.len());
        }
    }
}
