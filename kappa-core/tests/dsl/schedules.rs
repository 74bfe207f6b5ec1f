//! Processors that are called by time, children by name, times of sources. Expected values follow from Kafka Streams' rules
//! (`PunctuationQueue`, `RecordQueue`) and are calculated by hand.

use super::Outcome;
use kappa_core::codec::utf8;
use kappa_core::dsl::Timestamps;
use kappa_core::processor::{Processor, ProcessorContext, PunctuationType, Schedule};
use kappa_core::record::Record;
use kappa_core::runtime::BadRecords;
use kappa_core::task::ProcessError;
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::{Topology, TopologyError};
use kappa_core::window::TimeWindows;

type Cx<'a, 'c> = ProcessorContext<'a, 'c, String, String>;

/// Says when it is called; fails from a time on.
struct Clock {
    kind: PunctuationType,
    fails_at: i64,
}

impl Processor<String, String> for Clock {
    type Key = String;
    type Value = String;

    fn init(&mut self, cx: &mut Cx<'_, '_>) -> Result<(), ProcessError> {
        cx.schedule(10, self.kind).map(drop)
    }

    fn process(&mut self, record: &Record<'_, String, String>, cx: &mut Cx<'_, '_>) -> Result<(), ProcessError> {
        cx.pass_on(record)
    }

    fn punctuate(&mut self, _: Schedule, time_ms: i64, cx: &mut Cx<'_, '_>) -> Result<(), ProcessError> {
        if time_ms >= self.fails_at {
            return Err(cx.error("told to"));
        }
        cx.forward("clock".to_owned(), format!("{time_ms} at {}", cx.wall_clock_ms()))
    }
}

fn clock(kind: PunctuationType, fails_at: i64) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8());
    input.process("clock", &[], move || Clock { kind, fails_at }).with_codecs(utf8(), utf8()).to("out");
    app.build()
}

fn values(driver: &TestDriver) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    Ok(driver.output("out", utf8(), utf8()).read_values()?.into_iter().flatten().collect())
}

#[test]
fn stream_time_schedules_go_on_after_a_restart_and_a_move() -> Outcome {
    let driver = TestDriver::new(&clock(PunctuationType::StreamTime, i64::MAX)?)?;
    let input = driver.input("in", utf8(), utf8());
    input.pipe("k", "a", 3)?;
    input.pipe("k", "b", 27)?;
    assert_eq!(values(&driver)?, ["a", "3 at 0", "b", "27 at 0"]);
    driver.restart()?;
    input.pipe("k", "c", 29)?;
    assert_eq!(values(&driver)?, ["c"], "20 has been called for, and 30 is not reached");
    driver.move_task(&driver.tasks()[0])?;
    input.pipe("k", "d", 30)?;
    assert_eq!(values(&driver)?, ["d", "30 at 0"]);
    Ok(())
}

#[test]
fn wall_clock_schedules_need_no_records_and_missed_times_are_one_call() -> Outcome {
    let driver = TestDriver::new(&clock(PunctuationType::WallClockTime, i64::MAX)?)?;
    driver.advance_wall_clock_ms(9)?;
    driver.advance_wall_clock_ms(1)?;
    driver.advance_wall_clock_ms(35)?;
    driver.advance_wall_clock_ms(4)?;
    driver.advance_wall_clock_ms(1)?;
    assert_eq!(values(&driver)?, ["10 at 10", "45 at 45", "50 at 50"]);
    Ok(())
}

/// A schedule that fails is no record's fault: nothing is skipped for it.
#[test]
fn a_schedule_that_fails_stops_and_skips_no_record() -> Outcome {
    let options = TestOptions { failed_records: BadRecords::Skip, ..TestOptions::default() };
    let driver = TestDriver::with_options(&clock(PunctuationType::StreamTime, 20)?, options)?;
    let input = driver.input("in", utf8(), utf8());
    input.pipe("k", "a", 3)?;
    let error = input.pipe("k", "b", 27).unwrap_err().to_string();
    assert!(error.contains("clock.process") && error.contains("told to"), "{error}");
    assert_eq!(values(&driver)?, ["a", "3 at 0"]);
    assert!(driver.dropped().is_empty());
    Ok(())
}

#[test]
fn a_source_says_what_its_records_times_are() -> Outcome {
    let mut app = Topology::builder();
    let skip = app.stream("skip", utf8(), utf8()).with_timestamps(Timestamps::skip());
    let partition = app.stream("partition", utf8(), utf8()).with_timestamps(Timestamps::partition_time());
    let wall = app.stream("wall", utf8(), utf8()).with_timestamps(Timestamps::wall_clock());
    skip.merge(&partition).merge(&wall).to("out");
    let driver = TestDriver::with_options(&app.build()?, TestOptions { wall_clock_ms: 77, ..TestOptions::default() })?;
    let pipe = |topic: &str, value: &str, at| driver.input(topic, utf8(), utf8()).pipe("k", value, at);
    pipe("skip", "a", -1)?;
    assert!(pipe("partition", "b", -1).is_err(), "there is no partition time yet");
    pipe("partition", "c", 5)?;
    pipe("partition", "d", 3)?;
    driver.restart()?;
    pipe("partition", "e", -1)?;
    pipe("wall", "f", 1)?;
    let out = driver.output("out", utf8(), utf8()).read_all()?;
    let times: Vec<(&str, i64)> = out.iter().map(|(_, value, at)| (value.as_deref().unwrap_or(""), *at)).collect();
    assert_eq!(times, [("c", 5), ("d", 3), ("e", 5), ("f", 77)]);
    assert_eq!(driver.dropped(), [("negative-timestamp", 1)].into());
    Ok(())
}

#[test]
fn timestamps_belong_to_sources_and_are_said_once() {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8());
    input.filter(|_, _| true).with_timestamps(Timestamps::skip()).to("out");
    assert_eq!(
        app.build().unwrap_err(),
        TopologyError::NotASource { what: "with_timestamps()", operator: "in.filter".into() }
    );
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8()).with_timestamps(Timestamps::skip());
    input.with_timestamps(Timestamps::fail()).to("out");
    assert_eq!(app.build().unwrap_err(), TopologyError::TwoTimestamps { operator: "in.source".into() });
}

#[test]
fn a_schedule_that_fails_after_a_commit_takes_times_back_to_that_commit() -> Outcome {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8());
    input.group_by_key().windowed_by(TimeWindows::tumbling(10)).count("counts").to("counts");
    let supplier = || Clock { kind: PunctuationType::WallClockTime, fails_at: 50 };
    input.process("clock", &[], supplier).with_codecs(utf8(), utf8()).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let input = driver.input("in", utf8(), utf8());
    input.pipe("k", "a", 1)?;
    input.pipe("k", "b", 30)?;
    assert!(driver.advance_wall_clock_ms(50).is_err());
    input.pipe("k", "late", 5)?;
    assert_eq!(driver.dropped()["late"], 1, "time was committed at 30");
    Ok(())
}
