//! Windowed results read with Kafka's own deserializers, and windowed keys as its serializers write them.

use super::java::{Java, Sent, hex, number, text, unhex};
use super::running::Kappa;
use kappa_core::codec::{Codec, session_windowed, time_windowed, utf8};
use kappa_core::topology::Topology;
use kappa_core::window::{SessionWindows, SlidingWindows, TimeWindows, Windowed};
use kappa_integration_tests::harness::unique;
use kappa_integration_tests::random::Random;
use kappa_integration_tests::records::{create_topic, kafka};
use serde_json::json;
use std::collections::BTreeMap;

/// Four records on time and one that comes late, but within every grace.
const INPUT: [(&str, i64); 5] = [("a", 1_000), ("a", 4_000), ("b", 9_999), ("a", 12_000), ("a", 3_000)];

/// Topic, form of its keys, and the counts by hand.
type Expected = (&'static str, &'static str, &'static [(&'static str, i64, i64, i64)]);

const EXPECTED: [Expected; 4] = [
    ("tumbling", "time:10000", &[("a", 0, 10_000, 3), ("a", 10_000, 20_000, 1), ("b", 0, 10_000, 1)]),
    (
        "hopping",
        "time:10000",
        &[
            ("a", 0, 10_000, 3),
            ("a", 5_000, 15_000, 1),
            ("a", 10_000, 20_000, 1),
            ("b", 0, 10_000, 1),
            ("b", 5_000, 15_000, 1),
        ],
    ),
    (
        // Of each record the window that ends with it, and the one that begins just behind it unless it is empty.
        "sliding",
        "time:3000",
        &[
            ("a", 0, 3_000, 2),
            ("a", 1_000, 4_000, 3),
            ("a", 1_001, 4_001, 2),
            ("a", 3_001, 6_001, 1),
            ("a", 9_000, 12_000, 1),
            ("b", 6_999, 9_999, 1),
        ],
    ),
    // The late record joins two sessions, which are deleted.
    ("sessions", "session", &[("a", 1_000, 4_000, 3), ("a", 12_000, 12_000, 1), ("b", 9_999, 9_999, 1)]),
];

fn topology(prefix: &str) -> Topology {
    let mut app = Topology::builder();
    let topic = |name: &str| format!("{prefix}-{name}");
    let records = app.stream(&topic("in"), utf8(), utf8()).group_by_key();
    records.windowed_by(TimeWindows::tumbling(10_000).grace(5_000)).count("tumbling").to(&topic("tumbling"));
    records.windowed_by(TimeWindows::hopping(10_000, 5_000).grace(5_000)).count("hopping").to(&topic("hopping"));
    records.windowed_by(SlidingWindows::of(3_000).grace(10_000)).count("sliding").to(&topic("sliding"));
    records.windowed_by(SessionWindows::with_gap(2_000).grace(10_000)).count("sessions").to(&topic("sessions"));
    app.build().expect("a topology")
}

#[test]
fn windowed_results_are_read_by_kafkas_own_deserializers() {
    let Some(java) = Java::ready() else { return };
    let log = kafka(&java.brokers);
    let prefix = unique("windows");
    ["in", "tumbling", "hopping", "sliding", "sessions"]
        .iter()
        .for_each(|name| create_topic(&log, &format!("{prefix}-{name}"), 1));
    let input = format!("{prefix}-in");
    java.produce(&input, &INPUT.map(|(key, timestamp_ms)| Sent::text(key, "x", timestamp_ms)));
    let kappa = Kappa::start(&log, &prefix, topology(&prefix));
    kappa.wait_processed(&[input]).stop();
    for (name, form, expected) in EXPECTED {
        let mut last = BTreeMap::new();
        for (key, start, end, count) in java.windowed(&format!("{prefix}-{name}"), form) {
            match count {
                Some(count) => last.insert((key, start, end), count),
                None => last.remove(&(key, start, end)),
            };
        }
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(key, start, end, count)| (((*key).to_owned(), *start, *end), *count)).collect();
        assert_eq!(last, expected, "{name}");
    }
}

#[test]
fn windowed_keys_are_kafkas_bytes_both_ways() {
    let Some(java) = Java::ready() else { return };
    let mut random = Random::from_env();
    let mut asked = Vec::new();
    for n in 0..300 {
        let key: String = (0..random.below(12)).map(|_| ['a', '\u{e9}', '\u{2603}', '\0'][random.index(4)]).collect();
        let start_ms = if n % 10 == 0 { i64::from(n) / 10 } else { random.below(1 << 45) as i64 };
        let size_ms = 1 + random.below(1 << 40) as i64;
        let windowed = Windowed::new(key, start_ms, start_ms + size_ms);
        for session in [false, true] {
            let form = if session { "session".to_owned() } else { format!("time:{size_ms}") };
            let codec: Box<dyn Codec<Windowed<String>>> =
                if session { Box::new(session_windowed(utf8())) } else { Box::new(time_windowed(utf8(), size_ms)) };
            asked.push((form, codec, windowed.clone()));
        }
    }
    let lines: Vec<_> = asked
        .iter()
        .map(|(form, codec, windowed)| {
            let mut ours = Vec::new();
            codec.encode(windowed, &mut ours).expect("encoded");
            let (start, end) = (windowed.window.start_ms, windowed.window.end_ms);
            json!({"form": form, "key": windowed.key, "start": start, "end": end, "bytes": hex(Some(&ours))})
        })
        .collect();
    let answers = java.keys(&lines);
    assert_eq!(answers.len(), asked.len());
    for ((line, answer), (form, codec, windowed)) in lines.iter().zip(&answers).zip(&asked) {
        assert_eq!(answer["bytes"], line["bytes"], "{form} {windowed:?}");
        let read = Windowed::new(text(answer, "key"), number(answer, "start"), number(answer, "end"));
        assert_eq!(&read, windowed, "what Java reads of ours, {form}");
        let theirs = unhex(&answer["bytes"]).expect("bytes");
        assert_eq!(&codec.decode(&theirs).expect("decoded"), windowed, "what we read of Java's, {form}");
    }
}
