//! Records whose processing fails are left out whole, exactly once, and can be found in the dead-letter topic.

mod embedded_support;

use embedded_support::{Found, feed, log_with, read};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::dsl::{AsyncOptions, CallError};
use kappa_core::log::SharedLog;
use kappa_core::processor::{Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::runtime::BadRecords;
use kappa_core::task::ProcessError;
use kappa_core::topology::Topology;
use kappa_core::{App, Error, Runtime, Settings, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORDS: i64 = 500;
const KEYS: i64 = 7;

/// Every tenth record fails.
fn fails(value: i64) -> bool {
    value % 10 == 3
}

struct Picky;

impl Processor<String, i64> for Picky {
    type Key = String;
    type Value = i64;

    fn process(
        &mut self,
        record: &Record<'_, String, i64>,
        cx: &mut ProcessorContext<'_, '_, String, i64>,
    ) -> Result<(), ProcessError> {
        match record.value()? {
            Some(value) if fails(*value) => Err(cx.error(format_args!("{value} is not to my taste"))),
            _ => cx.pass_on(record),
        }
    }
}

/// Counts every record before it fails in a sibling.
fn topology(asynchronous: bool) -> Topology {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), i64_be());
    input.group_by_key().count("counts").to("counted");
    if asynchronous {
        let picky = |_, value: i64| async move {
            if fails(value) { Err(CallError::fatal(format!("{value} is not to my taste"))) } else { Ok(value) }
        };
        input.map_values_async(AsyncOptions::default(), picky).with_value_codec(i64_be()).to("out");
    } else {
        input.process("picky", &[], || Picky).with_codecs(utf8(), i64_be()).to("out");
    }
    app.build().expect("a topology")
}

fn settings(failed_records: BadRecords) -> Settings {
    Settings { commit_interval_ms: 20, failed_records, ..Settings::default() }
}

/// Runs until all good records are out; gives back the log.
fn run(topology: Topology, failed_records: BadRecords) -> SharedLog {
    let log = log_with(&["in", "out", "counted", "letters"]);
    feed(&log, "in", 0..RECORDS, KEYS);
    let app = App::new("picky", Version(1), topology).expect("named");
    let running = Runtime::new(Arc::clone(&log), settings(failed_records)).start(&app).expect("started");
    let good = (0..RECORDS).filter(|value| !fails(*value)).count();
    let until = Instant::now() + Duration::from_secs(30);
    while read(&log, "out").len() < good {
        assert!(Instant::now() < until, "{} of {good} records are out", read(&log, "out").len());
        std::thread::sleep(Duration::from_millis(5));
    }
    running.stop(Duration::from_secs(10)).expect("stopped");
    log
}

/// Everything is there once, but what failed.
fn check(log: &SharedLog) {
    let good: Vec<i64> = (0..RECORDS).filter(|value| !fails(*value)).collect();
    let mut out: Vec<i64> = read(log, "out").iter().map(Found::number).collect();
    out.sort_unstable();
    assert_eq!(out, good);
    let mut expected = BTreeMap::new();
    good.iter().for_each(|value| *expected.entry(format!("k{}", value % KEYS)).or_insert(0) += 1);
    let counted: BTreeMap<String, i64> =
        read(log, "counted").into_iter().map(|found| (found.key.clone(), found.number())).collect();
    assert_eq!(counted, expected, "what a failed record had counted is taken back");
}

fn check_letters(log: &SharedLog) {
    let failed: Vec<i64> = (0..RECORDS).filter(|value| fails(*value)).collect();
    let letters = read(log, "letters");
    assert_eq!(letters.iter().map(Found::number).collect::<Vec<_>>(), failed);
    for found in &letters {
        let (value, headers) = (found.number(), &found.headers);
        let header = |name: &str| {
            let value = headers.last(name).and_then(|header| header.value.clone()).expect("a header");
            String::from_utf8(value.to_vec()).expect("text")
        };
        assert_eq!(found.key, format!("k{}", value % KEYS));
        assert_eq!(header("__streams.errors.exception"), "kappa.FailedRecord");
        assert!(header("__streams.errors.message").contains(&format!("{value} is not to my taste")));
        assert_eq!(header("__streams.errors.topic"), "in");
        assert_eq!(header("__streams.errors.partition"), "0");
        assert_eq!(header("__streams.errors.offset"), value.to_string(), "values are fed as offsets");
    }
}

#[test]
fn a_record_that_fails_is_skipped_with_all_it_did() {
    check(&run(topology(false), BadRecords::Skip));
}

#[test]
fn a_record_that_fails_is_dead_lettered_in_the_same_transaction() {
    let log = run(topology(false), BadRecords::DeadLetter("letters".into()));
    check(&log);
    check_letters(&log);
}

/// A call's failure is seen when later records have gone on already: the transaction is aborted, and the record left out.
#[test]
fn a_record_whose_call_fails_is_left_out_of_a_new_transaction() {
    let log = run(topology(true), BadRecords::DeadLetter("letters".into()));
    check(&log);
    check_letters(&log);
}

#[test]
fn by_default_the_application_stops_with_an_error_that_names_the_record() {
    for asynchronous in [false, true] {
        let log = log_with(&["in", "out", "counted", "letters"]);
        feed(&log, "in", 0..RECORDS, KEYS);
        let app = App::new("picky", Version(1), topology(asynchronous)).expect("named");
        let running = Runtime::new(Arc::clone(&log), settings(BadRecords::Fail)).start(&app).expect("started");
        let until = Instant::now() + Duration::from_secs(30);
        while !running.status().failed {
            assert!(Instant::now() < until, "it did not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
        match running.stop(Duration::from_secs(10)) {
            Err(Error::Operator { topic, partition, offset, reason, .. }) => {
                assert_eq!((topic.as_str(), partition), ("in", 0));
                assert!(fails(offset) && reason.contains("not to my taste"), "offset {offset}: {reason}");
            }
            other => panic!("{other:?}"),
        }
        assert!(read(&log, "out").iter().all(|found| found.number() < 3), "nothing of the failed transaction is out");
    }
}
