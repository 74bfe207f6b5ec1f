//! Operators on tables. Expected values are Kafka Streams 4.3.0's, run through its TopologyTestDriver, or by hand.

use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, nullable, utf8};
use kappa_core::dsl::KTable;
use kappa_core::processor::{StoreHandle, TransformContext, ValueTransformer};
use kappa_core::task::ProcessError;
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{Topology, TopologyBuilder};

const THREE: TestOptions = TestOptions { partitions: 3, ..AT_ONCE };

fn numbers(app: &mut TopologyBuilder) -> KTable<String, i64> {
    app.table("in", utf8(), i64_be())
}

/// A filter passes deletions on also of rows that never were, unless it is known what was there before.
#[test]
fn a_filter_spares_deletions_only_where_the_table_is_kept() -> Outcome {
    for kept in [false, true] {
        let mut app = Topology::builder();
        let table = numbers(&mut app);
        let table = if kept { table.materialized("src") } else { table };
        table.filter(|_, n| n % 2 == 0).to("out");
        let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
        let input = driver.input("in", utf8(), i64_be());
        input.pipe("a", 1, 1)?;
        input.pipe("a", 2, 2)?;
        input.pipe("a", 3, 3)?;
        input.pipe_null("a", 4)?;
        let all = [at("a", None, 1), at("a", Some(2), 2), at("a", None, 3), at("a", None, 4)];
        let spared = &all[1..3];
        let out = driver.output("out", utf8(), i64_be()).read_all()?;
        assert_eq!(out, if kept { spared } else { &all[..] }, "kept: {kept}");
    }
    Ok(())
}

/// What is computed on reading and what is kept in a store are the same table.
#[test]
fn look_ups_go_through_computed_tables() -> Outcome {
    for kept in [false, true] {
        let mut app = Topology::builder();
        let keep = |table: KTable<String, i64>, name: &str| if kept { table.materialized(name) } else { table };
        let table = keep(numbers(&mut app).filter(|_, n| *n > 0), "positive");
        let table = keep(table.map_values(|_, n| n * 10).with_value_codec(i64_be()), "tens");
        let table = keep(table.filter_map_values(|_, n| (*n < 50).then_some(n + 1)).with_value_codec(i64_be()), "few");
        let queries = app.stream("queries", utf8(), utf8());
        queries.left_join(&table, |_, n| n.copied().unwrap_or(-1)).with_value_codec(i64_be()).to("out");
        let topology = app.build()?;
        let stores: Vec<&str> =
            topology.plan().sub_topologies[0].stores.iter().map(|store| store.name.as_str()).collect();
        // Where all is computed, only the source is kept.
        assert_eq!(stores, if kept { vec!["few", "positive", "tens"] } else { vec!["in"] });
        let driver = TestDriver::with_options(&topology, AT_ONCE)?;
        for (n, key) in [(3, "a"), (-3, "b"), (7, "c")] {
            driver.input("in", utf8(), i64_be()).pipe(key, n, 1)?;
        }
        for key in ["a", "b", "c", "d"] {
            driver.input("queries", utf8(), utf8()).pipe(key, "?", 2)?;
        }
        let found = driver.output("out", utf8(), i64_be()).read_values()?;
        assert_eq!(found, [Some(31), Some(-1), Some(-1), Some(-1)], "kept: {kept}");
    }
    Ok(())
}

/// Adds a number that a stream has put into a store, and counts how often it was asked.
struct Surcharge {
    rates: StoreHandle<String, i64>,
    asked: i64,
}

impl ValueTransformer<String, i64> for Surcharge {
    type Value = i64;

    fn transform(
        &mut self,
        key: &String,
        value: Option<&i64>,
        cx: &mut TransformContext<'_, '_>,
    ) -> Result<Option<i64>, ProcessError> {
        self.asked += 1;
        let now = cx.timestamp_ms();
        let mut rates = cx.store(&self.rates)?;
        let rate = rates.get(key)?.map_or(0, |rate| *rate);
        rates.put(key, rate + 1, now)?;
        Ok(value.map(|value| value + rate * 100))
    }
}

#[test]
fn a_transformer_has_stores_and_sees_deletions() -> Outcome {
    let mut app = Topology::builder();
    let rates = app.store("rates", utf8(), i64_be());
    let supplier = {
        let rates = rates.clone();
        move || Surcharge { rates: rates.clone(), asked: 0 }
    };
    numbers(&mut app).transform_values("surcharge", &[&rates], supplier).with_value_codec(i64_be()).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let input = driver.input("in", utf8(), i64_be());
    input.pipe("a", 1, 10)?;
    input.pipe_null("a", 11)?;
    input.pipe("a", 1, 12)?;
    driver.restart()?;
    input.pipe("a", 1, 13)?;
    let expected = [Some(1), None, Some(201), Some(301)];
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, expected);
    assert_eq!(driver.store("rates", utf8(), i64_be()).get("a")?, Some(4));
    Ok(())
}

#[test]
fn a_stream_becomes_a_table_where_its_keys_belong() -> Outcome {
    let mut app = Topology::builder();
    let latest = app
        .stream("in", nullable(utf8()), nullable(utf8()))
        .select_key(nullable(utf8()), |_, value| value.as_ref().map(|text| text[..1].to_owned()))
        .to_table("latest")
        .materialized("latest");
    latest.to("out");
    let driver = TestDriver::with_options(&app.build()?, THREE)?;
    let input = driver.input("in", nullable(utf8()), nullable(utf8()));
    for (time, value) in (1..).zip(["ax", "bx", "ay", "cx"]) {
        input.pipe(Some("k".to_owned()), Some(value.to_owned()), time)?;
    }
    let rows = driver.store("latest", utf8(), utf8());
    assert_eq!((rows.get("a")?, rows.get("b")?), (Some("ay".into()), Some("bx".into())));
    // A null value has a null key here, and never comes to the repartition topic.
    input.pipe(Some("k".to_owned()), None, 9)?;
    assert_eq!(driver.dropped(), [("null-key-repartition", 1)].into());
    assert_eq!(driver.output("out", utf8(), utf8()).read_all()?.len(), 4);
    Ok(())
}

/// Null values of a codec that has a value for null delete, as Kafka's null does.
#[test]
fn a_null_that_is_a_value_deletes() -> Outcome {
    let mut app = Topology::builder();
    let table = app.stream("in", utf8(), nullable(utf8())).to_table("table");
    table.filter(|_, value| value.is_some()).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let input = driver.input("in", utf8(), nullable(utf8()));
    input.pipe("k", Some("v".to_owned()), 1)?;
    input.pipe("k", None, 2)?;
    let out = driver.output("out", utf8(), utf8()).read_all()?;
    assert_eq!(out, [at("k", Some("v".into()), 1), at("k", None, 2)]);
    Ok(())
}

/// A row that moves is taken out of its old group first; one that stays changes in one step.
#[test]
fn groups_lose_what_moves_and_gain_what_comes() -> Outcome {
    for options in [AT_ONCE, THREE] {
        let mut app = Topology::builder();
        let rows = app.table("in", utf8(), utf8());
        rows.group_by(utf8(), utf8(), |key, value| {
            Some((value.split_once(':')?.0.to_owned(), format!("{key}={value}")))
        })
        .aggregate(
            "groups",
            utf8(),
            String::new,
            |_, add, sum| format!("{sum}+{add}"),
            |_, gone, sum| format!("{sum}-{gone}"),
        )
        .to("out");
        let driver = TestDriver::with_options(&app.build()?, options.clone())?;
        let input = driver.input("in", utf8(), utf8());
        input.pipe("a", "x:1", 5)?;
        input.pipe("a", "x:2", 4)?;
        input.pipe("a", "y:3", 6)?;
        input.pipe("a", "none", 7)?;
        input.pipe_null("a", 8)?;
        let expected = [
            at("x", Some("+a=x:1".to_owned()), 5),
            // Out of order, the result keeps the larger time.
            at("x", Some("+a=x:1-a=x:1+a=x:2".to_owned()), 5),
            at("x", Some("+a=x:1-a=x:1+a=x:2-a=x:2".to_owned()), 6),
            at("y", Some("+a=y:3".to_owned()), 6),
            at("y", Some("+a=y:3-a=y:3".to_owned()), 7),
        ];
        assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, expected, "{options:?}");
    }
    Ok(())
}

/// What goes through the repartition topic is what Kafka Streams writes there: one record for a row that stays in its
/// group, the subtraction before the addition for one that moves.
#[test]
fn changes_travel_as_kafka_streams_writes_them() -> Outcome {
    let mut app = Topology::builder();
    let _ = app
        .table("in", utf8(), utf8())
        .group_by(utf8(), utf8(), |_, value| Some((value[..1].to_owned(), value.clone())))
        .count("counts");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let input = driver.input("in", utf8(), utf8());
    input.pipe("k", "a1", 1)?;
    input.pipe("k", "a2", 2)?;
    input.pipe("k", "b", 3)?;
    let written = driver.repartition("counts", utf8(), kappa_core::codec::bytes()).read_all()?;
    let expected: [(&str, &[u8], i64); 4] =
        [("a", b"a1\x01", 1), ("a", b"\x04a2a1\x02", 2), ("a", b"a2\x00", 3), ("b", b"b\x01", 3)];
    assert_eq!(written, expected.map(|(key, value, time)| (key.to_owned(), Some(value.to_vec()), time)));
    let counts = driver.store("counts", utf8(), i64_be());
    assert_eq!((counts.get("a")?, counts.get("b")?), (Some(0), Some(1)), "an empty group stays, with 0");
    Ok(())
}

/// With a cache a row's changes between two commits come to its groups as one.
#[test]
fn groups_see_the_last_change_of_a_commit() -> Outcome {
    let mut app = Topology::builder();
    numbers(&mut app)
        .group_by(utf8(), i64_be(), |_, n| Some(("all".to_owned(), *n)))
        .reduce("sum", |sum, n| sum + n, |sum, n| sum - n)
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_COMMIT)?;
    let input = driver.input("in", utf8(), i64_be());
    for (time, n) in (1..).zip([1, 2, 4]) {
        input.pipe("a", n, time)?;
    }
    input.pipe("b", 10, 9)?;
    driver.commit()?;
    input.pipe("a", 5, 10)?;
    driver.restart()?;
    input.pipe("a", 6, 11)?;
    driver.commit()?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?.last(), Some(&Some(16)));
    assert_eq!(driver.store("sum", utf8(), i64_be()).get("all")?, Some(16));
    Ok(())
}

#[test]
fn new_keys_for_a_tables_changes() -> Outcome {
    let mut app = Topology::builder();
    numbers(&mut app)
        .to_stream_with_key(utf8(), |key, n| format!("{key}{}", n.map_or("gone".to_owned(), i64::to_string)))
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("in", utf8(), i64_be()).pipe("a", 1, 1)?;
    driver.input("in", utf8(), i64_be()).pipe_null("a", 2)?;
    let out = driver.output("out", utf8(), i64_be()).read_all()?;
    assert_eq!(out, [at("a1", Some(1), 1), at("agone", None, 2)]);
    Ok(())
}
