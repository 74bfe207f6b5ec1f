//! Joins of two streams.

use super::{AT_ONCE, Outcome, at};
use kappa_core::codec::{nullable, utf8};
use kappa_core::dsl::{JoinWindows, KStream};
use kappa_core::testing::TestDriver;
use kappa_core::topology::{Topology, TopologyError};

/// One step of Kafka's published vectors: side, value (null as `None`), timestamp, and the results' left and right values.
type Step = (char, Option<&'static str>, i64, &'static [&'static str]);

/// `StreamStreamJoinIntegrationTest` of Apache Kafka: testInner, and up to the last two records testLeft and testOuter.
const VECTORS: [Step; 15] = [
    ('L', None, 1, &[]),
    ('R', None, 2, &[]),
    ('L', Some("A"), 3, &[]),
    ('R', Some("a"), 4, &["A-a"]),
    ('L', Some("B"), 5, &["B-a"]),
    ('R', Some("b"), 6, &["A-b", "B-b"]),
    ('L', None, 7, &[]),
    ('R', None, 8, &[]),
    ('L', Some("C"), 9, &["C-a", "C-b"]),
    ('R', Some("c"), 10, &["A-c", "B-c", "C-c"]),
    ('R', None, 11, &[]),
    ('L', None, 12, &[]),
    ('R', None, 13, &[]),
    ('R', Some("d"), 14, &["A-d", "B-d", "C-d"]),
    ('L', Some("D"), 15, &["D-a", "D-b", "D-c", "D-d"]),
];

/// The same with the result joined with the right stream once more: testMultiInner.
const CHAINED: [&[&str]; 15] = [
    &[],
    &[],
    &[],
    &["A-a-a"],
    &["B-a-a"],
    &["A-b-a", "B-b-a", "A-a-b", "B-a-b", "A-b-b", "B-b-b"],
    &[],
    &[],
    &["C-a-a", "C-a-b", "C-b-a", "C-b-b"],
    &[
        "A-c-a", "A-c-b", "B-c-a", "B-c-b", "C-c-a", "C-c-b", "A-a-c", "B-a-c", "A-b-c", "B-b-c", "C-a-c", "C-b-c",
        "A-c-c", "B-c-c", "C-c-c",
    ],
    &[],
    &[],
    &[],
    &[
        "A-d-a", "A-d-b", "A-d-c", "B-d-a", "B-d-b", "B-d-c", "C-d-a", "C-d-b", "C-d-c", "A-a-d", "B-a-d", "A-b-d",
        "B-b-d", "C-a-d", "C-b-d", "A-c-d", "B-c-d", "C-c-d", "A-d-d", "B-d-d", "C-d-d",
    ],
    &[
        "D-a-a", "D-a-b", "D-a-c", "D-a-d", "D-b-a", "D-b-b", "D-b-c", "D-b-d", "D-c-a", "D-c-b", "D-c-c", "D-c-d",
        "D-d-a", "D-d-b", "D-d-c", "D-d-d",
    ],
];

/// Ten seconds, and a day of grace, so that no window closes.
const WIDE: JoinWindows = JoinWindows::within_ms(10_000, 86_400_000);

type Key = Option<String>;

fn show(value: Option<&String>) -> &str {
    value.map_or("null", String::as_str)
}

fn left_join(left: &KStream<Key, String>, right: &KStream<Key, String>, windows: JoinWindows) -> KStream<Key, String> {
    left.left_join_within("left", right, windows, |l, r| format!("{l}-{}", show(r))).with_value_codec(utf8())
}

fn outer_join(left: &KStream<Key, String>, right: &KStream<Key, String>, windows: JoinWindows) -> KStream<Key, String> {
    left.outer_join_within("outer", right, windows, |l, r| format!("{}-{}", show(l), show(r))).with_value_codec(utf8())
}

#[test]
fn inner_left_outer_and_chained_joins_equal_kafkas_vectors() -> Outcome {
    let mut app = Topology::builder();
    let [left, right] = ["left", "right"].map(|topic| app.stream(topic, nullable(utf8()), utf8()));
    let join = |l: &String, r: &String| format!("{l}-{r}");
    let inner = left.join_within("inner", &right, WIDE, join).with_value_codec(utf8());
    inner.to("inner");
    left_join(&left, &right, WIDE).to("left-out");
    outer_join(&left, &right, WIDE).to("outer");
    inner.join_within("again", &right, WIDE, join).with_value_codec(utf8()).to("chained");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let out = |topic: &str| driver.output::<Key, String>(topic, nullable(utf8()), utf8()).read_all();
    let pipe = |side: char, key: Option<&str>, value: Option<&str>, timestamp_ms: i64| {
        let input = driver.input::<Key, Option<String>>(
            if side == 'L' { "left" } else { "right" },
            nullable(utf8()),
            nullable(utf8()),
        );
        input.pipe(key.map(str::to_owned), value.map(str::to_owned), timestamp_ms)
    };
    for (row, (side, value, timestamp_ms, results)) in VECTORS.into_iter().enumerate() {
        pipe(side, Some("k"), value, timestamp_ms)?;
        let expected = |results: &[&str]| -> Vec<_> {
            let key = Some("k".to_owned());
            results.iter().map(|result| (key.clone(), Some((*result).to_owned()), timestamp_ms)).collect()
        };
        for topic in ["inner", "left-out", "outer"] {
            assert_eq!(out(topic)?, expected(results), "{topic}, row {}", row + 1);
        }
        assert_eq!(out("chained")?, expected(CHAINED[row]), "chained, row {}", row + 1);
    }
    pipe('L', None, Some("E"), 16)?;
    pipe('R', None, Some("e"), 17)?;
    let (left, right) = ((None, Some("E-null".to_owned()), 16), (None, Some("null-e".to_owned()), 17));
    assert_eq!((out("inner")?, out("chained")?), (vec![], vec![]));
    assert_eq!(out("left-out")?, std::slice::from_ref(&left));
    assert_eq!(out("outer")?, [left, right]);
    Ok(())
}

/// One step: topic, key, value, time, and what it gives.
type Timed = (&'static str, Option<&'static str>, &'static str, i64, &'static [(&'static str, &'static str, i64)]);

/// What Kafka Streams 4.3.0 makes of an outer join from 0 before to 20 after (`oracle/hand/facts.jsonl`, "minTime"), and more of
/// the same kind: R8 and R10 are due when time is past them; L5 is due at 26 and comes at 29, because the walk that met R10 last
/// took its time for the oldest.
const OLDEST: [Timed; 6] = [
    ("left", Some("a"), "L5", 5, &[]),
    ("right", Some("b"), "R8", 8, &[]),
    ("right", Some("c"), "R10", 10, &[("b", "null-R8", 8)]),
    ("left", Some("z"), "L26", 26, &[("a", "L5-null", 5), ("c", "null-R10", 10)]),
    ("left", Some("z"), "L29", 29, &[]),
    ("left", Some("z"), "L40", 40, &[]),
];

/// What came out at each step.
type Results = Vec<Vec<(Key, Option<String>, i64)>>;

fn timed(
    steps: &[Timed],
    windows: JoinWindows,
    mut between: impl FnMut(&TestDriver) -> Outcome,
) -> Result<Results, Box<dyn std::error::Error>> {
    let mut app = Topology::builder();
    let [left, right] = ["left", "right"].map(|topic| app.stream(topic, nullable(utf8()), utf8()));
    outer_join(&left, &right, windows).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let mut outputs = Vec::new();
    for (topic, key, value, timestamp_ms, _) in steps {
        let input = driver.input::<Key, String>(topic, nullable(utf8()), utf8());
        input.pipe(key.map(str::to_owned), *value, *timestamp_ms)?;
        outputs.push(driver.output::<Key, String>("out", nullable(utf8()), utf8()).read_all()?);
        between(&driver)?;
    }
    Ok(outputs)
}

/// Neither a restart nor a move to where nothing is known changes what comes out, and when.
#[test]
fn what_waits_and_the_joins_time_survive_restarts_and_moves() -> Outcome {
    let windows = JoinWindows::within_ms(0, 0).after_ms(20);
    let plain = timed(&OLDEST, windows, |_| Ok(()))?;
    let restarted = timed(&OLDEST, windows, |driver| Ok(driver.restart()?))?;
    let moved =
        timed(&OLDEST, windows, |driver| Ok(driver.tasks().iter().try_for_each(|task| driver.move_task(task))?))?;
    assert_eq!(plain, restarted);
    assert_eq!(plain, moved);
    assert!(plain.iter().flatten().count() >= 3, "{plain:?}");
    Ok(())
}

/// Before and after are seen from the left: a right record must be 1 to 3 ms later here.
#[test]
fn windows_may_lie_on_one_side() -> Outcome {
    let mut app = Topology::builder();
    let [left, right] = ["left", "right"].map(|topic| app.stream(topic, utf8(), utf8()));
    let windows = JoinWindows::within_ms(3, 0).before_ms(-1);
    left.join_within("j", &right, windows, |l, r| format!("{l}{r}")).with_value_codec(utf8()).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let [left, right] = ["left", "right"].map(|topic| driver.input(topic, utf8(), utf8()));
    left.pipe("k", "l10", 10)?;
    for time_ms in [9, 10, 11, 13, 14] {
        right.pipe("k", format!("r{time_ms}"), time_ms)?;
    }
    left.pipe("k", "l12", 12)?;
    let expected = [("l10r11", 11), ("l10r13", 13), ("l12r13", 13), ("l12r14", 14)];
    let expected = expected.map(|(value, time_ms)| at("k", Some(value.to_owned()), time_ms));
    assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, expected);
    Ok(())
}

#[test]
fn sides_that_are_keyed_anew_are_repartitioned_and_left_joins_keep_null_keys() -> Outcome {
    let mut app = Topology::builder();
    let right = app.stream("right", nullable(utf8()), utf8());
    let left = app.stream("left", nullable(utf8()), utf8());
    let left = left.select_key(nullable(utf8()), |_, value: &String| value.chars().next().map(String::from));
    left_join(&left, &right, JoinWindows::within_ms(5, 0)).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input::<Key, String>("right", nullable(utf8()), utf8()).pipe(Some("x".to_owned()), "r", 1)?;
    let left = driver.input::<Key, String>("left", nullable(utf8()), utf8());
    left.pipe(Some("any".to_owned()), "xl", 2)?;
    left.pipe(Some("any".to_owned()), "", 3)?;
    let expected = [(Some("x".to_owned()), Some("xl-r".to_owned()), 2), (None, Some("-null".to_owned()), 3)];
    assert_eq!(driver.output("out", nullable(utf8()), utf8()).read_all()?, expected);
    Ok(())
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    let build = |windows: JoinWindows| {
        let mut app = Topology::builder();
        let [left, right] = ["left", "right"].map(|topic| app.stream(topic, utf8(), utf8()));
        left.join_within("j", &right, windows, |l, r| format!("{l}{r}")).with_value_codec(utf8()).to("out");
        app.build().map(drop)
    };
    assert_eq!(build(JoinWindows::within_ms(0, 0)), Ok(()));
    for windows in [JoinWindows::within_ms(3, 0).before_ms(-4), JoinWindows::within_ms(3, -1)] {
        let refused = build(windows);
        let named = matches!(&refused, Err(TopologyError::BadTime { operator, .. }) if operator == "join_within(j)");
        assert!(named, "{refused:?}");
    }
}
