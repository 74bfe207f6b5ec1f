//! The rows that a query touches in its stores, for measuring what state alone costs.

use crate::expected::Query;
use crate::nexmark::{Event, Kind};

const WINDOW_MS: i64 = 10_000;
const SLIDE_MS: i64 = 2_000;

/// Gives `each` the key of every row that an event touches, with the number by which it is partitioned.
pub fn touched(query: Query, event: &Event, mut each: impl FnMut(i64, &[i64])) {
    match (query, event) {
        (Query::Q3, Event::Person(person)) if ["OR", "ID", "CA"].contains(&person.state.as_str()) => {
            each(person.id, &[0, person.id]);
        }
        // The item, and its subscription to the seller.
        (Query::Q3, Event::Auction(auction)) if auction.category == 10 => {
            each(auction.id, &[1, auction.id]);
            each(auction.seller, &[2, auction.seller, auction.id]);
        }
        // The auction's lifetime, and its highest bid.
        (Query::Q4, Event::Auction(auction)) => each(auction.id, &[0, auction.id]),
        (Query::Q4, Event::Bid(bid)) => {
            each(bid.auction, &[0, bid.auction]);
            each(bid.auction, &[1, bid.auction]);
        }
        (Query::Q5, Event::Bid(bid)) => {
            let newest = bid.date_time - bid.date_time % SLIDE_MS;
            (0..WINDOW_MS / SLIDE_MS).for_each(|back| each(bid.auction, &[bid.auction, newest - back * SLIDE_MS]));
        }
        (Query::Q7, Event::Bid(bid)) => each(bid.auction, &[bid.auction, bid.date_time - bid.date_time % WINDOW_MS]),
        // Each side keeps its records by key and time; each is one of its own.
        (Query::Q8, Event::Person(person)) => each(person.id, &[0, person.id, person.date_time]),
        (Query::Q8, Event::Auction(auction)) => {
            each(auction.seller, &[1, auction.seller, auction.date_time, auction.id]);
        }
        (query, Event::Bid(bid)) if query.site().is_none() => {
            let key = query.group(bid);
            each(key, &[key]);
        }
        _ => {}
    }
}

/// What an event sends to a repartition topic, or leaves as a row of its own in a changelog, by its key: of windows and
/// auctions each once, however often it changes.
pub fn sent(query: Query, event: &Event, mut each: impl FnMut(&[i64])) {
    match (query, event) {
        (Query::Q3, Event::Auction(auction)) if auction.category == 10 => each(&[auction.seller, auction.id]),
        (Query::Q4, Event::Auction(auction)) => each(&[auction.id]),
        (Query::Q5 | Query::Q7, _) => touched(query, event, |_, key| each(key)),
        (Query::Q8, Event::Auction(auction)) => each(&[auction.seller, auction.id]),
        _ => {}
    }
}

/// Whether a row is sent once, however many events touch it.
pub fn once(query: Query) -> bool {
    matches!(query, Query::Q5 | Query::Q7)
}

/// The kinds of events that something is sent for.
pub fn senders(query: Query) -> &'static [Kind] {
    match query {
        Query::Q3 | Query::Q4 | Query::Q8 => &[Kind::Auction],
        _ => &[Kind::Bid],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nexmark::Generator;
    use std::collections::HashSet;

    fn rows(query: Query, events: u64) -> Vec<Vec<i64>> {
        let mut rows = Vec::new();
        for event in (0..events).map(|i| Generator::new(1).event(i)) {
            touched(query, &event, |_, key| rows.push(key.to_vec()));
        }
        rows
    }

    /// Of 50 events 1 is a person, 3 are auctions and 46 are bids.
    #[test]
    fn every_event_touches_the_rows_that_the_query_needs() {
        assert_eq!(rows(Query::Q4, 5_000).len(), 100 * (3 + 2 * 46));
        assert_eq!(rows(Query::Q5, 5_000).len(), 100 * 5 * 46);
        assert_eq!(rows(Query::Q7, 5_000).len(), 100 * 46);
        assert_eq!(rows(Query::Count, 5_000).len(), 100 * 46);
        let joined = rows(Query::Q8, 5_000);
        assert_eq!((joined.len(), joined.iter().collect::<HashSet<_>>().len()), (400, 400));
    }
}
