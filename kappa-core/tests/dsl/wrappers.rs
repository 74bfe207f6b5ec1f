//! Middleware over a whole topology.

use super::{AT_ONCE, Outcome};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::processor::{AroundSupplier, ProcessorWrapper, WrappedOperator, WrappedRecord, WrapperContext};
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{Topology, TopologyError};
use std::sync::{Arc, Mutex};

type Seen = Arc<Mutex<Vec<String>>>;

/// Notes each record before and after each operator.
struct Trace(Seen);

impl ProcessorWrapper for Trace {
    fn wrap(&self, _operator: &mut WrappedOperator<'_>) -> Option<AroundSupplier> {
        let seen = Arc::clone(&self.0);
        Some(Arc::new(move || {
            let seen = Arc::clone(&seen);
            Box::new(move |record: &WrappedRecord<'_>, cx: &mut WrapperContext<'_, '_>| {
                let value = match (record.value::<String>()?, record.value::<i64>()?) {
                    (Some(text), _) => text.clone(),
                    (_, Some(number)) => number.to_string(),
                    _ => "null".to_owned(),
                };
                let from = cx.metadata().map_or_else(|| "flush".to_owned(), |from| from.offset.to_string());
                seen.lock().unwrap().push(format!("> {} {value} @{} {from}", cx.operator(), record.timestamp_ms));
                cx.pass_on()?;
                seen.lock().unwrap().push(format!("< {}", cx.operator()));
                Ok(())
            })
        }))
    }
}

fn topology(wrapper: Option<impl ProcessorWrapper>) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    if let Some(wrapper) = wrapper {
        app.wrap_processors(wrapper);
    }
    let words = app.stream("in", utf8(), utf8()).filter(|_, word| !word.is_empty());
    words.merge(&app.stream("more", utf8(), utf8())).group_by_key().count("counts").to("out");
    app.build()
}

/// All operators are met, built-in ones, joints and sinks too, in the order of the chain.
#[test]
fn every_operator_is_wrapped() -> Outcome {
    let seen = Seen::default();
    let driver = TestDriver::with_options(&topology(Some(Trace(Arc::clone(&seen))))?, TestOptions { ..AT_ONCE })?;
    driver.input("in", utf8(), utf8()).pipe("k", "word", 5)?;
    let expected = [
        "> in.filter word @5 0",
        "> in.merge word @5 0",
        "> counts.aggregate word @5 0",
        "> out.sink 1 @5 0",
        "< out.sink",
        "< counts.aggregate",
        "< in.merge",
        "< in.filter",
    ];
    let found = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(found.iter().map(|line| line.replace("counts.count", "counts.aggregate")).collect::<Vec<_>>(), expected);
    driver.input("more", utf8(), utf8()).pipe("k", "word", 6)?;
    assert_eq!(seen.lock().unwrap()[0], "> in.merge word @6 0");
    Ok(())
}

/// Counts records at the sinks, and lets the first two of each key through.
struct Quota;

impl ProcessorWrapper for Quota {
    fn wrap(&self, operator: &mut WrappedOperator<'_>) -> Option<AroundSupplier> {
        if !operator.is_sink() {
            return None;
        }
        let used = operator.store(&format!("quota-{}", operator.name().replace(".sink", "")), utf8(), i64_be());
        Some(Arc::new(move || {
            let used = used.clone();
            Box::new(move |record: &WrappedRecord<'_>, cx: &mut WrapperContext<'_, '_>| {
                let Some(key) = record.key::<String>()?.cloned() else { return Err(cx.error("keys are text")) };
                let mut store = cx.store(&used)?;
                let count = store.get(&key)?.copied().unwrap_or(0) + 1;
                store.put(&key, count, record.timestamp_ms)?;
                if count > 2 { Ok(()) } else { cx.pass_on() }
            })
        }))
    }
}

/// A store of a wrapper's has a changelog and comes back, as all do.
#[test]
fn wrappers_have_stores_of_their_own() -> Outcome {
    let topology = topology(Some(Quota))?;
    let stores: Vec<&str> = topology.plan().sub_topologies[0].stores.iter().map(|store| store.name.as_str()).collect();
    assert_eq!(stores, ["counts", "quota-out"]);
    let driver = TestDriver::with_options(&topology, TestOptions { ..AT_ONCE })?;
    let input = driver.input("in", utf8(), utf8());
    input.pipe("a", "x", 1)?;
    input.pipe("b", "x", 2)?;
    let task = driver.tasks()[0].clone();
    driver.move_task(&task)?;
    for at_ms in 3..6 {
        input.pipe("a", "x", at_ms)?;
    }
    let out = driver.output("out", utf8(), i64_be()).read_all()?;
    assert_eq!(out, [("a".into(), Some(1), 1), ("b".into(), Some(1), 2), ("a".into(), Some(2), 3)]);
    assert_eq!(driver.store("quota-out", utf8(), i64_be()).get("a")?, Some(4));
    Ok(())
}

/// What is not stored changes nothing that state depends on.
#[test]
fn a_wrapper_without_stores_changes_no_plan() -> Outcome {
    assert_eq!(topology(Some(Trace(Seen::default())))?.plan(), topology(None::<Trace>)?.plan());
    Ok(())
}

/// A stream that goes nowhere is an error, whatever a wrapper keeps of it.
#[test]
fn a_wrapper_is_no_end_of_a_stream() {
    struct Keep;
    impl ProcessorWrapper for Keep {
        fn wrap(&self, operator: &mut WrappedOperator<'_>) -> Option<AroundSupplier> {
            let _ = operator.store::<String, i64>("kept", utf8(), i64_be());
            Some(Arc::new(|| Box::new(|_: &WrappedRecord<'_>, cx: &mut WrapperContext<'_, '_>| cx.pass_on())))
        }
    }
    let mut app = Topology::builder();
    app.wrap_processors(Keep);
    let _ = app.stream("in", utf8(), utf8()).filter(|_, _| true);
    assert!(matches!(app.build(), Err(TopologyError::Unsunk { .. })));
}
