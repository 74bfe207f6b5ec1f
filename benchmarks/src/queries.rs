//! The queries on kappa.

use crate::expected::{Q2_EVERY, Query};
use crate::nexmark::{Bid, BinCodec, Format, Kind, Topics};
use kappa_core::codec::{Codec, bytes, i64_be, json};
use kappa_core::topology::{Topology, TopologyError};
use serde::Serialize;

/// What `q2` puts out.
#[derive(Debug, Serialize, serde::Deserialize)]
struct AuctionPrice {
    auction: i64,
    price: i64,
}

/// The topology of a query from the usual topics of a format to `output`.
pub fn topology(query: Query, format: Format, output: &str) -> Result<Topology, TopologyError> {
    let topics: Vec<String> = query.inputs().iter().map(|kind| format.topic(*kind)).collect();
    topology_from(query, format, &topics, output)
}

/// The topology of a query from `inputs`, which hold its events in a format, in the order of its kinds, to `output`.
pub fn topology_from(query: Query, format: Format, inputs: &[String], output: &str) -> Result<Topology, TopologyError> {
    if let Some(site) = query.site() {
        return site.topology(&topics(query, inputs), output);
    }
    let input = inputs.first().map_or("", String::as_str);
    match format {
        Format::Json => query_of(query, input, json::<Bid>(), output),
        Format::Bin => query_of(query, input, BinCodec, output),
    }
}

/// `count-local` shared out among as many stores in one task as wanted, by auction; all of them go to `output`.
pub fn counted_in_stores(stores: usize, input: &str, output: &str) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let bids = app.stream(input, i64_be(), json::<Bid>());
    for store in 0..stores as i64 {
        let own = bids.filter(move |auction, _| auction % stores as i64 == store);
        own.group_by_key().count(&format!("counts-{store}")).to(output);
    }
    app.build()
}

fn topics(query: Query, inputs: &[String]) -> Topics {
    let mut topics = Topics::default();
    for (kind, input) in query.inputs().iter().zip(inputs) {
        let topic = match kind {
            Kind::Person => &mut topics.persons,
            Kind::Auction => &mut topics.auctions,
            Kind::Bid => &mut topics.bids,
        };
        topic.clone_from(input);
    }
    topics
}

fn query_of(query: Query, input: &str, codec: impl Codec<Bid>, output: &str) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let bids = app.stream(input, i64_be(), codec);
    match query {
        Query::Q0 => bids.to(output),
        Query::CountLocal => bids.group_by_key().count("counts").to(output),
        // Which bids are wanted is in the key: the other 122 of 123 values are never decoded.
        Query::Q2 => bids
            .with_lazy_values()
            .filter_keys(|auction| auction % Q2_EVERY == 0)
            .map_values(|_, bid| AuctionPrice { auction: bid.auction, price: bid.price })
            .with_value_codec(json())
            .to(output),
        Query::Count => bids.group_by(i64_be(), |_, bid| bid.bidder).count("counts").to(output),
        // No more than the key goes through the repartition topic: its values are empty.
        Query::CountUnique => bids
            .map(move |_, bid| (query.group(bid), Vec::new()))
            .with_codecs(i64_be(), bytes())
            .group_by_key()
            .count("counts")
            .to(output),
        // Not here: `topology_from` has taken them.
        Query::Q3 | Query::Q4 | Query::Q5 | Query::Q7 | Query::Q8 => {}
    }
    app.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nexmark::Generator;
    use kappa_core::testing::TestDriver;
    use std::collections::BTreeMap;

    #[test]
    fn counts_are_those_of_a_plain_loop() {
        let bids = || Generator::new(1).bids(2_000);
        for query in [Query::CountLocal, Query::Count, Query::CountUnique] {
            let driver = TestDriver::new(&topology(query, Format::Bin, "out").unwrap()).unwrap();
            let input = driver.input::<i64, Bid>(&Format::Bin.topic(Kind::Bid), i64_be(), BinCodec);
            let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
            for bid in bids() {
                let key = match query {
                    Query::Count => bid.bidder,
                    Query::CountUnique => bid.auction * 4_294_967_296 + bid.price,
                    _ => bid.auction,
                };
                *expected.entry(key).or_default() += 1;
                input.pipe(bid.auction, bid.clone(), bid.date_time).unwrap();
            }
            let out = driver.output("out", i64_be(), i64_be()).read_all().unwrap();
            let found: BTreeMap<i64, i64> = out.into_iter().map(|(key, count, _)| (key, count.unwrap())).collect();
            assert_eq!(found, expected, "{query}");
        }
    }

    #[test]
    fn q2_selects_one_auction_in_123() {
        let driver = TestDriver::new(&topology(Query::Q2, Format::Bin, "out").unwrap()).unwrap();
        let input = driver.input::<i64, Bid>(&Format::Bin.topic(Kind::Bid), i64_be(), BinCodec);
        let bid = Generator::new(1).bids(5).next().unwrap();
        for (auction, price) in [(1_230, 5), (1_231, 6), (246, 7)] {
            input.pipe(auction, Bid { auction, price, ..bid.clone() }, 1).unwrap();
        }
        let out = driver.output("out", i64_be(), kappa_core::codec::utf8()).read_all().unwrap();
        let text = |auction: i64, price: i64| format!("{{\"auction\":{auction},\"price\":{price}}}");
        assert_eq!(out, [(1_230, Some(text(1_230, 5)), 1), (246, Some(text(246, 7)), 1)]);
    }

    #[test]
    fn stores_that_share_the_auctions_count_as_one_does() {
        let (input, mut expected) = (Format::Json.topic(Kind::Bid), BTreeMap::<i64, i64>::new());
        let driver = TestDriver::new(&counted_in_stores(3, &input, "out").unwrap()).unwrap();
        let bids = driver.input::<i64, Bid>(&input, i64_be(), json::<Bid>());
        for bid in Generator::new(1).bids(2_000) {
            *expected.entry(bid.auction).or_default() += 1;
            bids.pipe(bid.auction, bid.clone(), bid.date_time).unwrap();
        }
        let out = driver.output("out", i64_be(), i64_be()).read_all().unwrap();
        let found: BTreeMap<i64, i64> = out.into_iter().map(|(key, count, _)| (key, count.unwrap())).collect();
        assert_eq!(found, expected);
    }
}
