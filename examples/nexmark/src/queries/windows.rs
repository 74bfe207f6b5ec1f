//! Queries on bids in windows and sessions.

use super::{GRACE_MS, Site};
use crate::results::{BidCount, HotItem, TopBid};
use kappa_core::codec::{bytes, i64_be, json};
use kappa_core::dsl::{KTable, Timestamps};
use kappa_core::window::{SessionWindows, TimeWindows, Windowed};

const WINDOW_MS: i64 = 10_000;
const SLIDE_MS: i64 = 2_000;
/// Bids of a person that are no further apart belong to one session. Nexmark says 10 s; here persons bid for 5 s after they
/// registered, so that each would have one session only.
pub const SESSION_GAP_MS: i64 = 500;
/// Windows of the wall clock.
pub const PROCESSING_WINDOW_MS: i64 = 10_000;

pub(super) fn hot_items(site: &mut Site<'_>, output: &str) {
    site.bids()
        .group_by_key()
        .windowed_by(TimeWindows::hopping(WINDOW_MS, SLIDE_MS))
        .count("counts")
        .to_stream()
        .map(|auction, count| (auction.window.start_ms, HotItem { auction: auction.key, count: *count }))
        .with_codecs(i64_be(), json())
        .group_by_key()
        .reduce("hottest", HotItem::hotter)
        .to(output);
}

/// First the highest bid of each auction and window, so that little is left to repartition by window.
pub(super) fn highest_bid(site: &mut Site<'_>, output: &str) {
    site.bids()
        .map_values(|_, bid| TopBid::of(bid))
        .with_value_codec(json())
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(WINDOW_MS))
        .reduce("highest-of-auctions", TopBid::higher)
        .to_stream()
        .map(|auction, top| (auction.window.start_ms, top.clone()))
        .with_codecs(i64_be(), json())
        .group_by_key()
        .reduce("highest", TopBid::higher)
        .to(output);
}

pub(super) fn sessions(site: &mut Site<'_>, output: &str) {
    let counts = site
        .bids()
        .map(|_, bid| (bid.bidder, Vec::new()))
        .with_codecs(i64_be(), bytes())
        .group_by_key()
        .windowed_by(SessionWindows::with_gap(SESSION_GAP_MS).grace(GRACE_MS))
        .count("counts");
    told(&counts).to(output);
}

/// What is processed belongs to the window of the moment, so the same bids give other counts each time.
pub(super) fn processed(site: &mut Site<'_>, output: &str) {
    let counts = site
        .bids()
        .with_timestamps(Timestamps::wall_clock())
        .map(|_, bid| (bid.bidder, Vec::new()))
        .with_codecs(i64_be(), bytes())
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(PROCESSING_WINDOW_MS).grace(GRACE_MS))
        .count("counts");
    told(&counts).to(output);
}

fn told(counts: &KTable<Windowed<i64>, i64>) -> KTable<Windowed<i64>, BidCount> {
    counts
        .map_values(|bidder, count| {
            let Windowed { key, window } = bidder;
            BidCount { bidder: *key, bid_count: *count, starttime: window.start_ms, endtime: window.end_ms }
        })
        .with_value_codec(json())
}
