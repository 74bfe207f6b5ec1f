//! Topics: T1–T5.

use super::Harness;
use super::kit::{DEADLINE, Kit, at, commit_of, spec};
use crate::log::*;

pub(super) fn created_topic_is_usable_at_once(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("usable", 3);
    let info = kit.topics().describe(&topic).unwrap();
    assert_eq!(info, Some(TopicInfo { name: topic.clone(), partitions: 3 }));
    kit.plain().put_now(&topic, 2, &["a"]);
    assert_eq!(kit.offset(&topic, 2, OffsetSpec::Latest(Isolation::ReadUncommitted)), 1);
}

pub(super) fn creating_a_topic_again_changes_nothing(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("again", 2);
    kit.plain().put_now(&topic, 0, &["kept"]);
    let again = kit.topics().create(&spec(&topic, 5));
    assert_eq!(again, Err(LogError::TopicExists { topic: topic.clone() }));
    assert_eq!(kit.topics().describe(&topic).unwrap().unwrap().partitions, 2);
    assert_eq!(kit.committed_values(&topic), ["kept"]);
}

pub(super) fn describing_a_missing_topic_does_not_create_it(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let name = kit.unique("missing");
    assert_eq!(kit.topics().describe(&name).unwrap(), None);
    assert_eq!(kit.topics().describe(&name).unwrap(), None);
    assert!(kit.topics().list(&name).unwrap().is_empty());
}

pub(super) fn topics_are_listed_by_prefix_and_sorted(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let prefix = kit.unique("list");
    let names = [format!("{prefix}-b"), format!("{prefix}-a"), format!("{prefix}-c")];
    for name in &names {
        kit.topics().create(&spec(name, 1)).unwrap();
    }
    let expected = [&names[1], &names[0], &names[2]];
    let mut listed = Vec::new();
    kit.until("all three are listed", || {
        listed = kit.topics().list(&prefix).unwrap();
        listed.len() == 3
    });
    assert_eq!(listed.iter().collect::<Vec<_>>(), expected);
}

pub(super) fn topic_settings_and_compaction_are_accepted(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut compacted = spec(&kit.unique("settings"), 1);
    compacted.cleanup = CleanupPolicy::Compact;
    compacted.settings = vec![("retention.ms".into(), "-1".into()), ("segment.bytes".into(), "1048576".into())];
    kit.topics().create(&compacted).unwrap();
    assert!(kit.topics().describe(&compacted.name).unwrap().is_some());
}

pub(super) fn deleted_topic_is_gone(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("deleted", 1);
    kit.topics().delete(&topic).unwrap();
    kit.until("the topic is gone", || kit.topics().describe(&topic).unwrap().is_none());
}

pub(super) fn deleting_a_missing_topic_is_an_error(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let name = kit.unique("never");
    assert_eq!(kit.topics().delete(&name), Err(LogError::TopicMissing { topic: name.clone() }));
}

pub(super) fn offsets_of_an_empty_partition_are_equal(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("empty", 1);
    assert_eq!(kit.offset(&topic, 0, OffsetSpec::Earliest), 0);
    assert_eq!(kit.offset(&topic, 0, OffsetSpec::Latest(Isolation::ReadCommitted)), 0);
    assert_eq!(kit.offset(&topic, 0, OffsetSpec::Latest(Isolation::ReadUncommitted)), 0);
    assert_eq!(kit.offset(&topic, 0, OffsetSpec::AtTime(0)), 0);
}

pub(super) fn offsets_are_answered_in_the_order_asked(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (first, second) = (kit.topic("order-a", 2), kit.topic("order-b", 1));
    let mut writer = kit.plain();
    writer.put_now(&first, 1, &["a", "b", "c"]);
    writer.put_now(&second, 0, &["a", "b"]);
    let latest = OffsetSpec::Latest(Isolation::ReadUncommitted);
    let asked = [
        (at(&second, 0), latest),
        (at(&first, 1), latest),
        (at(&first, 0), latest),
        (at(&first, 1), OffsetSpec::Earliest),
        (at(&first, 1), OffsetSpec::AtTime(1001)),
    ];
    assert_eq!(kit.topics().offsets(&asked).unwrap(), [2, 3, 0, 0, 1]);
}

pub(super) fn offsets_of_what_is_missing_are_an_error_that_names_it(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (topic, missing) = (kit.topic("there", 2), kit.unique("missing"));
    let ask = |partition| kit.topics().offsets(&[(partition, OffsetSpec::Earliest)]);
    assert_eq!(ask(at(&missing, 0)), Err(LogError::TopicMissing { topic: missing.clone() }));
    assert_eq!(ask(at(&topic, 2)), Err(LogError::PartitionMissing { topic: topic.clone(), partition: 2 }));
}

pub(super) fn latest_offset_depends_on_isolation(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("isolation", 1);
    kit.plain().put_now(&topic, 0, &["plain"]);
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["open"]);
    kit.until("the open record is in the log", || {
        kit.offset(&topic, 0, OffsetSpec::Latest(Isolation::ReadUncommitted)) == 2
    });
    assert_eq!(kit.offset(&topic, 0, OffsetSpec::Latest(Isolation::ReadCommitted)), 1);
    writer.append.commit().unwrap();
    kit.until("the marker is behind the record", || {
        kit.offset(&topic, 0, OffsetSpec::Latest(Isolation::ReadCommitted)) == 3
    });
}

pub(super) fn offsets_by_time_are_the_first_at_or_after(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("time", 1);
    let mut writer = kit.plain();
    let handle = writer.handle(&topic);
    for timestamp_ms in [100, 300, 200, 400] {
        writer.batch.push(handle, 0, timestamp_ms, None, Some(b"v"), Headers::empty());
        writer.append.append(&writer.batch).unwrap();
        writer.append.flush(DEADLINE).unwrap();
        writer.batch.clear();
    }
    let found: Vec<i64> =
        [0, 100, 101, 300, 301, 401].iter().map(|time| kit.offset(&topic, 0, OffsetSpec::AtTime(*time))).collect();
    assert_eq!(found, [0, 0, 1, 1, 3, 4]);
}

pub(super) fn deleting_records_moves_the_log_start(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("start", 1);
    kit.plain().put_now(&topic, 0, &["a", "b", "c", "d", "e"]);
    kit.topics().delete_records(&[(at(&topic, 0), 3)]).unwrap();
    assert_eq!(kit.offset(&topic, 0, OffsetSpec::Earliest), 3);
    assert_eq!(kit.offset(&topic, 0, OffsetSpec::Latest(Isolation::ReadUncommitted)), 5);
    assert_eq!(kit.committed_values(&topic), ["d", "e"]);
}

pub(super) fn deleting_a_group_forgets_its_offsets(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, _, member) = kit.lone_member(1);
    let input = at(&kit.topic("input", 1), 0);
    member.member.commit_offsets(&[commit_of(&input, 7, "")], &member.stamp(), DEADLINE).unwrap();
    assert_eq!(kit.committed_offset(&group, &input), Some(7));
    let refused = kit.topics().delete_group(&group);
    assert!(refused.is_err(), "a group with a member is not deleted");
    member.membership.leave(DEADLINE).unwrap();
    kit.until("the group is empty and deleted", || kit.topics().delete_group(&group).is_ok());
    assert_eq!(kit.committed_offset(&group, &input), None);
}

pub(super) fn deleting_a_group_that_never_was_is_fine(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    kit.topics().delete_group(&kit.unique("no-group")).unwrap();
}
