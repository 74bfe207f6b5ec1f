//! The queries.

mod joins;
mod prices;
mod windows;

use crate::digest::Mode;
use crate::events::{Auction, Bid, Format, Kind, Person};
use crate::results::AuctionPrice;
use kappa_core::codec::{i64_be, json};
use kappa_core::dsl::KStream;
use kappa_core::topology::{Topology, TopologyBuilder, TopologyError};

pub use windows::{PROCESSING_WINDOW_MS, SESSION_GAP_MS};

/// Records of several partitions and topics come mixed, one topic many minutes ahead of another where all is read from the beginning; none of
/// them may count as late.
const GRACE_MS: i64 = 3_600_000;

/// The queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Query {
    /// Every bid as it is.
    Q0,
    /// Every bid with its price in another currency.
    Q1,
    /// Auction and price of the bids for one auction in 123.
    Q2,
    /// Auctions of category 10 whose seller lives in OR, ID or CA.
    Q3,
    /// The average of what the auctions of a category bring.
    Q4,
    /// The auction with the most bids in each window of 10 s, each 2 s.
    Q5,
    /// The average of what a seller's last ten auctions bring.
    Q6,
    /// The highest bid in each window of 10 s.
    Q7,
    /// Persons who opened an auction in the window of 10 s in which they registered.
    Q8,
    /// The bid that wins each auction.
    Q9,
    /// How many bids a person makes in each session of bidding.
    Q11,
    /// How many bids of a person are processed in each 10 s of the wall clock.
    Q12,
}

/// Where the events are.
#[derive(Debug, Clone)]
pub struct Topics {
    /// The topic with the persons.
    pub persons: String,
    /// With the auctions.
    pub auctions: String,
    /// With the bids.
    pub bids: String,
}

impl Default for Topics {
    /// `nexmark-person-json` and so on.
    fn default() -> Self {
        let topic = |kind| Format::Json.topic(kind);
        Self { persons: topic(Kind::Person), auctions: topic(Kind::Auction), bids: topic(Kind::Bid) }
    }
}

impl Query {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Q0,
        Self::Q1,
        Self::Q2,
        Self::Q3,
        Self::Q4,
        Self::Q5,
        Self::Q6,
        Self::Q7,
        Self::Q8,
        Self::Q9,
        Self::Q11,
        Self::Q12,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q0 => "q0",
            Self::Q1 => "q1",
            Self::Q2 => "q2",
            Self::Q3 => "q3",
            Self::Q4 => "q4",
            Self::Q5 => "q5",
            Self::Q6 => "q6",
            Self::Q7 => "q7",
            Self::Q8 => "q8",
            Self::Q9 => "q9",
            Self::Q11 => "q11",
            Self::Q12 => "q12",
        }
    }

    /// The kinds of events it reads.
    pub fn inputs(self) -> &'static [Kind] {
        match self {
            Self::Q3 | Self::Q8 => &[Kind::Person, Kind::Auction],
            Self::Q4 | Self::Q6 | Self::Q9 => &[Kind::Auction, Kind::Bid],
            Self::Q0 | Self::Q1 | Self::Q2 | Self::Q5 | Self::Q7 | Self::Q11 | Self::Q12 => &[Kind::Bid],
        }
    }

    /// Whether every record of the result counts, or the last one of each key.
    pub fn mode(self) -> Mode {
        match self {
            Self::Q0 | Self::Q1 | Self::Q2 => Mode::Stream,
            _ => Mode::Table,
        }
    }

    /// Its topology, from these topics to `output`.
    pub fn topology(self, topics: &Topics, output: &str) -> Result<Topology, TopologyError> {
        let mut app = Topology::builder();
        let mut site = Site { app: &mut app, topics };
        match self {
            Self::Q0 => site.bids().to(output),
            Self::Q1 => in_euro(&mut site, output),
            Self::Q2 => selected(&mut site, output),
            Self::Q3 => joins::local_items(&mut site, output),
            Self::Q4 => prices::average_of_categories(&mut site, output),
            Self::Q5 => windows::hot_items(&mut site, output),
            Self::Q6 => prices::average_of_sellers(&mut site, output),
            Self::Q7 => windows::highest_bid(&mut site, output),
            Self::Q8 => joins::new_sellers(&mut site, output),
            Self::Q9 => prices::winning_bids(&mut site).to(output),
            Self::Q11 => windows::sessions(&mut site, output),
            Self::Q12 => windows::processed(&mut site, output),
        }
        app.build()
    }
}

/// The auction site's events as streams.
struct Site<'a> {
    app: &'a mut TopologyBuilder,
    topics: &'a Topics,
}

impl Site<'_> {
    fn persons(&mut self) -> KStream<i64, Person> {
        self.app.stream(&self.topics.persons, i64_be(), json())
    }

    fn auctions(&mut self) -> KStream<i64, Auction> {
        self.app.stream(&self.topics.auctions, i64_be(), json())
    }

    fn bids(&mut self) -> KStream<i64, Bid> {
        self.app.stream(&self.topics.bids, i64_be(), json())
    }
}

fn in_euro(site: &mut Site<'_>, output: &str) {
    site.bids()
        .map_values(|_, bid| Bid { price: bid.price * 908 / 1000, ..bid.clone() })
        .with_value_codec(json())
        .to(output);
}

fn selected(site: &mut Site<'_>, output: &str) {
    site.bids()
        .filter(|auction, _| auction % 123 == 0)
        .map_values(|_, bid| AuctionPrice { auction: bid.auction, price: bid.price })
        .with_value_codec(json())
        .to(output);
}
