//! Restoring: brings a task's stores to exactly what is committed, then hands the task to its worker.
//!
//! The four steps, and why each (a marker may arrive late; "last record + 1" and the bare end of a partition are both wrong):
//! 1. The old owner's transaction is ended: offsets held by an open transaction are waited for, and after a while its owner is
//!    fenced by taking its transactional id over.
//! 2. The group's committed offsets are read once they are decided.
//! 3. Only then is the changelog's high watermark taken, uncommitted records included.
//! 4. Committed records are read until the end-of-partition position reaches that watermark.
//!
//! Invariants:
//! - A store is read from its own mark onwards: what it holds is never thrown away.
//! - A task is handed over only if its epoch is still the one it was requested with.

use super::epochs::TaskEpoch;
use super::layout::{AppLayout, TaskId};
use super::metadata::OffsetMetadata;
use super::rules::Rule;
use super::settings::{Guarantee, Settings};
use super::shared::{Holder, ReadyTask, RestoreRequest, Shared, WorkerCommand};
use crate::Error;
use crate::log::{
    AppendOptions, Assignment, CommittedOffset, Fetch, FetchOptions, FetchedBatch, GroupOffsets, Isolation, LogError,
    OffsetSpec, Recovery, Run, SharedLog, Start, TopicPartition, Topics,
};
use crate::task::{Program, TaskProcessor, TaskScope};
use kappa_state::StateBackend;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Tasks one restorer works on at a time.
const JOBS: usize = 16;
const OFFSETS_DEADLINE: Duration = Duration::from_secs(1);
const TAKEOVER_DEADLINE: Duration = Duration::from_secs(10);
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
const RETRY_MS: i64 = 200;

/// One restore thread as a state machine.
#[derive(Debug)]
pub struct Restorer {
    log: SharedLog,
    program: Arc<dyn Program>,
    layout: Arc<AppLayout>,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    state: Arc<dyn StateBackend>,
    fetch: Box<dyn Fetch>,
    offsets: Box<dyn GroupOffsets>,
    topics: Box<dyn Topics>,
    jobs: Vec<Job>,
    tokens: Vec<Option<usize>>,
}

/// One task being restored.
struct Job {
    incarnation: TaskEpoch,
    worker: usize,
    id: TaskId,
    name: String,
    since_ms: i64,
    /// Not before this time is the next step tried.
    retry_at_ms: i64,
    stage: Stage,
}

enum Stage {
    /// Its stores are still open elsewhere in the process, or its offsets are not decided yet.
    Waiting { takeover_at_ms: i64 },
    /// Changelogs are being read.
    Reading(Reading),
}

struct Reading {
    processor: Box<dyn TaskProcessor>,
    sources: Vec<(usize, Option<i64>, Option<i64>)>,
    stores: Vec<StoreReading>,
}

struct StoreReading {
    store: usize,
    token: u32,
    from: Option<i64>,
    target: i64,
    position: i64,
    records: u64,
    done: bool,
}

impl Restorer {
    /// Makes a restorer.
    pub fn new(
        index: usize,
        log: SharedLog,
        program: Arc<dyn Program>,
        layout: Arc<AppLayout>,
        settings: Arc<Settings>,
        shared: Arc<Shared>,
        state: Arc<dyn StateBackend>,
    ) -> Result<Self, Error> {
        let fetch = log.fetch(FetchOptions {
            client_id: format!("{}-restore-{index}", layout.application_id),
            isolation: Isolation::ReadCommitted,
            buffer_bytes: settings.fetch_bytes,
        })?;
        let offsets = log.group_offsets(&layout.application_id)?;
        let topics = log.topics()?;
        Ok(Self {
            log,
            program,
            layout,
            settings,
            shared,
            state,
            fetch,
            offsets,
            topics,
            jobs: Vec::new(),
            tokens: Vec::new(),
        })
    }

    /// One round: take requests, take each job one step on, read changelogs. Waits at most `max_wait`.
    /// Returns whether anything was done.
    pub fn turn(&mut self, now_ms: i64, max_wait: Duration) -> Result<bool, Error> {
        for request in self.shared.take_restores(JOBS - self.jobs.len().min(JOBS)) {
            self.accept(request, now_ms);
        }
        self.drop_stale()?;
        self.begin_waiting(now_ms)?;
        let reading = self.jobs.iter().any(|job| matches!(job.stage, Stage::Reading(_)));
        if reading {
            self.read(max_wait)?;
            self.hand_over_finished(now_ms)?;
        }
        self.shared.metrics.tasks_restoring.set(self.jobs.len() as i64);
        Ok(reading)
    }

    /// Whether no job is under way.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Drops all jobs (what they have restored stays in the stores) and closes the clients.
    pub fn close(mut self) {
        for job in std::mem::take(&mut self.jobs) {
            self.release(job);
        }
        if let Err(error) = self.fetch.close(CLOSE_DEADLINE) {
            tracing::warn!(%error, "restore reader not closed in time");
        }
    }

    fn accept(&mut self, request: RestoreRequest, now_ms: i64) {
        let Some(id) = self.layout.task(request.incarnation.task) else {
            tracing::error!(task = request.incarnation.task, "the group assigned a task this topology does not have");
            return;
        };
        self.jobs.push(Job {
            incarnation: request.incarnation,
            worker: request.worker,
            id,
            name: self.layout.task_name(id),
            since_ms: now_ms,
            retry_at_ms: now_ms,
            stage: Stage::Waiting { takeover_at_ms: now_ms + self.settings.takeover_after_ms },
        });
    }

    fn drop_stale(&mut self) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let stale: Vec<Job> = self.jobs.extract_if(.., |job| !shared.epochs.is_current(job.incarnation)).collect();
        for job in stale {
            tracing::info!(task = job.name, "taken away while it was restored");
            let tokens = job.tokens();
            self.release(job);
            self.forget(&tokens)?;
        }
        Ok(())
    }

    fn release(&self, job: Job) {
        if let Stage::Reading(reading) = job.stage {
            drop(reading);
            self.shared.release(job.incarnation.task);
        }
    }

    fn forget(&mut self, tokens: &[u32]) -> Result<(), Error> {
        for token in tokens {
            self.tokens[*token as usize] = None;
        }
        Ok(self.fetch.unassign(tokens)?)
    }

    // ---- steps 1 to 3

    fn begin_waiting(&mut self, now_ms: i64) -> Result<(), Error> {
        for at in 0..self.jobs.len() {
            let job = &self.jobs[at];
            let Stage::Waiting { takeover_at_ms } = job.stage else { continue };
            if now_ms < job.retry_at_ms || self.shared.holder(job.incarnation.task).is_some() {
                continue;
            }
            match self.begin(at, now_ms, takeover_at_ms) {
                Ok(()) => {}
                Err(Error::Log(error)) if error.recovery() == Recovery::Retry => {
                    let job = &mut self.jobs[at];
                    tracing::debug!(task = job.name, %error, "restore not begun yet");
                    job.retry_at_ms = now_ms + RETRY_MS;
                    // The wait for an answer was long, and the same transaction often holds several tasks: the others get
                    // their turn first next time.
                    self.jobs[at..].rotate_left(1);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn begin(&mut self, at: usize, now_ms: i64, takeover_at_ms: i64) -> Result<(), Error> {
        let id = self.jobs[at].id;
        let sub = &self.layout.sub_topologies[id.sub_topology];
        let sources: Vec<(usize, TopicPartition)> = sub
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| id.partition < source.partitions)
            .map(|(index, source)| (index, TopicPartition::new(Arc::clone(&source.topic), id.partition)))
            .collect();
        let partitions: Vec<TopicPartition> = sources.iter().map(|(_, partition)| partition.clone()).collect();
        let committed = match self.committed(&partitions) {
            Err(LogError::OffsetsUnstable { .. }) if now_ms >= takeover_at_ms => {
                self.take_over(&partitions)?;
                self.jobs[at].stage = Stage::Waiting { takeover_at_ms: now_ms + self.settings.takeover_after_ms };
                self.offsets.committed(&partitions, OFFSETS_DEADLINE)?
            }
            other => other?,
        };
        self.open(at, &sources, committed)
    }

    fn committed(&mut self, partitions: &[TopicPartition]) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if self.settings.rules.hold(Rule::WaitForDecidedOffsets) {
            self.offsets.committed(partitions, OFFSETS_DEADLINE)
        } else {
            self.offsets.peek(partitions, OFFSETS_DEADLINE)
        }
    }

    /// Ends the transaction that holds these offsets, by taking the transactional id of whoever committed them last.
    fn take_over(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let owners: BTreeSet<String> = self
            .offsets
            .peek(partitions, OFFSETS_DEADLINE)?
            .into_iter()
            .flatten()
            .map(|committed| OffsetMetadata::decode(&committed.metadata).transactional_id)
            .filter(|owner| !owner.is_empty())
            .collect();
        for owner in owners {
            tracing::info!(owner, "an open transaction of the last owner holds the offsets: it is ended");
            let mut client = self.log.append(AppendOptions {
                client_id: format!("{}-takeover", self.layout.application_id),
                transactional_id: Some(owner),
                transaction_timeout: Duration::from_millis(self.settings.transaction_timeout_ms as u64),
                linger: Duration::ZERO,
                buffer_bytes: 1024 * 1024,
            })?;
            client.init(TAKEOVER_DEADLINE)?;
            client.close(CLOSE_DEADLINE)?;
        }
        Ok(())
    }

    /// Opens the stores and begins to read their changelogs.
    fn open(
        &mut self,
        at: usize,
        sources: &[(usize, TopicPartition)],
        committed: Vec<Option<CommittedOffset>>,
    ) -> Result<(), Error> {
        let (id, task) = (self.jobs[at].id, self.jobs[at].incarnation.task);
        let sub = &self.layout.sub_topologies[id.sub_topology];
        let changelogs: Vec<(usize, TopicPartition)> = sub
            .stores
            .iter()
            .enumerate()
            .filter_map(|(store, (_, output))| {
                output.map(|output| (store, TopicPartition::new(Arc::clone(&sub.outputs[output].topic), id.partition)))
            })
            .collect();
        let wanted: Vec<(TopicPartition, OffsetSpec)> = changelogs
            .iter()
            .map(|(_, changelog)| (changelog.clone(), OffsetSpec::Latest(Isolation::ReadUncommitted)))
            .collect();
        let targets = if wanted.is_empty() { Vec::new() } else { self.topics.offsets(&wanted)? };

        if !self.shared.hold(task, Holder::Restorer) {
            return Ok(());
        }
        let scope = TaskScope {
            name: &self.jobs[at].name,
            partition: id.partition,
            state: &*self.state,
            tail_bound: self.settings.tail_bound,
            cache_bytes_per_store: self.cache_bytes_per_store(),
        };
        let mut processor = match self.program.instantiate(id.sub_topology, &scope) {
            Ok(processor) => processor,
            Err(error) => {
                self.shared.release(task);
                return Err(error.into());
            }
        };
        let mut stores = Vec::new();
        let mut assignments = Vec::new();
        for ((store, changelog), target) in changelogs.into_iter().zip(targets) {
            let from = processor.store(store).mark().map(|mark| mark.changelog_offset);
            let token = self.tokens.iter().position(Option::is_none).unwrap_or(self.tokens.len());
            if token == self.tokens.len() {
                self.tokens.push(None);
            }
            self.tokens[token] = Some(task);
            let token = token as u32;
            let start = from.map_or(Start::Earliest, Start::Offset);
            assignments.push(Assignment { partition: changelog, start, token });
            let position = from.unwrap_or(0);
            stores.push(StoreReading { store, token, from, target, position, records: 0, done: false });
        }
        let sources = sources
            .iter()
            .zip(committed)
            .map(|((index, _), committed)| match committed {
                None => (*index, None, None),
                Some(committed) => {
                    let time_ms = OffsetMetadata::decode(&committed.metadata).partition_time_ms;
                    (*index, Some(committed.offset), time_ms)
                }
            })
            .collect();
        self.jobs[at].stage = Stage::Reading(Reading { processor, sources, stores });
        self.fetch.assign(&assignments)?;
        Ok(())
    }

    fn cache_bytes_per_store(&self) -> usize {
        let stores: usize = self.layout.sub_topologies.iter().map(|sub| sub.stores.len() * sub.tasks as usize).sum();
        self.settings.cache_bytes / stores.max(1)
    }

    // ---- step 4

    fn read(&mut self, max_wait: Duration) -> Result<(), Error> {
        let done = self.jobs.iter().all(|job| job.is_complete());
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
                reading.position = reading.position.max(end.offset);
                reading.done = true;
            }
        }
        match polled.failures.into_iter().next() {
            Some(failure) => Err(failure.error.into()),
            None => Ok(()),
        }
    }

    fn store_of(&mut self, token: u32) -> Option<(&mut dyn TaskProcessor, &mut StoreReading)> {
        let task = (*self.tokens.get(token as usize)?)?;
        let job = self.jobs.iter_mut().find(|job| job.incarnation.task == task)?;
        let Stage::Reading(reading) = &mut job.stage else { return None };
        let store = reading.stores.iter_mut().find(|store| store.token == token)?;
        Some((&mut *reading.processor, store))
    }

    fn hand_over_finished(&mut self, now_ms: i64) -> Result<(), Error> {
        let finished: Vec<Job> = self.jobs.extract_if(.., |job| job.is_complete()).collect();
        for mut job in finished {
            let tokens = job.tokens();
            self.forget(&tokens)?;
            let Stage::Reading(reading) = &mut job.stage else { continue };
            self.check_offsets(&job.name, job.id, reading)?;
            let time_ms = reading.sources.iter().filter_map(|(_, _, time_ms)| *time_ms).max();
            let operator_time = time_ms.map(|time| time.to_be_bytes().to_vec()).unwrap_or_default();
            for store in &reading.stores {
                reading.processor.store(store.store).restored(store.position, &operator_time)?;
                let name = &self.layout.sub_topologies[job.id.sub_topology].stores[store.store].0;
                let kept = store.from.unwrap_or(0);
                tracing::info!(
                    task = job.name,
                    store = name,
                    restored = store.records,
                    kept_up_to = kept,
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
            self.shared.send(job.worker, WorkerCommand::Run(Box::new(ready)));
        }
        Ok(())
    }

    /// State without offsets means that the offsets were lost: replaying onto the state would count everything twice.
    fn check_offsets(&self, name: &str, id: TaskId, reading: &Reading) -> Result<(), Error> {
        let no_offsets = reading.sources.iter().all(|(_, committed, _)| committed.is_none());
        let with_state =
            reading.stores.iter().find(|store| store.records > 0 || store.from.is_some_and(|from| from > 0));
        match with_state {
            Some(store) if no_offsets && self.settings.guarantee == Guarantee::ExactlyOnce => {
                let sources = &self.layout.sub_topologies[id.sub_topology].sources;
                let topics: Vec<String> = reading
                    .sources
                    .iter()
                    .map(|(index, ..)| format!("{}-{}", sources[*index].topic, id.partition))
                    .collect();
                Err(Error::OffsetsLost {
                    task: name.to_owned(),
                    group: self.layout.application_id.clone(),
                    topics: topics.join(", "),
                    changelog_offset: store.position,
                })
            }
            _ => Ok(()),
        }
    }
}

impl Job {
    fn is_complete(&self) -> bool {
        matches!(&self.stage, Stage::Reading(reading) if reading.stores.iter().all(|store| store.done))
    }

    fn tokens(&self) -> Vec<u32> {
        match &self.stage {
            Stage::Waiting { .. } => Vec::new(),
            Stage::Reading(reading) => reading.stores.iter().map(|store| store.token).collect(),
        }
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("task", &self.name).field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl StoreReading {
    fn take(&mut self, processor: &mut dyn TaskProcessor, batch: &dyn FetchedBatch, run: Run) -> Result<u64, Error> {
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
}
