//! Foreign-key joins.

use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::{bytes, utf8};
use kappa_core::dsl::KTable;
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{Topology, TopologyError};
use std::collections::BTreeMap;

fn topology(left: bool) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let people = app.table("left", utf8(), utf8());
    let cities = app.table("right", utf8(), utf8());
    let city = |_: &String, value: &String| Some(value.clone()).filter(|value| !value.is_empty());
    let result: KTable<String, String> = match left {
        true => people.left_join_foreign_key("fk", utf8(), &cities, city, |value, city| {
            format!("{value},{}", city.map_or("null", String::as_str))
        }),
        false => people.join_foreign_key("fk", utf8(), &cities, city, |value, city| format!("{value},{city}")),
    };
    result.materialized("fk").to("out");
    app.build()
}

/// The table in Kafka Streams' documentation of foreign-key joins: input, result of the inner and of the left join.
/// Deletions of what was not there are left out, as they may or may not be passed on.
#[test]
fn joins_equal_the_documented_table() -> Outcome {
    type Row = (&'static str, &'static str, Option<&'static str>, &'static [&'static str], &'static [&'static str]);
    #[rustfmt::skip]
    let rows: [Row; 10] = [
        ("right", "1", Some("foo"), &[], &[]),
        ("left", "k", Some("1"), &["k=1,foo"], &["k=1,foo"]),
        ("left", "k", Some("2"), &["k=∅"], &["k=2,null"]),
        ("left", "k", Some("3"), &["k=∅"], &["k=3,null"]),
        ("right", "3", Some("bar"), &["k=3,bar"], &["k=3,bar"]),
        ("left", "k", None, &["k=∅"], &["k=∅"]),
        ("left", "k", Some("1"), &["k=1,foo"], &["k=1,foo"]),
        ("left", "q", Some("10"), &[], &["q=10,null"]),
        ("left", "r", Some("10"), &[], &["r=10,null"]),
        ("right", "10", Some("baz"), &["q=10,baz", "r=10,baz"], &["q=10,baz", "r=10,baz"]),
    ];
    for partitions in [1, 3] {
        for is_left in [false, true] {
            let driver = TestDriver::with_options(&topology(is_left)?, TestOptions { partitions, ..AT_ONCE })?;
            for (time, (topic, key, value, inner, left)) in (1..).zip(rows) {
                let input = driver.input(topic, utf8(), utf8());
                match value {
                    Some(value) => input.pipe(key, value, time)?,
                    None => input.pipe_null(key, time)?,
                }
                let out = driver.output("out", utf8(), utf8()).read_all()?;
                let mut out: Vec<String> = (out.into_iter())
                    .map(|(key, value, _)| format!("{key}={}", value.unwrap_or("∅".to_owned())))
                    .collect();
                // Two keys may be in two partitions.
                out.sort();
                let wanted = if is_left { left } else { inner };
                assert_eq!(out, wanted, "{partitions} partitions, left: {is_left}, row {time}");
            }
        }
    }
    Ok(())
}

/// By hand: an answer has the larger of both rows' times; a change of the right row its own.
#[test]
fn results_have_kafka_streams_times() -> Outcome {
    let driver = TestDriver::with_options(&topology(false)?, AT_ONCE)?;
    let (left, right) = (driver.input("left", utf8(), utf8()), driver.input("right", utf8(), utf8()));
    right.pipe("1", "a", 10)?;
    left.pipe("k", "1", 5)?;
    right.pipe("1", "b", 3)?;
    left.pipe("k", "1", 20)?;
    let out = driver.output("out", utf8(), utf8()).read_all()?;
    let expected = [("1,a", 10), ("1,b", 3), ("1,b", 20)].map(|(value, time)| at("k", Some(value.to_owned()), time));
    assert_eq!(out, expected);
    Ok(())
}

/// What lies in the topics between: by Kafka Streams' layouts, with the hashes of its own class.
#[test]
fn subscriptions_and_answers_travel_as_kafka_streams_writes_them() -> Outcome {
    let driver = TestDriver::with_options(&topology(false)?, AT_ONCE)?;
    driver.input("right", utf8(), utf8()).pipe("1", "foo", 1)?;
    driver.input("left", utf8(), utf8()).pipe("k", "r0|1", 2)?;
    let hash = [0x47, 0xd6, 0x13, 0x08, 0x2b, 0x7f, 0x3a, 0xe8, 0x2a, 0xc1, 0x0c, 0xeb, 0x46, 0xa0, 0x2d, 0xe3];
    let subscriptions = driver.repartition("fk-subscription-registration", utf8(), bytes()).read_all()?;
    let expected = [&[1, 3][..], &hash, b"k", &[0, 0, 0, 0]].concat();
    assert_eq!(subscriptions, [("r0|1".to_owned(), Some(expected), 2)]);
    driver.input("right", utf8(), utf8()).pipe("r0|1", "bar", 3)?;
    let answers = driver.repartition("fk-subscription-response", utf8(), bytes()).read_all()?;
    assert_eq!(answers, [("k".to_owned(), Some([&[0][..], &hash, b"bar"].concat()), 3)]);
    Ok(())
}

/// Whatever the partitions, caches, restarts and moves: in the end the result is what follows from both tables.
#[test]
fn the_result_follows_from_the_tables() -> Outcome {
    let mut random = 17_u64;
    let mut below = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    for partitions in [1, 3] {
        for options in [AT_ONCE, AT_COMMIT] {
            for left in [false, true] {
                let topology = topology(left)?;
                let driver = TestDriver::with_options(&topology, TestOptions { partitions, ..options.clone() })?;
                let (mut people, mut cities) = (BTreeMap::new(), BTreeMap::new());
                for time in 0..400 {
                    let (topic, key, value) = match below(3) {
                        0 => ("right", below(5).to_string(), format!("city{}", below(4))),
                        _ => ("left", format!("p{}", below(8)), below(6).to_string()),
                    };
                    let table = if topic == "left" { &mut people } else { &mut cities };
                    let input = driver.input(topic, utf8(), utf8());
                    if below(5) == 0 {
                        table.remove(&key);
                        input.pipe_null(key, time)?;
                    } else {
                        table.insert(key.clone(), value.clone());
                        input.pipe(key, value, time)?;
                    }
                    match below(40) {
                        0 => driver.commit()?,
                        1 => driver.restart()?,
                        2 => {
                            let tasks = driver.tasks();
                            driver.move_task(&tasks[below(tasks.len() as u64) as usize])?;
                        }
                        _ => {}
                    }
                }
                driver.commit()?;
                let joined = |(person, city): (&String, &String)| match cities.get(city) {
                    Some(name) => Some((person.clone(), format!("{city},{name}"))),
                    None => left.then(|| (person.clone(), format!("{city},null"))),
                };
                let expected: BTreeMap<String, String> = people.iter().filter_map(joined).collect();
                let result: BTreeMap<String, String> = driver.store("fk", utf8(), utf8()).all()?.into_iter().collect();
                assert_eq!(result, expected, "{partitions} partitions, left: {left}, {options:?}");
            }
        }
    }
    Ok(())
}
