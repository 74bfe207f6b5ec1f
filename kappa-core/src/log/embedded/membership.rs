//! One member of a group, as its process sees it.
//!
//! **Invariants:**
//! - The stamp is what this process last heard, renewed only by `poll`: a process that was stopped holds
//!   a stale one until then.
//! - A session that ran out is told as a lost revocation, and only once that is acknowledged does the
//!   member join again and get a new stamp (M3).

use super::clock::as_ms;
use super::operation::Operation;
use super::shared::Caller;
use super::state::State;
use crate::log::{LogError, Member, MemberStamp, Membership, MembershipEvent, MembershipOptions, OffsetCommit};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The part of a membership that other threads use.
#[derive(Debug)]
struct View {
    caller: Caller,
    stamp: Mutex<Option<MemberStamp>>,
}

impl View {
    fn set(&self, stamp: Option<MemberStamp>) {
        *self.stamp.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
    }
}

impl Member for View {
    fn stamp(&self) -> Option<MemberStamp> {
        self.stamp.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn commit_offsets(&self, offsets: &[OffsetCommit], stamp: &MemberStamp, _: Duration) -> Result<(), LogError> {
        self.caller.call(Operation::CommitOffsets, |state| {
            let group = state.group_mut(&stamp.group);
            group.check_stamp(Operation::CommitOffsets.name(), stamp)?;
            group.commit(offsets);
            Ok(())
        })
    }
}

/// A member of a group of an embedded log.
#[derive(Debug)]
pub(super) struct EmbeddedMembership {
    caller: Caller,
    options: MembershipOptions,
    view: Arc<View>,
    member_id: Option<String>,
    owned: BTreeSet<i32>,
    unacknowledged: Option<MembershipEvent>,
}

impl EmbeddedMembership {
    pub(super) fn new(caller: Caller, options: MembershipOptions) -> Self {
        let view = Arc::new(View { caller: caller.clone(), stamp: Mutex::default() });
        Self { caller, options, view, member_id: None, owned: BTreeSet::new(), unacknowledged: None }
    }

    fn tasks(&self, state: &State) -> Result<i32, LogError> {
        state.topics.topic(&self.options.task_topic).map(|topic| topic.spec.partitions)
    }

    /// Another process has this one's static seat.
    fn check_instance(&self, state: &mut State, operation: Operation) -> Result<(), LogError> {
        let (Some(instance), Some(member_id)) = (&self.options.instance_id, &self.member_id) else { return Ok(()) };
        match state.group_mut(&self.options.group).member_of_instance(instance) {
            Some(holder) if holder != *member_id => {
                self.view.set(None);
                let reason = format!("instance {instance} is now member {holder}");
                Err(LogError::InstanceFenced { operation: operation.name(), reason })
            }
            _ => Ok(()),
        }
    }

    /// One look at the group: what is new for this member, if anything.
    fn step(&mut self, state: &mut State) -> Result<Option<MembershipEvent>, LogError> {
        self.check_instance(state, Operation::PollMembership)?;
        let tasks = self.tasks(state)?;
        if self.is_dropped(state) {
            self.view.set(None);
            if self.unacknowledged.is_some() {
                return Ok(None);
            }
            self.member_id = None;
            if !self.owned.is_empty() {
                let tasks = std::mem::take(&mut self.owned).into_iter().collect();
                return Ok(Some(MembershipEvent::Revoked { tasks, lost: true }));
            }
        }
        if self.unacknowledged.is_some() && self.member_id.is_none() {
            return Ok(None);
        }
        let member_id = self.ensure_joined(state, tasks);
        let now_ms = state.now_ms;
        let group = state.group_mut(&self.options.group);
        if let Some(seat) = group.members.get_mut(&member_id) {
            seat.last_heard_ms = now_ms;
        }
        let event = if self.unacknowledged.is_some() { None } else { group.next_event(&member_id) };
        self.view.set(Some(MemberStamp {
            group: self.options.group.clone(),
            generation: group.generation,
            member_id,
            instance_id: self.options.instance_id.clone(),
        }));
        if let Some(MembershipEvent::Assigned { tasks }) = &event {
            self.owned.extend(tasks);
        }
        Ok(event)
    }

    /// The group has let this member go while it was not heard of.
    fn is_dropped(&self, state: &mut State) -> bool {
        let group = state.group_mut(&self.options.group);
        self.member_id.as_ref().is_some_and(|id| !group.members.contains_key(id))
    }

    fn ensure_joined(&mut self, state: &mut State, tasks: i32) -> String {
        if let Some(id) = &self.member_id {
            return id.clone();
        }
        let (options, now_ms) = (&self.options, state.now_ms);
        let session_ms = as_ms(options.session_timeout);
        state.next_due_ms = state.next_due_ms.min(now_ms.saturating_add(session_ms));
        let group = state.group_mut(&options.group);
        group.task_topic.clone_from(&options.task_topic);
        let id = group.join(&options.client_id, options.instance_id.as_deref(), session_ms, now_ms, tasks);
        self.member_id = Some(id.clone());
        id
    }

    fn set_polling(&self, state: &mut State, is_polling: bool) {
        let now_ms = state.now_ms;
        let group = state.group_mut(&self.options.group);
        let seat = self.member_id.as_ref().and_then(|id| group.members.get_mut(id));
        if let Some(seat) = seat {
            seat.is_polling = is_polling;
            seat.last_heard_ms = now_ms;
            state.next_due_ms = state.next_due_ms.min(now_ms.saturating_add(as_ms(self.options.session_timeout)));
        }
    }
}

impl Membership for EmbeddedMembership {
    fn poll(&mut self, timeout: Duration) -> Result<Option<MembershipEvent>, LogError> {
        self.caller.before(Operation::PollMembership)?;
        let shared = Arc::clone(&self.caller.shared);
        let deadline_ms = shared.deadline_ms(timeout);
        let mut state = shared.lock();
        let mut generation = -1;
        loop {
            let event = self.step(&mut state)?;
            let now_at = state.group_mut(&self.options.group).generation;
            if now_at != generation {
                generation = now_at;
                shared.notify();
            }
            if event.is_some() {
                self.unacknowledged.clone_from(&event);
                return Ok(event);
            }
            self.set_polling(&mut state, true);
            let waited = shared.wait(state, deadline_ms);
            let timed_out = waited.is_none();
            state = waited.unwrap_or_else(|| shared.lock());
            self.set_polling(&mut state, false);
            if timed_out {
                return Ok(None);
            }
        }
    }

    fn acknowledge(&mut self) -> Result<(), LogError> {
        let Some(event) = self.unacknowledged.clone() else {
            let reason = "there is no event to acknowledge".to_owned();
            return Err(LogError::Misuse { operation: Operation::Acknowledge.name(), reason });
        };
        let (group, member_id) = (&self.options.group, self.member_id.as_deref());
        self.caller.call(Operation::Acknowledge, |state| {
            let now_ms = state.now_ms;
            let group = state.group_mut(group);
            let Some(id) = member_id else { return Ok(()) };
            if let Some(seat) = group.members.get_mut(id) {
                seat.last_heard_ms = now_ms;
            }
            if let MembershipEvent::Revoked { tasks, lost: false } = &event {
                group.give_back(id, tasks);
            }
            Ok(())
        })?;
        if let MembershipEvent::Revoked { tasks, .. } = &event {
            self.owned.retain(|task| !tasks.contains(task));
        }
        self.unacknowledged = None;
        Ok(())
    }

    fn member(&self) -> Arc<dyn Member> {
        Arc::clone(&self.view) as Arc<dyn Member>
    }

    fn leave(mut self: Box<Self>, _: Duration) -> Result<(), LogError> {
        self.view.set(None);
        let Some(id) = self.member_id.take() else { return Ok(()) };
        // A static member keeps its seat: its session runs out, or it comes back.
        let keeps_seat = self.options.instance_id.is_some();
        self.caller.call(Operation::Leave, |state| {
            let tasks = self.tasks(state).unwrap_or(0);
            if !keeps_seat {
                state.group_mut(&self.options.group).remove(&id, tasks);
            }
            Ok(())
        })
    }
}
