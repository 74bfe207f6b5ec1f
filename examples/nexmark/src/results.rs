//! What the queries put out, and what they keep on the way. The order of the fields is the order on the wire.

#![allow(missing_docs, reason = "the names of the fields are the wire's and say it all")]

use crate::events::{Auction, Bid};
use serde::{Deserialize, Serialize};

/// What a bid offers (q2).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuctionPrice {
    pub auction: i64,
    pub price: i64,
}

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

/// The bid that an auction goes to (q9).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WinningBid {
    pub auction: i64,
    pub category: i64,
    pub seller: i64,
    pub expires: i64,
    pub bidder: i64,
    pub price: i64,
    pub date_time: i64,
}

impl WinningBid {
    /// This bid, for this auction.
    pub fn of(auction: &Auction, bid: &Bid) -> Self {
        let &Auction { id, category, seller, expires, .. } = auction;
        Self { auction: id, category, seller, expires, bidder: bid.bidder, price: bid.price, date_time: bid.date_time }
    }

    /// The higher one; of equal ones the earlier, then that of the lower bidder.
    pub fn better(self, other: &Self) -> Self {
        let rank = |bid: &Self| (bid.price, -bid.date_time, -bid.bidder);
        if rank(other) > rank(&self) { other.clone() } else { self }
    }
}

/// What an auction brought (q6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sale {
    pub auction: i64,
    pub expires: i64,
    pub price: i64,
}

/// A seller's last ten auctions that found a bidder, in the order in which they end (q6).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSales(pub Vec<Sale>);

impl LastSales {
    const KEPT: usize = 10;

    /// With this one too. When an auction ends does not change, so one that ten others end after never comes back.
    pub fn with(mut self, sale: &Sale) -> Self {
        let rank = |sale: &Sale| (sale.expires, sale.auction);
        let at = self.0.partition_point(|other| rank(other) < rank(sale));
        self.0.insert(at, sale.clone());
        let surplus = self.0.len().saturating_sub(Self::KEPT);
        self.0.drain(..surplus);
        self
    }

    /// Without this one, if it is among them.
    pub fn without(mut self, sale: &Sale) -> Self {
        self.0.retain(|other| other.auction != sale.auction);
        self
    }

    /// Of their prices, rounded down; none of none.
    pub fn average(&self) -> Option<i64> {
        let sum: i64 = self.0.iter().map(|sale| sale.price).sum();
        sum.checked_div(self.0.len() as i64)
    }
}

/// What a seller's last auctions bring (q6).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SellerAverage {
    pub seller: i64,
    pub average: i64,
}

/// How many bids a person made in a session (q11), or had processed in a window (q12).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BidCount {
    pub bidder: i64,
    pub bid_count: i64,
    pub starttime: i64,
    pub endtime: i64,
}
