//! What the queries must put out, worked out in plain loops over the generated events.

use crate::digest::{Digest, Mode};
use crate::nexmark::{Bid, Event, Format, Generator};
use kappa_core::codec::CodecError;
use std::collections::HashMap;
use std::fmt;

/// `q2` lets one auction in so many through.
pub const Q2_EVERY: i64 = 123;

/// A query of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Query {
    /// Every bid as it came in: decoded, and written again.
    Q0,
    /// Auction and price of the bids for one auction in 123.
    Q2,
    /// Bids per auction. Bids are keyed by auction, so nothing is repartitioned.
    CountLocal,
    /// Bids per bidder: whole bids go through a repartition topic.
    Count,
    /// Bids per auction and price, nearly as many as there are bids: empty values go through a repartition topic.
    CountUnique,
}

impl Query {
    /// How its output is compared.
    pub fn mode(self) -> Mode {
        match self {
            Self::Q0 | Self::Q2 => Mode::Stream,
            Self::CountLocal | Self::Count | Self::CountUnique => Mode::Table,
        }
    }

    /// What a counting query counts by.
    pub fn group(self, bid: &Bid) -> i64 {
        match self {
            Self::Count => bid.bidder,
            Self::CountUnique => bid.auction << 32 | bid.price,
            Self::Q0 | Self::Q2 | Self::CountLocal => bid.auction,
        }
    }

    /// The digest of the query's output over the first `events` events.
    pub fn expected(self, format: Format, seed: u64, events: u64) -> Result<Digest, CodecError> {
        self.expected_of(Generator::new(seed).bids(events), format)
    }

    /// The digest of the query's output over these bids.
    pub fn expected_of(self, bids: impl Iterator<Item = Bid>, format: Format) -> Result<Digest, CodecError> {
        match self {
            Self::Q0 => all(bids, format),
            Self::Q2 => Ok(selected(bids)),
            Self::CountLocal | Self::Count | Self::CountUnique => Ok(counts(bids.map(|bid| self.group(&bid)))),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q0 => "q0",
            Self::Q2 => "q2",
            Self::CountLocal => "count-local",
            Self::Count => "count",
            Self::CountUnique => "count-unique",
        })
    }
}

fn all(bids: impl Iterator<Item = Bid>, format: Format) -> Result<Digest, CodecError> {
    let mut digest = Digest::default();
    let mut value = Vec::new();
    for bid in bids {
        let event = Event::Bid(bid);
        value.clear();
        format.encode(&event, &mut value)?;
        digest.add(Some(&event.key().to_be_bytes()), Some(&value));
    }
    Ok(digest)
}

fn selected(bids: impl Iterator<Item = Bid>) -> Digest {
    let mut digest = Digest::default();
    for bid in bids.filter(|bid| bid.auction % Q2_EVERY == 0) {
        let value = format!("{{\"auction\":{},\"price\":{}}}", bid.auction, bid.price);
        digest.add(Some(&bid.auction.to_be_bytes()), Some(value.as_bytes()));
    }
    digest
}

fn counts(keys: impl Iterator<Item = i64>) -> Digest {
    let mut counts: HashMap<i64, i64> = HashMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    let mut digest = Digest::default();
    for (key, count) in counts {
        digest.add(Some(&key.to_be_bytes()), Some(&count.to_be_bytes()));
    }
    digest
}
