//! The changelogs' bytes: which are Kafka Streams' own, as docs/interop.md says, and which are not.

use super::configs::PAIRS;
use super::java::Java;
use super::shop::Shop;
use kappa_integration_tests::records::Found;
use std::collections::{BTreeMap, BTreeSet};

/// How a changelog's rows compare with Kafka Streams'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// The same keys, values and times.
    Same,
    /// The same as far as they are there: what expires between two commits is never logged.
    SameButExpired,
    /// The same but for their times: a session's is its end here, and there that of the record that came last.
    SameButTimes,
    /// kappa's own.
    Own,
}

/// By kappa's names.
const CHANGELOGS: [(&str, Rows); 14] = [
    ("cities", Rows::Same),
    ("closed", Rows::Own),
    ("hopping", Rows::SameButExpired),
    ("located", Rows::Same),
    ("located-subscription-store", Rows::Same),
    ("pages", Rows::Same),
    ("paid-left", Rows::SameButExpired),
    ("paid-right", Rows::SameButExpired),
    ("paid-waiting", Rows::Own),
    ("people", Rows::Same),
    ("prices", Rows::Same),
    ("sessions", Rows::SameButTimes),
    ("sliding", Rows::SameButExpired),
    ("tumbling", Rows::SameButExpired),
];

/// A row, for people to read: partition, key, value, time.
type Row = (i32, String, String, i64);
/// Key or value of a record.
type Bytes = Option<Vec<u8>>;

pub(crate) fn compare(java: &Java, shop: &Shop) {
    let names = |(theirs, ours): (&str, &str)| [format!("{}-{theirs}", shop.theirs), format!("{}-{ours}", shop.our_id)];
    let changelogs: Vec<_> = PAIRS.into_iter().filter(|(_, ours)| ours.ends_with("-changelog")).collect();
    let all = java.consume_all(&changelogs.iter().copied().flat_map(names).collect::<Vec<_>>(), "read_committed");
    for pair in changelogs {
        let name = pair.1.trim_end_matches("-changelog");
        let (_, by) = CHANGELOGS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{name}"));
        let [theirs, ours] = names(pair).map(|topic| rows(&all[&topic], *by));
        // Few, as a commit writes the last of a row's states and Kafka Streams wrote each.
        assert!(ours.len() > 3, "{name}: {} rows show little", ours.len());
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let surplus: Vec<_> = ours.difference(&theirs).collect();
        let (complete, true_to_theirs) = (missing.is_empty(), surplus.is_empty());
        let as_said = match by {
            Rows::Same => complete && true_to_theirs,
            Rows::SameButExpired | Rows::SameButTimes => true_to_theirs && missing.len() < theirs.len() / 2,
            Rows::Own => !true_to_theirs,
        };
        assert!(as_said, "{name} is not {by:?}: only theirs {missing:#?}, only ours {surplus:#?}");
    }
}

/// The last state of each key that is left.
fn rows(found: &[Found], by: Rows) -> BTreeSet<Row> {
    let mut last: BTreeMap<(i32, Bytes), (Bytes, i64)> = BTreeMap::new();
    for record in found {
        let timestamp_ms = if by == Rows::SameButTimes { 0 } else { record.timestamp_ms };
        last.insert((record.partition, record.key.clone()), (record.value.clone(), timestamp_ms));
    }
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let row = |((partition, key), (value, timestamp_ms)): ((i32, Bytes), (Bytes, i64))| {
        Some((partition, text(&key.unwrap_or_default()), text(&value?), timestamp_ms))
    };
    last.into_iter().filter_map(row).collect()
}
