//! Step 4 of a restore: the changelogs are read to their ends, and the task is handed to its worker.

use super::begin::RETRY_MS;
use super::outdated::operator_time;
use super::room::{self, Holding};
use super::{Job, Reading, Restorer, Stage, StoreReading};
use crate::Error;
use crate::log::{FetchedBatch, LogError, Recovery, Run, TopicPartition};
use crate::runtime::layout::TaskId;
use crate::runtime::rules::Rule;
use crate::runtime::settings::Guarantee;
use crate::runtime::shared::{Holder, ReadyTask, WorkerCommand};
use crate::task::{GlobalRow, TaskProcessor};
use kappa_state::ManagedStore;
use std::sync::Arc;
use std::time::Duration;

impl Restorer {
    pub(super) fn read(&mut self, now_ms: i64, max_wait: Duration) -> Result<(), Error> {
        self.make_room()?;
        let done = self.jobs.iter_mut().all(|job| job.is_complete() && !job.is_writing());
        let wait = if done { Duration::ZERO } else { max_wait };
        let polled = match self.fetch.poll(self.settings.poll_records, wait) {
            Ok(polled) => polled,
            Err(error) if error.recovery() == Recovery::Retry => {
                tracing::warn!(%error, "restore paused");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(batch) = &polled.batch {
            for run in batch.runs() {
                if let Some((processor, reading)) = self.store_of(run.token) {
                    let restored = reading.take(processor, &**batch, *run)?;
                    self.shared.metrics.restored_records.inc_by(restored);
                }
            }
        }
        let to_high_watermark = self.settings.rules.hold(Rule::RestoreToHighWatermark);
        for end in polled.ends {
            if let Some((_, reading)) = self.store_of(end.token)
                && (end.offset >= reading.target || !to_high_watermark)
            {
                let end = if reading.from_input { end.offset.min(reading.target) } else { end.offset };
                reading.position = reading.position.max(end);
                reading.done = true;
            }
        }
        for failure in polled.failures {
            if failure.error.recovery() != Recovery::Retry {
                return Err(failure.error.into());
            }
            self.unreadable(failure.token, &failure.error, now_ms)?;
        }
        Ok(())
    }

    /// Keeps what was read and is not yet written within its bound.
    fn make_room(&mut self) -> Result<(), Error> {
        let bound = self.settings.restoring_bytes / self.settings.restore_threads.max(1);
        let mut stores = Vec::new();
        self.each_store(|reading, store| {
            let bytes = store.restoring_bytes();
            stores.push(Holding { token: reading.token, bytes, done: reading.done });
            Ok(())
        })?;
        let plan = room::plan(&stores, bound);
        self.each_store(|reading, store| {
            if plan.end {
                store.end_write_restored()?;
            }
            if plan.write.contains(&reading.token) {
                store.begin_write_restored()?;
            }
            Ok(())
        })?;
        self.read_few(plan.few.as_deref())
    }

    /// Reads these stores' changelogs and no others, or all.
    fn read_few(&mut self, few: Option<&[u32]>) -> Result<(), Error> {
        let mut stop = Vec::new();
        let mut go = Vec::new();
        self.each_store(|reading, _| {
            let paused = few.is_some_and(|few| !few.contains(&reading.token));
            if paused != std::mem::replace(&mut reading.paused, paused) {
                if paused { stop.push(reading.token) } else { go.push(reading.token) }
            }
            Ok(())
        })?;
        if !stop.is_empty() {
            self.fetch.pause(&stop)?;
        }
        if !go.is_empty() {
            self.fetch.resume(&go)?;
        }
        Ok(())
    }

    /// Every store that is being restored, in the order of the jobs.
    fn each_store(
        &mut self,
        mut with: impl FnMut(&mut StoreReading, &mut dyn ManagedStore) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for job in &mut self.jobs {
            let Stage::Reading(Reading { processor, stores, .. }) = &mut job.stage else { continue };
            for store in stores {
                let at = store.store;
                with(store, processor.store(at))?;
            }
        }
        Ok(())
    }

    /// A changelog can't be read for the moment: its task is restored anew, from what its stores have by now.
    fn unreadable(&mut self, token: u32, error: &LogError, now_ms: i64) -> Result<(), Error> {
        let Some(task) = self.tokens.get(token as usize).copied().flatten() else { return Ok(()) };
        let Some(at) = self.jobs.iter().position(|job| job.incarnation.task == task) else { return Ok(()) };
        let job = self.jobs.remove(at);
        tracing::warn!(task = job.name, %error, "a changelog can't be read for the moment, the restore begins again");
        self.forget(&job.tokens())?;
        self.begin_again(job, now_ms);
        Ok(())
    }

    pub(super) fn store_of(&mut self, token: u32) -> Option<(&mut dyn TaskProcessor, &mut StoreReading)> {
        let task = (*self.tokens.get(token as usize)?)?;
        let job = self.jobs.iter_mut().find(|job| job.incarnation.task == task)?;
        let Stage::Reading(reading) = &mut job.stage else { return None };
        let store = reading.stores.iter_mut().find(|store| store.token == token)?;
        Some((&mut *reading.processor, store))
    }

    pub(super) fn hand_over_finished(&mut self, now_ms: i64) -> Result<(), Error> {
        let finished: Vec<Job> = self.jobs.extract_if(.., |job| job.is_complete() && !job.is_writing()).collect();
        for mut job in finished {
            let tokens = job.tokens();
            self.forget(&tokens)?;
            let Stage::Reading(reading) = &mut job.stage else { continue };
            if !self.offsets_fit(&job.name, job.id, reading)? {
                self.begin_again(job, now_ms);
                continue;
            }
            let time_ms = reading.sources.iter().filter_map(|(_, _, time_ms)| *time_ms).max();
            let operator_time = operator_time(time_ms, now_ms);
            for store in &reading.stores {
                reading.processor.store(store.store).restored(store.position, &operator_time)?;
                let name = &self.layout.sub_topologies[job.id.sub_topology].stores[store.store].0;
                let kept = store.from.unwrap_or(0);
                tracing::info!(
                    task = job.name,
                    store = name,
                    restored = store.records,
                    kept_up_to = kept,
                    up_to = store.position,
                    took_ms = now_ms - job.since_ms,
                    "{}",
                    if store.from.is_some() {
                        "state reused, tail restored"
                    } else {
                        "state restored from the beginning"
                    }
                );
            }
            self.shared.metrics.restore_seconds.observe((now_ms - job.since_ms) as f64 / 1000.0);
            let Stage::Reading(reading) = job.stage else { continue };
            self.shared.hand_over(job.incarnation.task, Holder::Worker(job.worker));
            let Reading { processor, sources, .. } = reading;
            let ready = ReadyTask { incarnation: job.incarnation, processor, sources };
            let task = job.incarnation.task;
            if let Err(refused) = self.shared.send(job.worker, WorkerCommand::Run(Box::new(ready))) {
                drop(refused);
                self.shared.release(task);
            }
        }
        Ok(())
    }

    /// State without offsets means that the offsets were lost: replaying onto the state would count everything twice.
    /// A mark alone is no state: a changelog in which everything was aborted has one too.
    ///
    /// False where there are offsets by now: another process has had the task since the restore began.
    fn offsets_fit(&mut self, name: &str, id: TaskId, reading: &Reading) -> Result<bool, Error> {
        let no_offsets = reading.sources.iter().all(|(_, committed, _)| committed.is_none());
        let with_state = reading.stores.iter().find(|store| store.records > 0 || store.has_state);
        match with_state {
            Some(store) if no_offsets && self.settings.guarantee == Guarantee::ExactlyOnce => {
                let sources = &self.layout.sub_topologies[id.sub_topology].sources;
                let of = |index: usize| TopicPartition::new(Arc::clone(&sources[index].topic), id.partition);
                let partitions: Vec<TopicPartition> = reading.sources.iter().map(|(index, ..)| of(*index)).collect();
                match self.committed(&partitions) {
                    Ok(committed) if committed.iter().all(Option::is_none) => {}
                    Ok(_) => return Ok(false),
                    Err(error) if error.recovery() == Recovery::Retry => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
                let topics: Vec<String> = partitions.iter().map(TopicPartition::to_string).collect();
                Err(Error::OffsetsLost {
                    task: name.to_owned(),
                    group: self.layout.application_id.clone(),
                    topics: topics.join(", "),
                    changelog_offset: store.position,
                })
            }
            _ => Ok(true),
        }
    }

    /// Puts a job back to its first step; what it has restored stays in the stores.
    fn begin_again(&mut self, mut job: Job, now_ms: i64) {
        let takeover_at_ms = now_ms + self.settings.takeover_after_ms;
        drop(std::mem::replace(&mut job.stage, Stage::Waiting { takeover_at_ms }));
        self.shared.release(job.incarnation.task);
        job.retry_at_ms = now_ms + RETRY_MS;
        self.jobs.push(job);
    }
}

impl StoreReading {
    fn take(&mut self, processor: &mut dyn TaskProcessor, batch: &dyn FetchedBatch, run: Run) -> Result<u64, Error> {
        if self.from_input {
            return self.take_input(processor, batch, run);
        }
        let mut records = (run.start..run.end).filter_map(|index| {
            let record = batch.record(index as usize);
            // Changelog records always have a key; one without could only be somebody else's.
            record.key.map(|key| (key, record.value, record.timestamp_ms))
        });
        let last = batch.record(run.end as usize - 1).offset;
        processor.store(self.store).restore(&mut records, last + 1)?;
        let count = u64::from(run.end - run.start);
        self.records += count;
        self.position = last + 1;
        Ok(count)
    }

    /// Of an input, what is committed as processed and could be used: what could not was left out when it came.
    fn take_input(
        &mut self,
        processor: &mut dyn TaskProcessor,
        batch: &dyn FetchedBatch,
        run: Run,
    ) -> Result<u64, Error> {
        if self.done {
            return Ok(0);
        }
        let records = (run.start..run.end).map(|index| batch.record(index as usize));
        let rows: Vec<GlobalRow<'_>> = records
            .take_while(|record| record.offset < self.target)
            .filter_map(|record| record.key.map(|key| (key, record.value, record.timestamp_ms)))
            .filter(|row| processor.is_row(self.store, *row))
            .collect();
        let last = batch.record(run.end as usize - 1).offset;
        self.position = (last + 1).min(self.target);
        processor.store(self.store).restore(&mut rows.iter().copied(), self.position)?;
        self.records += rows.len() as u64;
        self.done = self.position >= self.target;
        Ok(rows.len() as u64)
    }
}
