//! The commit of one worker's tasks.
//!
//! The order, and why:
//! 1. The tasks' buffers have been flushed and everything is appended (the caller's work).
//! 2. The member's stamp is captured; without one nothing may be committed.
//! 3. *Then* the tasks' epochs are checked. A process that was stopped, lost its tasks and rejoined could get a stamp the
//!    broker accepts; its epochs have moved by then, since they move before it acknowledges the loss. Checking in the other
//!    order would leave a gap between the two.
//! 4. Offsets go into the transaction, fenced by the stamp; the transaction commits.
//! 5. Only now do queues and stores take the new positions, and the purger what may be deleted.

#[cfg(test)]
mod tests;

use super::metadata::OffsetMetadata;
use super::queue::SourceQueue;
use super::restore::operator_time;
use super::rules::{Rule, Rules};
use super::shared::Shared;
use super::task::Task;
use crate::log::{Append, LogError, MemberStamp, OffsetCommit, Position};
use crate::topology::ChangelogSource;
use std::collections::BTreeMap;
use std::time::Duration;

const PLAIN_COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// What a commit needs to know.
pub(crate) struct CommitContext<'w> {
    pub(crate) shared: &'w Shared,
    /// `None`: at-least-once.
    pub(crate) transactional_id: Option<&'w str>,
    pub(crate) refresh_ms: i64,
    pub(crate) now_ms: i64,
    pub(crate) rules: Rules,
}

/// One commit.
pub(crate) struct Commit<'w> {
    pub(crate) context: CommitContext<'w>,
    pub(crate) tasks: &'w mut BTreeMap<usize, Task>,
}

impl Commit<'_> {
    /// Begins a transaction unless one is open (or there are none).
    pub(crate) fn begin(
        client: &mut dyn Append,
        in_transaction: &mut bool,
        transactional: bool,
    ) -> Result<(), LogError> {
        if transactional && !*in_transaction {
            client.begin()?;
            *in_transaction = true;
        }
        Ok(())
    }

    /// Commits everything appended so far, with the tasks' offsets.
    pub(crate) fn run(mut self, client: &mut dyn Append, in_transaction: &mut bool) -> Result<(), LogError> {
        let offsets = self.offsets();
        if !self.context.rules.hold(Rule::PurgeAfterCommit) {
            self.tell_purger();
        }
        let positions = match self.context.transactional_id {
            Some(_) => self.transactional(client, in_transaction, &offsets)?,
            None => self.plain(client, &offsets)?,
        };
        if self.context.rules.hold(Rule::StoresAfterCommit) {
            self.tell_stores(positions)?;
        }
        self.tell_purger();
        self.tell_queues();
        Ok(())
    }

    fn transactional(
        &mut self,
        client: &mut dyn Append,
        in_transaction: &mut bool,
        offsets: &[OffsetCommit],
    ) -> Result<Vec<Position>, LogError> {
        Self::begin(client, in_transaction, true)?;
        if !offsets.is_empty() {
            let stamp = self.stamp()?;
            self.send_offsets(client, offsets, &stamp)?;
        } else {
            self.check_epochs()?;
        }
        if !self.context.rules.hold(Rule::StoresAfterCommit) {
            self.tell_stores(Vec::new())?;
        }
        let positions = client.commit()?;
        *in_transaction = false;
        Ok(positions)
    }

    fn plain(&self, client: &mut dyn Append, offsets: &[OffsetCommit]) -> Result<Vec<Position>, LogError> {
        let positions = client.flush(PLAIN_COMMIT_DEADLINE)?;
        if !offsets.is_empty() {
            let stamp = self.stamp()?;
            match self.context.shared.member() {
                Some(member) => member.commit_offsets(offsets, &stamp, PLAIN_COMMIT_DEADLINE).map_err(as_stale)?,
                None => return Err(not_a_member()),
            }
        }
        Ok(positions)
    }

    fn send_offsets(
        &self,
        client: &mut dyn Append,
        offsets: &[OffsetCommit],
        stamp: &MemberStamp,
    ) -> Result<(), LogError> {
        let sent = match self.context.shared.member() {
            Some(member) if !self.context.rules.hold(Rule::OffsetsInTransaction) => {
                member.commit_offsets(offsets, stamp, PLAIN_COMMIT_DEADLINE)
            }
            _ => client.send_offsets(offsets, stamp),
        };
        sent.map_err(as_stale)
    }

    /// The stamp first, the epochs after it: see the module's head.
    fn stamp(&self) -> Result<MemberStamp, LogError> {
        let stamp = self.context.shared.member().and_then(|member| member.stamp()).ok_or_else(not_a_member)?;
        self.check_epochs()?;
        Ok(stamp)
    }

    fn check_epochs(&self) -> Result<(), LogError> {
        if !self.context.rules.hold(Rule::FenceByEpoch) {
            return Ok(());
        }
        let epochs = &self.context.shared.epochs;
        match self.tasks.values().find(|task| !epochs.is_current(task.incarnation)) {
            None => Ok(()),
            Some(task) => Err(LogError::StaleMember {
                operation: "commit",
                reason: format!("task {} was taken away since the transaction began", task.name),
            }),
        }
    }

    fn offsets(&self) -> Vec<OffsetCommit> {
        let context = &self.context;
        let transactional_id = context.transactional_id.unwrap_or_default();
        let mut offsets = Vec::new();
        for task in self.tasks.values() {
            let times = task.processor.times();
            let mut commit = |queue: &SourceQueue, offset| {
                let metadata = OffsetMetadata {
                    transactional_id: transactional_id.to_owned(),
                    partition_time_ms: queue.time_ms,
                    task_times_ms: times.clone(),
                };
                let partition = queue.partition.clone();
                offsets.push(OffsetCommit { partition, offset, metadata: metadata.encode() });
            };
            let mut any = false;
            for (_, queue) in &task.sources {
                if let Some(offset) = queue.to_commit(context.now_ms, context.refresh_ms) {
                    commit(queue, offset);
                    any = true;
                }
            }
            // What the clock alone has done moves times but no position.
            let clock_only = task.touched && !any;
            if let Some((_, queue)) = task.sources.iter().find(|(_, queue)| clock_only && queue.position >= 0) {
                commit(queue, queue.position);
            }
        }
        offsets
    }

    /// Tells the stores that it is done.
    fn tell_stores(&mut self, mut positions: Vec<Position>) -> Result<(), LogError> {
        positions.sort_by_key(|position| (position.topic, position.partition));
        let now_ms = self.context.now_ms;
        for task in self.tasks.values_mut().filter(|task| task.touched) {
            let operator_time = operator_time(task.stream_time_ms(), now_ms);
            for index in 0..task.processor.store_count() {
                let next_offset = match task.changelogs[index] {
                    ChangelogSource::Own { output } => {
                        let key = (task.outputs[output].handle, task.id.partition);
                        let found = positions.binary_search_by_key(&key, |at| (at.topic, at.partition)).ok();
                        found.map(|found| positions[found].next_offset)
                    }
                    // What is made of a topic has come as far as that is committed with this very commit.
                    ChangelogSource::Input { source } => {
                        let queue = task.sources.iter().find(|(of, _)| *of == source).map(|(_, queue)| queue);
                        queue.map(|queue| queue.position).filter(|position| *position >= 0)
                    }
                    ChangelogSource::None => None,
                };
                let told = task.processor.store(index).committed(next_offset, &operator_time, now_ms);
                told.map_err(|error| LogError::Fatal { operation: "commit", reason: error.to_string() })?;
            }
        }
        Ok(())
    }

    /// Tells the purger how far repartition topics are no longer needed.
    fn tell_purger(&self) {
        for task in self.tasks.values() {
            for (_, queue) in task.sources.iter().filter(|(_, queue)| queue.is_purged) {
                if let Some(offset) = queue.to_commit(self.context.now_ms, self.context.refresh_ms) {
                    self.context.shared.confirmed.note(task.incarnation, &queue.partition, offset);
                }
            }
        }
    }

    /// Tells the queues that it is done.
    fn tell_queues(&mut self) {
        let now_ms = self.context.now_ms;
        for task in self.tasks.values_mut() {
            task.touched = false;
            for (_, queue) in &mut task.sources {
                if let Some(offset) = queue.to_commit(now_ms, self.context.refresh_ms) {
                    queue.set_committed(offset, now_ms);
                }
            }
        }
    }
}

/// A static member that was dropped and has joined again finds its own seat taken by its later self. Whether it is
/// another process's is for the coordinator to say, whose next poll fails then.
fn as_stale(error: LogError) -> LogError {
    match error {
        LogError::InstanceFenced { operation, reason } => LogError::StaleMember { operation, reason },
        other => other,
    }
}

fn not_a_member() -> LogError {
    LogError::StaleMember { operation: "commit", reason: "this process is between two generations of its group".into() }
}
