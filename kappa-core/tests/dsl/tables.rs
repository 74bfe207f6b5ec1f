//! Tables and stream-table joins.

use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, nullable, utf8};
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::Topology;

/// One step of Kafka's published stream-table vectors: side, value (null as `None`), timestamp, and the
/// outputs of the inner and the left join.
type Step = (char, Option<&'static str>, i64, Option<&'static str>, Option<&'static str>);

/// `StreamTableJoinIntegrationTest` of Apache Kafka, unversioned table: testInner and testLeft.
const VECTORS: [Step; 23] = [
    ('L', None, 1, None, None),
    ('R', None, 2, None, None),
    ('L', Some("A"), 3, None, Some("A-null")),
    ('R', Some("a"), 4, None, None),
    ('L', Some("B"), 5, Some("B-a"), Some("B-a")),
    ('R', Some("b"), 6, None, None),
    ('L', None, 7, None, None),
    ('R', None, 8, None, None),
    ('L', Some("C"), 9, None, Some("C-null")),
    ('R', Some("c"), 10, None, None),
    ('R', None, 11, None, None),
    ('L', None, 12, None, None),
    ('R', None, 13, None, None),
    ('R', Some("d"), 7, None, None),
    ('L', Some("D"), 6, Some("D-d"), Some("D-d")),
    ('L', None, 2, None, None),
    ('R', None, 3, None, None),
    ('R', Some("e"), 14, None, None),
    ('L', Some("E"), 15, Some("E-e"), Some("E-e")),
    ('L', None, 10, None, None),
    ('R', None, 9, None, None),
    ('L', Some("F"), 4, None, Some("F-null")),
    ('R', Some("f"), 3, None, None),
];

#[test]
fn stream_table_joins_equal_kafkas_vectors() -> Outcome {
    let mut app = Topology::builder();
    let right = app.table("right", utf8(), utf8());
    let left = app.stream("left", utf8(), utf8());
    left.join(&right, |l, r| format!("{l}-{r}")).with_value_codec(utf8()).to("inner");
    left.left_join(&right, |l, r| format!("{l}-{}", r.map_or("null", String::as_str)))
        .with_value_codec(utf8())
        .to("outer");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let inputs = [driver.input("left", utf8(), utf8()), driver.input("right", utf8(), utf8())];
    let (inner, outer) = (driver.output("inner", utf8(), utf8()), driver.output("outer", utf8(), utf8()));
    for (row, (side, value, timestamp, of_inner, of_outer)) in VECTORS.into_iter().enumerate() {
        let input = &inputs[usize::from(side == 'R')];
        match value {
            Some(value) => input.pipe("k", value, timestamp)?,
            None => input.pipe_null("k", timestamp)?,
        }
        let expected = |value: Option<&str>| -> Vec<_> {
            value.into_iter().map(|value| at("k", Some(value.to_owned()), timestamp)).collect()
        };
        assert_eq!(inner.read_all()?, expected(of_inner), "inner, row {}", row + 1);
        assert_eq!(outer.read_all()?, expected(of_outer), "left, row {}", row + 1);
    }
    Ok(())
}

#[test]
fn a_null_key_is_dropped_by_the_inner_join_and_joined_with_nothing_by_the_left() -> Outcome {
    let mut app = Topology::builder();
    let right = app.table("right", nullable(utf8()), utf8());
    let left = app.stream("left", nullable(utf8()), utf8());
    left.join(&right, |l, r| format!("{l}-{r}")).with_value_codec(utf8()).to("inner");
    left.left_join(&right, |l, r| format!("{l}-{r:?}")).with_value_codec(utf8()).to("outer");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("right", nullable(utf8()), utf8()).pipe(None::<String>, "r", 0)?;
    driver.input("left", nullable(utf8()), utf8()).pipe(None::<String>, "l", 1)?;
    assert_eq!(driver.output("inner", nullable(utf8()), utf8()).read_all()?, []);
    let outer = driver.output("outer", nullable(utf8()), utf8()).read_all()?;
    assert_eq!(outer, [(None, Some("l-None".to_owned()), 1)]);
    // The table's record, and the inner join's.
    assert_eq!(driver.dropped(), [("null-key", 2)].into());
    Ok(())
}

/// A table nobody looks into keeps no store; its changes, tombstones included, are passed on as they come.
#[test]
fn a_table_without_readers_is_not_stored() -> Outcome {
    let mut app = Topology::builder();
    app.table("in", utf8(), utf8()).to("out");
    let topology = app.build()?;
    assert!(topology.plan().sub_topologies[0].stores.is_empty());
    let driver = TestDriver::new(&topology)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 5)?;
    driver.input("in", utf8(), utf8()).pipe_null("k", 6)?;
    let expected = [at("k", Some("v".to_owned()), 5), at("k", None, 6)];
    assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, expected);
    Ok(())
}

/// A stored table passes on each key's last change at the commit.
#[test]
fn a_stored_table_passes_changes_on_at_the_commit() -> Outcome {
    let mut app = Topology::builder();
    let table = app.table("table", utf8(), utf8());
    table.to("changes");
    app.stream("in", utf8(), utf8()).join(&table, |_, t| t.clone()).with_value_codec(utf8()).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_COMMIT)?;
    let input = driver.input("table", utf8(), utf8());
    input.pipe("k", "old", 9)?;
    input.pipe("k", "new", 5)?;
    // A lookup sees what is not yet passed on.
    driver.input("in", utf8(), utf8()).pipe("k", "x", 1)?;
    driver.commit()?;
    assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, [at("k", Some("new".to_owned()), 1)]);
    // Applied in offset order, whatever the timestamps say.
    assert_eq!(driver.output("changes", utf8(), utf8()).read_all()?, [at("k", Some("new".to_owned()), 5)]);
    Ok(())
}

/// A table's own changes can be joined with that table: the store is in its place meanwhile.
#[test]
fn a_table_may_be_read_downstream_of_itself() -> Outcome {
    for options in [AT_ONCE, AT_COMMIT] {
        let mut app = Topology::builder();
        let counts = app.stream("in", utf8(), utf8()).group_by_key().count("counts");
        counts.to_stream().join(&counts, |change, now| change * 100 + now).with_value_codec(i64_be()).to("out");
        let driver = TestDriver::with_options(&app.build()?, options.clone())?;
        driver.input("in", utf8(), utf8()).pipe("k", "x", 1)?;
        driver.input("in", utf8(), utf8()).pipe("k", "y", 2)?;
        driver.commit()?;
        let expected = if options == AT_ONCE { vec![Some(101), Some(202)] } else { vec![Some(202)] };
        assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, expected);
    }
    Ok(())
}

/// A re-keyed stream meets the table in the right partition, whichever that is.
#[test]
fn a_rekeyed_stream_is_repartitioned_before_the_join() -> Outcome {
    let mut app = Topology::builder();
    let names = app.table("names", utf8(), utf8());
    app.stream("in", i64_be(), utf8())
        .map(|id, code| (code.clone(), *id))
        .with_value_codec(i64_be())
        .join(&names, |id, name| format!("{id} {name}"))
        .with_value_codec(utf8())
        .to("out");
    let topology = app.build()?;
    let driver = TestDriver::with_options(&topology, TestOptions { partitions: 7, ..AT_ONCE })?;
    for (code, name) in [("PRG", "Praha"), ("BRQ", "Brno"), ("OSR", "Ostrava")] {
        driver.input("names", utf8(), utf8()).pipe(code, name, 0)?;
    }
    for (id, code) in [(1, "OSR"), (2, "PRG"), (3, "BRQ"), (4, "XXX")] {
        driver.input("in", i64_be(), utf8()).pipe(id, code, 10)?;
    }
    let out: Vec<_> = driver.output("out", utf8(), utf8()).read_values()?.into_iter().flatten().collect();
    assert_eq!(out, ["1 Ostrava", "2 Praha", "3 Brno"]);
    Ok(())
}
