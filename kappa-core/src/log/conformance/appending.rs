//! Appending without transactions, and what every appender does: A1, A2, A8, A10, A11.

use super::Harness;
use super::kit::{DEADLINE, Kit, incompressible, spec};
use crate::log::*;
use std::time::Duration;

fn assert_misuse<T: std::fmt::Debug>(result: Result<T, LogError>) {
    assert!(matches!(result, Err(LogError::Misuse { .. })), "{result:?}");
}

pub(super) fn append_copies_the_batch(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("copies", 1);
    let mut writer = kit.plain();
    let handle = writer.handle(&topic);
    for value in [b"one".as_slice(), b"two", b"three"] {
        writer.batch.clear();
        writer.batch.push(handle, 0, 1, None, Some(value), Headers::empty());
        writer.append.append(&writer.batch).unwrap();
        writer.batch.bytes.fill(b'#');
    }
    writer.append.flush(DEADLINE).unwrap();
    assert_eq!(kit.committed_values(&topic), ["one", "two", "three"]);
}

pub(super) fn key_and_value_may_lie_anywhere_in_the_arena(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("arena", 1);
    let mut writer = kit.plain();
    let topic_handle = writer.handle(&topic);
    let value = writer.batch.copy(b"value");
    writer.batch.copy(b"unused");
    let key = writer.batch.copy(b"key");
    for (key, value) in [(Some(key.clone()), Some(value.clone())), (Some(value.start..value.start + 2), None)] {
        let headers = Headers::empty();
        let entry = AppendEntry { topic: topic_handle, partition: 0, timestamp_ms: 1, key, value, headers };
        writer.batch.entries.push(entry);
    }
    writer.append.append(&writer.batch).unwrap();
    writer.append.flush(DEADLINE).unwrap();
    let mut reader = kit.reader_of(&topic, Isolation::ReadCommitted);
    reader.until_count(2);
    let seen: Vec<_> = reader.seen.iter().map(|seen| (seen.key.as_deref(), seen.value.as_deref())).collect();
    assert_eq!(seen, [(Some(&b"key"[..]), Some(&b"value"[..])), (Some(&b"va"[..]), None)]);
}

pub(super) fn flush_tells_positions_since_the_last_flush(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (topic, quiet) = (kit.topic("positions", 2), kit.topic("quiet", 1));
    let mut writer = kit.plain();
    let handle = writer.append.topic(&topic, true).unwrap();
    let silent = writer.append.topic(&quiet, false).unwrap();
    let mut put = |records: &[(TopicHandle, i32)]| {
        writer.batch.clear();
        for (handle, partition) in records {
            writer.batch.push(*handle, *partition, 1, None, Some(b"v"), Headers::empty());
        }
        writer.append.append(&writer.batch).unwrap();
        let mut positions: Vec<(i32, i64)> = Vec::new();
        for position in writer.append.flush(DEADLINE).unwrap() {
            assert_eq!(position.topic, handle);
            positions.push((position.partition, position.next_offset));
        }
        positions.sort_unstable();
        positions
    };
    assert_eq!(put(&[(handle, 0), (handle, 1), (handle, 0), (silent, 0)]), [(0, 2), (1, 1)]);
    assert_eq!(put(&[(handle, 1)]), [(1, 2)]);
    assert_eq!(put(&[]), []);
}

pub(super) fn transaction_calls_need_a_transactional_id(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.plain();
    assert_misuse(writer.append.init(DEADLINE));
    assert_misuse(writer.append.begin());
    assert_misuse(writer.append.commit());
    assert_misuse(writer.append.abort());
}

pub(super) fn transaction_calls_keep_their_order(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("call-order", 1);
    let mut writer = kit.uninitialised(&kit.unique("tx"));
    assert_misuse(writer.append.begin());
    writer.append.init(DEADLINE).unwrap();
    assert_misuse(writer.append.commit());
    assert_misuse(writer.try_put(&topic, 0, &["outside"]));
    writer.append.abort().unwrap();
    writer.append.begin().unwrap();
    assert_misuse(writer.append.begin());
    writer.put(&topic, 0, &["inside"]);
    writer.append.commit().unwrap();
    assert_eq!(kit.committed_values(&topic), ["inside"]);
}

pub(super) fn looking_up_a_missing_topic_is_an_error(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let missing = kit.unique("missing");
    let found = kit.plain().append.topic(&missing, false);
    assert_eq!(found, Err(LogError::TopicMissing { topic: missing.clone() }));
    assert_eq!(kit.topics().describe(&missing).unwrap(), None);
}

pub(super) fn record_for_a_missing_partition_is_refused(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("partitions", 2);
    let mut writer = kit.plain();
    let handle = writer.handle(&topic);
    writer.batch.push(handle, 2, 1, None, Some(b"v"), Headers::empty());
    let appended = writer.append.append(&writer.batch);
    let refused = appended.and_then(|()| writer.append.flush(DEADLINE).map(drop));
    assert_eq!(refused, Err(LogError::PartitionMissing { topic, partition: 2 }));
}

pub(super) fn record_too_large_is_refused(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = small_records_topic(&kit);
    let mut writer = kit.plain();
    let big = incompressible(20_000);
    let refused = writer.try_put(&topic, 0, &[&big]).and_then(|()| writer.append.flush(DEADLINE).map(drop));
    assert!(matches!(refused, Err(LogError::RecordTooLarge { .. })), "{refused:?}");
    writer.put_now(&topic, 0, &["small"]);
    assert_eq!(kit.committed_values(&topic), ["small"], "the appender goes on");
}

pub(super) fn record_too_large_keeps_its_transaction_from_committing(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = small_records_topic(&kit);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["first"]);
    let big = incompressible(20_000);
    let refused = writer.try_put(&topic, 0, &[&big]).and_then(|()| writer.append.commit().map(drop));
    assert!(matches!(refused, Err(LogError::RecordTooLarge { .. } | LogError::AbortRequired { .. })), "{refused:?}");
    writer.append.abort().unwrap();
    writer.transact(&topic, &["second"], true);
    assert_eq!(kit.committed_values(&topic), ["second"]);
}

/// A topic that takes records of 10,000 bytes.
fn small_records_topic(kit: &Kit<'_>) -> String {
    let mut spec = spec(&kit.unique("small"), 1);
    spec.settings.push(("max.message.bytes".to_owned(), "10000".to_owned()));
    kit.topics().create(&spec).unwrap();
    spec.name
}

pub(super) fn flush_and_commit_do_not_wait_for_linger(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("linger", 1);
    let (timeout, linger) = (Duration::from_secs(60), Duration::from_secs(10));
    let mut plain = kit.writer(None, timeout, linger);
    let mut writer = kit.writer(Some(&kit.unique("tx")), timeout, linger);
    writer.append.init(DEADLINE).unwrap();
    // The first of each pays for connections.
    plain.put_now(&topic, 0, &["a"]);
    writer.transact(&topic, &["b"], true);
    let before_ms = kit.harness.now_ms();
    plain.put_now(&topic, 0, &["c"]);
    writer.transact(&topic, &["d"], true);
    assert!(kit.harness.now_ms() - before_ms < 5_000, "neither waits for linger");
    assert_eq!(kit.committed_values(&topic), ["a", "b", "c", "d"]);
}

pub(super) fn closing_leaves_what_was_flushed(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("close", 1);
    let mut writer = kit.plain();
    writer.put_now(&topic, 0, &["a"]);
    writer.append.close(DEADLINE).unwrap();
    assert_eq!(kit.committed_values(&topic), ["a"]);
}
