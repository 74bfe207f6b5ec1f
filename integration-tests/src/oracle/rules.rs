//! What is not compared: where order means nothing, and what the judge itself can't tell.

use super::{Outcome, Output, Scenario, Step};

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
];

/// A join of two streams on RocksDB with null values: there they don't move the time by which a side's records go.
fn joins_null_values_on_rocksdb(scenario: &Scenario) -> bool {
    let null = |step: &Step| matches!(step, Step::Record(input) if input.value.is_none());
    expires_by_segment(scenario) && scenario.steps.iter().any(null)
}

pub(super) fn expires_by_segment(scenario: &Scenario) -> bool {
    let joins = matches!(scenario.topology.as_str(), "join_stream_stream" | "join_stream_self");
    joins && scenario.params.text("store") == Some("rocksdb")
}

pub(super) fn emits_on_close(scenario: &Scenario) -> bool {
    scenario.params.text("emit") == Some("close")
}

/// Scripts of window and session stores in memory.
pub(super) fn scripts_memory(scenario: &Scenario) -> bool {
    let scripted = matches!(scenario.topology.as_str(), "window_store" | "session_store");
    scripted && scenario.params.text("store") != Some("rocksdb")
}

/// What scripts read of several keys comes by time in memory, by key in RocksDB and in kappa; and sessions of a key that end
/// together come by start in RocksDB and in kappa, in memory the other way round. All else keeps its order.
pub(super) fn sort_as_in_memory(scenario: &Scenario, outputs: &mut [Output]) {
    let sessions = scenario.topology == "session_store";
    let together = |a: &Output, b: &Output| {
        a.step == b.step && (many_keys(scenario, a.step) || (sessions && end(a).is_some_and(|at| Some(at) == end(b))))
    };
    outputs.chunk_by_mut(together).for_each(<[Output]>::sort);
}

/// The end of the session in an answer: `key@start/end=value`.
fn end(output: &Output) -> Option<&str> {
    Some(output.value.as_deref()?.split_once('@')?.1.split_once('/')?.1.split_once('=')?.0)
}

fn many_keys(scenario: &Scenario, step: usize) -> bool {
    let command = match scenario.steps.get(step) {
        Some(Step::Record(input)) => input.value.as_deref().unwrap_or_default(),
        _ => return false,
    };
    let name = command.split(':').next().unwrap_or_default();
    ["keys", "fall", "bfall", "all", "ball"].contains(&name)
}
