//! Members of groups as cases use them.

use super::kit::Kit;
use crate::log::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// A member that keeps book of its tasks and acknowledges at once.
pub(super) struct GroupMember {
    pub(super) membership: Box<dyn Membership>,
    pub(super) member: std::sync::Arc<dyn Member>,
    pub(super) tasks: BTreeSet<i32>,
    /// It was told that it lost its tasks.
    pub(super) lost: bool,
    /// How many tasks were ever given to it.
    pub(super) moved_in: usize,
}

impl GroupMember {
    pub(super) fn new(membership: Box<dyn Membership>) -> Self {
        Self { member: membership.member(), membership, tasks: BTreeSet::new(), lost: false, moved_in: 0 }
    }

    /// Polls once and keeps book, without acknowledging.
    pub(super) fn poll(&mut self) -> Option<MembershipEvent> {
        let event = self.membership.poll(Duration::from_millis(20)).unwrap();
        if let Some(MembershipEvent::Assigned { tasks }) = &event {
            for task in tasks {
                assert!(self.tasks.insert(*task), "task {task} was given twice");
            }
            self.moved_in += tasks.len();
        }
        event
    }

    /// Polls once and accepts what comes.
    pub(super) fn pump(&mut self) {
        if let Some(event) = self.poll() {
            self.accept(&event);
        }
    }

    pub(super) fn accept(&mut self, event: &MembershipEvent) {
        if let MembershipEvent::Revoked { tasks, lost } = event {
            self.lost |= lost;
            for task in tasks {
                assert!(self.tasks.remove(task), "task {task} was revoked and not owned");
            }
        }
        self.membership.acknowledge().unwrap();
    }

    pub(super) fn stamp(&self) -> MemberStamp {
        self.member.stamp().expect("a stamp")
    }
}

/// Lets all members poll until they hold `tasks` in shares that differ by one at most and agree on the
/// generation; at no moment may a task have two owners.
pub(super) fn settle(kit: &Kit<'_>, members: &mut [&mut GroupMember], tasks: usize) {
    kit.until("the group is balanced", || {
        for index in 0..members.len() {
            members[index].pump();
            assert_disjoint(members);
        }
        let counts: Vec<usize> = members.iter().map(|member| member.tasks.len()).collect();
        let stamps: BTreeSet<Option<i32>> =
            members.iter().map(|member| member.member.stamp().map(|stamp| stamp.generation)).collect();
        let spread = counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0);
        counts.iter().sum::<usize>() == tasks && spread <= 1 && stamps.len() == 1 && !stamps.contains(&None)
    });
}

pub(super) fn assert_disjoint(members: &[&mut GroupMember]) {
    let mut all = BTreeSet::new();
    for task in members.iter().flat_map(|member| &member.tasks) {
        assert!(all.insert(*task), "task {task} has two owners");
    }
}
