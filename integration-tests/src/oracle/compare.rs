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

use super::deviations::{DEVIATIONS, Deviation};
use super::rules::{UNJUDGED, UNORDERED, Unjudged, scripts_memory, sort_as_in_memory};
use super::{Outcome, Output, Scenario};
use std::collections::BTreeMap;
use std::fmt::Write as _;

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
    let excused = |deviations: &[&Deviation]| {
        let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
        deviations.iter().for_each(|deviation| (deviation.forget)(scenario, &mut theirs, &mut ours));
        difference(scenario, &theirs, &ours).is_none()
    };
    let mut deviating = Vec::new();
    for deviation in DEVIATIONS.iter().filter(|deviation| (deviation.applies)(scenario)) {
        deviating.push(deviation);
        if excused(&deviating) {
            return Verdict::Deviates(needed(deviating, excused));
        }
    }
    Verdict::Differs(found)
}

/// The deviations without which there would be a difference.
fn needed(mut deviations: Vec<&'static Deviation>, excused: impl Fn(&[&Deviation]) -> bool) -> Vec<&'static Deviation> {
    for at in (0..deviations.len()).rev() {
        let mut fewer = deviations.clone();
        fewer.remove(at);
        if excused(&fewer) {
            deviations = fewer;
        }
    }
    deviations
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
    let shown = |outcome: &Outcome| {
        let mut outputs = outcome.outputs.clone();
        if scripts_memory(scenario) {
            sort_as_in_memory(scenario, &mut outputs);
        }
        outputs
    };
    outputs(&shown(theirs), &shown(ours), unordered)
        .or_else(|| stores(theirs, ours))
        .or_else(|| dropped(theirs, ours).filter(|_| theirs.error.is_none()))
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
