//! Bids in windows and sessions.

use super::Rows;
use crate::events::{Bid, Event};
use crate::queries::{PROCESSING_WINDOW_MS, SESSION_GAP_MS};
use std::collections::{BTreeMap, HashMap};

fn only_bids(events: impl Iterator<Item = Event>) -> impl Iterator<Item = Bid> {
    events.filter_map(|event| if let Event::Bid(bid) = event { Some(bid) } else { None })
}

pub(super) fn hot_items(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    let mut counts: HashMap<(i64, i64), i64> = HashMap::new();
    for bid in only_bids(events) {
        let newest = bid.date_time / 2_000 * 2_000;
        for start in [newest, newest - 2_000, newest - 4_000, newest - 6_000, newest - 8_000] {
            *counts.entry((start, bid.auction)).or_default() += 1;
        }
    }
    let mut hottest: HashMap<i64, (i64, i64)> = HashMap::new();
    for ((start, auction), count) in counts {
        let best = hottest.entry(start).or_insert((count, auction));
        if (count, -auction) > (best.0, -best.1) {
            *best = (count, auction);
        }
    }
    for (start, (count, auction)) in hottest {
        rows.add(start, &format!("{{\"auction\":{auction},\"count\":{count}}}"));
    }
}

pub(super) fn highest(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    let mut highest: HashMap<i64, (i64, i64, i64, i64)> = HashMap::new();
    for Bid { auction, bidder, price, date_time, .. } in only_bids(events) {
        let bid = (price, -date_time, -auction, -bidder);
        let best = highest.entry(date_time / 10_000 * 10_000).or_insert(bid);
        *best = bid.max(*best);
    }
    for (start, (price, time, auction, bidder)) in highest {
        let (auction, bidder, time) = (-auction, -bidder, -time);
        rows.add(
            start,
            &format!("{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"date_time\":{time}}}"),
        );
    }
}

fn count(bidder: i64, count: usize, start: i64, end: i64) -> String {
    format!("{{\"bidder\":{bidder},\"bid_count\":{count},\"starttime\":{start},\"endtime\":{end}}}")
}

/// A session's key is the bidder, then its end, then its start.
pub(super) fn sessions(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    let mut times: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    only_bids(events).for_each(|bid| times.entry(bid.bidder).or_default().push(bid.date_time));
    for (bidder, mut times) in times {
        times.sort_unstable();
        for session in times.chunk_by(|earlier, later| later - earlier <= SESSION_GAP_MS) {
            let (start, end) = (session[0], session[session.len() - 1]);
            rows.add_long(&[bidder, end, start], &count(bidder, session.len(), start, end));
        }
    }
}

/// A window's key is the bidder, then its start.
pub(super) fn processed(events: impl Iterator<Item = Event>, clock: fn(u64) -> i64, rows: &mut Rows) {
    let mut counts: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for (bid, number) in only_bids(events).zip(0..) {
        let start = clock(number) / PROCESSING_WINDOW_MS * PROCESSING_WINDOW_MS;
        *counts.entry((bid.bidder, start)).or_default() += 1;
    }
    for ((bidder, start), bids) in counts {
        rows.add_long(&[bidder, start], &count(bidder, bids, start, start + PROCESSING_WINDOW_MS));
    }
}
