//! Which tasks let others go first. A task that reads what other tasks of the application pass on beside another input would
//! run ahead by that one while the others still have older records: a replay of hours would then join what lies hours apart,
//! find little of it in memory, and call the rest late. So it goes no further than they are.
//!
//! Within a task the queues say what comes next by themselves (Kafka Streams: `max.task.idle.ms=0`); this is the same between tasks,
//! which Kafka Streams has not. What the others have passed on in a transaction that is not committed yet is not seen: that far a
//! task may be ahead.
//!
//! Invariants:
//! - Of tasks that wait for each other the one with the oldest record is never held back.
//! - No task is held back for longer than [`PATIENCE_MS`] at a time: a slow task with old records slows others down, it doesn't
//!   stop them.

use crate::runtime::layout::AppLayout;
use crate::runtime::task::Task;
use std::collections::BTreeMap;

/// By how much of the records' time a task may be ahead: not at all would be a few records a turn.
const SLACK_MS: i64 = 1_000;
/// How long a task is held back before it goes on for a slice all the same.
const PATIENCE_MS: i64 = 1_000;

/// The order between the tasks of a worker.
#[derive(Debug)]
pub(super) struct Alignment {
    /// For each sub-topology, those whose records it waits for, directly or through others.
    feeders: Vec<Vec<usize>>,
    /// Tasks that are held back, and since when, ms.
    held: BTreeMap<usize, i64>,
}

/// How far the tasks of each sub-topology have come, the last of them, ms; `None` where nothing is left to do.
#[derive(Debug)]
pub(super) struct Reached(Vec<Option<i64>>);

impl Alignment {
    pub(super) fn of(layout: &AppLayout) -> Self {
        let feeders = layout.sub_topologies.iter().map(|sub| sub.feeders.clone()).collect();
        Self { feeders, held: BTreeMap::new() }
    }

    /// How far the tasks have come, where anything is to be aligned.
    pub(super) fn reached<'t>(&self, tasks: impl Iterator<Item = &'t Task>) -> Reached {
        if self.feeders.iter().all(Vec::is_empty) {
            return Reached(Vec::new());
        }
        let mut reached = vec![None; self.feeders.len()];
        for task in tasks {
            let (come_to, sub) = (task.come_to_ms(), &mut reached[task.id.sub_topology]);
            *sub = [*sub, come_to].into_iter().flatten().min();
        }
        Reached(reached)
    }

    /// Whether a task was held back when it was asked about last.
    pub(super) fn holds(&self, number: usize) -> bool {
        self.held.contains_key(&number)
    }

    /// Whether any was.
    pub(super) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// A task is closed.
    pub(super) fn forget(&mut self, number: usize) {
        self.held.remove(&number);
    }

    /// Up to which record's time a task may go on, ms; `None` while it is held back.
    pub(super) fn until_ms(&mut self, number: usize, task: &Task, reached: &Reached, now_ms: i64) -> Option<i64> {
        let feeders = &self.feeders[task.id.sub_topology];
        let oldest = feeders.iter().filter_map(|feeder| reached.0.get(*feeder).copied().flatten()).min();
        let until_ms = oldest.map_or(i64::MAX, |oldest| oldest.saturating_add(SLACK_MS));
        if task.head_time_ms().is_none_or(|head| head <= until_ms) {
            self.held.remove(&number);
            return Some(until_ms);
        }
        let since_ms = *self.held.entry(number).or_insert(now_ms);
        if now_ms - since_ms < PATIENCE_MS {
            return None;
        }
        self.held.remove(&number);
        Some(i64::MAX)
    }
}
