//! Joins of tables. Expected values are Kafka Streams 4.3.0's, run through its TopologyTestDriver: its golden input of
//! `TableTableJoinIntegrationTest`.

use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::utf8;
use kappa_core::dsl::KTable;
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{Topology, TopologyBuilder};

/// Side, value (null as `None`), timestamp.
type Input = (char, Option<&'static str>, i64);

#[rustfmt::skip]
const INPUT: [Input; 23] = [
    ('L', None, 1), ('R', None, 2), ('L', Some("A"), 3), ('R', Some("a"), 4), ('L', Some("B"), 5), ('R', Some("b"), 6),
    ('L', None, 7), ('R', None, 8), ('L', Some("C"), 9), ('R', Some("c"), 10), ('R', None, 11), ('L', None, 12),
    ('R', None, 13), ('R', Some("d"), 7), ('L', Some("D"), 6), ('L', None, 2), ('R', None, 3), ('R', Some("e"), 14),
    ('L', Some("E"), 15), ('L', None, 10), ('R', None, 9), ('L', Some("F"), 4), ('R', Some("f"), 3),
];

/// Row of the input, value, timestamp.
type Expected = (usize, Option<&'static str>, i64);

#[rustfmt::skip]
const INNER: [Expected; 10] = [
    (4, Some("A+a"), 4), (5, Some("B+a"), 5), (6, Some("B+b"), 6), (7, None, 7), (10, Some("C+c"), 10), (11, None, 11),
    (15, Some("D+d"), 7), (16, None, 7), (19, Some("E+e"), 15), (20, None, 14),
];

#[rustfmt::skip]
const LEFT: [Expected; 14] = [
    (3, Some("A+null"), 3), (4, Some("A+a"), 4), (5, Some("B+a"), 5), (6, Some("B+b"), 6), (7, None, 7),
    (9, Some("C+null"), 9), (10, Some("C+c"), 10), (11, Some("C+null"), 11), (12, None, 12), (15, Some("D+d"), 7),
    (16, None, 7), (19, Some("E+e"), 15), (20, None, 14), (22, Some("F+null"), 4),
];

#[rustfmt::skip]
const OUTER: [Expected; 19] = [
    (3, Some("A+null"), 3), (4, Some("A+a"), 4), (5, Some("B+a"), 5), (6, Some("B+b"), 6), (7, Some("null+b"), 7),
    (8, None, 8), (9, Some("C+null"), 9), (10, Some("C+c"), 10), (11, Some("C+null"), 11), (12, None, 12),
    (14, Some("null+d"), 7), (15, Some("D+d"), 7), (16, Some("null+d"), 7), (17, None, 3), (18, Some("null+e"), 14),
    (19, Some("E+e"), 15), (20, Some("null+e"), 14), (21, None, 9), (22, Some("F+null"), 4),
];

fn text(value: Option<&String>) -> &str {
    value.map_or("null", String::as_str)
}

fn joined(kind: &str, left: &KTable<String, String>, right: &KTable<String, String>) -> KTable<String, String> {
    match kind {
        "left" => left.left_join(right, |l, r| format!("{l}+{}", text(r))),
        "outer" => left.outer_join(right, |l, r| format!("{}+{}", text(l), text(r))),
        _ => left.join(right, |l, r| format!("{l}+{r}")),
    }
    .with_value_codec(utf8())
}

fn tables(app: &mut TopologyBuilder) -> [KTable<String, String>; 2] {
    ["L", "R"].map(|topic| app.table(topic, utf8(), utf8()))
}

fn pipe(driver: &TestDriver, key: &str, (side, value, time): Input) -> Outcome {
    let input = driver.input(&side.to_string(), utf8(), utf8());
    match value {
        Some(value) => input.pipe(key, value, time)?,
        None => input.pipe_null(key, time)?,
    }
    Ok(())
}

#[test]
fn joins_equal_kafka_streams_row_by_row() -> Outcome {
    for (kind, expected) in [("inner", &INNER[..]), ("left", &LEFT), ("outer", &OUTER)] {
        for kept in [false, true] {
            let mut app = Topology::builder();
            let [left, right] = tables(&mut app);
            let join = joined(kind, &left, &right);
            if kept { join.materialized("join") } else { join }.to("out");
            let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
            // The last row of all three is F+f@4.
            let last = [(23, Some("F+f"), 4)];
            for (row, input) in (1..).zip(INPUT) {
                pipe(&driver, "k", input)?;
                let of_row = expected.iter().chain(&last).filter(|(of, ..)| *of == row);
                let of_row: Vec<_> = of_row.map(|(_, value, time)| at("k", value.map(str::to_owned), *time)).collect();
                let out = driver.output("out", utf8(), utf8()).read_all()?;
                assert_eq!(out, of_row, "{kind}, kept: {kept}, row {row}");
            }
            if kept {
                assert_eq!(driver.store("join", utf8(), utf8()).get("k")?, Some("F+f".into()));
            }
        }
    }
    Ok(())
}

/// A result that nobody keeps is computed of both sides where it is looked up; chains of joins too.
#[test]
fn results_are_looked_up_through_chains() -> Outcome {
    let mut app = Topology::builder();
    let [left, right] = tables(&mut app);
    let third = app.table("T", utf8(), utf8());
    let all = joined("outer", &joined("left", &left, &right).filter(|_, value| value != "x+null"), &third);
    app.stream("queries", utf8(), utf8())
        .left_join(&all, |_, found| text(found).to_owned())
        .with_value_codec(utf8())
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, TestOptions { partitions: 3, ..AT_ONCE })?;
    for (topic, key, value) in [("L", "a", "1"), ("R", "a", "2"), ("T", "a", "3"), ("L", "b", "x"), ("T", "c", "4")] {
        driver.input(topic, utf8(), utf8()).pipe(key, value, 1)?;
    }
    for key in ["a", "b", "c"] {
        driver.input("queries", utf8(), utf8()).pipe(key, "?", 2)?;
    }
    let mut found = driver.output("out", utf8(), utf8()).read_all()?;
    found.sort();
    let expected = ["1+2+3", "null", "null+4"].map(|text| Some(text.to_owned()));
    assert_eq!(found.into_iter().map(|(_, value, _)| value).collect::<Vec<_>>(), expected);
    Ok(())
}

/// Both sides of a self join see a change, so it comes out twice (Kafka Streams makes nothing of it either).
#[test]
fn a_self_join_gives_two_results_for_a_change() -> Outcome {
    let mut app = Topology::builder();
    let left = app.table("L", utf8(), utf8());
    joined("inner", &left, &left).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("L", utf8(), utf8()).pipe("k", "a", 1)?;
    driver.input("L", utf8(), utf8()).pipe("k", "b", 2)?;
    let out = driver.output("out", utf8(), utf8()).read_values()?;
    assert_eq!(out, ["a+a", "a+a", "b+b", "b+b"].map(|value| Some(value.to_owned())));
    Ok(())
}

/// What is aggregated of a join's results is what follows from the tables, in any order of changes, over restarts.
#[test]
fn sums_of_joined_rows_follow_from_the_tables() -> Outcome {
    for options in [AT_ONCE, AT_COMMIT, TestOptions { partitions: 3, ..AT_ONCE }] {
        let mut app = Topology::builder();
        let [left, right] = tables(&mut app);
        let _ = joined("inner", &left, &right)
            .group_by(utf8(), utf8(), |_, value| Some(("all".to_owned(), value.clone())))
            .count("rows");
        let driver = TestDriver::with_options(&app.build()?, options.clone())?;
        for (row, input) in INPUT.into_iter().enumerate() {
            for key in ["k", "l", "m"] {
                pipe(&driver, key, input)?;
            }
            if row % 5 == 4 {
                driver.restart()?;
            }
        }
        driver.commit()?;
        let counts = driver.store("rows", utf8(), kappa_core::codec::i64_be());
        assert_eq!(counts.get("all")?, Some(3), "F+f of three keys; {options:?}");
    }
    Ok(())
}
