//! The generator against digests that a Kafka Streams implementation of the same description gave (Java 17).

#![expect(clippy::unwrap_used, reason = "a failed test says where")]

use kappa_benchmarks::digest::Digest;
use kappa_benchmarks::expected::Query;
use kappa_benchmarks::nexmark::{BinEvent, Event, Format, Generator, Kind};

/// Digest of the records of one kind among the first 10,000 events.
fn digest(format: Format, seed: u64, kind: Kind) -> String {
    let generator = Generator::new(seed);
    let mut digest = Digest::default();
    for event in (0..10_000).filter(|&i| Kind::of(i) == kind).map(|i| generator.event(i)) {
        let mut value = Vec::new();
        format.encode(&event, &mut value).unwrap();
        digest.add(Some(&event.key().to_be_bytes()), Some(&value));
    }
    format!("{} {digest}", digest.count())
}

#[test]
fn records_are_the_same_bytes_as_those_of_the_java_implementation() {
    let expected = [
        (Format::Json, 1, Kind::Person, "200 111922a43de9a5a09cb17c15dd1053e1"),
        (Format::Json, 1, Kind::Auction, "600 d134c1cdbf665611b62f146f29fd937d"),
        (Format::Json, 1, Kind::Bid, "9200 86aa983079f718a12e8571cc0a69996d"),
        (Format::Bin, 1, Kind::Person, "200 368276aa12df1d0ef5777b46b852ef15"),
        (Format::Bin, 1, Kind::Auction, "600 bb3ef11044c6aed35800434d7482f616"),
        (Format::Bin, 1, Kind::Bid, "9200 59149780b6da13fa319492811ab370c4"),
        (Format::Json, 7, Kind::Person, "200 c94e9a9852feca14d39f83762ece362e"),
        (Format::Json, 7, Kind::Auction, "600 e93a0ba370c0f2a33f7c9e8d820e74dc"),
        (Format::Bin, 7, Kind::Bid, "9200 b3604a9bb2426685be81c102707f5481"),
    ];
    for (format, seed, kind, wanted) in expected {
        assert_eq!(digest(format, seed, kind), wanted, "{format} {seed} {kind:?}");
    }
}

#[test]
fn q0_puts_out_the_bids_as_they_are() {
    let expected = Query::Q0.expected(Format::Json, 1, 10_000).unwrap();
    assert_eq!(format!("{} {expected}", expected.count()), "9200 86aa983079f718a12e8571cc0a69996d");
}

/// The Java implementation's digests of what the queries must put out.
#[test]
fn results_are_those_of_the_java_implementation() {
    for (query, events, wanted) in
        [(Query::Q2, 10_000, "36 1296aa52a9b82676d2b203155252de5f"), (Query::CountUnique, 10_000, UNIQUE_10K)]
    {
        let expected = query.expected(Format::Json, 1, events).unwrap();
        assert_eq!(format!("{} {expected}", expected.count()), wanted, "{query}");
    }
}

const UNIQUE_10K: &str = "9105 460cbd5f53ff804988bf923773d37fe5";

/// Millions of events: takes seconds in a release build, minutes in others.
#[test]
#[ignore = "slow without optimisation"]
fn millions_of_events_are_the_same() {
    let expected = Query::Q0.expected(Format::Json, 1, 2_000_000).unwrap();
    assert_eq!(format!("{} {expected}", expected.count()), "1840000 84eaecd24b4929afd3832b9981fe8337");
    let expected = Query::Q0.expected(Format::Bin, 1, 2_000_000).unwrap();
    assert_eq!(format!("{} {expected}", expected.count()), "1840000 f0fefdf06cf43586c4a27b5bb2bd9607");
    for (query, events, wanted) in [
        (Query::Q2, 2_000_000, "14505 f87558c77c1409579ddbe4fd6076b94f"),
        (Query::Count, 2_000_000, "39921 55fb6b7f539adf53bf4e2c1fc7488a39"),
        (Query::CountLocal, 2_000_000, "119942 b82dedefb480aef1f4ebd044c42fc7ba"),
        (Query::CountUnique, 2_000_000, "1822432 c102ae6cc1d38e34ce92b1817df2d4ad"),
        (Query::Q2, 6_000_000, "45102 1c5b085005f98d3a5705e87430f85b62"),
        (Query::CountUnique, 6_000_000, "5467557 2dc04a90f87d40a8c961ccd1a98e0259"),
    ] {
        let expected = query.expected(Format::Json, 1, events).unwrap();
        assert_eq!(format!("{} {expected}", expected.count()), wanted, "{query} {events}");
    }
}

#[test]
fn events_survive_both_encodings() {
    let generator = Generator::new(3);
    for i in 0..500 {
        match generator.event(i) {
            Event::Person(person) => survives(&person),
            Event::Auction(auction) => survives(&auction),
            Event::Bid(bid) => survives(&bid),
        }
    }
}

fn survives<T>(event: &T)
where
    T: BinEvent + serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let mut bytes = Vec::new();
    event.write(&mut bytes).unwrap();
    assert_eq!(&T::read(&bytes).unwrap(), event);
    assert_eq!(T::check(&bytes), Ok(()));
    for length in 0..bytes.len() {
        let reason = T::read(&bytes[..length]).unwrap_err();
        assert_eq!(T::check(&bytes[..length]), Err(reason), "bytes are missing");
    }
    bytes.push(0);
    assert_eq!(T::check(&bytes), Err(T::read(&bytes).unwrap_err()), "a byte too many");
    let json = serde_json::to_vec(event).unwrap();
    assert_eq!(&serde_json::from_slice::<T>(&json).unwrap(), event);
}
