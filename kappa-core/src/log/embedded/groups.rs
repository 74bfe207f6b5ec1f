//! The group coordinator: members, generations, who owns which task, committed offsets.
//!
//! A rebalance has two phases, as with Kafka's cooperative assignor. The new target is made at once
//! (a new generation); a task that changes hands stays its old owner's until that one has acknowledged
//! the loss (a further generation), and only then goes to the new one.
//!
//! **Invariants:**
//! - No task is in two members' `owned`.
//! - A stamp is good for exactly one generation of one present member.
//! - Offsets of an open transaction are only in `pending`.

use super::assignor;
use crate::log::{CommittedOffset, LogError, MemberStamp, MembershipEvent, OffsetCommit, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// One member's place in a group.
#[derive(Debug)]
pub(super) struct Seat {
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "shown when a test inspects a group"))]
    pub(super) client_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) session_ms: i64,
    pub(super) last_heard_ms: i64,
    /// The member waits in `poll` now: it is alive however long that lasts.
    pub(super) is_polling: bool,
    /// What it may work on: delivered to it and not yet given back.
    pub(super) owned: BTreeSet<i32>,
    /// What it is to own.
    pub(super) target: BTreeSet<i32>,
    told_generation: i32,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) generation: i32,
    pub(super) task_topic: String,
    pub(super) members: BTreeMap<String, Seat>,
    pub(super) offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// Offsets of open transactions, by producer.
    pub(super) pending: BTreeMap<i64, BTreeMap<TopicPartition, CommittedOffset>>,
    next_member: u64,
}

impl Group {
    /// A new member, or one that takes its static seat again. Returns its id.
    pub(super) fn join(
        &mut self,
        client_id: &str,
        instance_id: Option<&str>,
        session_ms: i64,
        now_ms: i64,
        tasks: i32,
    ) -> String {
        self.next_member += 1;
        let id = format!("{client_id}-{}", self.next_member);
        let mut seat = Seat {
            client_id: client_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            session_ms,
            last_heard_ms: now_ms,
            is_polling: false,
            owned: BTreeSet::new(),
            target: BTreeSet::new(),
            told_generation: 0,
        };
        let former = instance_id.and_then(|instance| self.member_of_instance(instance));
        let former = former.and_then(|former| self.members.remove(&former));
        let took_seat = former.is_some();
        if let Some(former) = former {
            seat.target = former.target;
        }
        self.members.insert(id.clone(), seat);
        if !took_seat {
            self.rebalance(tasks);
        }
        id
    }

    /// The member that holds a static seat.
    pub(super) fn member_of_instance(&self, instance_id: &str) -> Option<String> {
        let holds = |seat: &Seat| seat.instance_id.as_deref() == Some(instance_id);
        self.members.iter().find(|(_, seat)| holds(seat)).map(|(id, _)| id.clone())
    }

    /// Takes a member out; its tasks are free at once.
    pub(super) fn remove(&mut self, member_id: &str, tasks: i32) {
        if self.members.remove(member_id).is_some() {
            self.rebalance(tasks);
        }
    }

    /// Makes new targets, in a new generation.
    pub(super) fn rebalance(&mut self, tasks: i32) {
        self.generation += 1;
        let held = self.members.iter().map(|(id, seat)| (id.clone(), seat.target.clone())).collect();
        for (id, target) in assignor::assign(tasks, &held) {
            if let Some(seat) = self.members.get_mut(&id) {
                seat.target = target;
            }
        }
    }

    /// Members not heard of for a session lose their seats.
    pub(super) fn expire(&mut self, group: &str, now_ms: i64, tasks: i32) {
        let is_gone = |seat: &Seat| !seat.is_polling && seat.last_heard_ms + seat.session_ms <= now_ms;
        let gone: Vec<String> =
            self.members.iter().filter(|(_, seat)| is_gone(seat)).map(|(id, _)| id.clone()).collect();
        for id in &gone {
            tracing::info!(group, member = %id, "a member was not heard of for its session time-out and is dropped");
            self.members.remove(id);
        }
        if !gone.is_empty() {
            self.rebalance(tasks);
        }
    }

    /// When the next member expires if nothing is heard of it.
    pub(super) fn next_expiry_ms(&self) -> Option<i64> {
        let waiting = self.members.values().filter(|seat| !seat.is_polling);
        waiting.map(|seat| seat.last_heard_ms + seat.session_ms).min()
    }

    /// What a member is to be told next, if anything.
    pub(super) fn next_event(&mut self, member_id: &str) -> Option<MembershipEvent> {
        let generation = self.generation;
        let others: BTreeSet<i32> = self
            .members
            .iter()
            .filter(|(id, _)| *id != member_id)
            .flat_map(|(_, seat)| seat.owned.iter().copied())
            .collect();
        let seat = self.members.get_mut(member_id)?;
        let revoked: Vec<i32> = seat.owned.difference(&seat.target).copied().collect();
        if !revoked.is_empty() {
            seat.told_generation = generation;
            return Some(MembershipEvent::Revoked { tasks: revoked, lost: false });
        }
        let tasks: Vec<i32> =
            seat.target.iter().filter(|task| !seat.owned.contains(task) && !others.contains(task)).copied().collect();
        if tasks.is_empty() && seat.told_generation == generation {
            return None;
        }
        seat.owned.extend(&tasks);
        seat.told_generation = generation;
        Some(MembershipEvent::Assigned { tasks })
    }

    /// A member has given tasks back: others may have them, in a new generation.
    pub(super) fn give_back(&mut self, member_id: &str, tasks: &[i32]) {
        if let Some(seat) = self.members.get_mut(member_id) {
            seat.owned.retain(|task| !tasks.contains(task));
            self.generation += 1;
        }
    }

    /// Whether a stamp is good now.
    pub(super) fn check_stamp(&self, operation: &'static str, stamp: &MemberStamp) -> Result<(), LogError> {
        let stale = |reason: String| Err(LogError::StaleMember { operation, reason });
        if stamp.generation < 0 || stamp.member_id.is_empty() {
            return stale("the stamp is of no member".to_owned());
        }
        if let Some(instance) = &stamp.instance_id
            && let Some(holder) = self.member_of_instance(instance)
            && holder != stamp.member_id
        {
            return Err(LogError::InstanceFenced {
                operation,
                reason: format!("instance {instance} is now member {holder}"),
            });
        }
        if !self.members.contains_key(&stamp.member_id) {
            return stale(format!("member {} is not known", stamp.member_id));
        }
        if stamp.generation != self.generation {
            return stale(format!("generation {} was followed by {}", stamp.generation, self.generation));
        }
        Ok(())
    }

    /// Commits offsets at once.
    pub(super) fn commit(&mut self, offsets: &[OffsetCommit]) {
        self.offsets.extend(offsets.iter().map(as_committed));
    }

    /// Keeps offsets until their transaction is decided.
    pub(super) fn add_pending(&mut self, producer: i64, offsets: &[OffsetCommit]) {
        self.pending.entry(producer).or_default().extend(offsets.iter().map(as_committed));
    }

    /// A transaction was decided.
    pub(super) fn end_pending(&mut self, producer: i64, commit: bool) {
        let pending = self.pending.remove(&producer).unwrap_or_default();
        if commit {
            self.offsets.extend(pending);
        }
    }

    /// Committed offsets, or the first partition whose offset is part of an open transaction.
    pub(super) fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, TopicPartition> {
        let is_pending = |partition: &&TopicPartition| self.pending.values().any(|of| of.contains_key(*partition));
        match partitions.iter().find(is_pending) {
            Some(undecided) => Err(undecided.clone()),
            None => Ok(partitions.iter().map(|partition| self.offsets.get(partition).cloned()).collect()),
        }
    }
}

fn as_committed(commit: &OffsetCommit) -> (TopicPartition, CommittedOffset) {
    (commit.partition.clone(), CommittedOffset { offset: commit.offset, metadata: commit.metadata.clone() })
}
