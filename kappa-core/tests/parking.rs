//! Parking through the whole runtime: failed records and those behind them wait, through restarts, until they are released by
//! records of the control topic; nothing is lost or doubled and the order of each key survives.

mod embedded_support;

use embedded_support::{append, feed, log_with, read};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::dsl::{AsyncOptions, CallError};
use kappa_core::log::SharedLog;
use kappa_core::parking::{ParkedKey, ParkingCommand, read_parked, send_commands};
use kappa_core::processor::{Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::runtime::RunningApp;
use kappa_core::task::ProcessError;
use kappa_core::topology::Topology;
use kappa_core::{App, Runtime, Settings, Version};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const RECORDS: i64 = 600;
const KEYS: i64 = 7;
const PARKED: &str = "picky-v1-counts-parked-changelog";
const CONTROL: &str = "picky-v1-counts-control";
const DEADLINE: Duration = Duration::from_secs(30);

/// Some records of the keys 1 and 4 fail until they are mended.
#[derive(Clone, Default)]
struct Picky {
    mended: Arc<AtomicBool>,
}

impl Picky {
    fn taste(&self, value: i64) -> Result<(), String> {
        let fails = value % KEYS % 3 == 1 && value >= 100 && value % 10 == 3 && !self.mended.load(Ordering::SeqCst);
        if fails { Err(format!("{value} is not to my taste")) } else { Ok(()) }
    }
}

impl Processor<String, i64> for Picky {
    type Key = String;
    type Value = i64;

    fn process(
        &mut self,
        record: &Record<'_, String, i64>,
        cx: &mut ProcessorContext<'_, '_, String, i64>,
    ) -> Result<(), ProcessError> {
        let value = record.value()?.copied().unwrap_or_default();
        self.taste(value).map_err(|reason| cx.error(reason))?;
        cx.pass_on(record)
    }
}

/// Counts every record before it fails in a sibling.
fn topology(picky: &Picky, asynchronous: bool) -> Topology {
    let picky = picky.clone();
    let mut app = Topology::builder();
    app.park_failed_keys();
    let input = app.stream("in", utf8(), i64_be());
    input.group_by_key().count("counts").to("counted");
    if asynchronous {
        let call = move |_, value: i64| {
            let outcome = picky.taste(value).map(|()| value).map_err(CallError::fatal);
            async move { outcome }
        };
        input.map_values_async(AsyncOptions::default(), call).with_value_codec(i64_be()).to("out");
    } else {
        input.process("picky", &[], move || picky.clone()).with_codecs(utf8(), i64_be()).to("out");
    }
    app.build().expect("a topology")
}

fn command(log: &SharedLog, command: &ParkingCommand) {
    send_commands(log, CONTROL, &[(0, command.clone())], DEADLINE).expect("sent");
}

/// For each key the values that are out, in their order.
fn out(log: &SharedLog) -> BTreeMap<String, Vec<i64>> {
    let mut out: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for found in read(log, "out") {
        out.entry(found.key.clone()).or_default().push(found.number());
    }
    out
}

fn values_of(key: i64) -> Vec<i64> {
    (0..RECORDS).filter(|value| value % KEYS == key).collect()
}

fn parked(log: &SharedLog) -> Vec<ParkedKey> {
    read_parked(log, PARKED, 1, DEADLINE).expect("rows as they were written")
}

fn start(log: &SharedLog, topology: Topology) -> RunningApp {
    let settings = Settings { commit_interval_ms: 20, ..Settings::default() };
    let app = App::new("picky", Version(1), topology).expect("named");
    Runtime::new(Arc::clone(log), settings).start(&app).expect("started")
}

fn wait_until(running: &RunningApp, what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !done() {
        assert!(!running.status().failed, "{what}: stopped");
        assert!(Instant::now() < until, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn check(asynchronous: bool) {
    let log = log_with(&["in", "out", "counted"]);
    let picky = Picky::default();
    feed(&log, "in", 0..RECORDS / 2, KEYS);
    let stop = |running: RunningApp| running.stop(Duration::from_secs(10)).expect("stopped");
    let free: Vec<i64> = (0..KEYS).filter(|key| key % 3 != 1).collect();

    let running = start(&log, topology(&picky, asynchronous));
    let count = |key: i64| out(&log).get(&format!("k{key}")).map_or(0, Vec::len);
    wait_until(&running, "the free keys of the first half", || {
        free.iter().all(|key| count(*key) == values_of(*key).iter().filter(|value| **value < RECORDS / 2).count())
    });
    stop(running);

    // Another process, with nothing of the state.
    feed(&log, "in", RECORDS / 2..RECORDS, KEYS);
    let running = start(&log, topology(&picky, asynchronous));
    let behind = |key: i64, first: i64| values_of(key).iter().filter(|value| **value >= first).count() as u64;
    // By hand: of the numbers from 100 on that end in 3, the first with remainder 1 by 7 is 113, with remainder 4 it is 123.
    let expected = [("k1".to_owned(), 113, behind(1, 113)), ("k4".to_owned(), 123, behind(4, 123))];
    let seen =
        || parked(&log).into_iter().map(|key| (key.key.to_string(), key.offset, key.records)).collect::<Vec<_>>();
    wait_until(&running, "all parked", || seen() == expected);
    assert!(parked(&log).iter().all(|key| key.reason.contains("is not to my taste")), "{:?}", parked(&log));

    // What is released too early stays.
    command(&log, &ParkingCommand::release("in", "k1"));
    append(&log, CONTROL, [(None, b"nonsense".to_vec(), 0)].into_iter());
    wait_until(&running, "the bad command", || running.metrics().skipped("bad-parking-command") == 1);
    assert_eq!(seen(), expected);
    stop(running);

    picky.mended.store(true, Ordering::SeqCst);
    command(&log, &ParkingCommand::release("in", "k1"));
    let running = start(&log, topology(&picky, asynchronous));
    wait_until(&running, "k1 released", || count(1) == values_of(1).len());
    assert_eq!(seen(), expected[1..]);
    command(&log, &ParkingCommand::release_all());
    wait_until(&running, "all released", || count(4) == values_of(4).len());
    let released = running.metrics().parking_total("counts-0", "released");
    assert_eq!(released, behind(1, 113) + behind(4, 123));
    stop(running);

    assert_eq!(seen(), []);
    let all: BTreeMap<String, Vec<i64>> = (0..KEYS).map(|key| (format!("k{key}"), values_of(key))).collect();
    assert_eq!(out(&log), all, "everything, once, in the order of each key");
    let counted: BTreeMap<String, i64> =
        read(&log, "counted").into_iter().map(|found| (found.key.clone(), found.number())).collect();
    let counts: BTreeMap<String, i64> = all.iter().map(|(key, values)| (key.clone(), values.len() as i64)).collect();
    assert_eq!(counted, counts);
}

#[test]
fn keys_are_parked_and_released_exactly_once_in_their_order() {
    check(false);
}

/// Calls fail when later records have gone on already: the transaction is aborted and the record parked in the next one.
#[test]
fn keys_whose_calls_fail_are_parked_and_released_too() {
    check(true);
}
