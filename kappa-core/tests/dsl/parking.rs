//! Parked keys: what is expected is calculated by hand.

use super::parking_moves::{Faults, summing};
use super::{AT_COMMIT, AT_ONCE, Outcome, at};
use kappa_core::codec::{bytes, i64_be, nullable, utf8};
use kappa_core::dsl::{AsyncOptions, CallError};
use kappa_core::log::Headers;
use kappa_core::parking::ParkedBytes;
use kappa_core::processor::{Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::runtime::BadRecords;
use kappa_core::task::ProcessError;
use kappa_core::testing::{Recording, TestDriver, TestError, TestOptions};
use kappa_core::topology::{Topology, TopologyError, Verdict};

fn sum(key: &str, sum: &str, timestamp_ms: i64) -> (String, Option<String>, i64) {
    at(key, Some(sum.to_owned()), timestamp_ms)
}

/// Topic, key, number of records and offset of the first.
fn parked(driver: &TestDriver) -> Result<Vec<(String, String, u64, i64)>, TestError> {
    let of = |key: kappa_core::parking::ParkedKey| (key.topic, key.key.to_string(), key.records, key.offset);
    Ok(driver.parked()?.into_iter().map(of).collect())
}

#[test]
fn a_failed_record_and_those_behind_it_wait_while_other_keys_go_on() -> Outcome {
    let faults = Faults::of(&["bad"]);
    let driver = TestDriver::with_options(&summing(&faults)?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    for (key, value, timestamp_ms) in [("a", "1", 1), ("a", "bad", 2), ("b", "1", 3), ("a", "3", 4), ("b", "2", 5)] {
        input.pipe(key, value, timestamp_ms)?;
    }
    // What the failed record had added up before is taken back.
    assert_eq!(out.read_all()?, [sum("a", ",1", 1), sum("b", ",1", 3), sum("b", ",1,2", 5)]);
    let now = driver.parked()?;
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 2, 1)]);
    assert_eq!((now[0].partition, now[0].operator.as_str()), (0, "picky.process"));
    assert_eq!(now[0].reason, "bad is not to my taste");

    driver.release("in", "a")?;
    assert_eq!(out.read_all()?, [], "it fails again");
    assert_eq!(driver.parked()?, now);

    faults.mend("bad");
    driver.release("in", "a")?;
    assert_eq!(out.read_all()?, [sum("a", ",1,bad", 2), sum("a", ",1,bad,3", 4)], "with their own timestamps");
    assert_eq!(parked(&driver)?, []);
    input.pipe("a", "4", 6)?;
    assert_eq!(out.read_all()?, [sum("a", ",1,bad,3,4", 6)]);
    assert!(driver.dropped().is_empty(), "{:?}", driver.dropped());
    Ok(())
}

#[test]
fn a_release_ends_at_the_next_record_that_fails() -> Outcome {
    let faults = Faults::of(&["x1", "x3"]);
    let driver = TestDriver::with_options(&summing(&faults)?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    for (offset, value) in ["x1", "2", "x3", "4"].into_iter().enumerate() {
        input.pipe("a", value, offset as i64)?;
    }
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 4, 0)]);
    faults.mend("x1");
    driver.release("in", "a")?;
    assert_eq!(out.read_all()?, [sum("a", ",x1", 0), sum("a", ",x1,2", 1)]);
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 2, 2)]);
    assert_eq!(driver.parked()?[0].reason, "x3 is not to my taste");
    faults.mend("x3");
    driver.release_all()?;
    assert_eq!(out.read_all()?, [sum("a", ",x1,2,x3", 2), sum("a", ",x1,2,x3,4", 3)]);
    assert_eq!(parked(&driver)?, []);
    Ok(())
}

#[test]
fn the_first_record_or_a_whole_key_is_thrown_away() -> Outcome {
    let faults = Faults::of(&["bad"]);
    let driver = TestDriver::new(&summing(&faults)?)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    for (key, value) in [("a", "bad"), ("a", "2"), ("b", "bad"), ("b", "2"), ("b", "3")] {
        input.pipe(key, value, 7)?;
    }
    driver.discard_first("in", "a")?;
    assert_eq!(out.read_all()?, [], "what was behind it waits for its release");
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 1, 1), ("in".into(), "b".into(), 3, 2)]);
    driver.release("in", "a")?;
    driver.discard_key("in", "b")?;
    input.pipe("b", "4", 8)?;
    assert_eq!(out.read_all()?, [sum("a", ",2", 7), sum("b", ",4", 8)]);
    assert_eq!(parked(&driver)?, []);
    let unknown = driver.release("in", "b").unwrap_err();
    assert!(matches!(unknown, TestError::Unknown { what: "parked key", .. }), "{unknown}");
    Ok(())
}

/// Nulls, headers and empty values come back as they were.
#[test]
fn released_records_are_what_they_were() -> Outcome {
    let faults = Faults::of(&["bad"]);
    let picky = faults.clone();
    let mut app = Topology::builder();
    app.park_failed_keys();
    app.stream("in", utf8(), utf8()).process("picky", &[], move || picky.clone()).with_codecs(utf8(), utf8()).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let input = driver.input("in", utf8(), utf8());
    let headers = Headers::empty().with("h", Some(b"x")).with("null", None).with("h", Some(b""));
    input.pipe("a", "bad", 1)?;
    input.pipe_with("a", None, 2, headers.clone())?;
    input.pipe("a", "", 3)?;
    faults.mend("bad");
    driver.release("in", "a")?;
    let records = driver.output("out", utf8(), utf8()).read_records()?;
    let seen: Vec<_> = records.iter().map(|record| (record.value.as_deref(), record.timestamp_ms)).collect();
    assert_eq!(seen, [(Some("bad"), 1), (None, 2), (Some(""), 3)]);
    assert_eq!(records[1].headers, headers);
    Ok(())
}

#[test]
fn what_can_not_be_decoded_is_parked_by_the_bytes_of_its_key() -> Outcome {
    let mut app = Topology::builder();
    app.park_failed_keys();
    app.stream("in", utf8(), i64_be()).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let (input, out) = (driver.input("in", utf8(), i64_be()), driver.output("out", utf8(), i64_be()));
    input.pipe_bytes(Some(b"a"), Some(b"no number"), 1)?;
    input.pipe("a", 2, 2)?;
    input.pipe_bytes(Some(&[0xff]), Some(&[0; 8]), 3)?;
    input.pipe_bytes(Some(b"b"), Some(&[0; 8]), -5)?;
    input.pipe("c", 4, 4)?;
    assert_eq!(out.read_all()?, [at("c", Some(4), 4)]);
    let all = driver.parked()?;
    let keys: Vec<_> = all.iter().map(|parked| (parked.key.clone(), parked.records)).collect();
    assert_eq!(keys, [(ParkedBytes(b"a".into()), 2), (ParkedBytes(b"b".into()), 1), (ParkedBytes(vec![0xff]), 1)]);
    assert!(all[0].reason.starts_with("value can't be used: "), "{}", all[0].reason);
    assert!(all[1].reason.starts_with("timestamp can't be used: "), "{}", all[1].reason);
    assert!(all[2].reason.starts_with("key can't be used: "), "{}", all[2].reason);
    driver.release_all()?;
    assert_eq!(driver.parked()?, all, "they can't be used still");
    driver.discard_first("in", "a")?;
    driver.discard_first("in", [0xff])?;
    driver.release_all()?;
    assert_eq!(out.read_all()?, [at("a", Some(2), 2)]);
    Ok(())
}

#[test]
fn a_record_without_a_key_is_left_to_the_policy() -> Outcome {
    let faults = Faults::of(&["bad"]);
    let picky = faults.clone();
    let mut app = Topology::builder();
    app.park_failed_keys();
    let keyed = app.stream("in", nullable(utf8()), utf8()).map(|_, value: &String| (value.clone(), value.clone()));
    let picky = keyed.process("picky", &[], move || picky.clone());
    picky.with_codecs(utf8(), utf8()).to("out");
    let topology = app.build()?;

    let driver = TestDriver::new(&topology)?;
    let error = driver.input("in", bytes(), bytes()).pipe_bytes(None, Some(b"bad"), 1).unwrap_err();
    assert!(error.to_string().contains("bad is not to my taste"), "{error}");

    let options = TestOptions { failed_records: BadRecords::DeadLetter("letters".into()), ..TestOptions::default() };
    let driver = TestDriver::with_options(&topology, options)?;
    let input = driver.input("in", bytes(), bytes());
    input.pipe_bytes(None, Some(b"bad"), 1)?;
    input.pipe_bytes(None, Some(b"good"), 2)?;
    input.pipe_bytes(Some(b"k"), Some(b"bad"), 3)?;
    assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("good".into())]);
    assert_eq!(driver.dropped(), [("failed_record", 1)].into());
    assert_eq!(parked(&driver)?, [("in".into(), "k".into(), 1, 2)]);
    assert_eq!(driver.take_written().len(), 1, "one dead letter");
    Ok(())
}

/// The record of the input is long through when the second sub-topology fails: its key there is parked.
#[test]
fn behind_a_repartition_topic_the_key_there_is_parked() -> Outcome {
    let faults = Faults::of(&["a1"]);
    let picky = faults.clone();
    let mut app = Topology::builder();
    app.park_failed_keys();
    let grouped = app.stream("in", utf8(), utf8()).group_by(utf8(), |_, value: &String| value[..1].to_owned());
    let sums = grouped.aggregate("sums", utf8(), String::new, |_, value, all| format!("{all},{value}"));
    sums.to("out");
    let letters = app.stream("in", utf8(), utf8()).select_key(utf8(), |_, value: &String| value[..1].to_owned());
    let letters = letters.repartition("letters");
    letters.process("picky", &[], move || picky.clone()).with_codecs(utf8(), utf8()).to("letters");
    let driver = TestDriver::new(&app.build()?)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("letters", utf8(), utf8()));
    for (time_ms, value) in (0..).zip(["a0", "a1", "b0", "a2"]) {
        input.pipe("k", value, time_ms)?;
    }
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(out.read_all()?, [at("a", text("a0"), 0), at("b", text("b0"), 2)]);
    assert_eq!(parked(&driver)?, [("letters-repartition".into(), "a".into(), 2, 1)]);
    faults.mend("a1");
    driver.release("letters-repartition", "a")?;
    assert_eq!(out.read_all()?, [at("a", text("a1"), 1), at("a", text("a2"), 3)]);
    let sums = driver.store("sums", utf8(), utf8()).all()?;
    assert_eq!(sums, [("a".into(), ",a0,a1,a2".into()), ("b".into(), ",b0".into())], "which nothing has failed in");
    Ok(())
}

#[test]
fn a_record_whose_call_fails_is_parked_and_later_ones_of_its_key_follow() -> Outcome {
    let faults = Faults::of(&["bad"]);
    let calls = faults.clone();
    let mut app = Topology::builder();
    app.park_failed_keys();
    let called = app.stream("in", utf8(), utf8()).map_values_async(AsyncOptions::default(), move |_, value: String| {
        let outcome = calls.taste(&value).map(|()| value);
        async move { outcome.map_err(CallError::fatal) }
    });
    called.with_value_codec(utf8()).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    for (key, value) in [("a", "1"), ("a", "bad"), ("b", "1"), ("a", "2")] {
        input.pipe(key, value, 1)?;
    }
    let one = |key| sum(key, "1", 1);
    assert_eq!(out.read_all()?, [one("a"), one("b")]);
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 2, 1)]);
    driver.release("in", "a")?;
    assert_eq!(out.read_all()?, []);
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 2, 1)]);
    faults.mend("bad");
    driver.release("in", "a")?;
    assert_eq!(out.read_all()?, [sum("a", "bad", 1), sum("a", "2", 1)]);
    Ok(())
}

/// Parked and released within one transaction, and more than one turn takes.
#[test]
fn a_release_of_many_records_goes_on_turn_by_turn() -> Outcome {
    let faults = Faults::of(&["0"]);
    let picky = faults.clone();
    let mut app = Topology::builder();
    app.park_failed_keys();
    app.stream("in", utf8(), utf8()).process("picky", &[], move || picky.clone()).with_codecs(utf8(), utf8()).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_COMMIT)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    for number in 0..2_500 {
        input.pipe("a", number.to_string(), number)?;
    }
    input.pipe("b", "0", 0)?;
    driver.commit()?;
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 2_500, 0), ("in".into(), "b".into(), 1, 2_500)]);
    faults.mend("0");
    driver.release_all()?;
    driver.commit()?;
    let values = out.read_all()?;
    let expected: Vec<_> = (0..2_500).map(|number| sum("a", &number.to_string(), number)).collect();
    assert_eq!(values[..2_500], expected);
    assert_eq!(values[2_500..], [sum("b", "0", 0)]);
    assert_eq!(parked(&driver)?, []);
    Ok(())
}

#[test]
fn commands_that_can_not_be_followed_are_left_out_and_counted() -> Outcome {
    let faults = Faults::of(&["bad"]);
    let driver = TestDriver::new(&summing(&faults)?)?;
    driver.input("in", utf8(), utf8()).pipe("a", "bad", 1)?;
    for bad in [
        None,
        Some(&b"release"[..]),
        Some(br#"{"command":"release","topic":"in","key":7}"#),
        // A topic that is not read here.
        Some(br#"{"command":"release","topic":"elsewhere","key":"a"}"#),
    ] {
        driver.command_bytes("sums", 0, bad)?;
    }
    // A key that is not parked: nothing happens.
    driver.command_bytes("sums", 0, Some(br#"{"command":"discard-key","topic":"in","key":"b"}"#))?;
    assert_eq!(driver.dropped(), [("bad-parking-command", 4)].into());
    assert_eq!(parked(&driver)?, [("in".into(), "a".into(), 1, 0)]);
    driver.command_bytes("sums", 0, Some(br#"{"command":"discard-key","topic":"in","key":"a"}"#))?;
    assert_eq!(parked(&driver)?, []);
    Ok(())
}

/// Sees how far time has come.
struct Clock;

impl Processor<String, String> for Clock {
    type Key = String;
    type Value = i64;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, i64>,
    ) -> Result<(), ProcessError> {
        let time_ms = cx.stream_time_ms();
        cx.forward(record.key()?.clone(), time_ms)
    }
}

#[test]
fn commands_do_not_move_time() -> Outcome {
    let mut app = Topology::builder();
    app.park_failed_keys();
    app.stream("in", utf8(), utf8()).process("clock", &[], || Clock).with_codecs(utf8(), i64_be()).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    driver.command_bytes("in-source", 0, Some(br#"{"command":"release-all"}"#))?;
    driver.input("in", utf8(), utf8()).pipe("a", "x", 5)?;
    driver.command_bytes("in-source", 0, Some(br#"{"command":"release-all"}"#))?;
    driver.input("in", utf8(), utf8()).pipe("a", "x", 3)?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(5), Some(5)]);
    Ok(())
}

#[test]
fn a_recording_holds_the_commands() -> Outcome {
    let faults = Faults::of(&["bad"]);
    let driver = TestDriver::new(&summing(&faults)?)?;
    driver.input("in", utf8(), utf8()).pipe("a", "bad", 1)?;
    driver.input("in", utf8(), utf8()).pipe("a", "2", 2)?;
    driver.discard_first("in", "a")?;
    driver.release("in", "a")?;
    let mut file = Vec::new();
    driver.recording().write(&mut file)?;
    let again = TestDriver::new(&summing(&faults)?)?;
    again.replay(&Recording::read(&file[..])?)?;
    assert_eq!(again.output("out", utf8(), utf8()).read_all()?, [sum("a", ",2", 2)]);
    Ok(())
}

#[test]
fn parking_is_part_of_what_a_version_is() -> Outcome {
    fn version(parks: bool) -> Result<Topology, TopologyError> {
        let mut app = Topology::builder();
        if parks {
            app.park_failed_keys();
        }
        app.stream("in", utf8(), utf8()).group_by_key().count("counts").to("out");
        app.build()
    }
    let (without, with) = (version(false)?, version(true)?);
    assert_ne!(without.plan().fingerprint, with.plan().fingerprint);
    let sub = &with.plan().sub_topologies[0];
    let stores: Vec<&str> = sub.stores.iter().map(|store| store.name.as_str()).collect();
    assert_eq!((sub.name.as_str(), stores), ("counts", vec!["counts", "counts-parked"]));
    let topics: Vec<String> = sub.sources.iter().map(|source| source.topic.physical("app-v1")).collect();
    assert_eq!(topics, ["in", "app-v1-counts-control"]);
    assert!(sub.outputs.iter().any(|topic| topic.physical("app-v1") == "app-v1-counts-parked-changelog"));
    assert!(with.describe().contains("    Source: counts.parking (topics: [counts-control])\n      --> none\n"));
    assert!(
        with.description().mermaid().contains("counts.parking") && with.description().svg().contains("counts-control")
    );
    let diff = without.description().diff(&with.description());
    assert_eq!(diff.verdict, Verdict::NewVersion);
    let text = diff.to_string();
    assert!(text.contains("+ store counts-parked") && text.contains("+ parking counts-control"), "{text}");

    let mut app = Topology::builder();
    app.park_failed_keys();
    let counts = app.stream("in", utf8(), utf8()).group_by_key().count("counts");
    counts.to_stream().with_codecs(utf8(), i64_be()).group_by_key().count("counts-parked").to("out");
    let error = app.build().unwrap_err();
    assert!(matches!(&error, TopologyError::DuplicateName { name, .. } if name == "counts-parked"), "{error}");
    Ok(())
}
