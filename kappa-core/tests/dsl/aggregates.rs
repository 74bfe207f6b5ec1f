//! Aggregates: results, timestamps, deletions, the cache.

use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, nullable, utf8};
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{Topology, TopologyError};
use std::collections::BTreeMap;

/// Adds numbers; 0 deletes.
fn sums() -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    app.stream("in", utf8(), i64_be())
        .group_by_key()
        .aggregate("sums", i64_be(), || 100, |_, n, sum| if *n == 0 { None } else { Some(sum + n) })
        .to("out");
    app.build()
}

/// Result timestamps are the largest seen; an aggregator's None deletes, forwards a tombstone, and the next
/// record starts from the initializer, with its own timestamp.
#[test]
fn an_aggregate_with_every_update_passed_on() -> Outcome {
    let driver = TestDriver::with_options(&sums()?, AT_ONCE)?;
    let input = driver.input("in", utf8(), i64_be());
    for (n, timestamp) in [(1, 10), (2, 5), (0, 20), (3, 7), (0, 3)] {
        input.pipe("k", n, timestamp)?;
    }
    let expected =
        [at("k", Some(101), 10), at("k", Some(103), 10), at("k", None, 20), at("k", Some(103), 7), at("k", None, 7)];
    assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, expected);
    assert_eq!(driver.store("sums", utf8(), i64_be()).all()?, []);
    Ok(())
}

/// With the cache, each key's last result comes at the commit, in the order of the keys' last writes
/// (observed on Kafka Streams 4.3: scenario "cache"); a key that came and went within it leaves no trace.
#[test]
fn an_aggregate_with_results_at_the_commit() -> Outcome {
    let driver = TestDriver::with_options(&sums()?, AT_COMMIT)?;
    let input = driver.input("in", utf8(), i64_be());
    for (key, n, timestamp) in [("a", 1, 10), ("b", 2, 11), ("c", 1, 12), ("c", 0, 13), ("a", 3, 9)] {
        input.pipe(key, n, timestamp)?;
    }
    let out = driver.output("out", utf8(), i64_be());
    assert_eq!(out.read_all()?, []);
    driver.commit()?;
    assert_eq!(out.read_all()?, [at("b", Some(102), 11), at("a", Some(104), 10)]);
    input.pipe("b", 0, 30)?;
    driver.commit()?;
    assert_eq!(out.read_all()?, [at("b", None, 30)]);
    assert_eq!(driver.store("sums", utf8(), i64_be()).all()?, [("a".to_owned(), 104)]);
    Ok(())
}

/// A cache that is full passes results on before the commit.
#[test]
fn a_full_cache_passes_results_on_early() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .reduce("last", |_, new| new.clone())
        .to_stream()
        .for_each(|_, value| assert!(!value.is_empty()));
    app.stream("in", utf8(), utf8()).group_by_key().count("counts").to("out");
    let driver = TestDriver::with_options(&app.build()?, TestOptions { cache_bytes: 1, ..AT_COMMIT })?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 0)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 1)?;
    driver.commit()?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(1), Some(2)]);
    Ok(())
}

/// The first value is stored as it is: the reducer is not called for it. A null value is dropped, with the
/// metric, and changes nothing.
#[test]
fn reduce_begins_with_the_first_value() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), i64_be()).group_by_key().reduce("product", |old, new| old * new).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let input = driver.input("in", utf8(), i64_be());
    input.pipe("k", 6, 1)?;
    input.pipe_null("k", 2)?;
    input.pipe("k", 7, 3)?;
    let expected = [at("k", Some(6), 1), at("k", Some(42), 3)];
    assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, expected);
    assert_eq!(driver.dropped(), [("null-value", 1)].into());
    Ok(())
}

#[test]
fn null_keys_are_dropped_from_aggregates_and_before_repartitioning() -> Outcome {
    let mut app = Topology::builder();
    let input = app.stream("in", nullable(utf8()), utf8());
    input.group_by_key().count("by-key").to("out");
    input.group_by(nullable(utf8()), |_, _| None).count("by-nothing").to("out");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", nullable(utf8()), utf8()).pipe(None::<String>, "v", 0)?;
    assert_eq!(driver.output("out", nullable(utf8()), i64_be()).read_all()?, []);
    assert_eq!(driver.repartition("by-nothing", nullable(utf8()), utf8()).read_all()?, []);
    assert_eq!(driver.dropped(), [("null-key", 1), ("null-key-repartition", 1)].into());
    Ok(())
}

/// Each record goes to the partition of its new key, so every key is counted in one place.
#[test]
fn a_word_count_over_several_partitions() -> Outcome {
    let mut app = Topology::builder();
    app.stream("lines", utf8(), utf8())
        .flat_map_values(|_, line| line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .with_value_codec(utf8())
        .group_by(utf8(), |_, word| word.clone())
        .count("words")
        .to_view("words");
    let driver = TestDriver::with_options(&app.build()?, TestOptions { partitions: 5, ..Default::default() })?;
    let lines = driver.input("lines", utf8(), utf8());
    for (n, line) in ["to be or not to be", "not to be", "be"].into_iter().enumerate() {
        lines.pipe(format!("line {n}"), line, n as i64)?;
    }
    let expected: BTreeMap<String, i64> =
        [("to", 3), ("be", 4), ("or", 1), ("not", 2)].map(|(word, count)| (word.to_owned(), count)).into();
    assert_eq!(driver.view("words", utf8(), i64_be()).read_latest()?, expected);
    assert_eq!(driver.store("words", utf8(), i64_be()).get("be")?, Some(4));
    Ok(())
}

/// What one table passes on at the commit reaches the next one before that is flushed itself.
#[test]
fn aggregates_behind_aggregates_are_flushed_in_one_commit() -> Outcome {
    let mut app = Topology::builder();
    let counts = app.stream("in", utf8(), utf8()).group_by_key().count("z-first").to_stream();
    counts.group_by_key().reduce("a-second", |old, new| old.max(*new)).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_COMMIT)?;
    let input = driver.input("in", utf8(), utf8());
    input.pipe("k", "x", 1)?;
    input.pipe("k", "y", 2)?;
    driver.commit()?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, [at("k", Some(2), 2)]);
    assert_eq!(driver.store("a-second", utf8(), i64_be()).get("k")?, Some(2));
    Ok(())
}
