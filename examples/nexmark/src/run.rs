//! Runs a query in memory.

use crate::digest::{Digest, Digester};
use crate::events::{Auction, Bid, Event, Person};
use crate::plain;
use crate::queries::{Query, Topics};
use kappa_core::codec::{bytes, i64_be, json};
use kappa_core::testing::TestDriver;
use std::error::Error;

const OUTPUT: &str = "out";
/// The wall clock goes by so much with each so many bids.
const CLOCK_STEP_MS: i64 = 1_000;
const CLOCK_STEP_BIDS: u64 = 200;

/// What the wall clock shows while bid `number` is processed.
pub(crate) fn clock(number: u64) -> i64 {
    (number / CLOCK_STEP_BIDS) as i64 * CLOCK_STEP_MS
}

/// The digest of a query's results over the first `events` events of a seed.
pub fn run(query: Query, events: u64, seed: u64) -> Result<Digest, Box<dyn Error>> {
    let topics = Topics::default();
    let driver = TestDriver::new(&query.topology(&topics, OUTPUT)?)?;
    let persons = driver.input::<i64, Person>(&topics.persons, i64_be(), json());
    let auctions = driver.input::<i64, Auction>(&topics.auctions, i64_be(), json());
    let bids = driver.input::<i64, Bid>(&topics.bids, i64_be(), json());
    let mut digester = Digester::new(query.mode());
    let mut number = 0;
    for event in plain::events(query, events, seed) {
        match event {
            Event::Person(person) => persons.pipe(person.id, person.clone(), person.date_time)?,
            Event::Auction(auction) => auctions.pipe(auction.id, auction.clone(), auction.date_time)?,
            Event::Bid(bid) => {
                if clock(number) > driver.wall_clock_ms() {
                    driver.advance_wall_clock_ms(CLOCK_STEP_MS)?;
                }
                number += 1;
                bids.pipe(bid.auction, bid.clone(), bid.date_time)?;
            }
        }
        let results = driver.output::<Vec<u8>, Vec<u8>>(OUTPUT, bytes(), bytes()).read_all()?;
        results.iter().for_each(|(key, value, _)| digester.add(Some(key), value.as_deref()));
    }
    Ok(digester.finish())
}

/// What [`run`] must give, by a plain computation.
pub fn expected(query: Query, events: u64, seed: u64) -> Digest {
    plain::expected(query, plain::events(query, events, seed), clock)
}
