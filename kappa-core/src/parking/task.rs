//! The task around the operators' one that parks what fails and takes commands.
//!
//! **Invariants:**
//! - Where nothing is parked and nothing is going on, a record costs one look at `plain`.
//! - `released` and `failing` are about the transaction under way. A released record that fails where it can't be taken back makes
//!   the transaction abort, and is in `failing`: it stays parked when its release comes again. So every abort leaves fewer that can cause one.

use super::ParkingCommand;
use super::format::{RowCodec, prefix};
use super::lot::Lot;
use super::row::{Cause, Pending, Record, Row};
use crate::task::{GlobalRow, Output, ParkingCounts, ProcessError, Rows, SourceRecord, TaskProcessor, TaskScope};
use kappa_state::{BufferOptions, BufferedStore, ManagedStore, StateError, StoreId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const BAD_COMMAND: &str = "bad-parking-command";

/// What a task that parks is told of its place.
#[derive(Debug)]
pub(crate) struct Parking {
    /// The sources' topics as rows and commands name them, in the plan's order; the control topic is the last.
    pub(crate) sources: Vec<String>,
    /// Sources whose topics stores are restored from: what fails there is not parked, because a restore would bring it back.
    pub(crate) restoring: Vec<usize>,
    /// The store's name.
    pub(crate) store: String,
    /// Index of its changelog among the outputs.
    pub(crate) changelog: usize,
}

/// Lets what fails in `inner` be parked. `inner` must be able to undo.
pub(crate) fn wrap(
    inner: Box<dyn TaskProcessor>,
    parking: Parking,
    scope: &TaskScope<'_>,
) -> Result<Box<dyn TaskProcessor>, StateError> {
    let id = StoreId { task: scope.name.to_owned(), store: parking.store.clone() };
    let (tail_bound, cache_bytes) = (scope.tail_bound, scope.cache_bytes_per_store);
    let options = BufferOptions { tail_bound, cache_bytes, keep_old: false };
    let store = BufferedStore::<Row>::open(id.clone(), scope.state.open(&id)?, Arc::new(RowCodec), options)?;
    let control = parking.sources.len() - 1;
    let stores = inner.store_count();
    Ok(Box::new(ParkingTask {
        inner,
        lot: Lot::new(store),
        parking,
        control,
        stores,
        task: scope.name.to_owned(),
        partition: scope.partition,
        plain: false,
        flushed: false,
        released: BTreeSet::new(),
        failing: BTreeMap::new(),
        followers: 0,
        bad_commands: 0,
        counts: ParkingCounts::default(),
    }))
}

/// A released record that fails, known from a transaction that was aborted for it.
pub(super) struct Failing {
    pub(super) cause: Cause,
    /// The transaction under way has left it parked.
    pub(super) met: bool,
}

pub(super) struct ParkingTask {
    pub(super) inner: Box<dyn TaskProcessor>,
    pub(super) lot: Lot,
    pub(super) parking: Parking,
    control: usize,
    /// The number of the inner task's stores: the place of this one's.
    stores: usize,
    pub(super) task: String,
    pub(super) partition: i32,
    /// Nothing is parked, no command waits, and nothing is to be remembered: all there is to do is the inner task's.
    pub(super) plain: bool,
    /// What was done is flushed: when work goes on, it is committed.
    flushed: bool,
    /// Parked records that the inner task has processed in this transaction, by source and offset.
    pub(super) released: BTreeSet<(usize, i64)>,
    pub(super) failing: BTreeMap<(usize, i64), Failing>,
    /// Records parked behind others since the last flush.
    followers: u64,
    bad_commands: u64,
    pub(super) counts: ParkingCounts,
}

impl ParkingTask {
    /// Work goes on: what was flushed is committed, else the task would have been told of an abort.
    fn go_on(&mut self) -> Result<(), StateError> {
        if std::mem::take(&mut self.flushed) {
            self.released.clear();
            self.failing.retain(|_, failing| !failing.met);
        }
        let totals = self.lot.totals()?;
        let nothing_waits = totals.records == 0 && totals.first_command == totals.next_command;
        self.plain = nothing_waits && self.released.is_empty() && self.failing.is_empty();
        Ok(())
    }

    /// Remembers a released record whose failure is seen only now.
    pub(super) fn note<T>(&mut self, result: Result<T, ProcessError>) -> Result<T, ProcessError> {
        if let Err(ProcessError::Call { source_index, offset, operator, reason }) = &result
            && self.released.contains(&(*source_index, *offset))
        {
            let cause = Cause { operator: operator.clone(), reason: reason.clone() };
            self.failing.insert((*source_index, *offset), Failing { cause, met: false });
        }
        result
    }

    #[cold]
    fn process_beside_parked(
        &mut self,
        source: usize,
        record: &SourceRecord<'_>,
        out: &mut Output,
    ) -> Result<(), ProcessError> {
        self.go_on()?;
        if source == self.control {
            self.take(record)?;
            self.work(out)?;
            return Ok(());
        }
        if let Some(key) = record.view.key {
            let prefix = prefix(&self.parking.sources[source], key);
            if self.lot.is_parked(&prefix)? {
                self.append(&prefix, record)?;
                return Ok(());
            }
        }
        let result = self.inner.process(source, record, out);
        self.note(result)
    }

    /// Takes a record of the control topic.
    fn take(&mut self, record: &SourceRecord<'_>) -> Result<(), StateError> {
        let offset = record.view.offset;
        match self.command(record.view.value.unwrap_or_default()) {
            Ok(command) => {
                tracing::info!(task = self.task, offset, ?command, "parking command");
                self.lot.add(Pending { done_until: Vec::new(), command })
            }
            Err(reason) => {
                self.bad_commands += 1;
                let (topic, partition) = (&self.parking.sources[self.control], self.partition);
                tracing::warn!(topic, partition, offset, reason, "parking command left out");
                Ok(())
            }
        }
    }

    /// A command that this task can follow; else what is wrong with it.
    fn command(&self, bytes: &[u8]) -> Result<ParkingCommand, String> {
        let command = ParkingCommand::from_bytes(bytes).map_err(|error| format!("it can't be read: {error}"))?;
        let sources = &self.parking.sources[..self.control];
        match command.topic().filter(|topic| !sources.iter().any(|source| source == topic)) {
            Some(topic) => Err(format!("nothing of {topic} is parked here: name one of {}", sources.join(", "))),
            None => Ok(command),
        }
    }

    /// Parks a record behind another one of its key.
    fn append(&mut self, prefix: &[u8], record: &SourceRecord<'_>) -> Result<(), StateError> {
        let nothing = || Cause { operator: String::new(), reason: String::new() };
        self.lot.park(prefix, row(record, self.partition), nothing)?;
        self.counts.parked += 1;
        self.followers += 1;
        Ok(())
    }
}

fn row(record: &SourceRecord<'_>, partition: i32) -> Record {
    let (view, headers) = (record.view, record.headers.clone());
    let (offset, timestamp_ms, value) = (view.offset, view.timestamp_ms, view.value.map(<[u8]>::to_vec));
    Record { partition, offset, timestamp_ms, headers, value }
}

impl TaskProcessor for ParkingTask {
    fn process(&mut self, source: usize, record: &SourceRecord<'_>, out: &mut Output) -> Result<(), ProcessError> {
        if self.plain && source != self.control {
            return self.inner.process(source, record, out);
        }
        self.process_beside_parked(source, record, out)
    }

    fn undo(&mut self, out: &mut Output) -> Result<bool, StateError> {
        self.inner.undo(out)
    }

    fn parks(&self) -> bool {
        true
    }

    fn park(
        &mut self,
        source: usize,
        record: &SourceRecord<'_>,
        operator: &str,
        reason: &str,
    ) -> Result<bool, StateError> {
        let can_wait = source != self.control && !self.parking.restoring.contains(&source);
        let Some(key) = record.view.key.filter(|_| can_wait) else { return Ok(false) };
        self.go_on()?;
        self.plain = false;
        let topic = &self.parking.sources[source];
        let prefix = prefix(topic, key);
        if self.lot.is_parked(&prefix)? {
            self.append(&prefix, record)?;
            return Ok(true);
        }
        let (partition, offset) = (self.partition, record.view.offset);
        tracing::warn!(topic, partition, offset, operator, reason, "record parked, and with it its key");
        let cause = || Cause { operator: operator.to_owned(), reason: reason.to_owned() };
        self.lot.park(&prefix, row(record, partition), cause)?;
        self.counts.parked += 1;
        Ok(true)
    }

    fn flush(&mut self, out: &mut Output) -> Result<(), ProcessError> {
        let result = self.inner.flush(out);
        self.note(result)?;
        let changelog = self.parking.changelog;
        self.lot.store.stage(|change| {
            out.log(changelog, change.timestamp_ms, change.key, change.value_bytes);
            Ok::<(), StateError>(())
        })?;
        let followers = std::mem::take(&mut self.followers);
        if followers > 0 {
            tracing::info!(task = self.task, records = followers, "records parked behind earlier ones of their keys");
        }
        self.flushed = true;
        Ok(())
    }

    fn store_count(&self) -> usize {
        self.stores + 1
    }

    fn store(&mut self, index: usize) -> &mut dyn ManagedStore {
        if index == self.stores { &mut self.lot.store } else { self.inner.store(index) }
    }

    fn is_row(&self, store: usize, row: GlobalRow<'_>) -> bool {
        self.inner.is_row(store, row)
    }

    fn rows(&mut self, store: usize) -> Result<Option<Rows>, StateError> {
        if store == self.stores { Ok(None) } else { self.inner.rows(store) }
    }

    fn take_dropped(&mut self) -> Vec<(&'static str, u64)> {
        let mut dropped = self.inner.take_dropped();
        if self.bad_commands > 0 {
            dropped.push((BAD_COMMAND, std::mem::take(&mut self.bad_commands)));
        }
        dropped
    }

    fn take_parking(&mut self) -> Option<ParkingCounts> {
        let totals = self.lot.known_totals().unwrap_or_default();
        let counts = std::mem::take(&mut self.counts);
        Some(ParkingCounts { keys: totals.keys, records: totals.records, ..counts })
    }

    fn dirty_bytes(&self) -> usize {
        self.inner.dirty_bytes() + self.lot.store.dirty_bytes()
    }

    fn aborted(&mut self) {
        self.inner.aborted();
        self.lot.forget();
        (self.plain, self.flushed, self.followers) = (false, false, 0);
        self.released.clear();
        self.failing.values_mut().for_each(|failing| failing.met = false);
        self.counts = ParkingCounts::default();
    }

    fn times(&self) -> Vec<i64> {
        self.inner.times()
    }

    fn restore_times(&mut self, times: &[i64]) {
        self.inner.restore_times(times);
    }

    fn advance(&mut self, now_ms: i64, out: &mut Output) -> Result<bool, ProcessError> {
        let called = self.inner.advance(now_ms, out);
        let called = self.note(called)?;
        if self.plain {
            return Ok(called);
        }
        self.go_on()?;
        Ok(self.work(out)? || called)
    }

    fn rest(&mut self, now_ms: i64, out: &mut Output) -> Result<bool, ProcessError> {
        let done = self.inner.rest(now_ms, out);
        self.note(done)
    }

    fn extracts_time(&self, source: usize) -> bool {
        source == self.control || self.inner.extracts_time(source)
    }

    fn time_of(&self, source: usize, record: &SourceRecord<'_>) -> Option<i64> {
        // Commands are taken before all records that are there.
        if source == self.control { Some(i64::MIN) } else { self.inner.time_of(source, record) }
    }

    fn take_commit_request(&mut self) -> bool {
        self.inner.take_commit_request()
    }
}
