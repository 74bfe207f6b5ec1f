//! Transactions, fencing of appenders, offsets in transactions: A3–A9, A12.

use super::Harness;
use super::kit::{DEADLINE, Kit, at, commit_of};
use crate::log::*;
use std::time::Duration;

const UNCOMMITTED: Isolation = Isolation::ReadUncommitted;

fn assert_fenced<T: std::fmt::Debug>(result: Result<T, LogError>) {
    assert!(matches!(result, Err(LogError::ProducerFenced { .. })), "{result:?}");
}

pub(super) fn partitions_and_topics_commit_as_one(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (first, second) = (kit.topic("one-a", 2), kit.topic("one-b", 1));
    let mut writer = kit.transactional(&kit.unique("tx"));
    let mut reader = kit.reader(Isolation::ReadCommitted);
    reader.assign(&first, 0, Start::Earliest, 0);
    reader.assign(&first, 1, Start::Earliest, 1);
    reader.assign(&second, 0, Start::Earliest, 2);
    for (commit, value) in [(false, "no"), (true, "yes")] {
        writer.append.begin().unwrap();
        writer.put(&first, 0, &[value]);
        writer.put(&first, 1, &[value]);
        writer.put(&second, 0, &[value]);
        if commit {
            writer.append.commit().map(drop).unwrap();
        } else {
            writer.append.abort().unwrap();
        }
    }
    // Whether the aborted records ever reached the log is the client's affair: no offsets are expected.
    reader.until("the committed records", |reader| reader.seen.len() >= 3);
    reader.linger(Duration::from_millis(300));
    for token in 0..3 {
        assert_eq!(reader.values_of(|seen| seen.token == token), ["yes"]);
    }
}

pub(super) fn commit_tells_positions_of_its_own_records(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (topic, quiet) = (kit.topic("commit-positions", 2), kit.topic("quiet", 1));
    kit.plain().put_now(&topic, 0, &["x", "x", "x"]);
    let mut writer = kit.transactional(&kit.unique("tx"));
    let handle = writer.append.topic(&topic, true).unwrap();
    writer.append.topic(&quiet, false).unwrap();
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["a", "b"]);
    let silent = writer.append.topic(&quiet, false).unwrap();
    writer.batch.clear();
    writer.batch.push(silent, 0, 1, None, Some(b"v"), Headers::empty());
    writer.append.append(&writer.batch).unwrap();
    let position = |partition, next_offset| Position { topic: handle, partition, next_offset };
    assert_eq!(writer.append.commit().unwrap(), [position(0, 5)], "before the marker, which takes 5");
    writer.append.begin().unwrap();
    writer.put(&topic, 1, &["c"]);
    writer.append.abort().unwrap();
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["d"]);
    assert_eq!(writer.append.commit().unwrap(), [position(0, 7)], "what was aborted has no position");
}

pub(super) fn empty_transaction_leaves_no_trace(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("nothing", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.transact(&topic, &["a"], true);
    for _ in 0..3 {
        writer.append.begin().unwrap();
        assert_eq!(writer.append.commit().unwrap(), []);
        writer.append.begin().unwrap();
        writer.append.abort().unwrap();
    }
    writer.append.abort().unwrap();
    kit.until("the first marker is written", || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED)) == 2);
    writer.transact(&topic, &["b"], true);
    let mut reader = kit.reader_of(&topic, Isolation::ReadCommitted);
    reader.until_end(0, 4);
    assert_eq!(reader.offsets(), [0, 2], "empty transactions take no offsets");
}

pub(super) fn appender_goes_on_after_an_abort(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("goes-on", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    for number in 0..6 {
        writer.transact(&topic, &[&number.to_string()], number % 2 == 0);
    }
    assert_eq!(kit.committed_values(&topic), ["0", "2", "4"]);
}

pub(super) fn newer_appender_fences_an_older_one(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (topic, id) = (kit.topic("fence", 1), kit.unique("tx"));
    let mut old = kit.transactional(&id);
    old.transact(&topic, &["old"], true);
    old.append.begin().unwrap();
    let mut new = kit.transactional(&id);
    let late = old.try_put(&topic, 0, &["zombie"]).and_then(|()| old.append.commit().map(drop));
    assert_fenced(late);
    let after = old.append.begin().and_then(|()| old.try_put(&topic, 0, &["zombie"]));
    assert_fenced(after.and_then(|()| old.append.commit().map(drop)));
    new.transact(&topic, &["new"], true);
    assert_eq!(kit.committed_values(&topic), ["old", "new"]);
}

pub(super) fn init_ends_what_an_earlier_appender_left_open(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (topic, id) = (kit.topic("left-open", 1), kit.unique("tx"));
    let mut old = kit.transactional(&id);
    old.append.begin().unwrap();
    old.put(&topic, 0, &["zombie"]);
    kit.until("the open record is in the log", || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED)) == 1);
    let mut reader = kit.reader_of(&topic, Isolation::ReadCommitted);
    reader.until_end(0, 0);
    let mut new = kit.transactional(&id);
    reader.until_end(0, 2);
    assert_fenced(old.append.commit());
    new.transact(&topic, &["new"], true);
    reader.until_end(0, 4);
    assert_eq!(reader.values(), ["new"]);
}

pub(super) fn appenders_with_ids_of_their_own_do_not_meet(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("apart", 1);
    let mut first = kit.transactional(&kit.unique("tx-a"));
    first.append.begin().unwrap();
    first.put(&topic, 0, &["a"]);
    let mut second = kit.transactional(&kit.unique("tx-b"));
    second.transact(&topic, &["b"], true);
    first.append.commit().unwrap();
    let mut values = kit.committed_values(&topic);
    values.sort();
    assert_eq!(values, ["a", "b"]);
}

pub(super) fn transaction_open_too_long_is_aborted_by_the_log(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("too-long", 1);
    let mut writer = kit.writer(Some(&kit.unique("tx")), Duration::from_secs(1), Duration::ZERO);
    writer.append.init(DEADLINE).unwrap();
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["late"]);
    let mut reader = kit.reader_of(&topic, Isolation::ReadCommitted);
    reader.until_end(0, 2);
    let late = writer.append.commit();
    let is_refused = matches!(late, Err(LogError::ProducerFenced { .. }));
    assert!(is_refused, "{late:?}");
    assert!(reader.seen.is_empty());
}

pub(super) fn closing_aborts_the_open_transaction(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("close-open", 1);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["open"]);
    kit.until("the open record is in the log", || kit.offset(&topic, 0, OffsetSpec::Latest(UNCOMMITTED)) == 1);
    writer.append.close(DEADLINE).unwrap();
    let mut reader = kit.reader_of(&topic, Isolation::ReadCommitted);
    reader.until_end(0, 2);
    assert!(reader.seen.is_empty());
}

pub(super) fn offsets_become_visible_with_the_records(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, _, mut member) = kit.lone_member(1);
    let (topic, input) = (kit.topic("out", 1), at(&kit.topic("in", 1), 0));
    let mut writer = kit.transactional(&kit.unique("tx"));
    for (offset, commit) in [(3, true), (9, false), (5, true)] {
        writer.append.begin().unwrap();
        writer.put(&topic, 0, &[&offset.to_string()]);
        member.pump();
        let commits = [commit_of(&input, offset, &format!("m{offset}"))];
        writer.append.send_offsets(&commits, &member.stamp()).unwrap();
        if commit {
            writer.append.commit().map(drop).unwrap();
        } else {
            writer.append.abort().unwrap();
        }
        let expected = if commit { offset } else { 3 };
        let committed = kit.committed(&group, std::slice::from_ref(&input)).remove(0);
        assert_eq!(committed, Some(CommittedOffset { offset: expected, metadata: format!("m{expected}") }));
    }
    assert_eq!(kit.committed_values(&topic), ["3", "5"]);
}

pub(super) fn offsets_alone_make_a_transaction(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, _, member) = kit.lone_member(1);
    let (first, second) = (at(&kit.topic("in", 1), 0), at(&kit.topic("in", 2), 1));
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.append.send_offsets(&[commit_of(&first, 1, "")], &member.stamp()).unwrap();
    writer.append.send_offsets(&[commit_of(&second, 2, ""), commit_of(&first, 4, "")], &member.stamp()).unwrap();
    writer.append.commit().unwrap();
    assert_eq!(kit.committed_offset(&group, &first), Some(4), "the later of two");
    assert_eq!(kit.committed_offset(&group, &second), Some(2));
}

pub(super) fn undecided_offsets_are_unstable_never_old(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, _, member) = kit.lone_member(1);
    let input = at(&kit.topic("in", 1), 0);
    let other = at(&input.topic, 0);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.append.send_offsets(&[commit_of(&input, 1, "old")], &member.stamp()).unwrap();
    writer.append.commit().unwrap();
    assert_eq!(kit.committed_offset(&group, &other), Some(1));
    writer.append.begin().unwrap();
    writer.append.send_offsets(&[commit_of(&input, 2, "new")], &member.stamp()).unwrap();
    let mut offsets = kit.log.group_offsets(&group).unwrap();
    let undecided = offsets.committed(std::slice::from_ref(&input), Duration::from_millis(700));
    let unstable = LogError::OffsetsUnstable { group: group.clone(), partition: input.to_string() };
    assert_eq!(undecided, Err(unstable));
    let peeked = offsets.peek(std::slice::from_ref(&input), DEADLINE).unwrap().remove(0);
    assert_eq!(peeked, Some(CommittedOffset { offset: 1, metadata: "old".to_owned() }), "what is decided");
    writer.append.commit().unwrap();
    assert_eq!(kit.committed_offset(&group, &input), Some(2));
}

pub(super) fn offsets_of_an_owner_that_is_gone_are_settled_by_its_id(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, _, member) = kit.lone_member(1);
    let (input, id) = (at(&kit.topic("in", 1), 0), kit.unique("tx"));
    member.member.commit_offsets(&[commit_of(&input, 1, "")], &member.stamp(), DEADLINE).unwrap();
    let mut gone = kit.transactional(&id);
    gone.append.begin().unwrap();
    gone.append.send_offsets(&[commit_of(&input, 2, "")], &member.stamp()).unwrap();
    kit.transactional(&id);
    assert_eq!(kit.committed_offset(&group, &input), Some(1));
    assert_fenced(gone.append.commit());
}
