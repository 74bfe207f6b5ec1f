//! Versioned tables: joins as of a time, and with grace.

use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::testing::TestDriver;
use kappa_core::topology::{Topology, TopologyError};

/// Side, value, timestamp, and the results with their timestamps.
type Step = (&'static str, &'static str, i64, &'static [(&'static str, i64)]);

/// By Kafka Streams' rules (KIP-923), grace 5: a record waits until one comes that is 5 later; one that is later than that
/// is joined at once; each is joined with the version of its own time.
const GRACE: [Step; 7] = [
    ("right", "r1", 1, &[]),
    ("left", "l3", 3, &[]),
    ("right", "r2", 2, &[]),
    ("left", "l8", 8, &[("l3-r2", 3)]),
    ("left", "l2", 2, &[("l2-r2", 2)]),
    ("left", "l20", 20, &[("l8-r2", 8)]),
    ("left", "l14", 14, &[("l14-r2", 14)]),
];

#[test]
fn records_wait_for_rows_that_come_late_also_over_restarts() -> Outcome {
    for way in ["stay", "restart", "move"] {
        let mut app = Topology::builder();
        let table = app.table("right", utf8(), utf8()).versioned("versions", 100);
        app.stream("left", utf8(), utf8())
            .left_join_with_grace(&table, "waiting", 5, |l, r| format!("{l}-{}", r.map_or("null", String::as_str)))
            .with_value_codec(utf8())
            .to("out");
        let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
        for (topic, value, time_ms, results) in GRACE {
            driver.input(topic, utf8(), utf8()).pipe("k", value, time_ms)?;
            let expected: Vec<_> =
                results.iter().map(|(result, ms)| at("k", Some((*result).to_owned()), *ms)).collect();
            assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, expected, "{value}, {way}");
            match way {
                "restart" => driver.restart()?,
                "move" => driver.tasks().iter().try_for_each(|task| driver.move_task(task))?,
                _ => {}
            }
        }
    }
    Ok(())
}

/// Cache or not, every value that an aggregate has had is a version.
#[test]
fn an_aggregates_versions_are_all_kept_whatever_the_cache() -> Outcome {
    for options in [AT_ONCE, AT_COMMIT] {
        let mut app = Topology::builder();
        let counts = app.stream("in", utf8(), utf8()).group_by_key().count("counts").versioned("count-versions", 1_000);
        app.stream("ask", utf8(), utf8()).join(&counts, |_, count| *count).with_value_codec(i64_be()).to("out");
        let driver = TestDriver::with_options(&app.build()?, options.clone())?;
        for time_ms in [10, 20, 30] {
            driver.input("in", utf8(), utf8()).pipe("k", "x", time_ms)?;
        }
        for time_ms in [9, 10, 19, 25, 30] {
            driver.input("ask", utf8(), utf8()).pipe("k", "how many?", time_ms)?;
        }
        driver.commit()?;
        let expected = [at("k", Some(1), 10), at("k", Some(1), 19), at("k", Some(2), 25), at("k", Some(3), 30)];
        assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, expected);
        let mut versions = driver.versioned_store::<String, i64>("count-versions", utf8(), i64_be())?;
        assert_eq!(versions.get_as_of(&"k".to_owned(), 29)?, Some((2, 20)));
    }
    Ok(())
}

#[test]
fn rows_older_than_the_history_are_dropped_and_counted() -> Outcome {
    let mut app = Topology::builder();
    app.table("in", utf8(), utf8()).versioned("versions", 10).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let input = driver.input("in", utf8(), utf8());
    for (value, time_ms) in [("a", 100), ("late", 90), ("too late", 89)] {
        input.pipe("k", value, time_ms)?;
    }
    let out = driver.output("out", utf8(), utf8()).read_all()?;
    assert_eq!(out, [at("k", Some("a".to_owned()), 100), at("k", Some("late".to_owned()), 90)]);
    assert_eq!(driver.dropped(), [("expired", 1)].into());
    Ok(())
}

#[test]
fn grace_needs_a_history_that_is_as_long() {
    let build = |history_ms: Option<i64>, grace_ms: i64| {
        let mut app = Topology::builder();
        let table = app.table("right", utf8(), utf8());
        let table = history_ms.map_or(table.clone(), |history_ms| table.versioned("versions", history_ms));
        app.stream("left", utf8(), utf8())
            .join_with_grace(&table, "waiting", grace_ms, |l, r| format!("{l}{r}"))
            .with_value_codec(utf8())
            .to("out");
        app.build().map(drop)
    };
    assert_eq!(build(Some(5), 5), Ok(()));
    for (history_ms, grace_ms) in [(None, 5), (Some(4), 5), (Some(4), -1), (Some(-1), -1)] {
        assert!(matches!(build(history_ms, grace_ms), Err(TopologyError::BadTime { .. })), "{history_ms:?} {grace_ms}");
    }
}
