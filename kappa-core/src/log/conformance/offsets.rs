//! Committed offsets outside transactions: G1–G4 and plain commits.

use super::Harness;
use super::kit::{DEADLINE, Kit, at, commit_of};
use crate::log::*;

pub(super) fn plain_commits_are_kept_with_their_metadata(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, _, member) = kit.lone_member(1);
    let input = at(&kit.topic("in", 2), 1);
    let metadata = "kappa1;tx=a-b-0;t=1700000000000";
    member.member.commit_offsets(&[commit_of(&input, 41, "")], &member.stamp(), DEADLINE).unwrap();
    member.member.commit_offsets(&[commit_of(&input, 42, metadata)], &member.stamp(), DEADLINE).unwrap();
    let committed = kit.committed(&group, std::slice::from_ref(&input)).remove(0);
    assert_eq!(committed, Some(CommittedOffset { offset: 42, metadata: metadata.to_owned() }));
}

pub(super) fn offsets_come_in_the_order_asked_and_none_where_none(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, _, member) = kit.lone_member(1);
    let topic = kit.topic("in", 4);
    let commits: Vec<OffsetCommit> =
        [3, 1].iter().map(|p| commit_of(&at(&topic, *p), i64::from(*p) * 10, "")).collect();
    member.member.commit_offsets(&commits, &member.stamp(), DEADLINE).unwrap();
    let asked: Vec<TopicPartition> = [2, 3, 0, 1].iter().map(|partition| at(&topic, *partition)).collect();
    let committed = kit.committed(&group, &asked);
    let found: Vec<Option<i64>> = committed.into_iter().map(|found| found.map(|found| found.offset)).collect();
    assert_eq!(found, [None, Some(30), None, Some(10)]);
}

pub(super) fn group_that_never_was_has_no_offsets(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let topic = kit.topic("in", 1);
    let group = kit.unique("no-group");
    assert_eq!(kit.committed_offset(&group, &at(&topic, 0)), None);
    let peeked = kit.log.group_offsets(&group).unwrap().peek(&[at(&topic, 0)], DEADLINE).unwrap();
    assert_eq!(peeked, [None]);
}

pub(super) fn groups_do_not_meet(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (first, _, one) = kit.lone_member(1);
    let (second, _, two) = kit.lone_member(1);
    let input = at(&kit.topic("in", 1), 0);
    one.member.commit_offsets(&[commit_of(&input, 1, "")], &one.stamp(), DEADLINE).unwrap();
    two.member.commit_offsets(&[commit_of(&input, 2, "")], &two.stamp(), DEADLINE).unwrap();
    assert_eq!(kit.committed_offset(&first, &input), Some(1));
    assert_eq!(kit.committed_offset(&second, &input), Some(2));
}

pub(super) fn reading_offsets_does_not_join_the_group(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, mut member) = kit.lone_member(3);
    let before = member.stamp();
    let mut offsets = kit.log.group_offsets(&group).unwrap();
    for _ in 0..5 {
        offsets.committed(&[at(&task_topic, 0)], DEADLINE).unwrap();
        member.pump();
    }
    assert_eq!(member.stamp(), before);
    assert_eq!(member.tasks.len(), 3);
}
