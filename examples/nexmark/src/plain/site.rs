//! Bids as they are; persons and their auctions.

use super::Rows;
use crate::events::{Bid, Event};
use std::collections::HashMap;

fn only_bids(events: impl Iterator<Item = Event>) -> impl Iterator<Item = Bid> {
    events.filter_map(|event| if let Event::Bid(bid) = event { Some(bid) } else { None })
}

fn text(bid: &Bid) -> String {
    let Bid { auction, bidder, price, channel, url, date_time, extra } = bid;
    format!(
        "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"{channel}\",\"url\":\"{url}\",\
         \"date_time\":{date_time},\"extra\":\"{extra}\"}}"
    )
}

pub(super) fn bids(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    only_bids(events).for_each(|bid| rows.add(bid.auction, &text(&bid)));
}

pub(super) fn in_euro(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    for mut bid in only_bids(events) {
        bid.price = bid.price * 908 / 1000;
        rows.add(bid.auction, &text(&bid));
    }
}

pub(super) fn selected(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    for Bid { auction, price, .. } in only_bids(events).filter(|bid| bid.auction % 123 == 0) {
        rows.add(auction, &format!("{{\"auction\":{auction},\"price\":{price}}}"));
    }
}

/// An auction may come before its seller has registered.
pub(super) fn local_items(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    let (mut sellers, mut items) = (HashMap::new(), Vec::new());
    for event in events {
        match event {
            Event::Person(p) if ["OR", "ID", "CA"].contains(&p.state.as_str()) => {
                sellers.insert(p.id, (p.name, p.city, p.state));
            }
            Event::Auction(auction) if auction.category == 10 => items.push((auction.id, auction.seller)),
            _ => {}
        }
    }
    for (id, seller) in items {
        if let Some((name, city, state)) = sellers.get(&seller) {
            rows.add(id, &format!("{{\"name\":\"{name}\",\"city\":\"{city}\",\"state\":\"{state}\",\"id\":{id}}}"));
        }
    }
}

pub(super) fn new_sellers(events: impl Iterator<Item = Event>, rows: &mut Rows) {
    let window = |time_ms: i64| time_ms / 10_000 * 10_000;
    let (mut persons, mut opened) = (HashMap::new(), Vec::new());
    for event in events {
        match event {
            Event::Person(person) => {
                persons.insert(person.id, (person.name, window(person.date_time)));
            }
            Event::Auction(auction) => opened.push((auction.seller, window(auction.date_time))),
            Event::Bid(_) => {}
        }
    }
    for (seller, start) in opened {
        if let Some((name, _)) = persons.get(&seller).filter(|(_, registered)| *registered == start) {
            rows.add(seller, &format!("{{\"id\":{seller},\"name\":\"{name}\",\"starttime\":{start}}}"));
        }
    }
}
