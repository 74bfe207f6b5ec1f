//! What auctions bring.

use super::Rows;
use crate::events::{Auction, Bid, Event};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// An auction without its texts, and the bid that has it so far.
struct Sold {
    category: i64,
    seller: i64,
    opens: i64,
    expires: i64,
    best: Option<Best>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Best {
    price: i64,
    time: Reverse<i64>,
    bidder: Reverse<i64>,
}

/// Auctions by their id. Time does not run back in the order of events, so an auction that a bid is after is known by then.
fn auctions(events: impl Iterator<Item = Event>) -> BTreeMap<i64, Sold> {
    let mut open: HashMap<i64, Sold> = HashMap::new();
    for event in events {
        match event {
            Event::Auction(Auction { id, category, seller, date_time: opens, expires, .. }) => {
                open.insert(id, Sold { category, seller, opens, expires, best: None });
            }
            Event::Bid(Bid { auction, bidder, price, date_time, .. }) => {
                let Some(sold) = open.get_mut(&auction) else { continue };
                if sold.opens < date_time && date_time <= sold.expires {
                    let bid = Best { price, time: Reverse(date_time), bidder: Reverse(bidder) };
                    sold.best = sold.best.max(Some(bid));
                }
            }
            Event::Person(_) => {}
        }
    }
    open.into_iter().collect()
}

pub(super) fn of_categories(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    let mut prices: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for sold in auctions(events).values() {
        if let Some(best) = sold.best {
            prices.entry(sold.category).or_default().push(best.price);
        }
    }
    for (category, prices) in prices {
        let average = prices.iter().sum::<i64>() / prices.len() as i64;
        rows.add(category, &format!("{{\"category\":{category},\"average\":{average}}}"));
    }
}

pub(super) fn of_sellers(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    let mut sales: BTreeMap<i64, Vec<(i64, i64, i64)>> = BTreeMap::new();
    for (id, sold) in auctions(events) {
        if let Some(best) = sold.best {
            sales.entry(sold.seller).or_default().push((sold.expires, id, best.price));
        }
    }
    for (seller, mut sales) in sales {
        sales.sort_unstable();
        let last: Vec<i64> = sales.iter().rev().take(10).map(|(_, _, price)| *price).collect();
        let average = last.iter().sum::<i64>() / last.len() as i64;
        rows.add(seller, &format!("{{\"seller\":{seller},\"average\":{average}}}"));
    }
}

pub(super) fn winning(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    for (id, Sold { category, seller, expires, best, .. }) in auctions(events) {
        if let Some(Best { price, time: Reverse(time), bidder: Reverse(bidder) }) = best {
            let value = format!(
                "{{\"auction\":{id},\"category\":{category},\"seller\":{seller},\"expires\":{expires},\
                 \"bidder\":{bidder},\"price\":{price},\"date_time\":{time}}}"
            );
            rows.add(id, &value);
        }
    }
}
