//! Tasks come and go.

use super::{Worker, queue_of, start};
use crate::Error;
use crate::log::{Assignment, LogError, TopicPartition};
use crate::runtime::epochs::TaskEpoch;
use crate::runtime::queue::SourceQueue;
use crate::runtime::shared::{ReadyTask, RestoreRequest, WorkerCommand};
use crate::runtime::task::Task;
use crate::topology::TopicRef;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Worker {
    pub(super) fn take_commands(&mut self, now_ms: i64) -> Result<(), Error> {
        for command in self.shared.take_commands(self.index) {
            match command {
                WorkerCommand::Run(ready) => self.run(*ready, now_ms)?,
                WorkerCommand::GiveUp(tasks) => {
                    if self.tasks.keys().any(|task| tasks.contains(task)) {
                        self.commit(now_ms)?;
                    }
                    for task in &tasks {
                        self.close_task(*task, true)?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn run(&mut self, ready: ReadyTask, now_ms: i64) -> Result<(), Error> {
        let number = ready.incarnation.task;
        let current = self.shared.epochs.is_current(ready.incarnation);
        let (Some(id), true) = (self.layout.task(number), current) else {
            drop(ready);
            self.shared.release(number);
            return Ok(());
        };
        let Some(appender) = &self.appender else {
            // Its offsets were read before the pending transaction was settled: read them again.
            drop(ready.processor);
            self.reopen(ready.incarnation);
            return Ok(());
        };
        let sub = &self.layout.sub_topologies[id.sub_topology];
        let mut sources = Vec::new();
        let mut assignments = Vec::new();
        for (source, committed, time_ms) in ready.sources {
            let partition = TopicPartition::new(Arc::clone(&sub.sources[source].topic), id.partition);
            let token = self.tokens.iter().position(Option::is_none).unwrap_or(self.tokens.len());
            if token == self.tokens.len() {
                self.tokens.push(None);
            }
            self.tokens[token] = Some((number, sources.len()));
            let token = token as u32;
            assignments.push(Assignment { partition: partition.clone(), start: start(committed), token });
            let mut queue = SourceQueue::new(partition, token, committed, time_ms, now_ms);
            queue.is_control = matches!(sub.sources[source].reference, TopicRef::Control(_));
            queue.is_purged = queue.is_control || matches!(sub.sources[source].reference, TopicRef::Repartition(_));
            if let (true, Some(offset)) = (queue.is_purged, committed) {
                self.shared.confirmed.note(ready.incarnation, &queue.partition, offset);
            }
            sources.push((source, queue));
        }
        let task = Task {
            incarnation: ready.incarnation,
            id,
            name: self.layout.task_name(id),
            processor: ready.processor,
            sources,
            outputs: appender.outputs[id.sub_topology].clone(),
            changelogs: sub.stores.iter().map(|(_, changelog)| *changelog).collect(),
            touched: false,
            failing: BTreeMap::new(),
        };
        tracing::info!(task = task.name, "running");
        self.tasks.insert(number, task);
        self.fetch.assign(&assignments)?;
        self.shared.metrics.tasks_running.inc();
        Ok(())
    }

    /// Closes tasks that are no longer this process's, dropping what they had not committed.
    pub(super) fn close_stale(&mut self) -> Result<(), Error> {
        let stale: Vec<usize> = self
            .tasks
            .values()
            .filter(|task| !self.shared.epochs.is_current(task.incarnation))
            .map(|task| task.incarnation.task)
            .collect();
        if stale.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = stale.iter().map(|task| &*self.tasks[task].name).collect();
        let dropped = stale.iter().any(|task| self.tasks[task].touched);
        tracing::warn!(
            tasks = names.join(" "),
            "no longer this process's: closed{}",
            if dropped { ", the open transaction is aborted and done again without them" } else { "" }
        );
        if dropped {
            self.roll_back("tasks lost")?;
        }
        stale.into_iter().try_for_each(|task| self.close_task(task, false))
    }

    pub(super) fn close_all(&mut self, flush: bool) -> Result<(), Error> {
        let tasks: Vec<usize> = self.tasks.keys().copied().collect();
        tasks.into_iter().try_for_each(|task| self.close_task(task, flush))
    }

    /// Closes one task; what is committed and still in memory is written first when `flush`.
    pub(super) fn close_task(&mut self, number: usize, flush: bool) -> Result<(), Error> {
        let Some(mut task) = self.tasks.remove(&number) else { return Ok(()) };
        self.alignment.forget(number);
        task.abort();
        let mut flushed = Ok(());
        if flush {
            for index in 0..task.processor.store_count() {
                flushed = flushed.and(task.processor.store(index).flush(i64::MAX, true));
            }
        }
        let tokens: Vec<u32> = task.sources.iter().map(|(_, queue)| queue.token).collect();
        for token in &tokens {
            self.tokens[*token as usize] = None;
        }
        let unassigned = self.fetch.unassign(&tokens);
        self.shared.metrics.forget_parking(&task.name);
        drop(task);
        self.shared.release(number);
        self.shared.metrics.tasks_running.dec();
        flushed?;
        unassigned?;
        Ok(())
    }

    /// A source can't be read for the moment: its task goes back to the restorer, which waits for the log.
    pub(super) fn reopen_unreadable(&mut self, token: u32, error: &LogError) -> Result<(), Error> {
        let Some((number, _)) = self.tokens.get(token as usize).copied().flatten() else { return Ok(()) };
        let Some(task) = self.tasks.get(&number) else { return Ok(()) };
        tracing::warn!(task = task.name, %error, "a source can't be read for the moment, the task is opened again");
        self.shared.metrics.error(error.kind());
        let incarnation = task.incarnation;
        if task.touched {
            self.roll_back(error.kind())?;
        }
        // Rolling back may have given all tasks to the restorer already.
        if self.tasks.contains_key(&number) {
            self.close_task(number, true)?;
            self.reopen(incarnation);
        }
        Ok(())
    }

    /// Whether a source can't be read because another owner has processed, committed and purged what comes next in it: this process
    /// has slept and does not know yet. What is committed by then is not below the log's start; where it is, when read again,
    /// records are lost.
    pub(super) fn is_overtaken(&mut self, token: u32, error: &LogError) -> bool {
        let LogError::Truncated { offset, log_start, .. } = error else { return false };
        // A task that has just been closed reads nothing.
        let Some(queue) = queue_of(&mut self.tasks, &self.tokens, token) else { return true };
        if !queue.is_purged || self.purged_to.get(&queue.partition).is_some_and(|purged_to| offset < purged_to) {
            return false;
        }
        self.purged_to.insert(queue.partition.clone(), *log_start);
        true
    }

    pub(super) fn reopen(&self, incarnation: TaskEpoch) {
        self.shared.release(incarnation.task);
        if self.shared.epochs.is_current(incarnation) {
            self.shared.request_restore(RestoreRequest { incarnation, worker: self.index });
        }
    }
}
