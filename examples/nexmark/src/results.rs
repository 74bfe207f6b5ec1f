//! What the queries put out, and what they keep on the way. The order of the fields is the order on the wire.

#![allow(missing_docs, reason = "the names of the fields are the wire's and say it all")]

use kappa_benchmarks::nexmark::Bid;
use serde::{Deserialize, Serialize};

/// An auction of a local seller (q3).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LocalItem {
    pub name: String,
    pub city: String,
    pub state: String,
    pub id: i64,
}

/// When an auction is open (q4).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lifetime {
    pub category: i64,
    pub date_time: i64,
    pub expires: i64,
}

/// The highest price so far of an auction (q4).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Closing {
    pub category: i64,
    pub price: i64,
}

/// The prices of a category together (q4).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Total {
    pub sum: i64,
    pub count: i64,
}

/// What auctions of a category bring (q4).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CategoryAverage {
    pub category: i64,
    pub average: i64,
}

/// How many bids an auction has in a window (q5).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HotItem {
    pub auction: i64,
    pub count: i64,
}

impl HotItem {
    /// The one with more bids; of equal ones the lower auction.
    pub fn hotter(self, other: &Self) -> Self {
        let wins = (other.count, -other.auction) > (self.count, -self.auction);
        if wins { other.clone() } else { self }
    }
}

/// The highest bid of a window (q7).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TopBid {
    pub auction: i64,
    pub bidder: i64,
    pub price: i64,
    pub date_time: i64,
}

impl TopBid {
    /// What counts of a bid.
    pub fn of(bid: &Bid) -> Self {
        let Bid { auction, bidder, price, date_time, .. } = *bid;
        Self { auction, bidder, price, date_time }
    }

    /// The higher one; of equal ones the earlier, then the lower auction, then the lower bidder.
    pub fn higher(self, other: &Self) -> Self {
        let rank = |bid: &Self| (bid.price, -bid.date_time, -bid.auction, -bid.bidder);
        if rank(other) > rank(&self) { other.clone() } else { self }
    }
}

/// A person who opened an auction in the window of registering (q8).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewSeller {
    pub id: i64,
    pub name: String,
    pub starttime: i64,
}
