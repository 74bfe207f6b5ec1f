//! From the Java producer through kappa to the Java consumer.

use super::java::{Java, Sent};
use super::running::Kappa;
use kappa_core::codec::{bytes, nullable, utf8};
use kappa_core::log::{Header, Headers};
use kappa_core::partitioner;
use kappa_core::topology::Topology;
use kappa_integration_tests::harness::unique;
use kappa_integration_tests::random::Random;
use kappa_integration_tests::records::{Found, create_topic, kafka};
use std::collections::{BTreeMap, BTreeSet};

const RANDOM_KEYS: usize = 3_000;
/// Other than the input's, and no power of two.
const OUTPUT_PARTITIONS: i32 = 7;

/// Random keys of up to 40 bytes, and what is special: none at all, the empty one, long ones.
fn keys(random: &mut Random) -> Vec<Option<Vec<u8>>> {
    let mut keys: Vec<Option<Vec<u8>>> = (0..RANDOM_KEYS)
        .map(|_| {
            let length = random.below(41);
            Some((0..length).map(|_| random.bits() as u8).collect())
        })
        .collect();
    keys.extend([Some(vec![]), Some(vec![0]), Some(vec![0xff; 3]), Some(vec![b'x'; 10_000]), None, None]);
    keys
}

/// Headers of every kind: none, a null value, an empty one, a name twice with others between, and an empty name.
fn headers(n: usize) -> Headers {
    match n % 4 {
        0 => Headers::empty(),
        1 => Headers::empty().with("trace", None),
        2 => Headers::empty().with("b", Some(b"1")).with("a", Some(b"")).with("b", Some(b"2")).with("b", None),
        _ => Headers::empty().with("", Some(b"\0\xff")).with("h\u{e4}", Some("\u{2603}".as_bytes())),
    }
}

/// Every third value is null, every seventh empty.
fn value(n: usize) -> Option<Vec<u8>> {
    match n {
        n if n % 3 == 0 => None,
        n if n % 7 == 0 => Some(vec![]),
        n => Some(n.to_string().into_bytes()),
    }
}

/// All that a reader can tell of a record but its place.
type Content = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn content(timestamp_ms: i64, key: &Option<Vec<u8>>, value: &Option<Vec<u8>>, headers: &Headers) -> Content {
    let header = |header: &Header| (header.name.to_string(), header.value.as_deref().map(<[u8]>::to_vec));
    (timestamp_ms, key.clone(), value.clone(), headers.as_slice().iter().map(header).collect())
}

fn contents(found: &[Found]) -> BTreeMap<i64, Content> {
    let of =
        |found: &Found| (found.timestamp_ms, content(found.timestamp_ms, &found.key, &found.value, &found.headers));
    found.iter().map(of).collect()
}

fn partitions(found: &[Found]) -> BTreeMap<Vec<u8>, BTreeSet<i32>> {
    let mut partitions: BTreeMap<Vec<u8>, BTreeSet<i32>> = BTreeMap::new();
    for found in found {
        if let Some(key) = &found.key {
            partitions.entry(key.clone()).or_default().insert(found.partition);
        }
    }
    partitions
}

#[test]
fn records_of_java_clients_go_through_kappa_as_they_are() {
    let Some(java) = Java::ready() else { return };
    let log = kafka(&java.brokers);
    let [name, input, output, reference] = ["copy", "copy-in", "copy-out", "copy-reference"].map(unique);
    create_topic(&log, &input, 4);
    [&output, &reference].into_iter().for_each(|topic| create_topic(&log, topic, OUTPUT_PARTITIONS));
    let mut random = Random::from_env();
    let sent: Vec<Sent> = keys(&mut random)
        .into_iter()
        .enumerate()
        .map(|(n, key)| Sent { timestamp_ms: 1_700_000_000_000 + n as i64, key, value: value(n), headers: headers(n) })
        .collect();

    java.produce(&input, &sent);
    let mut app = Topology::builder();
    app.stream(&input, nullable(bytes()), bytes()).to(&output);
    let kappa = Kappa::start(&log, &name, app.build().expect("a topology"));
    kappa.wait_processed(std::slice::from_ref(&input)).stop();
    let found = java.consume(&output);

    // The timestamp numbers the records; null keys have no order among the partitions.
    let expected: BTreeMap<i64, Content> = sent
        .iter()
        .map(|sent| (sent.timestamp_ms, content(sent.timestamp_ms, &sent.key, &sent.value, &sent.headers)))
        .collect();
    assert_eq!(found.len(), sent.len());
    let ours = contents(&found);
    for (timestamp_ms, expected) in &expected {
        assert_eq!(ours.get(timestamp_ms), Some(expected));
    }
    // Where Java's own partitioner puts the same keys among as many partitions.
    let placed = java.produce(&reference, &sent);
    let theirs: BTreeMap<Vec<u8>, BTreeSet<i32>> =
        sent.iter().zip(&placed).filter_map(|(sent, at)| Some((sent.key.clone()?, BTreeSet::from([*at])))).collect();
    assert_eq!(partitions(&found), theirs);
    assert!(theirs.values().flatten().collect::<BTreeSet<_>>().len() as i32 == OUTPUT_PARTITIONS, "some are empty");
    for (key, at) in &theirs {
        assert_eq!(BTreeSet::from([partitioner::partition(key, OUTPUT_PARTITIONS)]), *at, "{key:?}");
    }
}

#[test]
fn what_is_rekeyed_lands_where_the_java_producer_puts_it() {
    let Some(java) = Java::ready() else { return };
    let log = kafka(&java.brokers);
    let [name, input, output, reference] = ["rekey", "rekey-in", "rekey-out", "rekey-reference"].map(unique);
    create_topic(&log, &input, 1);
    [&output, &reference].into_iter().for_each(|topic| create_topic(&log, topic, OUTPUT_PARTITIONS));
    let text = |n: i64| format!("key {n} \u{e9}\u{2603}").repeat(1 + n as usize % 3);
    java.produce(&input, &(0..200).map(|n| Sent::text("k", &text(n), n)).collect::<Vec<_>>());
    let mut app = Topology::builder();
    app.stream(&input, utf8(), utf8()).select_key(utf8(), |_, value| value.clone()).to(&output);
    let kappa = Kappa::start(&log, &name, app.build().expect("a topology"));
    kappa.wait_processed(std::slice::from_ref(&input)).stop();
    let placed = java.produce(&reference, &(0..200).map(|n| Sent::text(&text(n), "v", n)).collect::<Vec<_>>());
    let theirs: BTreeMap<Vec<u8>, BTreeSet<i32>> =
        placed.iter().zip(0..).map(|(at, n)| (text(n).into_bytes(), BTreeSet::from([*at]))).collect();
    assert_eq!(partitions(&java.consume(&output)), theirs);
}
