//! What the queries must put out, in plain loops over the events: one thread, maps in memory, nothing of kappa's.

mod bidders;
mod prices;
mod site;

use crate::digest::{Digest, Digester};
use crate::events::{Event, Generator, Kind};
use crate::queries::Query;

/// What a query reads of the first `events` events of a seed, in order.
pub fn events(query: Query, events: u64, seed: u64) -> impl Iterator<Item = Event> {
    let generator = Generator::new(seed);
    (0..events).filter(move |i| query.inputs().contains(&Kind::of(*i))).map(move |i| generator.event(i))
}

/// The digest of what a query puts out over these events. Bid `n` (from 0) is processed when the clock shows `clock(n)`, which
/// matters to q12 alone.
pub fn expected(query: Query, events: impl Iterator<Item = Event>, clock: fn(u64) -> i64) -> Digest {
    let mut rows = Rows(Digester::new(query.mode()));
    match query {
        Query::Q0 => site::bids(events, &mut rows),
        Query::Q1 => site::in_euro(events, &mut rows),
        Query::Q2 => site::selected(events, &mut rows),
        Query::Q3 => site::local_items(events, &mut rows),
        Query::Q4 => prices::of_categories(events, &mut rows),
        Query::Q5 => bidders::hot_items(events, &mut rows),
        Query::Q6 => prices::of_sellers(events, &mut rows),
        Query::Q7 => bidders::highest(events, &mut rows),
        Query::Q8 => site::new_sellers(events, &mut rows),
        Query::Q9 => prices::winning(events, &mut rows),
        Query::Q11 => bidders::sessions(events, &mut rows),
        Query::Q12 => bidders::processed(events, clock, &mut rows),
    }
    rows.0.finish()
}

/// Results: keys as they are on the wire, values as text.
struct Rows(Digester);

impl Rows {
    fn add(&mut self, key: i64, value: &str) {
        self.0.add(Some(&key.to_be_bytes()), Some(value.as_bytes()));
    }

    /// A key that is written as several numbers.
    fn add_long(&mut self, key: &[i64], value: &str) {
        let key: Vec<u8> = key.iter().flat_map(|part| part.to_be_bytes()).collect();
        self.0.add(Some(&key), Some(value.as_bytes()));
    }
}
