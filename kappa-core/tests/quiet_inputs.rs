//! Time that goes on by the clock, through the whole runtime: what it lets out is committed once, and outlives a restart.

mod embedded_support;

use embedded_support::{append, log_with, read};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::log::SharedLog;
use kappa_core::runtime::RunningApp;
use kappa_core::topology::Topology;
use kappa_core::window::{TimeWindows, Windowed};
use kappa_core::{App, Runtime, Settings, Version};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TIMEOUT_MS: i64 = 200;

/// Counts by windows of 100 ms, and sends each count once its window has closed.
fn topology() -> Topology {
    let mut app = Topology::builder();
    app.idle_timeout_ms(TIMEOUT_MS);
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(TimeWindows::tumbling(100))
        .emit_on_close()
        .count("counts")
        .to_stream()
        .map(|window: &Windowed<String>, count| (format!("{}@{}", window.key, window.window.start_ms), *count))
        .with_codecs(utf8(), i64_be())
        .to("out");
    app.build().expect("a topology")
}

fn feed(log: &SharedLog, key: &str, timestamp_ms: i64) {
    append(log, "in", std::iter::once((Some(key.to_owned()), b"v".to_vec(), timestamp_ms)));
}

/// Keys and values of all committed records of the output.
fn read_out(log: &SharedLog) -> Vec<(String, i64)> {
    read(log, "out").into_iter().map(|found| (found.key.clone(), found.number())).collect()
}

fn wait_for(log: &SharedLog, count: usize) -> Vec<(String, i64)> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let found = read_out(log);
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < until, "not within 20 s: {count} results; there are {found:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn commits(running: &RunningApp) -> u64 {
    running.metrics().commits.get()
}

#[test]
fn windows_of_quiet_inputs_come_out_once_and_then_nothing_is_committed() {
    let log = log_with(&["in", "out"]);
    let settings = Settings { stream_threads: 1, commit_interval_ms: 20, ..Settings::default() };
    let app = App::new("quiet", Version(1), topology()).expect("named");
    let runtime = Runtime::new(Arc::clone(&log), settings);
    let running = runtime.start(&app).expect("started");
    feed(&log, "a", 1_000);
    let first = vec![("a@1000".to_owned(), 1)];
    assert_eq!(wait_for(&log, 1), first);

    std::thread::sleep(Duration::from_millis(100));
    let before = commits(&running);
    std::thread::sleep(Duration::from_millis(2 * TIMEOUT_MS as u64));
    assert_eq!(commits(&running), before, "nothing waits, so there is nothing to commit");
    running.stop(Duration::from_secs(10)).expect("stopped");

    // Without what the clock has done, the first record would be counted, and come out with the second, which closes its window.
    let running = runtime.start(&app).expect("started again");
    feed(&log, "a", 1_050);
    feed(&log, "a", 5_000);
    assert_eq!(wait_for(&log, 2), [first, vec![("a@5000".to_owned(), 1)]].concat());
    running.stop(Duration::from_secs(10)).expect("stopped");
}
