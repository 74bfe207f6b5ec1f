//! Reading beside transactions: F2–F5.

use super::Harness;
use super::kit::Kit;
use crate::log::*;
use std::time::Duration;

const COMMITTED: Isolation = Isolation::ReadCommitted;
const UNCOMMITTED: Isolation = Isolation::ReadUncommitted;

pub(super) fn aborted_records_are_never_seen(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("aborted", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.transact(&topic, &["a", "b"], true);
    writer.abort_in_log(&kit, &topic, &["no", "no"]);
    writer.transact(&topic, &["c"], true);
    writer.abort_in_log(&kit, &topic, &["no"]);
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 10);
    assert_eq!(reader.values(), ["a", "b", "c"]);
    assert_eq!(reader.offsets(), [0, 1, 6]);
}

pub(super) fn reader_stalls_at_an_open_transaction_until_it_commits(harness: &dyn Harness) {
    stall(harness, true, &["before", "open", "behind"]);
}

pub(super) fn reader_stalls_at_an_open_transaction_until_it_aborts(harness: &dyn Harness) {
    stall(harness, false, &["before", "behind"]);
}

fn stall(harness: &dyn Harness, commit: bool, expected: &[&str]) {
    let kit = Kit::new(harness);
    let topic = kit.topic("stall", 1);
    let mut plain = kit.plain();
    plain.put_now(&topic, 0, &["before"]);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["open"]);
    kit.until("the open record is in the log", || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED)) == 2);
    plain.put_now(&topic, 0, &["behind"]);
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 1);
    reader.linger(Duration::from_millis(500));
    assert_eq!(reader.values(), ["before"], "nothing from the open transaction on");
    if commit {
        writer.append.commit().map(drop).unwrap();
    } else {
        writer.append.abort().unwrap();
    }
    reader.until_end(0, 4);
    assert_eq!(reader.values(), expected);
}

/// A restore, or a version that catches up, would otherwise wait for ever for records that were never committed.
pub(super) fn end_is_told_again_when_only_an_abort_moved_it(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("aborted-tail", 1);
    kit.plain().put_now(&topic, 0, &["before"]);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["open", "open"]);
    kit.until("the open records are in the log", || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED)) == 3);
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 1);
    writer.append.abort().unwrap();
    reader.until_end(0, 4);
    assert_eq!(reader.values(), ["before"]);
}

pub(super) fn transactions_of_two_appenders_are_decided_apart(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("interleaved", 1);
    let (mut first, mut second) = (kit.transactional(&kit.unique("tx-a")), kit.transactional(&kit.unique("tx-b")));
    let end = || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED));
    first.append.begin().unwrap();
    second.append.begin().unwrap();
    first.put(&topic, 0, &["a1"]);
    kit.until("a1 is in", || end() == 1);
    second.put(&topic, 0, &["b1"]);
    kit.until("b1 is in", || end() == 2);
    first.put(&topic, 0, &["a2"]);
    kit.until("a2 is in", || end() == 3);
    second.append.commit().unwrap();
    let mut reader = kit.reader_of(&topic, COMMITTED);
    reader.until_end(0, 0);
    reader.linger(Duration::from_millis(400));
    assert!(reader.seen.is_empty(), "b1 is committed and lies behind an open transaction");
    first.append.abort().unwrap();
    reader.until_end(0, 5);
    assert_eq!(reader.values(), ["b1"]);
}

pub(super) fn read_uncommitted_sees_all_but_control_records(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("uncommitted", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.transact(&topic, &["committed"], true);
    writer.abort_in_log(&kit, &topic, &["aborted"]);
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["open"]);
    let mut reader = kit.reader_of(&topic, UNCOMMITTED);
    reader.until_end(0, 5);
    assert_eq!(reader.values(), ["committed", "aborted", "open"]);
    assert_eq!(reader.offsets(), [0, 2, 4]);
}

/// The table of what a broker reports as the end, step by step.
pub(super) fn end_counts_markers_and_stops_at_open_transactions(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("table", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    let mut committed = kit.reader_of(&topic, COMMITTED);
    let mut uncommitted = kit.reader_of(&topic, UNCOMMITTED);
    committed.until_end(0, 0);
    writer.transact(&topic, &["a", "b"], true);
    committed.until_end(0, 3);
    uncommitted.until_end(0, 3);
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["c", "d"]);
    uncommitted.until_end(0, 5);
    let mut fresh = kit.reader_of(&topic, COMMITTED);
    fresh.until_end(0, 3);
    committed.linger(Duration::from_millis(300));
    assert_eq!(committed.last_end(0), Some(3));
    writer.append.abort().unwrap();
    committed.until_end(0, 6);
    uncommitted.until_end(0, 6);
    writer.transact(&topic, &["e"], true);
    committed.until_end(0, 8);
    uncommitted.until_end(0, 8);
    assert_eq!(committed.values(), ["a", "b", "e"]);
    assert_eq!(uncommitted.values(), ["a", "b", "c", "d", "e"]);
}

pub(super) fn offset_of_a_marker_is_a_fine_start(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("marker-start", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.transact(&topic, &["a"], true);
    writer.abort_in_log(&kit, &topic, &["no"]);
    writer.transact(&topic, &["b"], true);
    kit.until("all markers are written", || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED)) == 6);
    for (start, expected) in [(1, vec!["b"]), (2, vec!["b"]), (3, vec!["b"]), (5, vec![]), (6, vec![])] {
        let mut reader = kit.reader(COMMITTED);
        reader.assign(&topic, 0, Start::Offset(start), 0);
        reader.until_end(0, 6);
        assert_eq!(reader.values(), expected, "from offset {start}");
    }
}

pub(super) fn latest_under_read_committed_is_the_last_stable_offset(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("latest", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.transact(&topic, &["old"], true);
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["open"]);
    kit.until("the open record is in the log", || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED)) == 3);
    let mut reader = kit.reader(COMMITTED);
    reader.assign(&topic, 0, Start::Latest, 0);
    reader.until_end(0, 2);
    writer.append.commit().unwrap();
    reader.until_end(0, 4);
    assert_eq!(reader.values(), ["open"]);
}

pub(super) fn restore_ends_at_the_high_watermark(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("restore", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    for number in 0..5 {
        writer.transact(&topic, &[&number.to_string()], number != 3);
        let watermark = kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED));
        let mut reader = kit.reader_of(&topic, COMMITTED);
        reader.until_end_beyond(0, watermark);
        assert_eq!(reader.seen.len(), if number < 3 { number + 1 } else { number });
    }
}
