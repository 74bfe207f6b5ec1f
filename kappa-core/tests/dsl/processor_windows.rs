//! Window and session stores: as processors use them, and what they know of time after a restart. Expected values are calculated
//! by hand, or are Kafka Streams' where a test says so.

use super::{AT_COMMIT, AT_ONCE, Outcome};
use kappa_core::codec::{i64_be, session_windowed, utf8};
use kappa_core::processor::{Direction, Processor, ProcessorContext, StoredWindows, WindowHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::testing::{TestDriver, TestError};
use kappa_core::topology::{Topology, TopologyError};
use kappa_core::window::{SessionWindows, TimeWindows, Windowed};

/// Goes on as it is, on the state there is, or without any.
const WAYS: [&str; 3] = ["stay", "restart", "move"];

fn go(driver: &TestDriver, way: &str) -> Result<(), TestError> {
    match way {
        "restart" => driver.restart(),
        "move" => driver.tasks().iter().try_for_each(|task| driver.move_task(task)),
        _ => Ok(()),
    }
}

#[test]
fn what_has_expired_is_not_seen_after_a_restart_either() -> Outcome {
    for way in WAYS {
        let mut app = Topology::builder();
        app.stream("in", utf8(), utf8()).group_by_key().windowed_by(TimeWindows::tumbling(10)).count("counts").to("out");
        let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
        let input = driver.input("in", utf8(), utf8());
        input.pipe("a", "", 5)?;
        input.pipe("a", "", 25)?;
        go(&driver, way)?;
        // Kept for 10 ms: the window that started at 0 has gone with the one that started at 20.
        let rows = driver.window_store("counts", utf8(), 10, i64_be()).rows()?;
        assert_eq!(rows, [(Windowed::new("a".to_owned(), 20, 30), 1, 25)], "{way}");
    }
    Ok(())
}

/// Puts values at the record's time and forwards all that are kept of the key.
struct Keep(WindowHandle<String, String>);

impl Processor<String, String> for Keep {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        let (key, at) = (record.key()?, record.timestamp_ms);
        let mut kept = cx.window_store(&self.0)?;
        kept.put(key, record.value()?.cloned().unwrap_or_default(), at, at)?;
        let all = kept.fetch(key, 0, i64::MAX, Direction::Forward)?;
        let text: Vec<String> = all.into_iter().map(|(start_ms, value)| format!("{value}@{start_ms}")).collect();
        cx.forward(key.clone(), text.join(" "))
    }
}

fn keeping(windows: StoredWindows) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let store = app.window_store("kept", utf8(), utf8(), windows);
    let supplier = {
        let store = store.clone();
        move || Keep(store.clone())
    };
    app.stream("in", utf8(), utf8()).process("keep", &[&store], supplier).with_codecs(utf8(), utf8()).to("out");
    app.build()
}

#[test]
fn values_of_one_key_and_time_are_all_kept_over_restarts() -> Outcome {
    for way in WAYS {
        let driver = TestDriver::with_options(&keeping(StoredWindows::new(1, 10).retain_duplicates())?, AT_ONCE)?;
        let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
        for (value, at, expected) in [
            ("1", 5, "1@5"),
            ("2", 5, "1@5 2@5"),
            ("3", 5, "1@5 2@5 3@5"),
            ("4", 14, "1@5 2@5 3@5 4@14"),
            ("5", 15, "4@14 5@15"),
            // Too late to be kept.
            ("6", 5, "4@14 5@15"),
        ] {
            input.pipe("a", value, at)?;
            assert_eq!(out.read_values()?, [Some(expected.to_owned())], "{value}, {way}");
            go(&driver, way)?;
        }
        assert_eq!(driver.dropped().get("expired"), Some(&1), "{way}");
    }
    Ok(())
}

#[test]
fn without_duplicates_the_last_value_of_a_window_stays() -> Outcome {
    let driver = TestDriver::with_options(&keeping(StoredWindows::new(10, 30))?, AT_ONCE)?;
    let (input, out) = (driver.input("in", utf8(), utf8()), driver.output("out", utf8(), utf8()));
    for (value, at) in [("1", 5), ("2", 5), ("3", 20)] {
        input.pipe("a", value, at)?;
    }
    assert_eq!(out.read_values()?.pop().flatten().as_deref(), Some("2@5 3@20"));
    Ok(())
}

#[test]
fn windows_that_make_no_sense_are_refused() {
    for windows in [StoredWindows::new(0, 10), StoredWindows::new(10, 9)] {
        let error = keeping(windows).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("window_store(kept)"), "{error}");
    }
}

/// As Kafka Streams does it with a cache: what it still sees there it takes in, however late.
#[test]
fn with_a_cache_a_session_takes_in_what_touches_it_at_the_last_moment() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .windowed_by(SessionWindows::with_gap(20).grace(10))
        .count("counts")
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_COMMIT)?;
    let input = driver.input("in", utf8(), utf8());
    for (key, at) in [("b", 21), ("a", 51), ("b", 1)] {
        input.pipe(key, "", at)?;
    }
    driver.commit()?;
    let mut out = driver.output("out", session_windowed(utf8()), i64_be()).read_all()?;
    out.retain(|(_, count, _)| count.is_some());
    out.sort();
    let session = |key: &str, start, end| Windowed::new(key.to_owned(), start, end);
    assert_eq!(out, [(session("a", 51, 51), Some(1), 51), (session("b", 1, 21), Some(2), 21)]);
    Ok(())
}
