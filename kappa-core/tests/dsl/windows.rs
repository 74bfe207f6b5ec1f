//! Windowed aggregates. Expected values are what Kafka Streams 4.3 does with the same records (its TopologyTestDriver), or come
//! from calculation by hand where kappa does otherwise.

use super::{AT_COMMIT, AT_ONCE, Outcome};
use kappa_core::codec::{i64_be, session_windowed, time_windowed, utf8};
use kappa_core::dsl::Suppressed;
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{Topology, TopologyBuilder, TopologyError};
use kappa_core::window::{SessionWindows, SlidingWindows, TimeWindows, Windowed};

type Emitted = (i64, i64, Option<&'static str>, i64);

fn windowed(emitted: &[Emitted]) -> Vec<(Windowed<String>, Option<String>, i64)> {
    let row = |&(start_ms, end_ms, value, timestamp_ms): &Emitted| {
        (Windowed::new("a".to_owned(), start_ms, end_ms), value.map(str::to_owned), timestamp_ms)
    };
    emitted.iter().map(row).collect()
}

fn concat(_: &String, value: &String, sum: String) -> String {
    format!("{sum}+{value}")
}

#[test]
fn sliding_windows_come_in_kafka_streams_order() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(SlidingWindows::of(10).grace(50))
        .aggregate("agg", utf8(), || "I".to_owned(), concat)
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", time_windowed(utf8(), 10), utf8()));
    let steps: [(&str, i64, &[Emitted]); 5] = [
        ("1", 10, &[(0, 10, Some("I+1"), 10)]),
        ("2", 15, &[(11, 21, Some("I+2"), 15), (5, 15, Some("I+1+2"), 15)]),
        ("3", 20, &[(11, 21, Some("I+2+3"), 20), (16, 26, Some("I+3"), 20), (10, 20, Some("I+1+2+3"), 20)]),
        (
            "4",
            13,
            &[
                (11, 21, Some("I+2+3+4"), 20),
                (10, 20, Some("I+1+2+3+4"), 20),
                (5, 15, Some("I+1+2+4"), 15),
                (3, 13, Some("I+1+4"), 13),
                (14, 24, Some("I+2+3"), 20),
            ],
        ),
        ("5", 3, &[(3, 13, Some("I+1+4+5"), 13), (4, 14, Some("I+1+4"), 13), (0, 10, Some("I+1+5"), 10)]),
    ];
    for (value, timestamp_ms, expected) in steps {
        input.pipe("a", value, timestamp_ms)?;
        assert_eq!(out.read_all()?, windowed(expected), "{value} at {timestamp_ms}");
    }
    Ok(())
}

#[test]
fn sessions_merge_with_tombstones() -> Outcome {
    let mut app = Topology::builder();
    let merger = |_: &String, one: String, other: String| format!("({one}|{other})");
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(SessionWindows::with_gap(5))
        .aggregate("agg", utf8(), || "I".to_owned(), concat, merger)
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", session_windowed(utf8()), utf8()));
    input.pipe("a", "1", 3)?;
    input.pipe("a", "2", 5)?;
    let expected: [Emitted; 3] = [(3, 3, Some("I+1"), 3), (3, 3, None, 3), (3, 5, Some("(I|I+1)+2"), 5)];
    assert_eq!(out.read_all()?, windowed(&expected));
    Ok(())
}

/// Kafka Streams loses the window from 10 here: its store hides it before it closes.
#[test]
fn every_closed_window_is_emitted_once_where_time_jumps() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(10))
        .emit_on_close()
        .aggregate("agg", utf8(), || "I".to_owned(), concat)
        .to("out");
    let topology = app.build()?;
    for options in [AT_ONCE, TestOptions::default()] {
        let driver = TestDriver::with_options(&topology, options)?;
        let input = driver.input("in", utf8(), utf8());
        for (value, timestamp_ms) in [("1", 3), ("2", 12), ("3", 45), ("4", 56), ("5", 66)] {
            input.pipe("a", value, timestamp_ms)?;
            driver.restart()?;
        }
        let expected: [Emitted; 4] =
            [(0, 10, Some("I+1"), 3), (10, 20, Some("I+2"), 12), (40, 50, Some("I+3"), 45), (50, 60, Some("I+4"), 56)];
        let out = driver.output("out", time_windowed(utf8(), 10), utf8());
        assert_eq!(out.read_all()?, windowed(&expected));
    }
    Ok(())
}

fn all_kinds(app: &mut TopologyBuilder) {
    let grouped = app.stream("in", utf8(), utf8()).group_by_key();
    grouped.windowed_by(TimeWindows::hopping(20, 5).grace(7)).count("hopping").to("hopping-out");
    grouped.windowed_by(TimeWindows::tumbling(10).grace(3)).emit_on_close().count("closing").to("closing-out");
    grouped.windowed_by(SlidingWindows::of(9).grace(4)).count("sliding").to("sliding-out");
    grouped.windowed_by(SessionWindows::with_gap(8).grace(2)).emit_on_close().count("session").to("session-out");
    grouped
        .windowed_by(TimeWindows::tumbling(15).grace(5))
        .count("counts")
        .suppress("held", Suppressed::until_window_closes())
        .to("final-out");
}

/// Whatever stops the task between two records, with its state or without: the output is the same.
#[test]
fn a_restart_or_a_move_between_any_two_records_changes_nothing() -> Outcome {
    let mut app = Topology::builder();
    all_kinds(&mut app);
    let topology = app.build()?;
    let run = |stops: usize| -> Result<Vec<_>, Box<dyn std::error::Error>> {
        let driver = TestDriver::with_options(&topology, AT_ONCE)?;
        let input = driver.input("in", utf8(), utf8());
        let mut written = Vec::new();
        for number in 0..60_i64 {
            // Forward by fits and starts, some late, now and then a jump.
            let timestamp_ms = (number * 4 + number % 7 * 5 - number % 5 * 8 + number / 20 * 100).max(0);
            input.pipe(["a", "b", "c"][number as usize % 3], "v", timestamp_ms)?;
            match stops {
                1 => driver.restart()?,
                2 => driver.tasks().iter().try_for_each(|task| driver.move_task(task))?,
                _ => {}
            }
            let record = |record: kappa_core::testing::WrittenRecord| {
                (record.topic, record.key, record.value, record.timestamp_ms)
            };
            written.extend(driver.take_written().into_iter().map(record));
        }
        Ok(written)
    };
    let expected = run(0)?;
    assert!(expected.len() > 200, "{}", expected.len());
    assert_eq!(run(1)?, expected, "restarted");
    assert_eq!(run(2)?, expected, "moved");
    Ok(())
}

#[test]
fn suppress_holds_a_key_back_from_its_first_change_on() -> Outcome {
    let mut app = Topology::builder();
    app.table("in", utf8(), utf8()).suppress("held", Suppressed::until_time_limit(10)).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    input.pipe("a", "1", 1)?;
    input.pipe("a", "2", 5)?;
    input.pipe("b", "9", 10)?;
    assert_eq!(out.read_all()?, []);
    input.pipe("b", "9", 11)?;
    assert_eq!(out.read_all()?, [("a".into(), Some("2".into()), 5)]);
    input.pipe_null("a", 20)?;
    assert_eq!(out.read_all()?, [("b".into(), Some("9".into()), 11)]);
    input.pipe("c", "1", 40)?;
    assert_eq!(out.read_all()?, [("a".into(), None, 20)]);
    Ok(())
}

#[test]
fn with_a_cache_each_windows_last_result_comes_with_the_commit() -> Outcome {
    let mut app = Topology::builder();
    let counts = app.stream("in", utf8(), utf8()).group_by_key().windowed_by(TimeWindows::tumbling(10)).count("counts");
    counts.to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_COMMIT)?;
    let input = driver.input("in", utf8(), utf8());
    for timestamp_ms in [1, 2, 12, 13] {
        input.pipe("a", "v", timestamp_ms)?;
    }
    let out = driver.output("out", time_windowed(utf8(), 10), i64_be());
    assert_eq!(out.read_all()?, []);
    driver.commit()?;
    let key = |start_ms| Windowed::new("a".to_owned(), start_ms, start_ms + 10);
    assert_eq!(out.read_all()?, [(key(0), Some(2), 2), (key(10), Some(2), 13)]);
    Ok(())
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    let refused = |make: &dyn Fn(&mut TopologyBuilder)| {
        let mut app = Topology::builder();
        make(&mut app);
        matches!(app.build(), Err(TopologyError::Windows { .. }))
    };
    let grouped = |app: &mut TopologyBuilder| app.stream("in", utf8(), utf8()).group_by_key();
    assert!(refused(&|app| grouped(app).windowed_by(TimeWindows::tumbling(0)).count("c").to("out")));
    assert!(refused(&|app| grouped(app).windowed_by(TimeWindows::hopping(5, 6)).count("c").to("out")));
    assert!(refused(&|app| grouped(app).windowed_by(SessionWindows::with_gap(0)).count("c").to("out")));
    assert!(refused(&|app| grouped(app).windowed_by(TimeWindows::tumbling(9)).retention_ms(8).count("c").to("out")));
    assert!(refused(&|app| grouped(app).windowed_by(TimeWindows::unlimited(0)).emit_on_close().count("c").to("out")));
    let by_name = |app: &mut TopologyBuilder| app.table("in", utf8(), utf8());
    let never = Suppressed::until_time_limit(-1);
    assert!(refused(&|app| by_name(app).suppress("s", never).to("out")));
}
