//! `kappa parked` on the embedded log, against a running application.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

#[path = "../../kappa-core/tests/registry_support/mod.rs"]
mod registry_support;

use clap::Parser;
use kappa_cli::{Arguments, Exit, Failure, run};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::log::{CleanupPolicy, FetchOptions, Isolation, PARTITION_BYTES_LEAN, SharedLog, Start, TopicPartition};
use kappa_core::topology::Topology;
use kappa_core::{App, Runtime, Settings, Version};
use registry_support::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn kappa(log: &SharedLog, line: &str) -> Result<String, Failure> {
    let arguments = Arguments::try_parse_from(format!("kappa {line}").split_whitespace()).unwrap();
    let mut out = Vec::new();
    run(&arguments, &|| Ok(Arc::clone(log)), 0, &mut out)?;
    Ok(String::from_utf8(out).unwrap())
}

/// Numbers as they come; what is no number fails.
fn topology(parks: bool) -> Topology {
    let mut app = Topology::builder();
    if parks {
        app.park_failed_keys();
    }
    app.stream("in", utf8(), i64_be()).to("out");
    app.build().unwrap()
}

/// Asks until the answer is as wanted.
fn wait_for(log: &SharedLog, line: &str, wanted: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + DEADLINE;
    loop {
        let answer = kappa(log, line).unwrap();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < until, "{answer}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Keys and values of all committed records of `out`.
fn out(log: &SharedLog) -> Vec<(String, i64)> {
    let options = FetchOptions {
        client_id: "check".into(),
        isolation: Isolation::ReadCommitted,
        buffer_bytes: 1 << 20,
        wait_max: Duration::from_millis(20),
        ahead_records: 10_000,
        partition_bytes: PARTITION_BYTES_LEAN,
    };
    let mut fetch = log.fetch(options).unwrap();
    let partition = TopicPartition::new("out", 0);
    fetch.assign(&[kappa_core::log::Assignment { partition, start: Start::Earliest, token: 0 }]).unwrap();
    let mut found = Vec::new();
    loop {
        let polled = fetch.poll(1_000, Duration::from_millis(100)).unwrap();
        if let Some(batch) = polled.batch {
            found.extend((0..batch.len()).map(|index| {
                let record = batch.record(index);
                let value = i64::from_be_bytes(record.value.unwrap().try_into().unwrap());
                (String::from_utf8(record.key.unwrap().to_vec()).unwrap(), value)
            }));
        }
        if !polled.ends.is_empty() {
            return found;
        }
    }
}

#[test]
fn parked_keys_are_listed_released_and_thrown_away() {
    let log = log();
    create(&log, "in", 2, CleanupPolicy::Delete);
    create(&log, "out", 1, CleanupPolicy::Delete);
    let number = |value: u8| String::from_utf8(i64::from(value).to_be_bytes().to_vec()).unwrap();
    let (two, three) = (number(2), number(3));
    append(&log, "in", 0, &[("ann", Some("one")), ("ann", Some(&two)), ("bob", Some(&three))]);
    append(&log, "in", 1, &[("eve", Some("a")), ("eve", Some("b")), ("eve", Some(&two))]);

    let settings = Settings { commit_interval_ms: 10, ..Settings::default() };
    let app = App::new("sums", Version(1), topology(true)).unwrap();
    let running = Runtime::new(Arc::clone(&log), settings.clone()).start(&app).unwrap();
    let answer = wait_for(&log, "parked sums v1", |answer| answer.contains("parked keys 2, records 5"));
    let lines: Vec<Vec<&str>> = answer.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[2], ["topic", "partition", "key", "records", "first", "offset", "operator", "reason"]);
    assert_eq!(lines[3][..9], ["in", "0", "ann", "2", "0", "-", "value", "can't", "be"], "{answer}");
    assert_eq!(lines[4][..6], ["in", "1", "eve", "3", "0", "-"], "{answer}");

    let json: serde_json::Value = serde_json::from_str(&kappa(&log, "parked sums v1 --json").unwrap()).unwrap();
    assert_eq!(json["parked"][1]["key"], "eve");
    assert_eq!((&json["parked"][1]["partition"], &json["parked"][1]["records"]), (&1.into(), &3.into()));

    let told = kappa(&log, "parked sums v1 --discard-first ann --release ann").unwrap();
    assert!(told.contains("the first record of ann of in-0 is thrown away\nrelease of ann of in-0\n"), "{told}");
    wait_for(&log, "parked sums v1", |answer| answer.contains("parked keys 1, records 3"));
    assert_eq!(out(&log), [("bob".to_owned(), 3), ("ann".to_owned(), 2)]);

    kappa(&log, "parked sums v1 --release-all").unwrap();
    kappa(&log, "parked sums v1 --discard-key eve").unwrap();
    wait_for(&log, "parked sums v1", |answer| answer == "nothing is parked in sums-v1\n");
    let gone = kappa(&log, "parked sums v1 --release eve").unwrap_err();
    assert_eq!((gone.exit, gone.kind), (Exit::Refused, "not_parked"));
    running.stop(DEADLINE).unwrap();

    let app = App::new("plain", Version(1), topology(false)).unwrap();
    let running = Runtime::new(Arc::clone(&log), settings).start(&app);
    // The first record stops it: it does not park, and says so.
    drop(running);
    let refused = kappa(&log, "parked plain v1").unwrap_err();
    assert_eq!((refused.exit, refused.kind), (Exit::Refused, "does_not_park"));
    assert_eq!(kappa(&log, "parked sums v2").unwrap_err().kind, "unknown_version");
}
