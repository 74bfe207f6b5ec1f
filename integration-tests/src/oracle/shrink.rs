//! Makes the smallest scenario that still shows a difference.
//!
//! First steps are taken away, halves before quarters before single ones; then parameters, as long as the topology
//! still builds; then what is left is made plain: no headers, fewer keys, shorter values, smaller times.

use super::{Pair, Scenario, Step};
use serde_json::Value;

/// Says of each scenario whether it still shows the difference. Asked in batches, for the judge's sake.
pub type Differs<'d> = dyn FnMut(&[Scenario]) -> Vec<bool> + 'd;

/// The smallest that was found.
pub fn shrink(scenario: Scenario, differs: &mut Differs<'_>) -> Scenario {
    let mut smallest = scenario;
    loop {
        let before = smallest.clone();
        smallest = fewer_steps(smallest, differs);
        smallest = first_that(smallest, differs, plainer_params);
        smallest = first_that(smallest, differs, plainer_steps);
        if smallest == before {
            return smallest;
        }
    }
}

fn fewer_steps(mut scenario: Scenario, differs: &mut Differs<'_>) -> Scenario {
    let mut size = scenario.steps.len().div_ceil(2);
    while size > 0 {
        let starts: Vec<usize> = (0..scenario.steps.len()).step_by(size).collect();
        let without = |start: &usize| {
            let mut fewer = scenario.clone();
            fewer.steps.drain(*start..(*start + size).min(scenario.steps.len()));
            fewer
        };
        let mut candidates: Vec<Scenario> = starts.iter().map(without).collect();
        match differs(&candidates).iter().position(|differs| *differs) {
            Some(index) => {
                scenario = candidates.swap_remove(index);
                size = size.min(scenario.steps.len());
            }
            None if size == 1 => break,
            None => size = size.div_ceil(2),
        }
    }
    scenario
}

/// Takes the first candidate that still differs, as long as there is one.
fn first_that(
    mut scenario: Scenario,
    differs: &mut Differs<'_>,
    candidates: fn(&Scenario) -> Vec<Scenario>,
) -> Scenario {
    loop {
        let mut plainer = candidates(&scenario);
        match differs(&plainer).iter().position(|differs| *differs) {
            Some(index) => scenario = plainer.swap_remove(index),
            None => return scenario,
        }
    }
}

/// Without one of the parameters, or without one of the items of a list.
fn plainer_params(scenario: &Scenario) -> Vec<Scenario> {
    let mut plainer = Vec::new();
    for (name, value) in &scenario.params.0 {
        let mut without = scenario.clone();
        without.params.0.remove(name);
        plainer.push(without);
        let Value::Array(items) = value else { continue };
        for index in 0..items.len() {
            let mut fewer = items.clone();
            fewer.remove(index);
            let mut without = scenario.clone();
            without.params.0.insert(name.clone(), Value::Array(fewer));
            plainer.push(without);
        }
    }
    plainer
}

fn plainer_steps(scenario: &Scenario) -> Vec<Scenario> {
    let mut plainer = Vec::new();
    for (index, step) in scenario.steps.iter().enumerate() {
        let Step::Record(input) = step else { continue };
        let mut push = |change: &dyn Fn(&mut super::Input)| {
            let mut changed = input.clone();
            change(&mut changed);
            if changed != *input {
                let mut candidate = scenario.clone();
                candidate.steps[index] = Step::Record(changed);
                plainer.push(candidate);
            }
        };
        push(&|input| input.headers.clear());
        for key in ["a", "b"] {
            if input.key.as_deref().is_some_and(|old| old > key) {
                push(&|input| input.key = Some(key.to_owned()));
            }
        }
        if input.value.as_deref().is_some_and(|old| old.len() > 1 || old > "1") {
            push(&|input| input.value = Some("1".to_owned()));
        }
        for smaller in [0, input.ts / 2, input.ts - 1] {
            if (0..input.ts).contains(&smaller) {
                push(&|input| input.ts = smaller);
            }
        }
    }
    plainer
}

/// A scenario and its outcome as a test to paste.
pub fn as_test(pair: &Pair) -> String {
    let json = serde_json::to_string(pair).unwrap_or_default();
    let name: String =
        pair.scenario.id.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    format!("#[test]\nfn {name}() {{\n    // What Kafka Streams 4.3.0 makes of it.\n    check(r#\"{json}\"#);\n}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::Input;

    fn record(key: &str, ts: i64) -> Step {
        let (key, value) = (Some(key.to_owned()), Some("12".to_owned()));
        let headers = [("h".to_owned(), "1".to_owned())].into();
        Step::Record(Input { topic: "in".into(), key, value, ts, headers })
    }

    /// The difference needs the parameter `p`, a record with key c at 7 or later, and one with key d behind it.
    #[test]
    fn what_is_not_needed_goes() {
        let steps = ["a", "c", "b", "a", "d", "e", "c", "b"].iter().zip(5..).map(|(key, ts)| record(key, ts * 3));
        let mut scenario =
            Scenario { id: "t".into(), topology: "t".into(), params: Default::default(), steps: steps.collect() };
        scenario.params.set("p", 1);
        scenario.params.set("q", 2);
        let needs = |scenario: &Scenario| {
            let at = |wanted: &str| {
                let is = |step: &Step| matches!(step, Step::Record(input) if input.key.as_deref() == Some(wanted) && input.ts >= 7);
                scenario.steps.iter().position(is)
            };
            scenario.params.has("p") && matches!((at("c"), at("d")), (Some(c), Some(d)) if c < d)
        };
        let smallest = shrink(scenario, &mut |candidates| candidates.iter().map(needs).collect());
        assert!(smallest.params.has("p") && !smallest.params.has("q"));
        let plain = |key: &str| {
            let (key, value) = (Some(key.to_owned()), Some("1".to_owned()));
            Step::Record(Input { topic: "in".into(), key, value, ts: 7, headers: Default::default() })
        };
        assert_eq!(smallest.steps, [plain("c"), plain("d")]);
    }
}
