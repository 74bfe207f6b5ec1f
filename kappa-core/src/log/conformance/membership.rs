//! Groups: M1–M8.

use super::Harness;
use super::kit::{DEADLINE, Kit, at, commit_of};
use super::members::{GroupMember, assert_disjoint, settle};
use crate::log::*;
use std::collections::BTreeSet;
use std::time::Duration;

fn assert_stale<T: std::fmt::Debug>(result: Result<T, LogError>) {
    assert!(matches!(result, Err(LogError::StaleMember { .. })), "{result:?}");
}

/// How long a member is stopped so that its session has surely run out.
fn past_session(kit: &Kit<'_>) -> Duration {
    kit.harness.smallest_session() + kit.harness.smallest_session() / 2
}

pub(super) fn lone_member_gets_all_tasks(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic) = (kit.unique("group"), kit.topic("tasks", 5));
    let mut member = kit.member(&group, &task_topic, None);
    assert_eq!(member.member.stamp(), None, "no stamp before the first join");
    settle(&kit, &mut [&mut member], 5);
    assert_eq!(member.tasks, (0..5).collect());
    let stamp = member.stamp();
    assert_eq!(stamp.group, group);
    assert!(stamp.generation >= 0 && !stamp.member_id.is_empty() && stamp.instance_id.is_none());
}

pub(super) fn group_grows_and_shrinks_by_the_minimum(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, mut first) = kit.lone_member(12);
    let mut second = kit.member(&group, &task_topic, None);
    settle(&kit, &mut [&mut first, &mut second], 12);
    assert_eq!((first.moved_in, second.moved_in), (12, 6), "1 to 2 members moves 6 of 12");
    let mut third = kit.member(&group, &task_topic, None);
    settle(&kit, &mut [&mut first, &mut second, &mut third], 12);
    assert_eq!((first.moved_in, second.moved_in, third.moved_in), (12, 6, 4), "2 to 3 moves 4");
    second.membership.leave(DEADLINE).unwrap();
    settle(&kit, &mut [&mut first, &mut third], 12);
    assert_eq!(first.moved_in + third.moved_in, 12 + 4 + 4, "3 to 2 moves what the leaver had");
}

pub(super) fn members_beyond_the_tasks_stay_idle(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, mut first) = kit.lone_member(1);
    let mut second = kit.member(&group, &task_topic, None);
    settle(&kit, &mut [&mut first, &mut second], 1);
    assert_eq!(first.tasks.len(), 1, "it stays where it was");
    assert!(second.tasks.is_empty());
    first.membership.leave(DEADLINE).unwrap();
    settle(&kit, &mut [&mut second], 1);
}

/// Lets a second member join until the first is told to give tasks up; returns both and the event.
fn until_revocation(kit: &Kit<'_>) -> (GroupMember, GroupMember, MembershipEvent) {
    let (group, task_topic, mut first) = kit.lone_member(4);
    let mut second = kit.member(&group, &task_topic, None);
    let mut told = None;
    kit.until("the first member is told to give tasks up", || {
        second.pump();
        match first.poll() {
            Some(event @ MembershipEvent::Revoked { .. }) => told = Some(event),
            Some(event) => first.accept(&event),
            None => {}
        }
        told.is_some()
    });
    (first, second, told.expect("an event"))
}

pub(super) fn revoked_task_is_given_only_after_the_acknowledgement(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (mut first, mut second, event) = until_revocation(&kit);
    let MembershipEvent::Revoked { tasks, lost } = &event else { panic!("{event:?}") };
    assert_eq!((tasks.len(), *lost), (2, false));
    kit.always("no event and no task before the acknowledgement", kit.harness.smallest_session() / 3, || {
        second.pump();
        second.tasks.is_empty() && first.poll().is_none()
    });
    first.accept(&event);
    settle(&kit, &mut [&mut first, &mut second], 4);
    assert_eq!(second.tasks, tasks.iter().copied().collect());
}

pub(super) fn member_may_commit_until_it_acknowledges(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (first, mut second, event) = until_revocation(&kit);
    let (topic, input) = (kit.topic("out", 1), at(&kit.topic("in", 1), 0));
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["last"]);
    writer.append.send_offsets(&[commit_of(&input, 8, "")], &first.stamp()).unwrap();
    writer.append.commit().unwrap();
    let before = first.stamp();
    let (mut first, group) = (first, before.group.clone());
    first.accept(&event);
    settle(&kit, &mut [&mut first, &mut second], 4);
    assert_eq!(kit.committed_offset(&group, &input), Some(8));
    let late = first.member.commit_offsets(&[commit_of(&input, 9, "")], &before, DEADLINE);
    assert_stale(late);
}

pub(super) fn older_generation_is_refused_at_send_offsets_and_commit(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, mut first) = kit.lone_member(4);
    let (topic, input) = (kit.topic("out", 1), at(&kit.topic("in", 1), 0));
    let mut writer = kit.transactional(&kit.unique("tx"));
    let old = first.stamp();
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["zombie"]);
    let mut second = kit.member(&group, &task_topic, None);
    settle(&kit, &mut [&mut first, &mut second], 4);
    assert!(first.stamp().generation > old.generation);
    assert_stale(writer.append.send_offsets(&[commit_of(&input, 5, "")], &old));
    assert_stale(writer.append.commit());
    writer.append.abort().unwrap();
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["fresh"]);
    kit.until("the offsets are taken with a fresh stamp", || {
        first.pump();
        second.pump();
        let sent = writer.append.send_offsets(&[commit_of(&input, 6, "")], &first.stamp());
        if sent.is_err() {
            writer.append.abort().unwrap();
            writer.append.begin().unwrap();
            writer.put(&topic, 0, &["fresh"]);
        }
        sent.is_ok()
    });
    writer.append.commit().unwrap();
    assert_eq!(kit.committed_offset(&group, &input), Some(6));
    assert_eq!(kit.committed_values(&topic), ["fresh"]);
}

pub(super) fn plain_commit_of_an_older_generation_is_refused(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, mut first) = kit.lone_member(2);
    let input = at(&kit.topic("in", 1), 0);
    let old = first.stamp();
    first.member.commit_offsets(&[commit_of(&input, 1, "")], &old, DEADLINE).unwrap();
    let mut second = kit.member(&group, &task_topic, None);
    settle(&kit, &mut [&mut first, &mut second], 2);
    assert_stale(first.member.commit_offsets(&[commit_of(&input, 2, "")], &old, DEADLINE));
    assert_eq!(kit.committed_offset(&group, &input), Some(1));
}

pub(super) fn unknown_member_is_refused(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (_, _, member) = kit.lone_member(1);
    let input = at(&kit.topic("in", 1), 0);
    let mut writer = kit.transactional(&kit.unique("tx"));
    let good = member.stamp();
    let unknown = MemberStamp { member_id: format!("{}-no", good.member_id), ..good.clone() };
    let future = MemberStamp { generation: good.generation + 7, ..good.clone() };
    let nobody = MemberStamp { generation: -1, member_id: String::new(), ..good };
    for stamp in [unknown, future, nobody] {
        writer.append.begin().unwrap();
        assert_stale(writer.append.send_offsets(&[commit_of(&input, 1, "")], &stamp));
        writer.append.abort().unwrap();
    }
}

pub(super) fn leaving_hands_tasks_over_at_once(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, mut first) = kit.lone_member(6);
    let mut second = kit.member(&group, &task_topic, None);
    settle(&kit, &mut [&mut first, &mut second], 6);
    let seat = first.member;
    first.membership.leave(DEADLINE).unwrap();
    assert_eq!(seat.stamp(), None, "who has left has no stamp");
    settle(&kit, &mut [&mut second], 6);
}

/// Two members; the first is not called until its session has run out and the second has everything.
fn stop_first(kit: &Kit<'_>) -> (GroupMember, GroupMember) {
    let (group, task_topic, mut first) = kit.lone_member(4);
    let mut second = kit.member(&group, &task_topic, None);
    settle(kit, &mut [&mut first, &mut second], 4);
    kit.until("the second member takes over from the stopped one", || {
        second.pump();
        second.tasks.len() == 4
    });
    (first, second)
}

pub(super) fn woken_member_learns_of_its_loss_before_all_else(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (mut first, mut second) = stop_first(&kit);
    let input = at(&kit.topic("in", 1), 0);
    let held = first.tasks.clone();
    let mut told = None;
    kit.until("the woken member is told of its loss", || {
        second.pump();
        if let Some(stamp) = first.member.stamp() {
            assert_stale(first.member.commit_offsets(&[commit_of(&input, 1, "")], &stamp, DEADLINE));
        }
        told = first.poll();
        // A generation in which nothing moved may have come before the loss, and been waiting since.
        if let Some(MembershipEvent::Assigned { tasks }) = &told
            && tasks.is_empty()
        {
            first.accept(&MembershipEvent::Assigned { tasks: Vec::new() });
            told = None;
        }
        told.is_some()
    });
    let event = told.expect("an event");
    let MembershipEvent::Revoked { tasks, lost: true } = &event else { panic!("{event:?}") };
    assert_eq!(tasks.iter().copied().collect::<BTreeSet<i32>>(), held);
    kit.always("no stamp and no event before the acknowledgement", Duration::from_millis(500), || {
        second.pump();
        first.poll().is_none() && first.member.stamp().is_none_or(|stamp| is_refused(&first, &input, &stamp))
    });
    first.accept(&event);
    settle(&kit, &mut [&mut first, &mut second], 4);
    let commit = commit_of(&input, 2, "");
    kit.until("it commits again as a member", || {
        settle(&kit, &mut [&mut first, &mut second], 4);
        first.member.commit_offsets(std::slice::from_ref(&commit), &first.stamp(), DEADLINE).is_ok()
    });
}

fn is_refused(member: &GroupMember, input: &TopicPartition, stamp: &MemberStamp) -> bool {
    let committed = member.member.commit_offsets(&[commit_of(input, 1, "")], stamp, DEADLINE);
    matches!(committed, Err(LogError::StaleMember { .. }))
}

pub(super) fn woken_members_transaction_is_refused(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, mut first) = kit.lone_member(2);
    let (topic, input) = (kit.topic("out", 1), at(&kit.topic("in", 1), 0));
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    writer.put(&topic, 0, &["zombie"]);
    let held = first.stamp();
    let mut second = kit.member(&group, &task_topic, None);
    settle(&kit, &mut [&mut first, &mut second], 2);
    kit.until("the second member takes over", || {
        second.pump();
        second.tasks.len() == 2
    });
    assert_stale(writer.append.send_offsets(&[commit_of(&input, 5, "")], &held));
    assert_stale(writer.append.commit());
    writer.append.abort().unwrap();
    assert_eq!(kit.committed_offset(&group, &input), None);
    assert!(kit.committed_values(&topic).is_empty());
}

pub(super) fn member_that_polls_keeps_its_tasks(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (_, _, mut member) = kit.lone_member(3);
    let before = member.stamp();
    let mut is_first = true;
    kit.always("it keeps its tasks", past_session(&kit), || {
        // One poll that lasts, too: a member in `poll` is alive.
        let timeout = if std::mem::take(&mut is_first) { Duration::from_millis(1500) } else { Duration::ZERO };
        let event = member.membership.poll(timeout).unwrap();
        event.is_none() && member.member.stamp().as_ref() == Some(&before)
    });
}

pub(super) fn static_member_comes_back_to_its_tasks(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic) = (kit.unique("group"), kit.topic("tasks", 6));
    let mut seated = kit.member(&group, &task_topic, Some("seat-a"));
    let mut other = kit.member(&group, &task_topic, Some("seat-b"));
    settle(&kit, &mut [&mut seated, &mut other], 6);
    let (tasks, of_other, moved_in) = (seated.tasks.clone(), other.tasks.clone(), other.moved_in);
    assert_eq!(seated.stamp().instance_id.as_deref(), Some("seat-a"));
    seated.membership.leave(DEADLINE).unwrap();
    kit.always("nothing moves while the seat is empty", kit.harness.smallest_session() / 6, || {
        other.pump();
        other.tasks == of_other
    });
    let mut back = kit.member(&group, &task_topic, Some("seat-a"));
    settle(&kit, &mut [&mut back, &mut other], 6);
    assert_eq!(back.tasks, tasks);
    assert_eq!(other.moved_in, moved_in, "the other got nothing more");
    assert_eq!(other.tasks, of_other);
}

pub(super) fn static_seat_is_given_away_after_its_session(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic) = (kit.unique("group"), kit.topic("tasks", 4));
    let mut seated = kit.member(&group, &task_topic, Some("seat-a"));
    let mut other = kit.member(&group, &task_topic, Some("seat-b"));
    settle(&kit, &mut [&mut seated, &mut other], 4);
    seated.membership.leave(DEADLINE).unwrap();
    settle(&kit, &mut [&mut other], 4);
}

pub(super) fn second_process_with_an_instance_id_fences_the_first(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic) = (kit.unique("group"), kit.topic("tasks", 3));
    let input = at(&kit.topic("in", 1), 0);
    let mut first = kit.member(&group, &task_topic, Some("seat"));
    settle(&kit, &mut [&mut first], 3);
    let held = first.stamp();
    let mut second = kit.member(&group, &task_topic, Some("seat"));
    let mut fenced = None;
    kit.until("the first is fenced", || {
        second.pump();
        let polled = first.membership.poll(Duration::from_millis(20));
        match polled {
            Ok(None) => {}
            Ok(Some(_)) => first.membership.acknowledge().unwrap(),
            Err(error) => fenced = Some(error),
        }
        fenced.is_some()
    });
    assert!(matches!(fenced, Some(LogError::InstanceFenced { .. })), "{fenced:?}");
    let mut writer = kit.transactional(&kit.unique("tx"));
    writer.append.begin().unwrap();
    let sent = writer.append.send_offsets(&[commit_of(&input, 1, "")], &held);
    assert!(matches!(sent, Err(LogError::InstanceFenced { .. } | LogError::StaleMember { .. })), "{sent:?}");
    assert!(writer.append.commit().is_err());
    writer.append.abort().unwrap();
    settle(&kit, &mut [&mut second], 3);
}

pub(super) fn missing_task_topic_is_an_error(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let missing = kit.unique("no-tasks");
    let mut member = kit.member(&kit.unique("group"), &missing, None);
    let mut told = None;
    let began_ms = kit.harness.now_ms();
    kit.until("the missing topic is told", || {
        told = member.membership.poll(Duration::from_millis(200)).err();
        told.is_some()
    });
    assert_eq!(told, Some(LogError::TopicMissing { topic: missing }));
    assert!(kit.harness.now_ms() - began_ms < 15_000, "within 10 s, give or take a slow machine");
}

pub(super) fn many_members_come_and_go_and_no_task_is_doubled(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let (group, task_topic, first) = kit.lone_member(7);
    let mut members = vec![first];
    for _ in 0..3 {
        members.push(kit.member(&group, &task_topic, None));
    }
    settle(&kit, &mut members.iter_mut().collect::<Vec<_>>(), 7);
    for _ in 0..2 {
        members.remove(1).membership.leave(DEADLINE).unwrap();
        members.push(kit.member(&group, &task_topic, None));
        assert_disjoint(&members.iter_mut().collect::<Vec<_>>());
    }
    settle(&kit, &mut members.iter_mut().collect::<Vec<_>>(), 7);
    let all: BTreeSet<i32> = members.iter().flat_map(|member| member.tasks.iter().copied()).collect();
    assert_eq!(all.len(), 7);
}
