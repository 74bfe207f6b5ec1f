//! Commits and aborts, and what tasks have written until then.

use super::{BAD_LETTERS, FAILED_LETTERS, Logged, World, task_reads};
use crate::runtime::BadRecords;
use crate::testing::stored::Stored;
use crate::testing::{Recorded, TestError, TestOptions};
use crate::topology::{ChangelogSource, TopicRef};
use std::ops::Range;

impl World {
    /// Commits all tasks, until nothing is left to be passed on.
    pub(in crate::testing) fn commit(&mut self) -> Result<(), TestError> {
        self.step += 1;
        self.recorded.push(Recorded::Commit);
        self.commit_all()
    }

    pub(super) fn commit_all(&mut self) -> Result<(), TestError> {
        loop {
            (0..self.tasks.len()).try_for_each(|task| self.commit_task(task))?;
            if self.queues.is_empty() {
                return Ok(());
            }
            self.drain()?;
        }
    }

    /// A task has done something: it is committed, or at least what it wrote can be read.
    pub(in crate::testing) fn after(&mut self, index: usize) -> Result<(), TestError> {
        self.count_dropped(index);
        let commit = self.tasks[index].processor.take_commit_request() || self.options.commit_every_record;
        match commit {
            true => self.commit_task(index),
            false => {
                self.collect(index);
                Ok(())
            }
        }
    }

    pub(super) fn commit_task(&mut self, index: usize) -> Result<(), TestError> {
        let task = &mut self.tasks[index];
        if let Err(source) = task.processor.flush(&mut task.out) {
            let task = task.name.clone();
            self.abort(index);
            return Err(TestError::Commit { task, source });
        }
        self.count_dropped(index);
        let mut logged = self.collect(index);
        let task = &mut self.tasks[index];
        for (store, row) in std::mem::take(&mut task.inputs) {
            logged[store] = true;
            let logs = self.changelogs.entry(task.plan.stores[store].name.clone()).or_default();
            logs.entry(task.partition).or_default().push(row);
        }
        for (store, logged) in logged.into_iter().enumerate() {
            let log = self.changelogs.get(&task.plan.stores[store].name).and_then(|logs| logs.get(&task.partition));
            let end = log.filter(|_| logged).map(|log| log.len() as i64);
            task.processor.store(store).committed(end, &[], self.now_ms)?;
        }
        task.times = task.processor.times();
        Ok(())
    }

    pub(super) fn count_dropped(&mut self, task: usize) {
        for (reason, count) in self.tasks[task].processor.take_dropped() {
            *self.dropped.entry(reason).or_default() += count;
        }
    }

    /// A task has failed: what it has not committed is forgotten, and what waits as well.
    pub(super) fn abort(&mut self, index: usize) {
        self.queues.clear();
        let task = &mut self.tasks[index];
        task.out.batch = Default::default();
        task.inputs.clear();
        task.processor.take_dropped();
        (0..task.processor.store_count()).for_each(|store| task.processor.store(store).aborted());
        task.processor.aborted();
    }

    /// Moves what a task has written to where it is read. Says for each store whether its changelog has grown.
    pub(super) fn collect(&mut self, index: usize) -> Vec<bool> {
        let task = &mut self.tasks[index];
        let plan = task.plan.clone();
        let mut logged = vec![false; plan.stores.len()];
        let batch = std::mem::take(&mut task.out.batch);
        for entry in batch.entries {
            let bytes = |range: Range<u32>| batch.bytes[range.start as usize..range.end as usize].to_vec();
            let (key, value) = (entry.key.map(bytes), entry.value.map(bytes));
            let (partition, timestamp_ms, headers) = (entry.partition, entry.timestamp_ms, entry.headers);
            let output = entry.topic.0 as usize;
            let topic = match (entry.topic, &self.options) {
                (BAD_LETTERS, TestOptions { bad_records: BadRecords::DeadLetter(topic), .. })
                | (FAILED_LETTERS, TestOptions { failed_records: BadRecords::DeadLetter(topic), .. }) => {
                    TopicRef::External(topic.clone())
                }
                _ => plan.outputs[output].clone(),
            };
            if let TopicRef::Changelog(name) = &topic {
                let logs = |store: &crate::topology::StorePlan| store.changelog == ChangelogSource::Own { output };
                if let Some(store) = plan.stores.iter().position(logs) {
                    logged[store] = true;
                }
                let log = self.changelogs.entry(name.clone()).or_default().entry(partition).or_default();
                log.push(Logged { key: key.unwrap_or_default(), value, timestamp_ms });
                continue;
            }
            let (step, sequence) = (self.step, self.sequence);
            self.sequence += 1;
            let record = Stored { partition, timestamp_ms, key, value, headers, step, sequence };
            if task_reads(&self.topology, &topic) {
                self.queue(&topic, record.clone());
            }
            self.written.entry(topic).or_default().push_back(record);
        }
        logged
    }
}
