//! Nexmark on kappa: an auction site's events, and the queries on them as topologies. What joins, windows, sessions, foreign keys
//! and aggregates of tables look like together.
//!
//! Inputs are topics with persons, auctions and bids in JSON, with 8-byte big-endian keys (a bid's is its auction's); results have such
//! keys too, but for those of sessions and windows of a person, and go to one topic as compact JSON.

pub mod digest;
mod events;
pub mod plain;
mod queries;
mod results;
mod run;

pub use events::{Auction, Bid, BinCodec, BinEvent, Draw, Event, Format, Generator, Kind, Person};
pub use queries::{PROCESSING_WINDOW_MS, Query, SESSION_GAP_MS, Topics};
pub use results::{
    AuctionPrice, BidCount, CategoryAverage, Closing, HotItem, LastSales, Lifetime, LocalItem, NewSeller, Sale,
    SellerAverage, TopBid, Total, WinningBid,
};
pub use run::{expected, run};
