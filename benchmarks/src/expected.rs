//! What the queries must put out, worked out in plain loops over the generated events.

use crate::digest::{Digest, Mode};
use crate::nexmark::{self, Bid, Event, Format, Generator, Kind, plain};
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
    /// Nexmark's third: a join by foreign key.
    Q3,
    /// Its fourth: a join of a stream with a table, an aggregate, an aggregate of that table.
    Q4,
    /// Its fifth: hopping windows, and an aggregate of these.
    Q5,
    /// Its seventh: tumbling windows, and an aggregate of these.
    Q7,
    /// Its eighth: a join of two streams.
    Q8,
}

impl Query {
    /// How its output is compared.
    pub fn mode(self) -> Mode {
        match self {
            Self::Q0 | Self::Q2 => Mode::Stream,
            _ => Mode::Table,
        }
    }

    /// Those that are a topology of the crate `nexmark`'s; they read JSON.
    pub fn site(self) -> Option<nexmark::Query> {
        match self {
            Self::Q3 => Some(nexmark::Query::Q3),
            Self::Q4 => Some(nexmark::Query::Q4),
            Self::Q5 => Some(nexmark::Query::Q5),
            Self::Q7 => Some(nexmark::Query::Q7),
            Self::Q8 => Some(nexmark::Query::Q8),
            Self::Q0 | Self::Q2 | Self::CountLocal | Self::Count | Self::CountUnique => None,
        }
    }

    /// The kinds of events it reads, in the order in which its topics are named.
    pub fn inputs(self) -> &'static [Kind] {
        self.site().map_or(&[Kind::Bid], nexmark::Query::inputs)
    }

    /// How many times as many events as others it runs over: of 50 events only four are persons or auctions.
    pub fn times_the_events(self) -> u64 {
        if self.inputs().contains(&Kind::Bid) { 1 } else { 4 }
    }

    /// What a counting query counts by.
    pub fn group(self, bid: &Bid) -> i64 {
        match self {
            Self::Count => bid.bidder,
            Self::CountUnique => bid.auction << 32 | bid.price,
            _ => bid.auction,
        }
    }

    /// The digest of the query's output over the first `events` events.
    pub fn expected(self, format: Format, seed: u64, events: u64) -> Result<Digest, CodecError> {
        match self.site() {
            // None of these asks the clock.
            Some(query) => Ok(plain::expected(query, plain::events(query, events, seed), |_| 0)),
            None => self.expected_of(Generator::new(seed).bids(events), format),
        }
    }

    /// The digest of the query's output over these bids; of a query that reads bids alone.
    pub fn expected_of(self, bids: impl Iterator<Item = Bid>, format: Format) -> Result<Digest, CodecError> {
        match self {
            Self::Q0 => all(bids, format),
            Self::Q2 => Ok(selected(bids)),
            Self::CountLocal | Self::Count | Self::CountUnique => Ok(counts(bids.map(|bid| self.group(&bid)))),
            Self::Q3 | Self::Q4 | Self::Q5 | Self::Q7 | Self::Q8 => {
                Err(CodecError::new(format_args!("{self} is worked out over events, not over bids")))
            }
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
            Self::Q3 => "q3",
            Self::Q4 => "q4",
            Self::Q5 => "q5",
            Self::Q7 => "q7",
            Self::Q8 => "q8",
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
