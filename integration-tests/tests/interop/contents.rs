//! What is in the output topics, as tables or as streams.

use super::java::Java;
use super::shop::Shop;
use kappa_integration_tests::records::Found;
use std::collections::BTreeMap;

/// What a topic is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    /// The last record of each key.
    Table,
    /// The same without its headers: they are those of the last record, and which that is depends on the order of upstream tasks;
    /// sessions have none in Kafka Streams (docs/semantics.md, `headers-of-sessions`).
    TableWithoutHeaders,
    /// All records, in any order.
    Stream,
}

const OUTPUTS: [(&str, As); 10] = [
    ("tumbling", As::Table),
    ("hopping", As::Table),
    ("sliding", As::Table),
    ("sessions", As::TableWithoutHeaders),
    ("pages", As::TableWithoutHeaders),
    ("located", As::TableWithoutHeaders),
    ("closed", As::Stream),
    ("sent", As::Stream),
    ("paid", As::Stream),
    ("priced", As::Stream),
];

pub(crate) fn compare(java: &Java, shop: &Shop) {
    let topic = |prefix: &str, name: &str| format!("{prefix}-{name}");
    let topics: Vec<String> =
        OUTPUTS.iter().flat_map(|(name, _)| [topic(&shop.theirs, name), topic(&shop.ours, name)]).collect();
    let all = java.consume_all(&topics, "read_committed");
    for (name, by) in OUTPUTS {
        let read = |prefix: &str| lines(&all[&topic(prefix, name)], by);
        let (theirs, ours) = (read(&shop.theirs), read(&shop.ours));
        assert!(theirs.len() > 3, "{name} has only {} lines: the test shows little", theirs.len());
        let missing: Vec<&String> = theirs.iter().filter(|line| !ours.contains(line)).collect();
        let surplus: Vec<&String> = ours.iter().filter(|line| !theirs.contains(line)).collect();
        assert!(
            theirs == ours,
            "{name}: {} lines and {}; only theirs {missing:#?}, only ours {surplus:#?}",
            theirs.len(),
            ours.len()
        );
    }
}

/// One line for each record that counts: partition, key, value, time and headers.
fn lines(found: &[Found], by: As) -> Vec<String> {
    let line = |found: &Found| {
        let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map(|bytes| bytes.escape_ascii().to_string());
        let headers =
            if by == As::TableWithoutHeaders { String::new() } else { format!("{:?}", found.headers.as_slice()) };
        let (key, value) = (text(&found.key), text(&found.value));
        format!("{} {key:?} {value:?} at {} {headers}", found.partition, found.timestamp_ms)
    };
    let mut lines: Vec<String> = if by == As::Stream {
        found.iter().map(line).collect()
    } else {
        let mut last = BTreeMap::new();
        for record in found {
            last.insert((record.partition, record.key.clone()), record);
        }
        last.into_values().filter(|record| record.value.is_some()).map(line).collect()
    };
    lines.sort();
    lines
}
