//! Runs a query in memory.

use crate::Query;
use kappa_benchmarks::digest::{Digester, Mode};
use kappa_benchmarks::nexmark::{Auction, Bid, Event, Format, Generator, Kind, Person};
use kappa_core::codec::{bytes, i64_be, json};
use kappa_core::testing::TestDriver;
use std::error::Error;

const OUTPUT: &str = "out";

/// The number of a query's results and their digest, over the first `events` events of a seed.
pub fn run(query: Query, events: u64, seed: u64) -> Result<(u64, String), Box<dyn Error>> {
    let driver = TestDriver::new(&query.topology(OUTPUT)?)?;
    let topic = |kind: Kind| Format::Json.topic(kind);
    let persons = driver.input::<i64, Person>(&topic(Kind::Person), i64_be(), json());
    let auctions = driver.input::<i64, Auction>(&topic(Kind::Auction), i64_be(), json());
    let bids = driver.input::<i64, Bid>(&topic(Kind::Bid), i64_be(), json());
    let generator = Generator::new(seed);
    let mut digester = Digester::new(Mode::Table);
    let takes = |kind: Kind| match query {
        Query::Q3 | Query::Q8 => kind != Kind::Bid,
        Query::Q4 => kind != Kind::Person,
        Query::Q5 | Query::Q7 => kind == Kind::Bid,
    };
    for event in (0..events).filter(|i| takes(Kind::of(*i))).map(|i| generator.event(i)) {
        match event {
            Event::Person(person) => persons.pipe(person.id, person.clone(), person.date_time)?,
            Event::Auction(auction) => auctions.pipe(auction.id, auction.clone(), auction.date_time)?,
            Event::Bid(bid) => bids.pipe(bid.auction, bid.clone(), bid.date_time)?,
        }
        let results = driver.output::<Vec<u8>, Vec<u8>>(OUTPUT, bytes(), bytes()).read_all()?;
        results.iter().for_each(|(key, value, _)| digester.add(Some(key), value.as_deref()));
    }
    let digest = digester.finish();
    Ok((digest.count(), digest.to_string()))
}
