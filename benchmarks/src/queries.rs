//! The queries on kappa.

use crate::expected::Query;
use crate::nexmark::{Bid, BinCodec, Format, Kind};
use kappa_core::codec::{Codec, i64_be, json};
use kappa_core::topology::{Topology, TopologyError};

/// The topology of a query from the bids of a format to `output`.
pub fn topology(query: Query, format: Format, output: &str) -> Result<Topology, TopologyError> {
    let input = format.topic(Kind::Bid);
    match format {
        Format::Json => query_of(query, &input, json::<Bid>(), output),
        Format::Bin => query_of(query, &input, BinCodec, output),
    }
}

fn query_of(query: Query, input: &str, codec: impl Codec<Bid>, output: &str) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let bids = app.stream(input, i64_be(), codec);
    match query {
        Query::Q0 => bids.to(output),
        Query::CountLocal => bids.group_by_key().count("counts").to(output),
        Query::Count => bids.group_by(i64_be(), |_, bid| bid.bidder).count("counts").to(output),
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
        for query in [Query::CountLocal, Query::Count] {
            let driver = TestDriver::new(&topology(query, Format::Bin, "out").unwrap()).unwrap();
            let input = driver.input::<i64, Bid>(&Format::Bin.topic(Kind::Bid), i64_be(), BinCodec);
            let mut expected: BTreeMap<i64, i64> = BTreeMap::new();
            for bid in bids() {
                *expected.entry(if query == Query::Count { bid.bidder } else { bid.auction }).or_default() += 1;
                input.pipe(bid.auction, bid.clone(), bid.date_time).unwrap();
            }
            let out = driver.output("out", i64_be(), i64_be()).read_all().unwrap();
            let found: BTreeMap<i64, i64> = out.into_iter().map(|(key, count, _)| (key, count.unwrap())).collect();
            assert_eq!(found, expected, "{query}");
        }
    }
}
