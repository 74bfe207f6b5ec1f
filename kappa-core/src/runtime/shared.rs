//! What the threads of one process share: who holds which task, and messages between them.
//!
//! Invariants:
//! - A task's stores are open in at most one place of the process: `holders` has it from before they are opened until after
//!   they are closed.
//! - Queues are bounded by the number of tasks.

use super::epochs::{Epochs, TaskEpoch};
use super::metrics::RuntimeMetrics;
use super::purge::Confirmed;
use crate::Error;
use crate::log::Member;
use crate::task::TaskProcessor;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Who has a task's stores open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// They are being restored.
    Restorer,
    /// A stream thread runs the task.
    Worker(usize),
}

/// A message to a stream thread.
pub(crate) enum WorkerCommand {
    /// Run this task.
    Run(Box<ReadyTask>),
    /// Commit, then give these tasks up.
    GiveUp(BTreeSet<usize>),
}

/// A task whose state is complete.
pub(crate) struct ReadyTask {
    pub(crate) incarnation: TaskEpoch,
    pub(crate) processor: Box<dyn TaskProcessor>,
    /// For each source of the plan that has the task's partition: its index, the committed offset, the partition time.
    pub(crate) sources: Vec<(usize, Option<i64>, Option<i64>)>,
}

/// A task to be restored and handed to a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RestoreRequest {
    pub(crate) incarnation: TaskEpoch,
    pub(crate) worker: usize,
}

/// What is sent to one worker.
#[derive(Default)]
struct Inbox {
    /// `None` once it takes no more.
    commands: Mutex<Option<Vec<WorkerCommand>>>,
    changed: Condvar,
}

/// The shared state.
pub struct Shared {
    /// The tasks' epochs.
    pub epochs: Epochs,
    /// Metrics.
    pub metrics: RuntimeMetrics,
    /// How far repartition topics may be purged.
    pub(crate) confirmed: Confirmed,
    member: OnceLock<Arc<dyn Member>>,
    holders: Mutex<BTreeMap<usize, Holder>>,
    /// For each worker.
    commands: Vec<Inbox>,
    restores: Mutex<Vec<RestoreRequest>>,
    restore_asked: Condvar,
    assigned: Mutex<BTreeSet<usize>>,
    replaying: AtomicBool,
    stopping: AtomicBool,
    stop_asked: (Mutex<()>, Condvar),
    failure: Mutex<Option<Arc<Error>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("holders", &self.holders)
            .field("assigned", &self.assigned)
            .finish_non_exhaustive()
    }
}

/// A panic while a lock is held ends the process's run anyway; the data behind these locks is valid at every moment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// For an application of that many tasks and stream threads.
    pub fn new(tasks: usize, workers: usize, metrics: RuntimeMetrics) -> Self {
        Self {
            epochs: Epochs::new(tasks),
            metrics,
            confirmed: Confirmed::default(),
            member: OnceLock::new(),
            holders: Mutex::default(),
            commands: (0..workers)
                .map(|_| Inbox { commands: Mutex::new(Some(Vec::new())), ..Inbox::default() })
                .collect(),
            restores: Mutex::default(),
            restore_asked: Condvar::new(),
            assigned: Mutex::default(),
            replaying: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            stop_asked: Default::default(),
            failure: Mutex::default(),
        }
    }

    pub(crate) fn set_member(&self, member: Arc<dyn Member>) {
        // Joined once a run; a second join keeps the first handle, which belongs to the same client.
        let _ = self.member.set(member);
    }

    pub(crate) fn member(&self) -> Option<&Arc<dyn Member>> {
        self.member.get()
    }

    pub(crate) fn workers(&self) -> usize {
        self.commands.len()
    }

    /// Takes the task's stores for `holder`; false while somebody has them.
    pub(crate) fn hold(&self, task: usize, holder: Holder) -> bool {
        let mut holders = lock(&self.holders);
        if holders.contains_key(&task) {
            return false;
        }
        holders.insert(task, holder);
        true
    }

    pub(crate) fn hand_over(&self, task: usize, to: Holder) {
        lock(&self.holders).insert(task, to);
    }

    pub(crate) fn release(&self, task: usize) {
        lock(&self.holders).remove(&task);
    }

    /// Who has the task.
    pub fn holder(&self, task: usize) -> Option<Holder> {
        lock(&self.holders).get(&task).copied()
    }

    pub(crate) fn held(&self) -> BTreeMap<usize, Holder> {
        lock(&self.holders).clone()
    }

    /// Gives the command back where the worker has ended.
    pub(crate) fn send(&self, worker: usize, command: WorkerCommand) -> Result<(), WorkerCommand> {
        let inbox = &self.commands[worker];
        match &mut *lock(&inbox.commands) {
            Some(commands) => commands.push(command),
            None => return Err(command),
        }
        inbox.changed.notify_all();
        Ok(())
    }

    /// A worker ends: what was sent to it and not taken is dropped, and nothing more is accepted.
    pub(crate) fn refuse_commands(&self, worker: usize) {
        for command in lock(&self.commands[worker].commands).take().into_iter().flatten() {
            if let WorkerCommand::Run(ready) = command {
                let task = ready.incarnation.task;
                drop(ready);
                self.release(task);
            }
        }
    }

    pub(crate) fn take_commands(&self, worker: usize) -> Vec<WorkerCommand> {
        lock(&self.commands[worker].commands).as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Waits until something was sent to the worker or the application stops, at most so long.
    pub(crate) fn wait_for_command(&self, worker: usize, at_most: Duration) {
        let inbox = &self.commands[worker];
        let commands = lock(&inbox.commands);
        let nothing = |commands: &mut Option<Vec<WorkerCommand>>| {
            !self.is_stopping() && commands.as_ref().is_some_and(Vec::is_empty)
        };
        drop(inbox.changed.wait_timeout_while(commands, at_most, nothing));
    }

    pub(crate) fn request_restore(&self, request: RestoreRequest) {
        lock(&self.restores).push(request);
        self.restore_asked.notify_all();
    }

    /// Waits until a restore is asked for, at most so long.
    pub(crate) fn wait_for_restore(&self, at_most: Duration) {
        let restores = lock(&self.restores);
        // Woken early, or by a lock that a panic poisoned: whoever waits looks for itself.
        drop(self.restore_asked.wait_timeout_while(restores, at_most, |restores| restores.is_empty()));
    }

    pub(crate) fn take_restores(&self, max: usize) -> Vec<RestoreRequest> {
        let mut restores = lock(&self.restores);
        let count = restores.len().min(max);
        restores.drain(..count).collect()
    }

    pub(crate) fn set_assigned(&self, change: impl FnOnce(&mut BTreeSet<usize>)) {
        change(&mut lock(&self.assigned));
    }

    /// The tasks the group has given this process.
    pub fn assigned(&self) -> BTreeSet<usize> {
        lock(&self.assigned).clone()
    }

    /// Whether every task of this process runs.
    pub fn all_running(&self) -> bool {
        let held = self.held();
        self.assigned().iter().all(|task| matches!(held.get(task), Some(Holder::Worker(_))))
    }

    /// Whether nobody waits for results yet: workers then commit large transactions as long as there is work left. Taken up and
    /// given up between two turns of a worker, whatever it is doing.
    pub fn set_replaying(&self, replaying: bool) {
        self.replaying.store(replaying, Ordering::Relaxed);
        self.metrics.replaying.set(i64::from(replaying));
    }

    /// Whether the version replays.
    pub fn is_replaying(&self) -> bool {
        self.replaying.load(Ordering::Relaxed)
    }

    /// Asks all threads to commit and end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let (asked, changed) = &self.stop_asked;
        drop(lock(asked));
        changed.notify_all();
        for inbox in &self.commands {
            drop(lock(&inbox.commands));
            inbox.changed.notify_all();
        }
    }

    /// Waits until the application stops, at most so long.
    pub(crate) fn wait_for_stop(&self, at_most: Duration) {
        let (asked, changed) = &self.stop_asked;
        drop(changed.wait_timeout_while(lock(asked), at_most, |()| !self.is_stopping()));
    }

    /// Whether they have been asked.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// A thread has failed: the first failure is kept, all others end.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(kind = error.kind(), "{error}");
        self.metrics.error(error.kind());
        lock(&self.failure).get_or_insert_with(|| Arc::new(error));
        self.stop();
    }

    /// Why the application stopped by itself.
    pub fn failure(&self) -> Option<Arc<Error>> {
        lock(&self.failure).clone()
    }

    /// The same, for the last to ask.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        let failure = lock(&self.failure).take()?;
        Some(
            Arc::try_unwrap(failure)
                .unwrap_or_else(|shared| Error::System { operation: "running", reason: shared.to_string() }),
        )
    }
}
