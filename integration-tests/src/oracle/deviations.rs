//! The differences that are meant to be, as `docs/semantics.md` lists them.
//!
//! A deviation excuses exactly its case: it applies to as few scenarios as can be, and takes out of both outcomes no more than
//! what differs.

use super::functions::Value;
use super::late::{Reach, headers_of};
use super::rules::{emits_on_close, expires_by_segment};
use super::{Outcome, Output, Row, Scenario};
use std::collections::BTreeMap;

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
    pub forget: fn(&Scenario, &mut Outcome, &mut Outcome),
}

/// All of them.
pub const DEVIATIONS: &[Deviation] = &[
    Deviation {
        name: "left-join-grace-null-key",
        reason: "a left join with grace throws at a null key; kappa joins the record with nothing, as without grace",
        applies: |scenario| scenario.topology == "join_stream_table" && scenario.params.has("grace"),
        forget: |_, theirs, ours| {
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
        forget: |_, theirs, ours| {
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
        applies: |scenario| scenario.params.has("cache_bytes") && Reach::of(scenario).is_some_and(Reach::sessions),
        forget: |scenario, theirs, ours| {
            let Some(sessions) = Reach::of(scenario) else { return };
            let known = |output: &Output| {
                let same = |other: &Output| (&other.key, other.window) == (&output.key, output.window);
                theirs.outputs.iter().any(|other| other.step == output.step && same(other))
            };
            ours.outputs.retain(|output| {
                let expired = output.window.is_some_and(|at| sessions.may_have_expired(at, scenario, output.step));
                output.value.is_some() || !expired || known(output)
            });
        },
    },
    Deviation {
        name: "expired-join-records",
        reason: "of records that come too late to be kept for a join Kafka Streams counts those whose segment of a RocksDB \
                 store is gone, and all of them where the store is in memory; kappa counts them all",
        applies: expires_by_segment,
        forget: |_, theirs, ours| forget_uncounted(theirs, ours),
    },
    Deviation {
        name: "time-of-cached-tombstones",
        reason: "with a cache Kafka Streams gives the deletion of an aggregate the last record's time, without one the \
                 largest of all its records'; kappa gives it the largest always",
        applies: |scenario| scenario.params.has("cache_bytes"),
        forget: |_, theirs, ours| {
            for output in theirs.outputs.iter_mut().filter(|output| output.value.is_none()) {
                let at = |output: &Output| (output.step, output.topic.clone(), output.key.clone(), output.window);
                let same = |other: &&Output| other.value.is_none() && at(other) == at(output);
                // Never a smaller one.
                output.ts = ours.outputs.iter().find(same).map_or(output.ts, |other| output.ts.max(other.ts));
            }
        },
    },
    Deviation {
        name: "words-of-dead-letters",
        reason: "exceptions have other names, and other words",
        applies: |scenario| scenario.params.flag("dlq"),
        forget: |_, theirs, ours| {
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
        forget: |_, theirs, ours| {
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
            let by_time = emits_on_close(scenario) && scenario.params.text("store") == Some("rocksdb");
            Reach::of(scenario).is_some() && (scenario.params.has("cache_bytes") || by_time)
        },
        forget: |scenario, theirs, ours| {
            let Some(windows) = Reach::of(scenario) else { return };
            // A late record counts for each window that is still seen; a session that is still seen takes it in.
            if theirs.dropped < ours.dropped {
                let late = windows.late_keys(scenario);
                for outcome in [&mut *theirs, &mut *ours] {
                    outcome.outputs.retain(|output| !late.contains(&output.key));
                    let rows = outcome.stores.iter_mut().flat_map(BTreeMap::values_mut);
                    rows.for_each(|rows| rows.retain(|row| !late.contains(&Some(row.0.clone()))));
                }
                theirs.dropped = ours.dropped;
            } else if !windows.sessions() && !windows.late_keys(scenario).is_empty() {
                theirs.dropped = ours.dropped;
            }
            let (Some(theirs), Some(ours)) = (&mut theirs.stores, &ours.stores) else { return };
            for (name, rows) in theirs {
                let Some(ours) = ours.get(name) else { continue };
                let has = |row: &Row| ours.iter().any(|Row(key, window, ..)| (key, window) == (&row.0, &row.1));
                let expired = |at| windows.may_have_expired(at, scenario, usize::MAX);
                rows.retain(|row| !row.1.is_some_and(expired) || has(row));
            }
        },
    },
    Deviation {
        name: "expired-sessions-are-not-bridged",
        reason: "Kafka Streams joins an open session and one that has expired by a late record between them, for as long as its cache has \
                 the expired one; kappa does not find it",
        applies: |scenario| scenario.params.has("cache_bytes") && Reach::of(scenario).is_some_and(Reach::sessions),
        forget: |scenario, theirs, ours| {
            let Some(bridged) = Reach::of(scenario).map(|sessions| sessions.bridged_keys(scenario)) else { return };
            for outcome in [theirs, ours] {
                let since = |key: &Value, step: usize| bridged.get(key).is_some_and(|first| step >= *first);
                outcome.outputs.retain(|output| !since(&output.key, output.step));
                let rows = outcome.stores.iter_mut().flat_map(BTreeMap::values_mut);
                rows.for_each(|rows| rows.retain(|row| !bridged.contains_key(&Some(row.0.clone()))));
            }
        },
    },
    Deviation {
        name: "expired-in-the-cache",
        reason: "Kafka Streams counts a session as dropped whose result was passed on, where it has expired when the cache gives \
                 it to the store; kappa keeps it for as long as records look for it",
        applies: |scenario| scenario.params.has("cache_bytes") && Reach::of(scenario).is_some_and(Reach::sessions),
        forget: |scenario, theirs, ours| {
            let most = Reach::of(scenario).map_or(0, |sessions| sessions.expired_records(scenario));
            let more = theirs.dropped.unwrap_or(0).saturating_sub(ours.dropped.unwrap_or(0));
            if more <= most {
                theirs.dropped = theirs.dropped.min(ours.dropped);
            }
        },
    },
    Deviation {
        name: "expired-puts-are-counted",
        reason: "Kafka Streams' RocksDB stores count a row that has expired only once its whole segment has; kappa counts each, \
                 as the stores in memory do",
        applies: |scenario| scenario.params.text("store") == Some("rocksdb"),
        forget: |_, theirs, ours| forget_uncounted(theirs, ours),
    },
    Deviation {
        name: "headers-of-sessions",
        reason: "Kafka Streams' updates of sessions have no headers; kappa's have those of the record they follow from, as \
                 all other results do",
        applies: |scenario| scenario.topology == "session_window" || scenario.params.text("window") == Some("session"),
        forget: |scenario, theirs, ours| {
            for output in &mut ours.outputs {
                // What was held back follows from an earlier step's.
                let held = scenario.params.has("cache_bytes") || scenario.params.has("suppress");
                let plain = Output { headers: Vec::new(), ..output.clone() };
                let follows = held || output.headers == headers_of(scenario, output.step);
                if follows && theirs.outputs.contains(&plain) {
                    *output = plain;
                }
            }
        },
    },
    Deviation {
        name: "every-closed-window",
        reason: "with the default retention Kafka Streams never emits windows that its stores hide before they close",
        applies: |scenario| emits_on_close(scenario) && !scenario.params.has("retention"),
        forget: |_, theirs, ours| forget_unemitted(theirs, ours),
    },
    Deviation {
        name: "closed-windows-at-once",
        reason: "Kafka Streams looks for closed windows once a second of wall clock; kappa emits them with the record that \
                 closes them",
        applies: |scenario| emits_on_close(scenario) && scenario.params.number_or("emit_interval_ms", 0) > 0,
        forget: |_, theirs, ours| {
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

/// Takes out what theirs does not count of what was dropped; it never counts more.
fn forget_uncounted(theirs: &mut Outcome, ours: &Outcome) {
    theirs.dropped = theirs.dropped.max(ours.dropped);
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
