//! Reads the topics of global tables: to their ends before any task runs, then on, for as long as the process lives.
//!
//! Invariants:
//! - Only committed records are read, each partition in its order, from its beginning at every start.
//! - The tables are ready when each partition has been read up to where its committed records ended when the process started.

use super::layout::AppLayout;
use super::metrics::RuntimeMetrics;
use super::settings::{BadRecords, Settings};
use crate::Error;
use crate::log::{
    Assignment, Fetch, FetchOptions, FetchedBatch, Isolation, Log, LogError, OffsetSpec, PARTITION_BYTES_LEAN,
    Recovery, Run, Start, Token, TopicPartition,
};
use crate::task::{GlobalRow, Globals, ProcessError, Program, SourceRecord};
use std::sync::Arc;
use std::time::Duration;

/// What is new comes at once; only the ends of quiet partitions wait so long.
const FETCH_WAIT_MAX: Duration = Duration::from_millis(100);
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// The reader of a process, as a state machine.
#[derive(Debug)]
pub struct GlobalReader {
    program: Arc<dyn Program>,
    globals: Globals,
    fetch: Box<dyn Fetch>,
    /// By token.
    partitions: Vec<Reading>,
    left_out: LeavesOut,
    poll_records: usize,
    metrics: RuntimeMetrics,
}

#[derive(Debug)]
struct Reading {
    /// Index of the table in the plan.
    table: usize,
    /// A function of the user's writes it.
    has_update: bool,
    partition: TopicPartition,
    /// The next offset.
    position: i64,
    /// Where its records ended at the start.
    target: i64,
    done: bool,
}

impl GlobalReader {
    /// Makes a reader, and asks where the topics end.
    pub fn new(
        log: &dyn Log,
        layout: &AppLayout,
        program: Arc<dyn Program>,
        settings: &Settings,
        globals: Globals,
        metrics: RuntimeMetrics,
    ) -> Result<Self, Error> {
        let partitions = |(table, (topic, count)): (usize, &(Arc<str>, i32))| {
            let topic = Arc::clone(topic);
            (0..*count).map(move |partition| (table, TopicPartition::new(Arc::clone(&topic), partition)))
        };
        let all: Vec<(usize, TopicPartition)> = layout.globals.iter().enumerate().flat_map(partitions).collect();
        let asked: Vec<(TopicPartition, OffsetSpec)> = (all.iter())
            .map(|(_, partition)| (partition.clone(), OffsetSpec::Latest(Isolation::ReadCommitted)))
            .collect();
        let ends = log.topics()?.offsets(&asked)?;
        let mut fetch = log.fetch(FetchOptions {
            client_id: format!("{}-global", layout.application_id),
            isolation: Isolation::ReadCommitted,
            buffer_bytes: settings.fetch_bytes,
            wait_max: FETCH_WAIT_MAX,
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
        })?;
        let reading = |((table, partition), target): ((usize, TopicPartition), i64)| {
            let has_update = program.plan().globals.get(table).is_some_and(|global| global.has_update);
            Reading { table, has_update, partition, position: 0, target, done: target == 0 }
        };
        let partitions: Vec<Reading> = all.into_iter().zip(ends).map(reading).collect();
        let assignments: Vec<Assignment> =
            partitions.iter().zip(0..).map(|(reading, token)| reading.assignment(token, Start::Earliest)).collect();
        fetch.assign(&assignments)?;
        let (bad, failed) = (settings.bad_records != BadRecords::Fail, settings.failed_records != BadRecords::Fail);
        let (left_out, poll_records) = (LeavesOut { bad, failed }, settings.poll_records);
        Ok(Self { program, globals, fetch, partitions, left_out, poll_records, metrics })
    }

    /// One round: reads what is there, waiting for it at most `max_wait`.
    pub fn turn(&mut self, max_wait: Duration) -> Result<(), Error> {
        let polled = match self.fetch.poll(self.poll_records, max_wait) {
            Ok(polled) => polled,
            Err(error) if error.recovery() == Recovery::Retry => {
                tracing::warn!(%error, "global tables are not read for the moment");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(batch) = &polled.batch {
            for run in batch.runs() {
                self.take(&**batch, *run)?;
            }
        }
        for end in polled.ends {
            if let Some(reading) = self.partitions.get_mut(end.token as usize) {
                reading.position = reading.position.max(end.offset);
                reading.done |= end.offset >= reading.target;
            }
        }
        for failure in polled.failures {
            self.read_again(failure.token, failure.error)?;
        }
        if !self.globals.is_ready() && self.partitions.iter().all(|reading| reading.done) {
            let records: i64 = self.partitions.iter().map(|reading| reading.target).sum();
            tracing::info!(partitions = self.partitions.len(), up_to = records, "global tables are ready");
            self.globals.set_ready();
        }
        Ok(())
    }

    /// Closes the client.
    pub fn close(self) {
        if let Err(error) = self.fetch.close(CLOSE_DEADLINE) {
            tracing::warn!(%error, "reader of global tables not closed in time");
        }
    }

    fn take(&mut self, batch: &dyn FetchedBatch, run: Run) -> Result<(), Error> {
        let Some(reading) = self.partitions.get_mut(run.token as usize) else { return Ok(()) };
        let Some(table) = self.globals.table(reading.table) else { return Ok(()) };
        let mut rows: Vec<GlobalRow<'_>> = Vec::with_capacity((run.end - run.start) as usize);
        let mut keyless = 0;
        for index in run.start..run.end {
            let view = batch.record(index as usize);
            reading.position = view.offset + 1;
            let taken = match (reading.has_update, view.key) {
                (true, _) => {
                    let record = SourceRecord { view, headers: batch.headers(index as usize) };
                    self.program.update_global(reading.table, &record, reading.partition.partition, table)
                }
                (false, None) => {
                    keyless += 1;
                    continue;
                }
                (false, Some(key)) => self
                    .program
                    .check_global(reading.table, key, view.value)
                    .map(|()| rows.push((key, view.value, view.timestamp_ms))),
            };
            if let Err(error) = taken {
                self.left_out.treat(&reading.partition, view.offset, error, &self.metrics)?;
            }
        }
        if keyless > 0 {
            tracing::debug!(partition = %reading.partition, keyless, "records of a global table without a key left out");
            self.metrics.skip("null-key", keyless);
        }
        if !rows.is_empty() {
            table.apply(rows)?;
        }
        Ok(())
    }

    /// A partition can't be read on: it is assigned again, where it stopped, or where it begins by now.
    fn read_again(&mut self, token: Token, error: LogError) -> Result<(), Error> {
        let Some(reading) = self.partitions.get(token as usize) else { return Ok(()) };
        let start = match &error {
            LogError::Truncated { .. } => Start::Earliest,
            error if error.recovery() == Recovery::Retry => Start::Offset(reading.position),
            _ => return Err(error.into()),
        };
        tracing::warn!(%error, partition = %reading.partition, "a global table's partition is read again");
        let assignment = reading.assignment(token, start);
        self.fetch.unassign(&[token])?;
        Ok(self.fetch.assign(&[assignment])?)
    }
}

impl Reading {
    fn assignment(&self, token: Token, start: Start) -> Assignment {
        Assignment { partition: self.partition.clone(), start, token }
    }
}

/// Which records are left out and do not stop the application. Every process reads them, so they go to no dead-letter topic.
#[derive(Debug, Clone, Copy)]
struct LeavesOut {
    bad: bool,
    failed: bool,
}

impl LeavesOut {
    /// A record can't be decoded, or a store's function has failed for it: it has written nothing.
    fn treat(
        self,
        at: &TopicPartition,
        offset: i64,
        error: ProcessError,
        metrics: &RuntimeMetrics,
    ) -> Result<(), Error> {
        let (topic, partition) = (at.topic.to_string(), at.partition);
        let counted = match &error {
            ProcessError::Undecodable { .. } if self.bad => "bad_record",
            ProcessError::Operator { .. } if self.failed => "failed_record",
            _ => {
                return Err(match error {
                    ProcessError::State(error) => error.into(),
                    ProcessError::Operator { operator, reason } => {
                        Error::Operator { topic, partition, offset, operator, reason }
                    }
                    error => Error::BadRecord { topic, partition, offset, reason: error.to_string() },
                });
            }
        };
        tracing::warn!(topic, partition, offset, %error, "record of a global table left out");
        metrics.skip(counted, 1);
        Ok(())
    }
}
