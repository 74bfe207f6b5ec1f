//! A running task: its queues, its operators, and which record is next.
//!
//! Invariants:
//! - The next record is the one with the smallest timestamp among the heads of all queues; while a queue is empty and its
//!   partition's end is not reached, the task waits (Kafka Streams: `max.task.idle.ms=0`, KIP-695). So a replay
//!   merges its inputs by time.
//! - `touched` holds from the first effect until the commit or abort.

use super::epochs::TaskEpoch;
use super::layout::TaskId;
use super::queue::SourceQueue;
use super::settings::BadRecords;
use crate::Error;
use crate::log::{AppendEntry, Headers, RecordView};
use crate::task::{Output, OutputTopic, ProcessError, SourceRecord, TaskProcessor};

/// A task that a worker runs.
pub(crate) struct Task {
    pub(crate) incarnation: TaskEpoch,
    pub(crate) id: TaskId,
    pub(crate) name: String,
    pub(crate) processor: Box<dyn TaskProcessor>,
    /// With each queue, the index of its source in the plan.
    pub(crate) sources: Vec<(usize, SourceQueue)>,
    pub(crate) outputs: Vec<OutputTopic>,
    /// For each store, the output that is its changelog.
    pub(crate) changelogs: Vec<Option<usize>>,
    pub(crate) touched: bool,
}

/// What a slice of processing did.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Processed {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) skipped: u64,
}

impl Task {
    /// The queue whose head is next; `None` while nothing may be processed.
    pub(crate) fn next_source(&self) -> Option<usize> {
        if let [(_, queue)] = self.sources.as_slice() {
            return (!queue.is_empty()).then_some(0);
        }
        let mut best: Option<(usize, i64)> = None;
        for (at, (_, queue)) in self.sources.iter().enumerate() {
            match queue.head_record() {
                Some(record) if best.is_none_or(|(_, time)| record.timestamp_ms < time) => {
                    best = Some((at, record.timestamp_ms));
                }
                Some(_) => {}
                None if queue.at_end() => {}
                None => return None,
            }
        }
        best.map(|(at, _)| at)
    }

    /// Processes up to `max` records.
    pub(crate) fn process(
        &mut self,
        max: usize,
        out: &mut Output,
        policy: &BadRecords,
        dead_letters: Option<OutputTopic>,
    ) -> Result<Processed, Error> {
        let mut done = Processed::default();
        while (done.records as usize) < max {
            let Some(at) = self.next_source() else { break };
            let (source, queue) = &mut self.sources[at];
            let Some((batch, index)) = queue.head() else { break };
            let view = batch.record(index);
            let headers = batch.headers(index);
            let (offset, timestamp_ms) = (view.offset, view.timestamp_ms);
            done.records += 1;
            done.bytes += (view.key.map_or(0, <[u8]>::len) + view.value.map_or(0, <[u8]>::len)) as u64;
            self.touched = true;
            let result = if timestamp_ms < 0 {
                Err(ProcessError::Undecodable { part: "timestamp", reason: format!("{timestamp_ms} is negative") })
            } else {
                self.processor.process(*source, &SourceRecord { view, headers: headers.clone() }, out)
            };
            if let Err(error) = result {
                let (topic, partition) = (&queue.partition.topic, queue.partition.partition);
                match error {
                    ProcessError::State(error) => return Err(error.into()),
                    ProcessError::Operator { operator, reason } => {
                        let topic = topic.to_string();
                        return Err(Error::Operator { topic, partition, offset, operator, reason });
                    }
                    ProcessError::Undecodable { part, reason } => {
                        let reason = format!("{part} can't be used: {reason}");
                        let bad = Bad { topic, partition, offset, reason };
                        bad.treat(policy, dead_letters, view, &headers, out)?;
                        done.skipped += 1;
                    }
                }
            }
            queue.advance(offset, timestamp_ms);
        }
        Ok(done)
    }

    /// The greatest timestamp processed, over all sources.
    pub(crate) fn stream_time_ms(&self) -> Option<i64> {
        self.sources.iter().filter_map(|(_, queue)| queue.time_ms).max()
    }

    /// What went wrong without a record: at a commit, or by the clock.
    pub(crate) fn failed(&self, when: &str, error: ProcessError) -> Error {
        match error {
            ProcessError::State(error) => error.into(),
            other => Error::Operator {
                topic: self.name.clone(),
                partition: self.id.partition,
                offset: -1,
                operator: when.to_owned(),
                reason: other.to_string(),
            },
        }
    }

    /// Forgets everything since the last commit.
    pub(crate) fn abort(&mut self) {
        for index in 0..self.processor.store_count() {
            self.processor.store(index).aborted();
        }
        self.processor.aborted();
        for (_, queue) in &mut self.sources {
            queue.rewind();
        }
        self.touched = false;
    }

    /// Whether a commit would do anything for this task.
    pub(crate) fn has_progress(&self, now_ms: i64, refresh_ms: i64) -> bool {
        self.touched || self.sources.iter().any(|(_, queue)| queue.to_commit(now_ms, refresh_ms).is_some())
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task").field("name", &self.name).field("sources", &self.sources).finish_non_exhaustive()
    }
}

/// A record that can't be used.
struct Bad<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    reason: String,
}

impl Bad<'_> {
    fn treat(
        self,
        policy: &BadRecords,
        dead_letters: Option<OutputTopic>,
        view: RecordView<'_>,
        headers: &Headers,
        out: &mut Output,
    ) -> Result<(), Error> {
        let Self { topic, partition, offset, reason } = self;
        match (policy, dead_letters) {
            (BadRecords::Skip, _) => {
                tracing::warn!(topic, partition, offset, reason, "record skipped");
                Ok(())
            }
            (BadRecords::DeadLetter(to), Some(target)) => {
                tracing::warn!(topic, partition, offset, reason, to, "record sent to the dead-letter topic");
                let headers = headers
                    .with("__streams.errors.exception", Some(b"kappa.BadRecord"))
                    .with("__streams.errors.message", Some(reason.as_bytes()))
                    .with("__streams.errors.topic", Some(topic.as_bytes()))
                    .with("__streams.errors.partition", Some(partition.to_string().as_bytes()))
                    .with("__streams.errors.offset", Some(offset.to_string().as_bytes()));
                let key = view.key.map(|bytes| out.batch.copy(bytes));
                let value = view.value.map(|bytes| out.batch.copy(bytes));
                let timestamp_ms = view.timestamp_ms.max(0);
                let partition = partition.rem_euclid(target.partitions);
                let topic = target.handle;
                out.batch.entries.push(AppendEntry { topic, partition, timestamp_ms, key, value, headers });
                Ok(())
            }
            (BadRecords::Fail | BadRecords::DeadLetter(_), _) => {
                Err(Error::BadRecord { topic: topic.to_owned(), partition, offset, reason })
            }
        }
    }
}
