//! Global tables.

use super::{AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, nullable, utf8};
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{GlobalPlan, Topology};

/// Any key of a record finds its row, whatever the partitions; changes count from when they arrive.
#[test]
fn every_task_has_all_rows() -> Outcome {
    let mut app = Topology::builder();
    let names = app.global_table("names", utf8(), utf8()).materialized("all-names");
    let visits = app.stream("visits", utf8(), i64_be());
    visits
        .join_global(&names, |_, number| Some(number.to_string()), |number, name| format!("{number} {name}"))
        .with_value_codec(utf8())
        .to("out");
    let topology = app.build()?;
    let planned = GlobalPlan { name: "all-names".into(), topic: "names".into(), has_update: false };
    assert_eq!(topology.plan().globals, [planned]);
    assert!(topology.describe().contains("for global store (will not generate tasks)"), "{}", topology.describe());
    let driver = TestDriver::with_options(&topology, TestOptions { partitions: 3, ..AT_ONCE })?;
    let input = driver.input("names", utf8(), utf8());
    for number in 0..4 {
        input.pipe(number.to_string(), format!("name{number}"), 1)?;
    }
    let visits = driver.input("visits", utf8(), i64_be());
    for (number, key) in (0..5).zip(["a", "b", "c", "d", "e"]) {
        visits.pipe(key, number, 2)?;
    }
    driver.restart()?;
    input.pipe("0", "other", 0)?;
    input.pipe_null("1", 0)?;
    visits.pipe("f", 0, 3)?;
    visits.pipe("g", 1, 4)?;
    let mut out = driver.output("out", utf8(), utf8()).read_all()?;
    out.sort();
    let mut expected: Vec<_> =
        (0..4).zip(["a", "b", "c", "d"]).map(|(n, key)| at(key, Some(format!("{n} name{n}")), 2)).collect();
    expected.push(at("f", Some("0 other".to_owned()), 3));
    assert_eq!(out, expected);
    assert_eq!(driver.store("all-names", utf8(), utf8()).get("0")?, Some("other".into()));
    Ok(())
}

/// By Kafka Streams' rules: no key of its own is needed, a key that is null finds nothing, a null value is dropped.
#[test]
fn nulls_are_dropped_or_joined_with_nothing() -> Outcome {
    let mut app = Topology::builder();
    let names = app.global_table("names", utf8(), utf8());
    let stream = app.stream("in", nullable(utf8()), utf8());
    let key = |_: &Option<String>, value: &String| (value != "none").then(|| value.clone());
    stream.join_global(&names, key, |value, name| format!("{value}+{name}")).with_value_codec(utf8()).to("inner");
    stream
        .left_join_global(&names, key, |value, name| format!("{value}+{}", name.map_or("null", String::as_str)))
        .with_value_codec(utf8())
        .to("left");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("names", utf8(), utf8()).pipe("a", "A", 1)?;
    let input = driver.input("in", nullable(utf8()), utf8());
    input.pipe(None, "a", 2)?;
    input.pipe(None, "none", 3)?;
    input.pipe_null(Some("k".to_owned()), 4)?;
    let values = |topic: &str| driver.output(topic, nullable(utf8()), utf8()).read_values();
    assert_eq!(values("inner")?, [Some("a+A".to_owned())]);
    assert_eq!(values("left")?, [Some("a+A".to_owned()), Some("none+null".to_owned())]);
    assert_eq!(driver.dropped(), [("null-key", 1), ("null-value", 2)].into());
    Ok(())
}
