//! View readers on the embedded log: complete before they switch, and never a mix.

#![allow(clippy::unwrap_used, reason = "a failed helper is a failed test")]

mod registry_support;

use kappa_core::app::Version;
use kappa_core::registry::Registry;
use kappa_core::view::{ViewError, ViewEvent, ViewReader};
use kappa_state::{Codec, CodecError};
use registry_support::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Text;

impl Codec<String> for Text {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        String::from_utf8(bytes.to_vec()).map_err(CodecError::new)
    }
}

type Reader = ViewReader<String, String>;

fn reader(log: &kappa_core::log::SharedLog) -> Reader {
    ViewReader::open(log.clone(), REGISTRY, VIEW, Text, Text)
}

/// Polls until the condition holds; returns all that happened.
fn poll_until(reader: &mut Reader, condition: impl Fn(&Reader) -> bool) -> Vec<ViewEvent<String, String>> {
    let until = Instant::now() + DEADLINE;
    let mut events = Vec::new();
    while !condition(reader) {
        assert!(Instant::now() < until, "{reader:?} {events:?}");
        events.extend(reader.poll(Duration::from_millis(20)).unwrap());
    }
    events
}

fn serving(version: &str) -> impl Fn(&Reader) -> bool {
    let version = Some(id(version));
    move |reader| reader.serving() == version
}

fn view_of(log: &kappa_core::log::SharedLog, name: &str, partition: i32, records: &[(&str, Option<&str>)]) {
    append(log, &id(name).view(VIEW), partition, records);
}

#[test]
fn a_reader_waits_for_its_view_follows_it_and_sees_changes() {
    let log = log();
    let mut reader = reader(&log);
    assert!(reader.poll(Duration::from_millis(10)).unwrap().is_empty(), "there is no registry yet");
    assert!(reader.snapshot().is_none());

    let mut registry = registry(&log, "a");
    registry.register(&manifest(&log, "sums-v1")).unwrap();
    view_of(&log, "sums-v1", 0, &[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))]);
    view_of(&log, "sums-v1", 1, &[("c", Some("1")), ("c", None)]);
    assert!(reader.poll(Duration::from_millis(10)).unwrap().is_empty(), "no version is live yet");

    registry.go_live_if_first(&app("sums"), Version(1), 10).unwrap();
    let events = poll_until(&mut reader, serving("sums-v1"));
    assert!(matches!(
        &events[..],
        [ViewEvent::Switching { revision: 1, .. }, ViewEvent::Switched { before: None, .. }]
    ));
    let snapshot = reader.snapshot().unwrap();
    let entries: Vec<(&str, &str)> = snapshot.entries.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(entries, [("a", "2"), ("b", "1")]);

    view_of(&log, "sums-v1", 0, &[("a", Some("3")), ("b", None)]);
    let events = poll_until(&mut reader, |reader| reader.get(&"b".to_owned()).is_none());
    assert_eq!(reader.get(&"a".to_owned()).as_deref(), Some("3"));
    assert!(
        matches!(&events[..], [
        ViewEvent::Changed { before: Some(two), after: Some(three), .. },
        ViewEvent::Changed { before: Some(_), after: None, .. },
    ] if two == "2" && three == "3"),
        "{events:?}"
    );
    assert_eq!(snapshot.entries["a"], "2", "a snapshot never changes");
}

#[test]
fn a_reader_follows_promotion_and_rollback() {
    let log = log();
    let mut registry = running(&log, &["sums-v1", "sums-v2"]);
    view_of(&log, "sums-v1", 0, &[("a", Some("old"))]);
    view_of(&log, "sums-v2", 0, &[("a", Some("new"))]);
    let mut reader = reader(&log);
    poll_until(&mut reader, serving("sums-v1"));
    assert_eq!(reader.revision(), 1);

    registry.promote(&app("sums"), Version(2), 20).unwrap();
    let events = poll_until(&mut reader, serving("sums-v2"));
    let Some(ViewEvent::Switched { before: Some(before), after }) = events.last() else { panic!("{events:?}") };
    assert_eq!((before.entries["a"].as_str(), after.entries["a"].as_str()), ("old", "new"));
    assert_eq!((before.revision, after.revision), (1, 2));

    view_of(&log, "sums-v1", 0, &[("a", Some("old, and newer"))]);
    registry.rollback(&app("sums"), 30).unwrap();
    poll_until(&mut reader, serving("sums-v1"));
    assert_eq!((reader.get(&"a".to_owned()).as_deref(), reader.revision()), (Some("old, and newer"), 3));
}

#[test]
fn a_reader_serves_the_old_version_until_the_new_one_is_complete() {
    let log = log();
    let mut registry = running(&log, &["sums-v1", "sums-v2"]);
    view_of(&log, "sums-v1", 0, &[("a", Some("old"))]);
    let mut reader = reader(&log);
    poll_until(&mut reader, serving("sums-v1"));

    // The end as of the switch lies behind an open transaction of v2.
    let mut v2 = log.append(options(Some("v2"))).unwrap();
    v2.init(DEADLINE).unwrap();
    v2.begin().unwrap();
    put(v2.as_mut(), &id("sums-v2").view(VIEW), 0, &[("a", Some("new"))]);
    registry.promote(&app("sums"), Version(2), 20).unwrap();
    let until = Instant::now() + Duration::from_millis(900);
    while Instant::now() < until {
        reader.poll(Duration::from_millis(50)).unwrap();
        assert_eq!(reader.get(&"a".to_owned()).as_deref(), Some("old"));
    }
    view_of(&log, "sums-v1", 0, &[("a", Some("old, kept up to date"))]);
    poll_until(&mut reader, |reader| reader.get(&"a".to_owned()).as_deref() == Some("old, kept up to date"));
    v2.commit().unwrap();
    poll_until(&mut reader, serving("sums-v2"));
    assert_eq!(reader.get(&"a".to_owned()).as_deref(), Some("new"));
}

#[test]
fn an_aborted_end_does_not_keep_a_reader_waiting() {
    let log = log();
    let mut registry = running(&log, &["sums-v1", "sums-v2"]);
    view_of(&log, "sums-v2", 0, &[("a", Some("new"))]);
    let mut v2 = log.append(options(Some("v2"))).unwrap();
    v2.init(DEADLINE).unwrap();
    v2.begin().unwrap();
    put(v2.as_mut(), &id("sums-v2").view(VIEW), 0, &[("a", Some("never"))]);
    let mut reader = reader(&log);
    poll_until(&mut reader, serving("sums-v1"));
    registry.promote(&app("sums"), Version(2), 20).unwrap();
    let events = reader.poll(DEADLINE).unwrap();
    assert!(matches!(&events[..], [ViewEvent::Switching { revision: 2, .. }]), "{events:?}");
    v2.abort().unwrap();
    poll_until(&mut reader, serving("sums-v2"));
    assert_eq!(reader.get(&"a".to_owned()).as_deref(), Some("new"));
}

#[test]
fn no_thread_ever_sees_a_mix_of_two_versions() {
    const KEYS: usize = 500;
    let log = log();
    let keys: Vec<String> = (0..KEYS).map(|key| format!("key {key}")).collect();
    let mut registry = running(&log, &["sums-v1", "sums-v2"]);
    let fill = |name: &str| {
        let records: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (key.as_str(), Some(name))).collect();
        view_of(&log, name, 0, &records);
    };
    fill("sums-v1");
    fill("sums-v2");
    let mut reader = reader(&log);
    poll_until(&mut reader, serving("sums-v1"));

    let done = AtomicBool::new(false);
    let handle = reader.handle();
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut switches = 0;
            let mut last = id("sums-v1");
            while !done.load(Ordering::Relaxed) {
                let snapshot = handle.snapshot().unwrap();
                let name = snapshot.serving.to_string();
                assert_eq!(snapshot.entries.len(), KEYS);
                assert!(snapshot.entries.values().all(|value| *value == name), "a mix under {name}");
                switches += usize::from(std::mem::replace(&mut last, snapshot.serving) != last);
            }
            switches
        });
        let mut expect = |registry: &mut Registry, promote: bool, version: &str| {
            let sums = app("sums");
            if promote { registry.promote(&sums, Version(2), 20) } else { registry.rollback(&sums, 30) }.unwrap();
            // Records of both versions keep coming while it switches.
            fill("sums-v1");
            fill("sums-v2");
            poll_until(&mut reader, serving(version));
        };
        for _ in 0..10 {
            expect(&mut registry, true, "sums-v2");
            expect(&mut registry, false, "sums-v1");
        }
        done.store(true, Ordering::Relaxed);
        assert!(watcher.join().unwrap() > 0, "the watcher saw no switch");
    });
}

#[test]
fn what_can_not_be_decoded_is_named_and_changes_nothing() {
    let log = log();
    let registry = running(&log, &["sums-v1"]);
    view_of(&log, "sums-v1", 0, &[("a", Some("1"))]);
    let mut reader = reader(&log);
    poll_until(&mut reader, serving("sums-v1"));
    let mut appender = log.append(options(None)).unwrap();
    let topic = appender.topic(&id("sums-v1").view(VIEW), false).unwrap();
    let mut batch = kappa_core::log::AppendBatch::default();
    batch.push(topic, 0, 0, Some(b"b"), Some(b"fine"), kappa_core::log::Headers::empty());
    batch.push(topic, 0, 0, Some(b"a"), Some(b"\xff"), kappa_core::log::Headers::empty());
    appender.append(&batch).unwrap();
    appender.flush(DEADLINE).unwrap();
    let until = Instant::now() + DEADLINE;
    let error = loop {
        assert!(Instant::now() < until);
        if let Err(error) = reader.poll(Duration::from_millis(20)) {
            break error;
        }
    };
    assert!(matches!(&error, ViewError::Undecodable { partition: 0, offset: 2, part: "value", .. }), "{error}");
    assert_eq!(reader.snapshot().unwrap().entries.len(), 1);
    drop(registry);
}
