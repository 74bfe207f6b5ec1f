//! What a scenario's times say about its records and rows: which are so old that Kafka Streams' caches make a difference.

use super::functions::{Value, select_key};
use super::{Input, Scenario, Step, Window};
use std::collections::{BTreeMap, BTreeSet};

/// How long a scenario's windows take records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// The gap of sessions, the difference of sliding windows or the size of others, with the grace, ms.
    reach_ms: i64,
    /// The gap, the difference or the size alone, ms.
    span_ms: i64,
    sessions: bool,
}

impl Reach {
    /// Those of the scenario; `None` where it has none.
    pub(super) fn of(scenario: &Scenario) -> Option<Self> {
        let params = &scenario.params;
        let window = match scenario.topology.as_str() {
            "session_window" => "session",
            "sliding_window" => "sliding",
            "time_window" if !params.has("unlimited") => "time",
            "cogroup" => params.text_or("window", "none"),
            "suppress_window" => params.text_or("window", "time"),
            _ => return None,
        };
        let (span, sessions) = match window {
            "session" => ("gap", true),
            "sliding" => ("diff", false),
            "time" => ("size", false),
            _ => return None,
        };
        let span_ms = params.number_or(span, 10);
        Some(Self { reach_ms: span_ms.saturating_add(params.number_or("grace", 0)), span_ms, sessions })
    }

    /// Whether these are sessions.
    pub(super) fn sessions(self) -> bool {
        self.sessions
    }

    /// The keys of late records that come within a gap after one that had expired, and the step of the first: with both in one session
    /// the late one may be in time.
    pub(super) fn bridged_keys(self, scenario: &Scenario) -> BTreeMap<Value, usize> {
        let mut observed_ms = i64::MIN;
        let (mut times, mut keys) = (BTreeMap::<Value, Vec<i64>>::new(), BTreeMap::new());
        for (step, input) in scenario.steps.iter().enumerate().filter_map(|(step, of)| Some((step, record(of)?))) {
            let key = grouped_by(scenario, input);
            let times = times.entry(key.clone()).or_default();
            let before = input.ts.saturating_sub(self.span_ms)..input.ts;
            let late = input.ts < observed_ms;
            if late && times.iter().any(|at| before.contains(at) && self.is_past(*at, observed_ms)) {
                keys.entry(key).or_insert(step);
            }
            times.push(input.ts);
            observed_ms = observed_ms.max(input.ts);
        }
        keys
    }

    /// The keys of records that are late on their own: what was there around them had expired, or may have.
    pub(super) fn late_keys(self, scenario: &Scenario) -> BTreeSet<Value> {
        let mut observed_ms = i64::MIN;
        let mut keys = BTreeSet::new();
        for input in scenario.steps.iter().filter_map(record) {
            observed_ms = observed_ms.max(input.ts);
            if self.is_past(input.ts, observed_ms) {
                keys.insert(grouped_by(scenario, input));
            }
        }
        keys
    }

    /// How many records' own rows may have expired at the end.
    pub(super) fn expired_records(self, scenario: &Scenario) -> u64 {
        let times = || scenario.steps.iter().filter_map(record).map(|input| input.ts);
        let observed_ms = times().max().unwrap_or(i64::MIN);
        times().filter(|time_ms| self.is_past(*time_ms, observed_ms)).count() as u64
    }

    /// Whether a window may have expired when `step` had come.
    pub(super) fn may_have_expired(self, window: Window, scenario: &Scenario, step: usize) -> bool {
        let came = scenario.steps.iter().take(step.saturating_add(1)).filter_map(record);
        let observed_ms = came.map(|input| input.ts).max().unwrap_or(i64::MIN);
        self.is_past(if self.sessions { window.end } else { window.start }, observed_ms)
    }

    fn is_past(self, time_ms: i64, observed_ms: i64) -> bool {
        time_ms <= observed_ms.saturating_sub(self.reach_ms)
    }
}

/// The key that a record is grouped by.
fn grouped_by(scenario: &Scenario, input: &Input) -> Value {
    match scenario.params.text_or("by", "key") {
        "key" => input.key.clone(),
        by => select_key(by, &input.key, &input.value),
    }
}

fn record(step: &Step) -> Option<&Input> {
    match step {
        Step::Record(input) => Some(input),
        _ => None,
    }
}

/// The headers of the record that a step brings.
pub(super) fn headers_of(scenario: &Scenario, step: usize) -> Vec<(String, Option<String>)> {
    let headers = scenario.steps.get(step).and_then(record).map(|input| &input.headers);
    headers.into_iter().flatten().map(|(name, value)| (name.clone(), Some(value.clone()))).collect()
}
