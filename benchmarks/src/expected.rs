//! What the queries must put out, worked out in plain loops over the generated events.

use crate::digest::{Digest, Mode};
use crate::nexmark::{Bid, Event, Format, Generator};
use kappa_core::codec::CodecError;
use std::collections::HashMap;
use std::fmt;

/// A query of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, clap::ValueEnum)]
pub enum Query {
    /// Every bid as it came in: decoded, and written again.
    Q0,
    /// Bids per auction. Bids are keyed by auction, so nothing is repartitioned.
    CountLocal,
    /// Bids per bidder: whole bids go through a repartition topic.
    Count,
}

impl Query {
    /// How its output is compared.
    pub fn mode(self) -> Mode {
        match self {
            Self::Q0 => Mode::Stream,
            Self::CountLocal | Self::Count => Mode::Table,
        }
    }

    /// The digest of the query's output over the first `events` events.
    pub fn expected(self, format: Format, seed: u64, events: u64) -> Result<Digest, CodecError> {
        let bids = Generator::new(seed).bids(events);
        match self {
            Self::Q0 => all(bids, format),
            Self::CountLocal => Ok(counts(bids.map(|bid| bid.auction))),
            Self::Count => Ok(counts(bids.map(|bid| bid.bidder))),
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Q0 => "q0",
            Self::CountLocal => "count-local",
            Self::Count => "count",
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
