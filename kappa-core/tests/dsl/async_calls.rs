//! Asynchronous operators: order, bounds, attempts, aborts. A call is named by its record's value and ends when the test lets it.

use super::Outcome;
use kappa_core::codec::{i64_be, utf8};
use kappa_core::dsl::{AsyncOptions, CallError};
use kappa_core::log::{Headers, RecordView, TopicHandle};
use kappa_core::task::{CallPool, Output, OutputTopic, ProcessError, SourceRecord, TaskProcessor, TaskScope};
use kappa_core::testing::TestDriver;
use kappa_core::topology::Topology;
use kappa_state::{MemoryBackend, TailBound};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

const DEADLINE: Duration = Duration::from_secs(20);

/// Calls that wait until the test names them.
#[derive(Clone)]
struct Gate {
    open: watch::Sender<BTreeSet<String>>,
    begun: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    fn new() -> Self {
        Self { open: watch::channel(BTreeSet::new()).0, begun: Arc::default() }
    }

    fn open(&self, value: &str) {
        self.open.send_modify(|open| _ = open.insert(value.to_owned()));
    }

    async fn pass(&self, value: String) -> Result<String, CallError> {
        self.begun.lock().expect("not poisoned").push(value.clone());
        let mut open = self.open.subscribe();
        open.wait_for(|open| open.contains(&value)).await.map_err(CallError::fatal)?;
        Ok(value)
    }

    fn has_begun(&self, value: &str) -> bool {
        self.begun.lock().expect("not poisoned").iter().any(|begun| begun == value)
    }
}

/// One task that calls through a gate.
struct Gated {
    gate: Gate,
    task: Box<dyn TaskProcessor>,
    out: Output,
}

impl Gated {
    fn new(options: AsyncOptions) -> Result<Self, Box<dyn std::error::Error>> {
        let gate = Gate::new();
        let calling = gate.clone();
        let mut app = Topology::builder();
        app.stream("in", utf8(), utf8())
            .map_values_async(options, move |_, value| {
                let gate = calling.clone();
                async move { gate.pass(value).await }
            })
            .with_value_codec(utf8())
            .to("out");
        let scope = TaskScope {
            name: "in-source-0",
            partition: 0,
            state: &MemoryBackend::new(),
            tail_bound: TailBound::default(),
            cache_bytes_per_store: 0,
            calls: Arc::new(CallPool),
            globals: kappa_core::task::Globals::default(),
            undo_records: false,
        };
        let task = app.build()?.instantiate(0, &scope)?;
        let out = Output::new(vec![OutputTopic { handle: TopicHandle(0), partitions: 1 }], 0);
        Ok(Self { gate, task, out })
    }

    fn process(&mut self, key: &str, value: Option<&str>) -> Result<(), ProcessError> {
        let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
        let view = RecordView { offset: 0, timestamp_ms: 0, key, value };
        self.task.process(0, &SourceRecord { view, headers: Headers::empty() }, &mut self.out)
    }

    /// What has been written so far.
    fn written(&self) -> Vec<String> {
        let batch = &self.out.batch;
        let text = |range: &std::ops::Range<u32>| {
            String::from_utf8_lossy(&batch.bytes[range.start as usize..range.end as usize]).into_owned()
        };
        batch.entries.iter().map(|entry| entry.value.as_ref().map_or("null".to_owned(), text)).collect()
    }

    /// Opens the gate for `value` and processes records that are let through at once until `value` has been written.
    fn let_out(&mut self, value: &str) -> Outcome {
        self.gate.open(value);
        self.gate.open("filler");
        let since = Instant::now();
        while !self.written().contains(&value.to_owned()) {
            assert!(since.elapsed() < DEADLINE, "{value} was not written: {:?}", self.written());
            self.process("filler", Some("filler"))?;
        }
        Ok(())
    }

    fn written_without_filler(&self) -> Vec<String> {
        self.written().into_iter().filter(|value| value != "filler").collect()
    }
}

#[test]
fn a_slow_call_holds_up_its_own_key_only() -> Outcome {
    let mut gated = Gated::new(AsyncOptions::concurrency(100))?;
    gated.process("a", Some("a1"))?;
    gated.process("a", Some("a2"))?;
    gated.process("a", None)?;
    gated.process("b", Some("b1"))?;
    gated.gate.open("a2");
    gated.let_out("b1")?;
    assert_eq!(gated.written_without_filler(), ["b1"], "a2 has ended, and waits for a1");
    gated.gate.open("a1");
    gated.task.flush(&mut gated.out)?;
    assert_eq!(gated.written_without_filler(), ["b1", "a1", "a2", "null"]);
    Ok(())
}

#[test]
fn in_stream_order_a_slow_call_holds_up_all() -> Outcome {
    let mut gated = Gated::new(AsyncOptions::concurrency(100).in_stream_order())?;
    gated.process("a", Some("a1"))?;
    gated.process("b", Some("b1"))?;
    gated.gate.open("b1");
    gated.let_out("a1")?;
    gated.task.flush(&mut gated.out)?;
    assert_eq!(gated.written_without_filler(), ["a1", "b1"]);
    Ok(())
}

#[test]
fn unordered_a_slow_call_holds_up_nothing() -> Outcome {
    let mut gated = Gated::new(AsyncOptions::concurrency(100).unordered())?;
    gated.process("a", Some("a1"))?;
    gated.process("a", Some("a2"))?;
    gated.let_out("a2")?;
    gated.gate.open("a1");
    gated.task.flush(&mut gated.out)?;
    assert_eq!(gated.written_without_filler(), ["a2", "a1"]);
    Ok(())
}

#[test]
fn a_commit_waits_for_calls_under_way_and_an_abort_cancels_them() -> Outcome {
    let mut gated = Gated::new(AsyncOptions::concurrency(100))?;
    gated.process("a", Some("a1"))?;
    gated.task.aborted();
    gated.process("a", Some("a2"))?;
    let gate = gated.gate.clone();
    let opener = std::thread::spawn(move || {
        let since = Instant::now();
        while !gate.has_begun("a2") && since.elapsed() < DEADLINE {
            std::thread::yield_now();
        }
        gate.open("a2");
    });
    gated.task.flush(&mut gated.out)?;
    opener.join().expect("the opener ends");
    assert_eq!(gated.written(), ["a2"], "a1 belonged to what was aborted");
    Ok(())
}

#[test]
fn no_more_calls_run_at_a_time_than_allowed() -> Outcome {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .map_values_async(AsyncOptions::concurrency(3), move |_, value| {
            let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
            async move {
                peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(value)
            }
        })
        .with_value_codec(utf8())
        .to("out");
    let scope = TaskScope {
        name: "in-source-0",
        partition: 0,
        state: &MemoryBackend::new(),
        tail_bound: TailBound::default(),
        cache_bytes_per_store: 0,
        calls: Arc::new(CallPool),
        globals: kappa_core::task::Globals::default(),
        undo_records: false,
    };
    let mut task = app.build()?.instantiate(0, &scope)?;
    let mut out = Output::new(vec![OutputTopic { handle: TopicHandle(0), partitions: 1 }], 0);
    for key in 0..200_u8 {
        let view = RecordView { offset: 0, timestamp_ms: 0, key: Some(b"k"), value: Some(&[b'a' + key % 26]) };
        task.process(0, &SourceRecord { view, headers: Headers::empty() }, &mut out)?;
    }
    task.flush(&mut out)?;
    assert_eq!(out.batch.entries.len(), 200);
    assert!(most.load(Ordering::SeqCst) <= 3, "{} at a time", most.load(Ordering::SeqCst));
    Ok(())
}

/// A driver over calls that fail `failures` times each before they succeed, with a count of attempts.
fn failing(
    options: AsyncOptions,
    failures: usize,
    fatal: bool,
) -> Result<(TestDriver, Arc<AtomicUsize>), Box<dyn std::error::Error>> {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let mut app = Topology::builder();
    app.stream("in", utf8(), i64_be())
        .map_values_async(options, move |_, value| {
            let failed = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match (failed < failures, fatal) {
                    (true, true) => Err(CallError::fatal("no such model")),
                    (true, false) => Err(CallError::retry("busy")),
                    (false, _) => Ok(value + 1),
                }
            }
        })
        .with_value_codec(i64_be())
        .to("out");
    Ok((TestDriver::new(&app.build()?)?, attempts))
}

#[test]
fn a_failure_that_may_pass_is_tried_again() -> Outcome {
    let (driver, attempts) = failing(AsyncOptions::default().retries(2, 1), 2, false)?;
    driver.input("in", utf8(), i64_be()).pipe("k", 1, 0)?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(2)]);
    assert_eq!(attempts.load(Ordering::SeqCst), 3);
    Ok(())
}

#[test]
fn a_call_that_fails_for_good_stops_with_an_error_that_names_the_record() -> Outcome {
    for (failures, fatal, tried, says) in [(3, false, 3, "busy (after 3 attempts)"), (1, true, 1, "no such model")] {
        let (driver, attempts) = failing(AsyncOptions::default().retries(2, 1), failures, fatal)?;
        let input = driver.input("in", utf8(), i64_be());
        let error = input.pipe("k", 1, 0).expect_err("the call fails").to_string();
        assert!(error.contains("the call for in, partition 0, offset 0") && error.contains(says), "{error}");
        assert_eq!(attempts.load(Ordering::SeqCst), tried);
    }
    Ok(())
}

#[test]
fn a_call_that_fails_for_good_can_be_dropped_and_counted() -> Outcome {
    let (driver, _) = failing(AsyncOptions::default().retries(0, 1).drop_failed(), 1, false)?;
    let input = driver.input("in", utf8(), i64_be());
    input.pipe("k", 1, 0)?;
    input.pipe("k", 5, 0)?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(6)]);
    assert_eq!(driver.dropped(), [("failed-call", 1)].into());
    Ok(())
}

#[test]
fn a_call_that_takes_too_long_or_panics_has_failed() -> Outcome {
    let mut slow = Gated::new(AsyncOptions::default().deadline_ms(20))?;
    slow.process("a", Some("never"))?;
    let error = slow.task.flush(&mut slow.out).expect_err("it takes too long").to_string();
    assert!(error.contains("it took longer than 20 ms with all attempts"), "{error}");

    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .map_values_async(AsyncOptions::default(), |_, value: String| async move {
            assert!(value != "boom", "as the test wants");
            Ok(value)
        })
        .with_value_codec(utf8())
        .to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let error = driver.input("in", utf8(), utf8()).pipe("k", "boom", 0).expect_err("it panics").to_string();
    assert!(error.contains("it panicked"), "{error}");
    Ok(())
}
