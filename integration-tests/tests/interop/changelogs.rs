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
    /// The same versions of each key. Those of one commit are in the order of their times here, and in that of their coming there.
    SameVersions,
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
    ("prices", Rows::SameVersions),
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
        let [all_theirs, all_ours] = names(pair).map(|topic| &all[&topic]);
        let (theirs, ours) = (rows(all_theirs, *by), rows(all_ours, *by));
        // Few, as a commit writes the last of a row's states and Kafka Streams wrote each; of what waits, few or none are left at the end.
        assert!(*by == Rows::Own || ours.len() > 3, "{name}: {} rows show little", ours.len());
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let surplus: Vec<_> = ours.difference(&theirs).collect();
        let (complete, true_to_theirs) = (missing.is_empty(), surplus.is_empty());
        let as_said = match by {
            Rows::Same | Rows::SameVersions => complete && true_to_theirs,
            Rows::SameButExpired | Rows::SameButTimes => true_to_theirs && missing.len() < theirs.len() / 2,
            Rows::Own => !pairs(all_ours).is_subset(&pairs(all_theirs)),
        };
        assert!(as_said, "{name} is not {by:?}: only theirs {missing:#?}, only ours {surplus:#?}");
    }
}

/// Keys and values of all records, deletions included.
fn pairs(found: &[Found]) -> BTreeSet<(&Bytes, &Bytes)> {
    found.iter().map(|record| (&record.key, &record.value)).collect()
}

/// The last state of each key, or of each of its versions, that is left.
fn rows(found: &[Found], by: Rows) -> BTreeSet<Row> {
    let mut last: BTreeMap<(i32, Bytes, i64), (Bytes, i64)> = BTreeMap::new();
    for record in found {
        let timestamp_ms = if by == Rows::SameButTimes { 0 } else { record.timestamp_ms };
        let version = if by == Rows::SameVersions { timestamp_ms } else { 0 };
        last.insert((record.partition, record.key.clone(), version), (record.value.clone(), timestamp_ms));
    }
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let row = |((partition, key, _), (value, timestamp_ms)): ((i32, Bytes, i64), (Bytes, i64))| {
        Some((partition, text(&key.unwrap_or_default()), text(&value?), timestamp_ms))
    };
    last.into_iter().filter_map(row).collect()
}
