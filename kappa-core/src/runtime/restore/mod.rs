//! Restoring: brings a task's stores to exactly what is committed, then hands the task to its worker.
//!
//! The four steps, and why each (a marker may arrive late; "last record + 1" and the bare end of a partition are both wrong):
//! 1. The old owner's transaction is ended: offsets held by an open transaction are waited for, and after a while its owner is
//!    fenced by taking its transactional id over.
//! 2. The group's committed offsets are read once they are decided.
//! 3. Only then is the changelog's high watermark taken, uncommitted records included.
//! 4. Committed records are read until the end-of-partition position reaches that watermark.
//!
//! A store that is made of an input topic (a read-only store) is read from there, up to the offset committed for that input instead of a
//! watermark: what follows is for the task to process.
//!
//! Invariants:
//! - A store is read from its own mark onwards: what it holds is thrown away only when it is older than the changelog keeps
//!   deletions (`outdated`).
//! - A task is handed over only if its epoch is still the one it was requested with.

mod begin;
mod outdated;
mod read;
mod room;

pub(crate) use outdated::operator_time;

use super::epochs::TaskEpoch;
use super::layout::{AppLayout, TaskId};
use super::settings::Settings;
use super::shared::{RestoreRequest, Shared};
use crate::Error;
use crate::log::{Fetch, FetchOptions, GroupOffsets, Isolation, PARTITION_BYTES_LEAN, SharedLog, Topics};
use crate::task::{Globals, Program, TaskProcessor};
use kappa_state::StateBackend;
use std::sync::Arc;
use std::time::Duration;

/// Tasks one restorer works on at a time.
const JOBS: usize = 16;
/// A restore ends with an end of partition, and reads only while there is something to restore.
const FETCH_WAIT_MAX: Duration = Duration::from_millis(10);
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// What a process keeps.
#[derive(Debug, Clone)]
pub struct LocalState {
    /// Where its stores live.
    pub backend: Arc<dyn StateBackend>,
    /// Its global tables.
    pub globals: Globals,
}

/// One restore thread as a state machine.
#[derive(Debug)]
pub struct Restorer {
    log: SharedLog,
    program: Arc<dyn Program>,
    layout: Arc<AppLayout>,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    state: Arc<dyn StateBackend>,
    globals: Globals,
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
    /// It is made of an input topic, of which it is to have what is committed as processed, and no more.
    from_input: bool,
    from: Option<i64>,
    /// The store holds what a commit has put there.
    has_state: bool,
    target: i64,
    position: i64,
    records: u64,
    done: bool,
    /// Other stores' changelogs are read first.
    paused: bool,
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
        LocalState { backend: state, globals }: LocalState,
    ) -> Result<Self, Error> {
        let fetch = log.fetch(FetchOptions {
            client_id: format!("{}-restore-{index}", layout.application_id),
            isolation: Isolation::ReadCommitted,
            buffer_bytes: settings.fetch_bytes,
            wait_max: FETCH_WAIT_MAX,
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
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
            globals,
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
        // No task runs before the global tables are what they were when this process started.
        if self.globals.is_ready() {
            self.begin_waiting(now_ms)?;
        }
        let reading = self.jobs.iter().any(|job| matches!(job.stage, Stage::Reading(_)));
        if reading {
            self.read(now_ms, max_wait)?;
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
}

impl Job {
    fn is_complete(&self) -> bool {
        matches!(&self.stage, Stage::Reading(reading) if reading.stores.iter().all(|store| store.done))
    }

    /// Whether a step is still being written: others are read meanwhile.
    fn is_writing(&mut self) -> bool {
        match &mut self.stage {
            Stage::Waiting { .. } => false,
            Stage::Reading(Reading { processor, stores, .. }) => {
                stores.iter().any(|store| processor.store(store.store).is_writing_restored())
            }
        }
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
