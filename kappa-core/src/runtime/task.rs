//! A running task: its queues, its operators, and which record is next.
//!
//! Invariants:
//! - The next record is the one with the smallest timestamp among the heads of all queues; while a queue is empty and its
//!   partition's end is not reached, the task waits (Kafka Streams: `max.task.idle.ms=0`, KIP-695). So a replay
//!   merges its inputs by time.
//! - `touched` holds from the first effect until the commit or abort.

use super::bad_record::{LeftOut, Policies};
use super::epochs::TaskEpoch;
use super::layout::TaskId;
use super::queue::SourceQueue;
use super::settings::BadRecords;
use crate::Error;
use crate::task::{Output, OutputTopic, ProcessError, SourceRecord, TaskProcessor};
use crate::topology::ChangelogSource;
use std::collections::BTreeMap;

/// A task that a worker runs.
pub(crate) struct Task {
    pub(crate) incarnation: TaskEpoch,
    pub(crate) id: TaskId,
    pub(crate) name: String,
    pub(crate) processor: Box<dyn TaskProcessor>,
    /// With each queue, the index of its source in the plan.
    pub(crate) sources: Vec<(usize, SourceQueue)>,
    pub(crate) outputs: Vec<OutputTopic>,
    /// For each store, where its changes are logged.
    pub(crate) changelogs: Vec<ChangelogSource>,
    pub(crate) touched: bool,
    /// Records known to fail, by source and offset, with the operator and the reason: left out when their turn comes.
    pub(crate) failing: BTreeMap<(usize, i64), (String, String)>,
}

/// What a slice of processing did.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Processed {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    /// Records left out because they can't be used, and because they failed.
    pub(crate) skipped: u64,
    pub(crate) failed: u64,
}

/// Why a slice of processing has ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The application stops.
    Fatal(Error),
    /// The transaction is to be aborted, and work goes on from the last commit.
    Abort,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl Task {
    /// Whether there is a record to process.
    pub(crate) fn is_ready(&self) -> bool {
        self.next_source().is_some()
    }

    /// The time of the record that is next, ms; `None` while nothing may be processed.
    pub(crate) fn head_time_ms(&self) -> Option<i64> {
        match self.sources.as_slice() {
            [(source, queue)] => self.time_of_head(*source, queue),
            _ => self.next_source().map(|(_, time_ms)| time_ms),
        }
    }

    /// The time that it has come to, ms: nothing that is there for it is older, but for what comes out of order. `None` where all
    /// that is there has been processed.
    pub(crate) fn come_to_ms(&self) -> Option<i64> {
        let waits_for_reading = || (!self.is_drained()).then(|| self.stream_time_ms().unwrap_or(i64::MIN));
        self.head_time_ms().or_else(waits_for_reading)
    }

    fn time_of_head(&self, source: usize, queue: &SourceQueue) -> Option<i64> {
        match self.processor.extracts_time(source) {
            false => queue.head_record().map(|record| record.timestamp_ms),
            true => queue.head_time(|record| self.processor.time_of(source, record)),
        }
    }

    /// The queue whose head is next, and the head's time where there are several to choose from; `None` while nothing may be
    /// processed.
    fn next_source(&self) -> Option<(usize, i64)> {
        if let [(_, queue)] = self.sources.as_slice() {
            return (!queue.is_empty()).then_some((0, i64::MIN));
        }
        let mut best: Option<(usize, i64)> = None;
        for (at, (source, queue)) in self.sources.iter().enumerate() {
            match self.time_of_head(*source, queue) {
                Some(time_ms) if best.is_none_or(|(_, time)| time_ms < time) => best = Some((at, time_ms)),
                Some(_) => {}
                None if queue.at_end() => {}
                None => return None,
            }
        }
        best
    }

    /// Processes up to `max` records; where there are several queues, none that is younger than `until_ms`.
    pub(crate) fn process(
        &mut self,
        max: usize,
        until_ms: i64,
        out: &mut Output,
        policies: &Policies<'_>,
    ) -> Result<Processed, Failure> {
        let mut done = Processed::default();
        self.forget_passed();
        while (done.records as usize) < max {
            let Some((at, _)) = self.next_source().filter(|(_, time_ms)| *time_ms <= until_ms) else { break };
            let (source, queue) = &mut self.sources[at];
            let Some((batch, index)) = queue.head() else { break };
            let view = batch.record(index);
            let headers = batch.headers(index);
            let (offset, timestamp_ms) = (view.offset, view.timestamp_ms);
            done.records += 1;
            done.bytes += (view.key.map_or(0, <[u8]>::len) + view.value.map_or(0, <[u8]>::len)) as u64;
            self.touched = true;
            let known = (!self.failing.is_empty()).then(|| self.failing.get(&(*source, offset)).cloned()).flatten();
            let result = if let Some((operator, reason)) = known {
                Err(ProcessError::Operator { operator, reason })
            } else {
                self.processor.process(*source, &SourceRecord { view, headers: headers.clone() }, out)
            };
            if let Err(error) = result {
                let error = error.of_record(*source, offset);
                let (topic, partition) = (&*queue.partition.topic, queue.partition.partition);
                let left_out =
                    |reason, operator| LeftOut { topic, partition, view, headers: &headers, reason, operator };
                match error {
                    ProcessError::Undecodable { part, reason } => {
                        let reason = format!("{part} can't be used: {reason}");
                        let record = SourceRecord { view, headers: headers.clone() };
                        if !self.processor.park(*source, &record, "", &reason).map_err(Error::from)? {
                            left_out(reason, "").treat(policies.bad, out)?;
                            done.skipped += 1;
                        }
                    }
                    ProcessError::Operator { operator, reason } => {
                        let fails = *policies.failed.choice == BadRecords::Fail && !self.processor.parks();
                        let undone = fails
                            || self.failing.contains_key(&(*source, offset))
                            || self.processor.undo(out).map_err(Error::from)?;
                        if !undone {
                            let source = *source;
                            return Err(self.fails_again(source, offset, operator, reason));
                        }
                        let record = SourceRecord { view, headers: headers.clone() };
                        if !self.processor.park(*source, &record, &operator, &reason).map_err(Error::from)? {
                            left_out(reason, &operator).treat(policies.failed, out)?;
                            done.failed += 1;
                        }
                    }
                    error => return Err(self.blame(error, policies)),
                }
            }
            let (_, queue) = &mut self.sources[at];
            queue.advance(offset, timestamp_ms);
        }
        Ok(done)
    }

    /// Whose fault an error is that came not of the record being processed: an earlier record's call, or nobody's.
    pub(crate) fn blame(&mut self, error: ProcessError, policies: &Policies<'_>) -> Failure {
        match error {
            ProcessError::Call { source_index, offset, operator, reason } => {
                if *policies.failed.choice != BadRecords::Fail || self.processor.parks() {
                    return self.fails_again(source_index, offset, operator, reason);
                }
                let of = self.sources.iter().find(|(source, _)| *source == source_index);
                let topic = of.map_or_else(|| self.name.clone(), |(_, queue)| queue.partition.topic.to_string());
                Failure::Fatal(Error::Operator { topic, partition: self.id.partition, offset, operator, reason })
            }
            error => Failure::Fatal(self.failed("commit", error)),
        }
    }

    /// A record has failed and what it did can't be taken back: the transaction must be aborted, and the record is left out when
    /// its turn comes again.
    fn fails_again(&mut self, source: usize, offset: i64, operator: String, reason: String) -> Failure {
        tracing::info!(
            task = self.name,
            offset,
            operator,
            reason,
            "a record failed: its transaction is aborted to leave it out"
        );
        self.failing.insert((source, offset), (operator, reason));
        Failure::Abort
    }

    /// Forgets records that fail and are behind what is committed.
    fn forget_passed(&mut self) {
        let sources = &self.sources;
        self.failing.retain(|(source, offset), _| {
            let queue = sources.iter().find(|(of, _)| of == source).map(|(_, queue)| queue);
            queue.is_some_and(|queue| queue.committed.is_none_or(|committed| committed <= *offset))
        });
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

    /// Whether all records that are there have been processed.
    pub(crate) fn is_drained(&self) -> bool {
        self.sources.iter().all(|(_, queue)| queue.is_empty() && queue.at_end())
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
