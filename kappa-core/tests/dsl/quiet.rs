//! Time that goes on by the clock where inputs are quiet. Expected values are calculated by hand: with a record of stream time s
//! at wall clock w, time is s + (now − w) once the timeout has passed.

use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::{i64_be, session_windowed, time_windowed, utf8};
use kappa_core::dsl::{JoinWindows, Suppressed};
use kappa_core::processor::{Processor, ProcessorContext, PunctuationType, Schedule};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::testing::TestDriver;
use kappa_core::topology::{Topology, TopologyBuilder, TopologyError};
use kappa_core::window::{SessionWindows, SlidingWindows, TimeWindows, Windowed};

fn quiet_after_ms(timeout_ms: i64) -> TopologyBuilder {
    let mut app = Topology::builder();
    app.idle_timeout_ms(timeout_ms);
    app
}

type Counted = Vec<(Windowed<String>, Option<i64>, i64)>;

fn counted(start_ms: i64, end_ms: i64, count: i64, timestamp_ms: i64) -> (Windowed<String>, Option<i64>, i64) {
    (Windowed::new("a".to_owned(), start_ms, end_ms), Some(count), timestamp_ms)
}

fn on_close(timeout_ms: i64) -> Result<Topology, TopologyError> {
    let mut app = quiet_after_ms(timeout_ms);
    let windows = TimeWindows::tumbling(10).grace(5);
    app.stream("in", utf8(), utf8()).group_by_key().windowed_by(windows).emit_on_close().count("counts").to("out");
    app.build()
}

#[test]
fn windows_close_by_the_clock_however_often_it_is_looked_at() -> Outcome {
    for step_ms in [1, 4, 20] {
        let driver = TestDriver::with_options(&on_close(20)?, AT_ONCE)?;
        let (input, out) =
            (driver.input("in", utf8(), utf8()), driver.output("out", time_windowed(utf8(), 10), i64_be()));
        let pass = |ms: i64| (0..ms / step_ms).try_for_each(|_| driver.advance_wall_clock_ms(step_ms));
        input.pipe("a", "", 1)?;
        input.pipe("a", "", 12)?;
        driver.advance_wall_clock_ms(19)?;
        assert_eq!(out.read_all()?, [], "one record 19 ms ago");
        driver.advance_wall_clock_ms(1)?;
        // 12 + 20 = 32: both windows have closed, the second at 25.
        assert_eq!(out.read_all()?, [counted(0, 10, 1, 1), counted(10, 20, 1, 12)]);
        // Time is 25, as if a record of that time had come: 19 is late, 20 is not.
        input.pipe("a", "", 19)?;
        input.pipe("a", "", 20)?;
        assert_eq!(driver.dropped()["late"], 1);
        // 25 + 20 = 45: the window closed at 35.
        pass(20)?;
        assert_eq!(out.read_all()?, [counted(20, 30, 1, 20)], "in steps of {step_ms} ms");
        input.pipe("a", "", 29)?;
        input.pipe("a", "", 30)?;
        assert_eq!(driver.dropped()["late"], 2);
        pass(100)?;
        assert_eq!(out.read_all()?, [counted(30, 40, 1, 30)], "in steps of {step_ms} ms");
    }
    Ok(())
}

#[test]
fn without_the_choice_windows_wait_for_a_record() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(10))
        .emit_on_close()
        .count("counts")
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("in", utf8(), utf8()).pipe("a", "", 1)?;
    driver.advance_wall_clock_ms(1_000_000)?;
    assert_eq!(driver.output("out", time_windowed(utf8(), 10), i64_be()).read_all()?, []);
    Ok(())
}

#[test]
fn what_the_clock_has_closed_stays_closed_over_restarts_and_moves() -> Outcome {
    for moves in [false, true] {
        let driver = TestDriver::with_options(&on_close(20)?, AT_ONCE)?;
        let again = || if moves { driver.move_task("counts-0") } else { driver.restart() };
        let (input, out) =
            (driver.input("in", utf8(), utf8()), driver.output("out", time_windowed(utf8(), 10), i64_be()));
        input.pipe("a", "", 1)?;
        input.pipe("a", "", 21)?;
        assert_eq!(out.read_all()?, [counted(0, 10, 1, 1)]);
        driver.advance_wall_clock_ms(14)?;
        again()?;
        // The time-out begins anew, from stream time 21: 21 + 19, then 21 + 20.
        driver.advance_wall_clock_ms(19)?;
        assert_eq!(out.read_all()?, []);
        driver.advance_wall_clock_ms(1)?;
        assert_eq!(out.read_all()?, [counted(20, 30, 1, 21)]);
        again()?;
        input.pipe("a", "", 29)?;
        assert_eq!(driver.dropped()["late"], 1, "time was 35 before");
        driver.advance_wall_clock_ms(1_000)?;
        assert_eq!(out.read_all()?, []);
    }
    Ok(())
}

#[test]
fn sliding_windows_close_past_their_end() -> Outcome {
    let mut app = quiet_after_ms(1);
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(SlidingWindows::of(10).grace(3))
        .emit_on_close()
        .count("counts")
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", time_windowed(utf8(), 10), i64_be()));
    // [10, 20] has 1, [14, 24] both, and [21, 31] the second alone.
    input.pipe("a", "", 20)?;
    input.pipe("a", "", 24)?;
    let left = counted(10, 20, 1, 20);
    let expected: [(i64, Counted); 4] =
        [(23, vec![]), (24, vec![left]), (27, vec![]), (28, vec![counted(14, 24, 2, 24)])];
    assert_eq!(out.read_all()?, expected[1].1, "at 24, by the record");
    driver.advance_wall_clock_ms(3)?;
    assert_eq!(out.read_all()?, expected[2].1, "at 27");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, expected[3].1, "at 28");
    driver.advance_wall_clock_ms(6)?;
    assert_eq!(out.read_all()?, [], "at 34");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, [counted(21, 31, 1, 24)], "at 35");
    Ok(())
}

#[test]
fn sessions_close_by_the_clock() -> Outcome {
    let mut app = quiet_after_ms(1);
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(SessionWindows::with_gap(10).grace(5))
        .emit_on_close()
        .count("counts")
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", session_windowed(utf8()), i64_be()));
    input.pipe("a", "", 0)?;
    input.pipe("a", "", 5)?;
    driver.advance_wall_clock_ms(15)?;
    assert_eq!(out.read_all()?, [], "at 20");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, [counted(0, 5, 2, 5)], "past the end by gap and grace");
    input.pipe("a", "", 4)?;
    assert_eq!(driver.dropped()["late"], 1);
    Ok(())
}

/// What a cache holds back is in the final result, and no other follows.
#[test]
fn suppressed_windows_are_final_with_a_cache_and_without() -> Outcome {
    for options in [AT_ONCE, AT_COMMIT] {
        let mut app = quiet_after_ms(5);
        app.stream("in", utf8(), utf8())
            .group_by_key()
            .windowed_by(TimeWindows::tumbling(10).grace(5))
            .count("counts")
            .suppress("final", Suppressed::until_window_closes())
            .to("out");
        let driver = TestDriver::with_options(&app.build()?, options)?;
        let (input, out) =
            (driver.input("in", utf8(), utf8()), driver.output("out", time_windowed(utf8(), 10), i64_be()));
        input.pipe("a", "", 1)?;
        driver.commit()?;
        input.pipe("a", "", 2)?;
        driver.advance_wall_clock_ms(12)?;
        assert_eq!(out.read_all()?, [], "at 14");
        driver.advance_wall_clock_ms(1)?;
        assert_eq!(out.read_all()?, [counted(0, 10, 2, 2)], "at 15");
        driver.restart()?;
        input.pipe("a", "", 3)?;
        driver.commit()?;
        driver.advance_wall_clock_ms(100)?;
        assert_eq!(out.read_all()?, [], "it was final");
        assert_eq!(driver.dropped()["late"], 1);
    }
    Ok(())
}

#[test]
fn suppressed_sliding_windows_are_final() -> Outcome {
    let mut app = quiet_after_ms(1);
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(SlidingWindows::of(10).grace(5))
        .count("counts")
        .suppress("final", Suppressed::until_window_closes())
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", time_windowed(utf8(), 10), i64_be()));
    input.pipe("a", "", 19)?;
    driver.advance_wall_clock_ms(4)?;
    assert_eq!(out.read_all()?, [], "at 23");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, [counted(9, 19, 1, 19)], "at 24");
    // The end belongs to the window, so time has to be past it for the window to be closed.
    input.pipe("a", "", 19)?;
    assert_eq!((out.read_all()?, driver.dropped()["late"]), (vec![], 1));
    Ok(())
}

#[test]
fn a_time_limit_passes_by_the_clock() -> Outcome {
    let mut app = quiet_after_ms(3);
    app.table("in", utf8(), utf8()).suppress("held", Suppressed::until_time_limit(10)).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    input.pipe("a", "1", 1)?;
    input.pipe("b", "2", 4)?;
    input.pipe("a", "3", 5)?;
    driver.advance_wall_clock_ms(5)?;
    assert_eq!(out.read_all()?, [], "at 10");
    driver.restart()?;
    driver.advance_wall_clock_ms(5)?;
    assert_eq!(out.read_all()?, [], "at 10 again: it was not told of the time it was away");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, [at("a", Some("3".to_owned()), 5)], "at 11");
    driver.advance_wall_clock_ms(3)?;
    assert_eq!(out.read_all()?, [at("b", Some("2".to_owned()), 4)], "at 14");
    Ok(())
}

fn outer_join(windows: JoinWindows) -> Result<Topology, TopologyError> {
    let mut app = quiet_after_ms(1);
    let right = app.stream("right", utf8(), utf8());
    app.stream("left", utf8(), utf8())
        .outer_join_within("joined", &right, windows, |left, right| format!("{left:?}-{right:?}"))
        .with_value_codec(utf8())
        .to("out");
    app.build()
}

#[test]
fn unmatched_records_of_an_outer_join_come_out_by_the_clock() -> Outcome {
    let driver = TestDriver::with_options(&outer_join(JoinWindows::within_ms(10, 2).before_ms(4))?, AT_ONCE)?;
    let (left, right) = (driver.input("left", utf8(), utf8()), driver.input("right", utf8(), utf8()));
    let out = driver.output("out", utf8(), utf8());
    left.pipe("a", "A", 20)?;
    right.pipe("b", "B", 21)?;
    left.pipe("c", "C", 22)?;
    right.pipe("c", "c", 22)?;
    assert_eq!(out.read_values()?, [Some("Some(\"C\")-Some(\"c\")".to_owned())]);
    // A right record looks ahead 4 ms: 21 + 4 + 2 = 27 is past at 28; a left one 10: 20 + 10 + 2 = 32 is past at 33.
    driver.advance_wall_clock_ms(5)?;
    assert_eq!(out.read_all()?, [], "at 27");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, [at("b", Some("None-Some(\"B\")".to_owned()), 21)], "at 28");
    driver.restart()?;
    // From 28 on.
    driver.advance_wall_clock_ms(4)?;
    assert_eq!(out.read_all()?, [], "at 32");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, [at("a", Some("Some(\"A\")-None".to_owned()), 20)], "at 33");
    // Time is 33: a left record of 22 can't find a match any more and does not wait.
    left.pipe("d", "D", 22)?;
    assert_eq!(out.read_all()?, [at("d", Some("Some(\"D\")-None".to_owned()), 22)]);
    driver.advance_wall_clock_ms(1_000)?;
    assert_eq!(out.read_all()?, []);
    Ok(())
}

#[test]
fn joins_with_grace_go_on_by_the_clock() -> Outcome {
    let mut app = quiet_after_ms(1);
    let prices = app.table("prices", utf8(), utf8()).versioned("versions", 100);
    app.stream("orders", utf8(), utf8())
        .join_with_grace(&prices, "waiting", 10, |order, price| format!("{order}-{price}"))
        .with_value_codec(utf8())
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("orders", utf8(), utf8()).pipe("tea", "one", 50)?;
    driver.advance_wall_clock_ms(9)?;
    driver.input("prices", utf8(), utf8()).pipe("tea", "3", 49)?;
    let out = driver.output("out", utf8(), utf8());
    driver.advance_wall_clock_ms(9)?;
    assert_eq!(out.read_all()?, [], "at 59: the price was the last record");
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_all()?, [at("tea", Some("one-3".to_owned()), 50)]);
    Ok(())
}

/// Windows of windows: the second operator's time stays behind what the first may still hold back, also over a topic.
#[test]
fn what_is_held_back_upstream_is_not_late_downstream() -> Outcome {
    for over_a_topic in [false, true] {
        let mut app = quiet_after_ms(1);
        let minutes = app
            .stream("in", utf8(), utf8())
            .group_by_key()
            .windowed_by(TimeWindows::tumbling(10).grace(50))
            .emit_on_close()
            .count("tens")
            .to_stream();
        let all = match over_a_topic {
            true => minutes.select_key(utf8(), |_, _| "a".to_owned()).group_by_key(),
            false => minutes
                .map(|key: &Windowed<String>, count| (key.key.clone(), *count))
                .with_codecs(utf8(), i64_be())
                .group_by_key(),
        };
        all.windowed_by(TimeWindows::tumbling(20)).emit_on_close().count("twenties").to("out");
        let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
        let (input, out) =
            (driver.input("in", utf8(), utf8()), driver.output("out", time_windowed(utf8(), 20), i64_be()));
        // By the record at 60 [0, 10) closes, so the second operator's time is 1.
        for (key, timestamp_ms) in [("a", 1), ("a", 12), ("a", 60)] {
            input.pipe(key, "", timestamp_ms)?;
        }
        (0..200).try_for_each(|_| driver.advance_wall_clock_ms(1))?;
        assert_eq!(out.read_all()?, [counted(0, 20, 2, 12), counted(60, 80, 1, 60)], "over a topic: {over_a_topic}");
        assert_eq!(driver.dropped().get("late"), None);
    }
    Ok(())
}

#[test]
fn a_timeout_of_nothing_is_refused() {
    let mut app = quiet_after_ms(0);
    app.stream("in", utf8(), utf8()).to("out");
    let error = app.build().expect_err("refused").to_string();
    assert!(error.contains("idle_timeout_ms") && error.contains("1 or longer"), "{error}");
}

/// Says at what stream time it is called.
struct Clock;

impl Processor<String, String> for Clock {
    type Key = String;
    type Value = String;

    fn init(&mut self, cx: &mut ProcessorContext<'_, '_, String, String>) -> Result<(), ProcessError> {
        cx.schedule(10, PunctuationType::StreamTime).map(drop)
    }

    fn process(
        &mut self,
        _: &Record<'_, String, String>,
        _: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        Ok(())
    }

    fn punctuate(
        &mut self,
        _: Schedule,
        time_ms: i64,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        cx.forward("clock".to_owned(), format!("{time_ms}"))
    }
}

#[test]
fn schedules_by_stream_time_are_called_by_the_clock() -> Outcome {
    let mut app = quiet_after_ms(5);
    app.stream("in", utf8(), utf8()).process("clock", &[], || Clock).with_codecs(utf8(), utf8()).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let out = driver.output("out", utf8(), utf8());
    driver.input("in", utf8(), utf8()).pipe("a", "", 7)?;
    assert_eq!(out.read_values()?, [Some("7".to_owned())]);
    // Due again at 10, which is 3 ms later.
    driver.advance_wall_clock_ms(4)?;
    assert_eq!(out.read_values()?, []);
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_values()?, [Some("12".to_owned())]);
    driver.advance_wall_clock_ms(7)?;
    assert_eq!(out.read_values()?, []);
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(out.read_values()?, [Some("20".to_owned())]);
    Ok(())
}
