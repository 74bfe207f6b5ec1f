//! A stream thread as a state machine: poll a batch, process, commit. One `turn` does each at most once.
//!
//! Invariants:
//! - Nothing is appended outside a transaction (exactly-once), and a transaction holds the work of this worker's tasks alone.
//! - Outputs, changelog records and offsets of a task are in the same transaction; its stores learn of the commit only after
//!   the log has confirmed it.
//! - A task whose epoch has moved is closed before anything else is done, and takes nothing uncommitted with it.
//! - While there is no appender (it was fenced, or a commit's outcome is unknown) there are no tasks: they come back
//!   through the restorer, from what is committed.

mod alignment;
mod appender;
mod settle;
mod tails;
mod tasks;

use self::alignment::Alignment;
use self::appender::Appender;
use super::bad_record::{DeadLetters, Policies};
use super::commit::Commit;
use super::layout::AppLayout;
use super::queue::{Room, SourceQueue};
use super::rules::Rule;
use super::settings::{Guarantee, Settings};
use super::shared::Shared;
use super::task::{Failure, Task};
use crate::Error;
use crate::log::{
    Fetch, FetchOptions, Isolation, PARTITION_BYTES_EVEN, PARTITION_BYTES_LEAN, Recovery, SharedLog, Start,
    TopicPartition,
};
use crate::task::{Output, ProcessError};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Output bytes that go to the appender in one call.
const SEND_BYTES: usize = 1024 * 1024;
/// Records one task processes before the next one gets its turn.
const SLICE_RECORDS: usize = 2_000;
/// Also how long a partition that is new to a reader waits for its first turn, and a join for the end of an input.
const FETCH_WAIT_MAX: Duration = Duration::from_millis(100);
/// With a tenth of it a drain of q2 takes twice as long (5.3 s in place of 2.8 for 1.84 M bids).
const FETCH_AHEAD_RECORDS: usize = 10_000;
/// How often tasks without records are told the time, while others have some: they look into stores then.
const REST_MS: i64 = 10;
/// How long to wait for records while a task is held back: those that it waits for may have come to their end meanwhile.
const HELD_WAIT_MAX: Duration = Duration::from_millis(5);
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

/// What a turn did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Records processed.
    pub records: u64,
    /// A commit (or abort) was made.
    pub settled: bool,
    /// The worker has stopped.
    pub stopped: bool,
}

/// One stream thread.
#[derive(Debug)]
pub struct Worker {
    index: usize,
    log: SharedLog,
    layout: Arc<AppLayout>,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    transactional_id: Option<String>,
    fetch: Box<dyn Fetch>,
    appender: Option<Appender>,
    appender_retry_at_ms: i64,
    tasks: BTreeMap<usize, Task>,
    alignment: Alignment,
    /// For each token, the task and the index of its queue.
    tokens: Vec<Option<(usize, usize)>>,
    in_transaction: bool,
    output: Output,
    last_commit_ms: i64,
    /// When tasks without records were told the time.
    rested_ms: i64,
    /// The store whose turn it is to be written.
    next_store: usize,
    /// Where repartition topics were found to begin, further on than this process knew.
    purged_to: BTreeMap<TopicPartition, i64>,
}

/// How far the worker's own handling of an error has come.
enum Setback {
    /// Rolled back to what is committed; the next turn goes on.
    Rolled,
    /// The application must stop.
    Fatal(Error),
}

impl Worker {
    /// Makes the worker; its clients are made now, nothing is sent.
    pub fn new(
        index: usize,
        identity: &str,
        log: SharedLog,
        layout: Arc<AppLayout>,
        settings: Arc<Settings>,
        shared: Arc<Shared>,
        now_ms: i64,
    ) -> Result<Self, Error> {
        let client_id = format!("{}-{identity}-{index}", layout.application_id);
        let exactly_once = settings.guarantee == Guarantee::ExactlyOnce;
        let fetch = log.fetch(FetchOptions {
            client_id: client_id.clone(),
            isolation: Isolation::ReadCommitted,
            buffer_bytes: settings.fetch_bytes,
            wait_max: FETCH_WAIT_MAX,
            ahead_records: FETCH_AHEAD_RECORDS,
            partition_bytes: if layout.reads_one_topic() { PARTITION_BYTES_LEAN } else { PARTITION_BYTES_EVEN },
        })?;
        let alignment = Alignment::of(&layout);
        Ok(Self {
            index,
            log,
            layout,
            settings,
            shared,
            transactional_id: exactly_once.then_some(client_id),
            fetch,
            appender: None,
            appender_retry_at_ms: now_ms,
            tasks: BTreeMap::new(),
            alignment,
            tokens: Vec::new(),
            in_transaction: false,
            output: Output::default(),
            last_commit_ms: now_ms,
            rested_ms: now_ms,
            next_store: 0,
            purged_to: BTreeMap::new(),
        })
    }

    /// One round: take messages, poll, process, commit when due. Waits at most `max_wait` for records.
    pub fn turn(&mut self, now_ms: i64, max_wait: Duration) -> Result<Turn, Error> {
        let mut turn = Turn::default();
        self.close_stale()?;
        self.take_commands(now_ms)?;
        if self.shared.is_stopping() {
            turn.settled = self.commit(now_ms)?;
            self.close_all(true)?;
            self.shared.refuse_commands(self.index);
            turn.stopped = true;
            return Ok(turn);
        }
        self.ensure_appender(now_ms)?;
        self.poll(now_ms, max_wait)?;
        match self.process(now_ms) {
            Ok(records) => turn.records = records,
            Err(Setback::Rolled) => return Ok(turn),
            Err(Setback::Fatal(error)) => return Err(self.give_up(error)),
        }
        if !self.settings.rules.hold(Rule::BufferUntilCommit) {
            self.write_through(now_ms)?;
        }
        let asked = self.commit_asked();
        if asked || now_ms >= self.commit_due_ms() || self.buffers_full() {
            turn.settled = self.commit(now_ms)?;
        }
        Ok(turn)
    }

    /// Closes the clients. Tasks must have been closed.
    pub fn close(self) {
        if let Some(appender) = self.appender
            && let Err(error) = appender.client.close(CLOSE_DEADLINE)
        {
            tracing::warn!(%error, "appender not closed in time");
        }
        if let Err(error) = self.fetch.close(CLOSE_DEADLINE) {
            tracing::warn!(%error, "fetcher not closed in time");
        }
    }

    /// The tasks this worker runs.
    pub fn tasks(&self) -> Vec<usize> {
        self.tasks.keys().copied().collect()
    }

    /// Whether an operator wants its task committed now.
    fn commit_asked(&mut self) -> bool {
        // Every request is taken: one commit is for all.
        self.tasks.values_mut().fold(false, |asked, task| task.processor.take_commit_request() | asked)
    }

    /// Whether it has an appender and no tasks: there is nothing to do but to wait for one.
    pub fn is_idle(&self) -> bool {
        self.appender.is_some() && self.tasks.is_empty()
    }

    /// Its place among the process's workers.
    pub fn index(&self) -> usize {
        self.index
    }

    /// When the next commit is due. A replay commits seldom, until there is nothing left to do.
    fn commit_due_ms(&self) -> i64 {
        let replay = self.settings.replay_interval_ms().filter(|_| self.shared.is_replaying() && !self.is_drained());
        self.last_commit_ms + replay.unwrap_or(self.settings.commit_interval_ms)
    }

    /// Whether all records that are there have been processed.
    fn is_drained(&self) -> bool {
        self.tasks.values().all(Task::is_drained)
    }

    fn buffers_full(&self) -> bool {
        let dirty: usize = self.tasks.values().map(|task| task.processor.dirty_bytes()).sum();
        dirty > self.settings.cache_bytes.max(SEND_BYTES) * 2
    }

    fn poll(&mut self, now_ms: i64, max_wait: Duration) -> Result<(), Error> {
        let ready = self.tasks.iter().any(|(number, task)| task.is_ready() && !self.alignment.holds(*number));
        let wait = if ready { Duration::ZERO } else { self.idle_wait(now_ms, max_wait) };
        self.apply_back_pressure()?;
        let polled = match self.fetch.poll(self.settings.poll_records, wait) {
            Ok(polled) => polled,
            Err(error) if error.recovery() == Recovery::Retry => {
                tracing::warn!(%error, "reading paused");
                self.shared.metrics.error(error.kind());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(batch) = polled.batch {
            let batch: Rc<dyn crate::log::FetchedBatch> = Rc::from(batch);
            for run in batch.runs() {
                if let Some(queue) = queue_of(&mut self.tasks, &self.tokens, run.token) {
                    queue.push(&batch, *run);
                }
            }
        }
        for end in polled.ends {
            if let Some(queue) = queue_of(&mut self.tasks, &self.tokens, end.token) {
                queue.reached_end(end.offset);
            }
        }
        for failure in polled.failures {
            if failure.error.recovery() != Recovery::Retry && !self.is_overtaken(failure.token, &failure.error) {
                return Err(failure.error.into());
            }
            self.reopen_unreadable(failure.token, &failure.error)?;
        }
        Ok(())
    }

    fn idle_wait(&self, now_ms: i64, max_wait: Duration) -> Duration {
        let max_wait = if self.alignment.holds_any() { max_wait.min(HELD_WAIT_MAX) } else { max_wait };
        if !self.tasks.values().any(|task| task.touched) {
            return max_wait;
        }
        let due = self.commit_due_ms() - now_ms;
        max_wait.min(Duration::from_millis(due.max(0) as u64))
    }

    /// Stops delivery of partitions that have enough waiting, and resumes those that have room again.
    fn apply_back_pressure(&mut self) -> Result<(), Error> {
        let queues = || self.tasks.values().flat_map(|task| &task.sources).map(|(_, queue)| queue);
        let Settings { buffered_records, buffered_bytes, .. } = *self.settings;
        let room = Room::of(buffered_records, buffered_bytes, queues());
        let (mut pause, mut resume) = (Vec::new(), Vec::new());
        for (_, queue) in self.tasks.values_mut().flat_map(|task| &mut task.sources) {
            let paused = room.pauses(queue);
            if paused != queue.paused {
                queue.paused = paused;
                if paused { &mut pause } else { &mut resume }.push(queue.token);
            }
        }
        if !pause.is_empty() {
            self.fetch.pause(&pause)?;
        }
        if !resume.is_empty() {
            self.fetch.resume(&resume)?;
        }
        Ok(())
    }

    fn process(&mut self, now_ms: i64) -> Result<u64, Setback> {
        let Some(dead_letters) = self.appender.as_ref().map(|appender| appender.dead_letters) else { return Ok(0) };
        let mut total = 0;
        let numbers: Vec<usize> = self.tasks.keys().copied().collect();
        self.advance(now_ms, dead_letters)?;
        loop {
            let mut round = 0;
            let reached = self.alignment.reached(self.tasks.values());
            for number in &numbers {
                let Some(task) = self.tasks.get_mut(number).filter(|task| task.is_ready()) else { continue };
                let Some(until_ms) = self.alignment.until_ms(*number, task, &reached, now_ms) else { continue };
                self.output.retarget(&task.outputs, task.id.partition);
                let policies = Policies::new(&self.settings, dead_letters);
                let done = match task.process(SLICE_RECORDS, until_ms, &mut self.output, &policies) {
                    Ok(done) => done,
                    Err(failure) => return Err(self.setback(failure)),
                };
                for (reason, count) in task.processor.take_dropped() {
                    self.shared.metrics.skip(reason, count);
                }
                self.shared.metrics.records.inc_by(done.records);
                self.shared.metrics.bytes.inc_by(done.bytes);
                if done.skipped > 0 {
                    self.shared.metrics.skip("bad_record", done.skipped);
                }
                if done.failed > 0 {
                    self.shared.metrics.skip("failed_record", done.failed);
                }
                round += done.records;
                if self.output.batch.bytes.len() >= SEND_BYTES {
                    self.send_output()?;
                }
            }
            total += round;
            if round == 0 || total >= self.settings.poll_records as u64 {
                break;
            }
        }
        self.send_output()?;
        Ok(total)
    }

    /// Aborts the transaction where a failed record wants it.
    fn setback(&mut self, failure: Failure) -> Setback {
        match failure {
            Failure::Fatal(error) => Setback::Fatal(error),
            Failure::Abort => match self.roll_back("failed_record") {
                Ok(()) => Setback::Rolled,
                Err(error) => Setback::Fatal(error),
            },
        }
    }

    /// Tells the tasks what the wall clock says.
    fn advance(&mut self, now_ms: i64, dead_letters: DeadLetters) -> Result<(), Setback> {
        let rests = now_ms - self.rested_ms >= REST_MS;
        if rests {
            self.rested_ms = now_ms;
        }
        for task in self.tasks.values_mut() {
            self.output.retarget(&task.outputs, task.id.partition);
            let mut done = task.processor.advance(now_ms, &mut self.output);
            if rests && task.is_drained() {
                done = done.and_then(|any| Ok(task.processor.rest(now_ms, &mut self.output)? || any));
            }
            match done {
                Ok(done) => task.touched |= done,
                Err(error @ ProcessError::Call { .. }) => {
                    let failure = task.blame(error, &Policies::new(&self.settings, dead_letters));
                    return Err(self.setback(failure));
                }
                Err(error) => return Err(Setback::Fatal(task.failed("clock", error))),
            }
        }
        Ok(())
    }

    /// Appends what the tasks have written, beginning a transaction where none is open.
    fn send_output(&mut self) -> Result<(), Setback> {
        if self.output.batch.is_empty() {
            return Ok(());
        }
        let sent = match &mut self.appender {
            Some(appender) => {
                Commit::begin(&mut *appender.client, &mut self.in_transaction, self.transactional_id.is_some())
                    .and_then(|()| appender.client.append(&self.output.batch))
            }
            None => return Err(Setback::Rolled),
        };
        self.shared.metrics.records_out.inc_by(self.output.batch.entries.len() as u64);
        self.output.batch.clear();
        sent.map_err(|error| match self.recover(error) {
            Ok(()) => Setback::Rolled,
            Err(error) => Setback::Fatal(error),
        })
    }
}

fn start(committed: Option<i64>) -> Start {
    committed.map_or(Start::Earliest, Start::Offset)
}

fn queue_of<'t>(
    tasks: &'t mut BTreeMap<usize, Task>,
    tokens: &[Option<(usize, usize)>],
    token: u32,
) -> Option<&'t mut SourceQueue> {
    let (task, at) = (*tokens.get(token as usize)?)?;
    tasks.get_mut(&task).map(|task| &mut task.sources[at].1)
}
