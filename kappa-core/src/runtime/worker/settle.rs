//! Settling: commit, abort, and what an error of the log asks for.

use super::{SEND_BYTES, Setback, Worker, start, tails};
use crate::Error;
use crate::log::{Assignment, LogError, Recovery};
use crate::runtime::bad_record::{DeadLetters, Policies};
use crate::runtime::commit::{Commit, CommitContext};
use crate::runtime::epochs::TaskEpoch;
use std::time::Duration;

impl Worker {
    /// Commits the work of all tasks; true when there was anything to settle.
    pub(super) fn commit(&mut self, now_ms: i64) -> Result<bool, Error> {
        self.last_commit_ms = now_ms;
        let refresh_ms = self.settings.offset_refresh_ms;
        if !self.tasks.values().any(|task| task.has_progress(now_ms, refresh_ms)) {
            return Ok(false);
        }
        if let Err(setback) = self.flush_tasks() {
            return match setback {
                Setback::Rolled => Ok(true),
                Setback::Fatal(error) => Err(self.give_up(error)),
            };
        }
        let Some(appender) = &mut self.appender else { return Ok(false) };
        let context = CommitContext {
            shared: &self.shared,
            transactional_id: self.transactional_id.as_deref(),
            refresh_ms,
            now_ms,
            rules: self.settings.rules,
        };
        let timer = self.shared.metrics.commit_seconds.start_timer();
        let committed = Commit { context, tasks: &mut self.tasks }.run(&mut *appender.client, &mut self.in_transaction);
        match committed {
            Ok(()) => {
                timer.observe_duration();
                self.shared.metrics.commits.inc();
                self.flush_stores(now_ms)?;
                Ok(true)
            }
            Err(error) => {
                timer.stop_and_discard();
                self.recover(error)?;
                Ok(true)
            }
        }
    }

    /// Passes on what the stores' buffers hold back.
    pub(super) fn flush_tasks(&mut self) -> Result<(), Setback> {
        let numbers: Vec<usize> = self.tasks.keys().copied().collect();
        for number in numbers {
            let Some(task) = self.tasks.get_mut(&number) else { continue };
            if !task.touched {
                continue;
            }
            self.output.retarget(&task.outputs, task.id.partition);
            if let Err(error) = task.processor.flush(&mut self.output) {
                let topics = self.appender.as_ref().map_or_else(DeadLetters::default, |appender| appender.dead_letters);
                let failure = task.blame(error, &Policies::new(&self.settings, topics));
                return Err(self.setback(failure));
            }
            if self.output.batch.bytes.len() >= SEND_BYTES {
                self.send_output()?;
            }
        }
        self.send_output()
    }

    /// Lets stores write what is committed, where their bounds say so: of those with too old a tail a few after each commit, in turn.
    pub(super) fn flush_stores(&mut self, now_ms: i64) -> Result<(), Error> {
        let mut stores = Vec::new();
        for (number, task) in &mut self.tasks {
            if let Some(counts) = task.processor.take_parking() {
                self.shared.metrics.parking(&task.name, counts);
            }
            stores.extend((0..task.processor.store_count()).map(|index| (*number, index)));
        }
        let first = self.next_store % stores.len().max(1);
        stores.rotate_left(first);
        let (mut left, mut tail) = (tails::writes_max(stores.len()), 0);
        let mut kept = Vec::with_capacity(stores.len());
        for (at, (number, index)) in stores.iter().enumerate() {
            let Some(task) = self.tasks.get_mut(number) else { continue };
            let store = task.processor.store(*index);
            let waited = store.tail_records();
            // At no time at all nothing is old.
            store.flush(if left > 0 { now_ms } else { i64::MIN }, false)?;
            if left > 0 && waited > 0 && store.tail_records() == 0 {
                left -= 1;
                self.next_store = (first + at + 1) % stores.len();
            }
            tail += store.tail_records();
            kept.push(store.tail_bytes());
        }
        for at in tails::to_write(&kept, tails::room_bytes(&self.settings)) {
            let (number, index) = stores[at];
            let Some(task) = self.tasks.get_mut(&number) else { continue };
            let store = task.processor.store(index);
            tail -= store.tail_records();
            store.flush(now_ms, true)?;
        }
        self.shared.metrics.tail_records.set(tail as i64);
        Ok(())
    }

    /// What must never be: stores are written before the commit. Only where a test has switched the rule off.
    pub(super) fn write_through(&mut self, now_ms: i64) -> Result<(), Error> {
        if let Err(Setback::Fatal(error)) = self.flush_tasks() {
            return Err(error);
        }
        for task in self.tasks.values_mut().filter(|task| task.touched) {
            let operator_time = crate::runtime::restore::operator_time(task.stream_time_ms(), now_ms);
            for index in 0..task.processor.store_count() {
                let store = task.processor.store(index);
                store.committed(None, &operator_time, now_ms)?;
                store.flush(now_ms, true)?;
            }
        }
        Ok(())
    }

    /// Does what an error of the log asks for.
    pub(super) fn recover(&mut self, error: LogError) -> Result<(), Error> {
        self.shared.metrics.error(error.kind());
        match error.recovery() {
            Recovery::AbortTransaction | Recovery::Retry => {
                // Refused by the group: a rebalance, or a sleep past the session; the work may be another process's by now.
                let what = match error {
                    LogError::StaleMember { .. } => "transaction refused and aborted",
                    _ => "transaction aborted",
                };
                tracing::info!(%error, "{what}, going on from what is committed");
                self.roll_back(error.kind())
            }
            Recovery::ReplaceClient => {
                let what = match error {
                    LogError::ProducerFenced { .. } => "transaction refused: it was ended while this process was away",
                    _ => "outcome of a transaction unknown",
                };
                tracing::warn!(%error, "{what}; appender replaced, tasks are brought to what is committed");
                self.replace_appender(error.kind())
            }
            Recovery::Rejoin | Recovery::Fatal | Recovery::Configuration => Err(self.give_up(error.into())),
        }
    }

    /// Aborts the transaction and takes every task back to its last commit.
    pub(super) fn roll_back(&mut self, reason: &str) -> Result<(), Error> {
        self.output.batch.clear();
        self.shared.metrics.abort(reason);
        if self.in_transaction {
            self.in_transaction = false;
            if let Some(appender) = &mut self.appender
                && let Err(error) = appender.client.abort()
            {
                tracing::warn!(%error, "abort failed, appender replaced");
                return self.replace_appender(error.kind());
            }
        }
        let mut assignments = Vec::new();
        for task in self.tasks.values_mut().filter(|task| task.touched) {
            task.abort();
            for (_, queue) in &task.sources {
                let partition = queue.partition.clone();
                assignments.push(Assignment { partition, start: start(queue.committed), token: queue.token });
            }
        }
        let tokens: Vec<u32> = assignments.iter().map(|assignment| assignment.token).collect();
        self.fetch.unassign(&tokens)?;
        self.fetch.assign(&assignments)?;
        Ok(())
    }

    /// Drops the appender, whose transaction may or may not be committed, and gives all tasks back to the restorer, which
    /// brings them to what turns out to be committed once the new appender has settled it.
    pub(super) fn replace_appender(&mut self, reason: &str) -> Result<(), Error> {
        self.output.batch.clear();
        self.in_transaction = false;
        self.shared.metrics.abort(reason);
        if let Some(appender) = self.appender.take()
            && let Err(error) = appender.client.close(Duration::ZERO)
        {
            tracing::debug!(%error, "old appender left to itself");
        }
        self.appender_retry_at_ms = i64::MIN;
        let tasks: Vec<TaskEpoch> = self.tasks.values().map(|task| task.incarnation).collect();
        for incarnation in tasks {
            self.close_task(incarnation.task, true)?;
            self.reopen(incarnation);
        }
        Ok(())
    }

    /// The application is about to stop with this error: leave nothing half done.
    pub fn give_up(&mut self, error: Error) -> Error {
        self.output.batch.clear();
        if self.in_transaction
            && let Some(appender) = &mut self.appender
            && let Err(error) = appender.client.abort()
        {
            tracing::warn!(%error, "the open transaction is left to its time-out");
        }
        self.in_transaction = false;
        if let Err(error) = self.close_all(true) {
            tracing::warn!(%error, "tasks not closed cleanly; the changelogs have everything");
        }
        self.shared.refuse_commands(self.index);
        error
    }
}
