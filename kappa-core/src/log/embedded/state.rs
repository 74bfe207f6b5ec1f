//! Everything an embedded log knows, behind one lock, and what happens by itself as time passes.
//!
//! **Invariants:**
//! - Nothing here waits or reads a clock: `now_ms` is set on entry, and what is due by then has
//!   happened before a call does its work.
//! - `next_due_ms` is never later than the next thing that is due.

use super::groups::Group;
use super::table::TopicTable;
use super::transactions::{LateCommit, LateMarker, Transactional};
use std::collections::BTreeMap;

/// The log's whole state.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) now_ms: i64,
    pub(super) next_due_ms: i64,
    pub(super) topics: TopicTable,
    pub(super) transactions: BTreeMap<String, Transactional>,
    pub(super) groups: BTreeMap<String, Group>,
    pub(super) late_markers: Vec<LateMarker>,
    pub(super) late_commits: Vec<LateCommit>,
    pub(super) next_producer: i64,
}

impl State {
    /// Lets everything happen that is due at `now_ms`.
    pub(super) fn advance(&mut self, now_ms: i64) {
        self.now_ms = self.now_ms.max(now_ms);
        if self.now_ms < self.next_due_ms {
            return;
        }
        let now_ms = self.now_ms;
        self.write_late_markers(|marker| marker.due_ms <= now_ms);
        self.take_late_commits();
        self.expire_transactions();
        for (name, group) in &mut self.groups {
            let tasks = self.topics.topic(&group.task_topic).map_or(0, |topic| topic.spec.partitions);
            group.expire(name, now_ms, tasks);
        }
        self.next_due_ms = self.find_next_due_ms();
    }

    fn find_next_due_ms(&self) -> i64 {
        let markers = self.late_markers.iter().map(|marker| marker.due_ms);
        let open = self.transactions.values().filter_map(|entry| entry.open.as_ref());
        let transactions = open.map(|open| open.deadline_ms);
        let sessions = self.groups.values().filter_map(Group::next_expiry_ms);
        let commits = self.late_commits.iter().map(|commit| commit.due_ms);
        markers.chain(commits).chain(transactions).chain(sessions).min().unwrap_or(i64::MAX)
    }

    /// The group of that name, made if there is none.
    pub(super) fn group_mut(&mut self, name: &str) -> &mut Group {
        if !self.groups.contains_key(name) {
            self.groups.insert(name.to_owned(), Group::default());
        }
        self.groups.get_mut(name).expect("inserted above")
    }
}
