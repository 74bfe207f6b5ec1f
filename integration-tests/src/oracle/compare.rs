//! Whether two outcomes are the same, and where they are not.
//!
//! Everything is compared: outputs with step, topic, key, window, value, timestamp and headers, in their order;
//! stores row by row; the number of dropped records; that a step fails, and which. Of errors only this is compared:
//! their words are each one's own.
//!
//! What is not compared is said here and nowhere else:
//! - the number of dropped records where a step fails: kappa takes back what the failing record did, its drops too;
//! - the order between peeks and outputs: a peek is no record;
//! - the order between keys, where [`UNORDERED`] says so: then each key's records are compared in their order;
//! - what [`DEVIATIONS`] and [`UNJUDGED`] list.

use super::{Outcome, Output, Row, Scenario, Step};
use std::cmp::Ordering::Equal;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A place where Kafka Streams promises no order between keys, and why ours is another one.
#[derive(Debug)]
pub struct Unordered {
    /// Of which scenarios.
    pub applies: fn(&Scenario) -> bool,
    /// Why.
    pub reason: &'static str,
}

/// All of them.
pub const UNORDERED: &[Unordered] = &[Unordered {
    applies: |scenario| emits_on_close(scenario) && scenario.params.text("store") == Some("rocksdb"),
    reason: "sessions that close together come by start and key in Kafka Streams' RocksDB store, by key and start in memory and in kappa",
}];

/// What the judge itself can't tell.
#[derive(Debug)]
pub struct Unjudged {
    /// Of which scenarios, and kappa's outcomes.
    pub applies: fn(&Scenario, &Outcome) -> bool,
    /// Why.
    pub reason: &'static str,
}

/// All of them.
pub const UNJUDGED: &[Unjudged] = &[
    Unjudged {
        applies: |scenario, ours| ours.repartitions && scenario.params.text("commit") == Some("manual"),
        reason: "with manual commits the judge processes nothing behind an internal topic",
    },
    Unjudged {
        applies: |scenario, _| {
            let several = scenario.topology.starts_with("join_") || scenario.topology == "cogroup";
            several && scenario.params.text("commit") == Some("manual")
        },
        reason: "with manual commits the judge processes nothing while one of several inputs is empty",
    },
    Unjudged {
        applies: |scenario, _| joins_null_values_on_rocksdb(scenario),
        reason: "Kafka Streams' stores differ in whether null values move time; kappa's moves as the one in memory does",
    },
    Unjudged {
        applies: |scenario, _| deletes_a_duplicate_on_rocksdb(scenario),
        reason: "Kafka Streams' stores differ in whether a deletion moves time where duplicates are retained; kappa's moves as \
                 the one in memory does",
    },
    Unjudged {
        applies: |scenario, _| removes_beyond_the_last_session(scenario),
        reason: "Kafka Streams' stores differ in whether removing a session that is not there moves time; kappa's moves as the \
                 one in RocksDB does",
    },
];

/// A join of two streams on RocksDB with null values: there they don't move the time by which a side's records go.
fn joins_null_values_on_rocksdb(scenario: &Scenario) -> bool {
    let null = |step: &Step| matches!(step, Step::Record(input) if input.value.is_none());
    expires_by_segment(scenario) && scenario.steps.iter().any(null)
}

fn commands(scenario: &Scenario) -> impl Iterator<Item = Vec<&str>> {
    scenario.steps.iter().filter_map(|step| match step {
        Step::Record(input) => Some(input.value.as_deref()?.split(':').collect()),
        _ => None,
    })
}

fn deletes_a_duplicate_on_rocksdb(scenario: &Scenario) -> bool {
    scenario.topology == "window_store"
        && scenario.params.flag("dups")
        && scenario.params.text("store") == Some("rocksdb")
        && commands(scenario).any(|words| words[0] == "del")
}

fn removes_beyond_the_last_session(scenario: &Scenario) -> bool {
    if scenario.topology != "session_store" || scenario.params.text("store") == Some("rocksdb") {
        return false;
    }
    let mut last_end = i64::MIN;
    commands(scenario).any(|words| {
        let end = words.get(2).and_then(|end| end.parse().ok()).unwrap_or(i64::MIN);
        if words[0] == "put" {
            last_end = last_end.max(end);
        }
        words[0] == "del" && end > last_end
    })
}

fn expires_by_segment(scenario: &Scenario) -> bool {
    let joins = matches!(scenario.topology.as_str(), "join_stream_stream" | "join_stream_self");
    joins && scenario.params.text("store") == Some("rocksdb")
}

/// A difference that is meant to be.
#[derive(Debug)]
pub struct Deviation {
    /// A name, as `docs/semantics.md` has it.
    pub name: &'static str,
    /// Why kappa does otherwise.
    pub reason: &'static str,
    /// In which scenarios.
    pub applies: fn(&Scenario) -> bool,
    /// Takes what differs out of theirs and ours, and nothing else.
    pub forget: fn(&mut Outcome, &mut Outcome),
}

/// All of them.
pub const DEVIATIONS: &[Deviation] = &[
    Deviation {
        name: "left-join-grace-null-key",
        reason: "a left join with grace throws at a null key; kappa joins the record with nothing, as without grace",
        applies: |scenario| scenario.topology == "join_stream_table" && scenario.params.has("grace"),
        forget: |theirs, ours| {
            let thrown = theirs.cause.as_ref().is_some_and(|cause| cause.ends_with("key cannot be null"));
            if let Some(step) = theirs.error_step.filter(|_| thrown) {
                // All is the same up to there.
                ours.outputs.retain(|output| (output.step as i64) < step);
                (theirs.error, theirs.error_step) = (None, None);
                (theirs.stores, theirs.dropped, ours.stores, ours.dropped) = (None, None, None, None);
            }
        },
    },
    Deviation {
        name: "null-results-in-cached-sliding-windows",
        reason: "where an aggregate of sliding windows was null, Kafka Streams' operator fails on the row that its cache still \
                 has; kappa takes it for the deletion that it is",
        applies: |scenario| scenario.topology == "sliding_window" && scenario.params.has("cache_bytes"),
        forget: |theirs, ours| {
            let thrown = theirs.cause.as_ref().is_some_and(|cause| cause.contains("ValueAndTimestamp.value()"));
            if let Some(step) = theirs.error_step.filter(|_| thrown) {
                // All is the same up to there.
                ours.outputs.retain(|output| (output.step as i64) < step);
                (theirs.error, theirs.error_step) = (None, None);
                (theirs.stores, theirs.dropped, ours.stores, ours.dropped) = (None, None, None, None);
            }
        },
    },
    Deviation {
        name: "deleted-sessions-that-had-expired",
        reason: "with a cache, Kafka Streams merges a session at its last moment without deleting its result, since the store \
                 behind does not show it any more; kappa deletes it",
        applies: |scenario| scenario.topology == "session_window" && scenario.params.has("cache_bytes"),
        forget: |theirs, ours| {
            let known = |output: &Output| {
                let same = |other: &Output| (&other.key, other.window) == (&output.key, output.window);
                theirs.outputs.iter().any(|other| other.step == output.step && same(other))
            };
            ours.outputs.retain(|output| output.value.is_some() || output.window.is_none() || known(output));
        },
    },
    Deviation {
        name: "expired-join-records",
        reason: "of records that come too late to be kept for a join Kafka Streams counts those whose segment of a RocksDB \
                 store is gone, and all of them where the store is in memory; kappa counts them all",
        applies: expires_by_segment,
        forget: |theirs, ours| (theirs.dropped, ours.dropped) = (None, None),
    },
    Deviation {
        name: "time-of-cached-tombstones",
        reason: "with a cache Kafka Streams gives the deletion of an aggregate the last record's time, without one the \
                 largest of all its records'; kappa gives it the largest always",
        applies: |scenario| scenario.params.has("cache_bytes"),
        forget: |theirs, ours| {
            let nulls = theirs.outputs.iter_mut().chain(&mut ours.outputs).filter(|output| output.value.is_none());
            nulls.for_each(|output| output.ts = 0);
        },
    },
    Deviation {
        name: "words-of-dead-letters",
        reason: "exceptions have other names, and other words",
        applies: |scenario| scenario.params.flag("dlq"),
        forget: |theirs, ours| {
            let words = ["__streams.errors.exception", "__streams.errors.message", "__streams.errors.stacktrace"];
            for output in theirs.outputs.iter_mut().chain(&mut ours.outputs) {
                output.headers.retain(|(name, _)| !words.contains(&name.as_str()));
            }
        },
    },
    Deviation {
        name: "failed-records-are-left-out-whole",
        reason: "Kafka Streams keeps what a record did before it failed, and what its siblings do after it; kappa takes \
                 all of it back, so that what is skipped or dead-lettered has had no effect",
        applies: |scenario| scenario.topology == "errors" && scenario.params.text("proc") == Some("continue"),
        forget: |theirs, ours| {
            // From the first record that failed on, everything may be different.
            let of = |topic: &str, step: usize| {
                theirs.outputs.iter().any(|output| output.topic == topic && output.step == step)
            };
            let mut steps = theirs.outputs.iter().filter(|output| output.topic == "before").map(|output| output.step);
            let Some(first) = steps.find(|step| !of("out", *step) || !of("count", *step)) else { return };
            for outcome in [theirs, ours] {
                outcome.outputs.retain(|output| output.step < first);
                (outcome.stores, outcome.dropped) = (None, None);
            }
        },
    },
    Deviation {
        name: "expired-rows-are-not-seen",
        reason: "Kafka Streams' readers see expired rows as long as the cache has them, or RocksDB where it is ordered by time; \
                 kappa's never do",
        applies: |scenario| {
            scenario.params.has("cache_bytes")
                || (emits_on_close(scenario) && scenario.params.text("store") == Some("rocksdb"))
        },
        forget: |theirs, ours| {
            // A late record counts for each window that is still seen; a session that is still seen takes it in.
            if theirs.dropped < ours.dropped {
                for outcome in [&mut *theirs, &mut *ours] {
                    outcome.outputs.clear();
                    outcome.stores.iter_mut().for_each(BTreeMap::clear);
                }
            }
            theirs.dropped = ours.dropped;
            let (Some(theirs), Some(ours)) = (&mut theirs.stores, &ours.stores) else { return };
            for (name, rows) in theirs {
                let Some(ours) = ours.get(name) else { continue };
                // Whether a row has expired can't be told from here: rows that are there for both must be the same.
                let has = |row: &Row| ours.iter().any(|Row(key, window, ..)| (key, window) == (&row.0, &row.1));
                rows.retain(|row| row.1.is_none() || has(row));
            }
        },
    },
    Deviation {
        name: "expired-puts-are-counted",
        reason: "Kafka Streams' RocksDB stores count a row that has expired only once its whole segment has; kappa counts each, \
                 as the stores in memory do",
        applies: |scenario| scenario.params.text("store") == Some("rocksdb"),
        forget: |theirs, ours| theirs.dropped = ours.dropped,
    },
    Deviation {
        name: "headers-of-sessions",
        reason: "Kafka Streams' results of sessions have no headers; kappa's have those of the record they follow from, as \
                 all other results do",
        applies: |scenario| scenario.topology == "session_window" || scenario.params.text("window") == Some("session"),
        forget: |theirs, ours| {
            theirs.outputs.iter_mut().chain(&mut ours.outputs).for_each(|output| output.headers.clear());
        },
    },
    Deviation {
        name: "every-closed-window",
        reason: "with the default retention Kafka Streams never emits windows that its stores hide before they close",
        applies: |scenario| emits_on_close(scenario) && !scenario.params.has("retention"),
        forget: |theirs, ours| forget_unemitted(theirs, ours),
    },
    Deviation {
        name: "closed-windows-at-once",
        reason: "Kafka Streams looks for closed windows once a second of wall clock; kappa emits them with the record that \
                 closes them",
        applies: |scenario| emits_on_close(scenario) && scenario.params.number_or("emit_interval_ms", 0) > 0,
        forget: |theirs, ours| {
            for output in theirs.outputs.iter_mut().chain(&mut ours.outputs) {
                output.step = 0;
                output.headers.clear();
            }
            forget_unemitted(theirs, ours);
            theirs.outputs.sort();
            ours.outputs.sort();
        },
    },
];

fn emits_on_close(scenario: &Scenario) -> bool {
    scenario.params.text("emit") == Some("close")
}

/// Takes out of ours what theirs never emits; where that went into another table nothing of it can be compared.
fn forget_unemitted(theirs: &mut Outcome, ours: &mut Outcome) {
    let regroups = |outcome: &Outcome| outcome.stores.as_ref().is_some_and(|stores| stores.contains_key("regroup"));
    if regroups(theirs) {
        for outcome in [theirs, ours] {
            outcome.outputs.clear();
            outcome.stores.iter_mut().for_each(|stores| drop(stores.remove("regroup")));
        }
        return;
    }
    ours.outputs
        .retain(|output| theirs.outputs.iter().any(|other| (&other.key, other.window) == (&output.key, output.window)));
}

/// What a comparison finds.
#[derive(Debug)]
pub enum Verdict {
    /// The same.
    Same,
    /// The judge can't tell.
    Unjudged(&'static Unjudged),
    /// Different, as it should be.
    Deviates(Vec<&'static Deviation>),
    /// Different: the first difference.
    Differs(String),
}

/// Compares what Kafka Streams made of a scenario with what kappa did.
pub fn verdict(scenario: &Scenario, theirs: &Outcome, ours: &Outcome) -> Verdict {
    if let Some(unjudged) = UNJUDGED.iter().find(|unjudged| (unjudged.applies)(scenario, ours)) {
        return Verdict::Unjudged(unjudged);
    }
    let Some(found) = difference(scenario, theirs, ours) else { return Verdict::Same };
    let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
    let mut deviating = Vec::new();
    for deviation in DEVIATIONS.iter().filter(|deviation| (deviation.applies)(scenario)) {
        (deviation.forget)(&mut theirs, &mut ours);
        deviating.push(deviation);
        if difference(scenario, &theirs, &ours).is_none() {
            return Verdict::Deviates(deviating);
        }
    }
    Verdict::Differs(found)
}

/// The first difference, and nothing excused.
pub fn difference(scenario: &Scenario, theirs: &Outcome, ours: &Outcome) -> Option<String> {
    if theirs.error_step != ours.error_step || theirs.error.is_some() != ours.error.is_some() {
        let shown = |outcome: &Outcome| match &outcome.error {
            Some(error) => {
                let cause = outcome.cause.as_deref().unwrap_or("");
                format!("fails at step {}: {error} {cause}", outcome.error_step.unwrap_or(-1))
            }
            None => "goes through".to_owned(),
        };
        return Some(format!("Kafka Streams {}\nkappa {}", shown(theirs), shown(ours)));
    }
    let unordered = UNORDERED.iter().any(|place| (place.applies)(scenario));
    if reads_memory_by_range(scenario) {
        let sorted = |outcome: &Outcome| {
            let mut outputs = outcome.outputs.clone();
            outputs.sort_by(|a, b| {
                a.step.cmp(&b.step).then_with(|| if many_keys(scenario, a.step) { a.cmp(b) } else { Equal })
            });
            outputs
        };
        let found = outputs(&sorted(theirs), &sorted(ours), unordered);
        return found
            .or_else(|| stores(theirs, ours))
            .or_else(|| dropped(theirs, ours).filter(|_| theirs.error.is_none()));
    }
    outputs(&theirs.outputs, &ours.outputs, unordered)
        .or_else(|| stores(theirs, ours))
        .or_else(|| dropped(theirs, ours).filter(|_| theirs.error.is_none()))
}

/// Scripts of window and session stores in memory: what they read of several keys comes by time there, by key in RocksDB and in
/// kappa. What is read of one key is compared in its order.
fn reads_memory_by_range(scenario: &Scenario) -> bool {
    let scripted = matches!(scenario.topology.as_str(), "window_store" | "session_store");
    scripted && scenario.params.text("store") != Some("rocksdb")
}

fn many_keys(scenario: &Scenario, step: usize) -> bool {
    let command = match scenario.steps.get(step) {
        Some(Step::Record(input)) => input.value.as_deref().unwrap_or_default(),
        _ => return false,
    };
    let name = command.split(':').next().unwrap_or_default();
    ["keys", "fall", "bfall", "all", "ball"].contains(&name)
}

fn outputs(theirs: &[Output], ours: &[Output], unordered: bool) -> Option<String> {
    let last = theirs.iter().chain(ours).map(|output| output.step).max()?;
    for step in 0..=last {
        let of = |outputs: &[Output], peeks: bool| {
            let wanted = |output: &&Output| output.step == step && (output.topic == "#peek") == peeks;
            let mut found: Vec<Output> = outputs.iter().filter(wanted).cloned().collect();
            if unordered && !peeks {
                // Stable: each key's records stay in their order.
                found.sort_by(|a, b| (&a.topic, &a.key, a.window).cmp(&(&b.topic, &b.key, b.window)));
            }
            found
        };
        for peeks in [false, true] {
            let (theirs, ours) = (of(theirs, peeks), of(ours, peeks));
            if theirs != ours {
                return Some(format!("outputs of step {step}\n{}", sides(&theirs, &ours)));
            }
        }
    }
    None
}

fn stores(theirs: &Outcome, ours: &Outcome) -> Option<String> {
    let empty = BTreeMap::new();
    let (theirs, ours) = (theirs.stores.as_ref().unwrap_or(&empty), ours.stores.as_ref().unwrap_or(&empty));
    let (their_names, our_names) = (theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    if their_names != our_names {
        return Some(format!("stores: Kafka Streams has {their_names:?}, kappa {our_names:?}"));
    }
    let differing = theirs.iter().find(|(name, rows)| ours.get(*name) != Some(rows));
    differing.map(|(name, rows)| format!("store {name}\n{}", sides(rows, &ours[name])))
}

fn dropped(theirs: &Outcome, ours: &Outcome) -> Option<String> {
    let (theirs, ours) = (theirs.dropped.unwrap_or(0), ours.dropped.unwrap_or(0));
    (theirs != ours).then(|| format!("dropped records: Kafka Streams counts {theirs}, kappa {ours}"))
}

fn sides<T: std::fmt::Debug>(theirs: &[T], ours: &[T]) -> String {
    let mut text = String::new();
    for (title, rows) in [("Kafka Streams", theirs), ("kappa", ours)] {
        let _ = writeln!(text, "  {title}:");
        for row in rows {
            let _ = writeln!(text, "    {row:?}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(step: usize, key: &str, value: &str) -> Output {
        let (key, value) = (Some(key.to_owned()), Some(value.to_owned()));
        Output { step, topic: "out".into(), key, value, ts: 1, window: None, headers: Vec::new() }
    }

    #[test]
    fn order_step_and_every_field_count() {
        let rows = [output(0, "a", "1"), output(0, "b", "2")];
        assert_eq!(outputs(&rows, &rows, false), None);
        let turned = [rows[1].clone(), rows[0].clone()];
        assert!(outputs(&rows, &turned, false).is_some());
        assert_eq!(outputs(&rows, &turned, true), None);
        assert!(outputs(&rows, &rows[..1], true).is_some());
        for change in [
            |o: &mut Output| o.step = 1,
            |o: &mut Output| o.topic = "other".into(),
            |o: &mut Output| o.key = None,
            |o: &mut Output| o.value = None,
            |o: &mut Output| o.ts = 2,
            |o: &mut Output| o.window = Some(crate::oracle::Window { start: 0, end: 1 }),
            |o: &mut Output| o.headers = vec![("h".into(), None)],
        ] {
            let mut changed = rows.clone();
            change(&mut changed[1]);
            assert!(outputs(&rows, &changed, true).is_some(), "{changed:?}");
        }
        let same_key = [output(0, "a", "1"), output(0, "a", "2")];
        let turned = [same_key[1].clone(), same_key[0].clone()];
        assert!(outputs(&same_key, &turned, true).is_some(), "each key's order counts everywhere");
    }
}
