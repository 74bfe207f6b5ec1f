//! Which tasks are this process's, and which of its threads runs each.
//!
//! Invariants:
//! - A task's epoch moves before the loss of the task is acknowledged to the group.
//! - Tasks that move away in an orderly way commit first, within a bounded wait; tasks that are lost commit nothing.
//! - Threads of a process don't show in the group: adding one moves nothing.

use super::layout::AppLayout;
use super::rules::Rule;
use super::settings::Settings;
use super::shared::{Holder, RestoreRequest, Shared, WorkerCommand};
use crate::Error;
use crate::log::{LogError, Membership, MembershipEvent, MembershipOptions, Recovery, SharedLog};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const LEAVE_DEADLINE: Duration = Duration::from_secs(5);

/// The process's seat in its group, as a state machine.
#[derive(Debug)]
pub struct Coordinator {
    membership: Box<dyn Membership>,
    layout: Arc<AppLayout>,
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    /// Which worker had a task last: it gets it back.
    homes: BTreeMap<usize, usize>,
    giving_up: Option<GivingUp>,
    /// The last event was handled, but the log could not be told so yet; until then there is no other.
    unacknowledged: bool,
}

/// Tasks that are moving away.
#[derive(Debug)]
struct GivingUp {
    tasks: BTreeSet<usize>,
    until_ms: i64,
}

impl Coordinator {
    /// Joins the group.
    pub fn join(
        identity: &str,
        log: &SharedLog,
        layout: Arc<AppLayout>,
        settings: Arc<Settings>,
        shared: Arc<Shared>,
    ) -> Result<Self, Error> {
        let membership = log.join(MembershipOptions {
            group: layout.application_id.clone(),
            task_topic: layout.task_topic(),
            client_id: format!("{}-{identity}", layout.application_id),
            instance_id: settings.instance_id.clone(),
            session_timeout: Duration::from_millis(settings.session_timeout_ms as u64),
            heartbeat_interval: Duration::from_millis(settings.heartbeat_interval_ms as u64),
        })?;
        shared.set_member(membership.member());
        Ok(Self {
            membership,
            layout,
            settings,
            shared,
            homes: BTreeMap::new(),
            giving_up: None,
            unacknowledged: false,
        })
    }

    /// One round. Waits at most `max_wait` for news.
    pub fn turn(&mut self, now_ms: i64, max_wait: Duration) -> Result<(), Error> {
        if self.giving_up.is_some() {
            return self.finish_giving_up(now_ms, max_wait);
        }
        if self.unacknowledged {
            self.acknowledge()?;
        }
        match self.membership.poll(max_wait) {
            Ok(None) => Ok(()),
            Ok(Some(event)) => self.handle(event, now_ms),
            Err(error) => self.troubled(error),
        }
    }

    /// Leaves the group. All tasks must have been closed.
    pub fn leave(self) {
        for task in self.shared.assigned() {
            self.shared.epochs.advance(task);
        }
        self.shared.set_assigned(BTreeSet::clear);
        if let Err(error) = self.membership.leave(LEAVE_DEADLINE) {
            tracing::warn!(%error, "group not left in time: its other members wait for this one's session to run out");
        }
    }

    fn troubled(&self, error: LogError) -> Result<(), Error> {
        self.shared.metrics.error(error.kind());
        match error.recovery() {
            Recovery::Retry | Recovery::AbortTransaction => {
                tracing::warn!(%error, "group not reached, tried again");
                Ok(())
            }
            Recovery::ReplaceClient | Recovery::Rejoin | Recovery::Fatal | Recovery::Configuration => Err(error.into()),
        }
    }

    fn handle(&mut self, event: MembershipEvent, now_ms: i64) -> Result<(), Error> {
        self.shared.metrics.rebalances.inc();
        match event {
            MembershipEvent::Assigned { tasks } => {
                let tasks = numbers(&tasks);
                self.acknowledge()?;
                self.assign(&tasks);
                Ok(())
            }
            MembershipEvent::Revoked { tasks, lost: true } => {
                let tasks = numbers(&tasks);
                tracing::warn!(
                    tasks = self.names(&tasks),
                    "tasks lost: the group took this process for dead; uncommitted work is dropped, the group is joined again"
                );
                self.take_away_and_acknowledge(&tasks)
            }
            MembershipEvent::Revoked { tasks, lost: false } => {
                let tasks = numbers(&tasks);
                tracing::info!(tasks = self.names(&tasks), "tasks move away");
                self.begin_giving_up(tasks, now_ms)
            }
        }
    }

    fn assign(&mut self, tasks: &BTreeSet<usize>) {
        if !tasks.is_empty() {
            tracing::info!(tasks = self.names(tasks), "tasks assigned");
        }
        for task in tasks {
            let worker = self.home(*task);
            let incarnation = self.shared.epochs.advance(*task);
            self.shared.request_restore(RestoreRequest { incarnation, worker });
        }
        self.shared.set_assigned(|assigned| assigned.extend(tasks));
    }

    /// The worker that had the task, or the one with the fewest.
    fn home(&mut self, task: usize) -> usize {
        if let Some(worker) = self.homes.get(&task) {
            return *worker;
        }
        let assigned = self.shared.assigned();
        let mut loads = vec![0usize; self.shared.workers()];
        for (task, worker) in &self.homes {
            if assigned.contains(task) {
                loads[*worker] += 1;
            }
        }
        let worker = loads.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(worker, _)| worker);
        self.homes.insert(task, worker);
        worker
    }

    fn begin_giving_up(&mut self, tasks: BTreeSet<usize>, now_ms: i64) -> Result<(), Error> {
        let held = self.shared.held();
        let mut by_worker: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for task in &tasks {
            match held.get(task) {
                Some(Holder::Worker(worker)) => {
                    by_worker.entry(*worker).or_default().insert(*task);
                }
                // Nothing to commit: the restore is simply dropped.
                Some(Holder::Restorer) | None => {
                    self.shared.epochs.advance(*task);
                }
            }
        }
        for (worker, tasks) in by_worker {
            // A worker that has ended has nothing left to give up.
            let _ = self.shared.send(worker, WorkerCommand::GiveUp(tasks));
        }
        self.giving_up = Some(GivingUp { tasks, until_ms: now_ms + self.settings.revoke_wait_ms });
        self.finish_giving_up(now_ms, Duration::ZERO)
    }

    fn finish_giving_up(&mut self, now_ms: i64, max_wait: Duration) -> Result<(), Error> {
        let Some(giving_up) = &self.giving_up else { return Ok(()) };
        let held = self.shared.held();
        let committing = giving_up.tasks.iter().any(|task| matches!(held.get(task), Some(Holder::Worker(_))));
        if committing && now_ms < giving_up.until_ms {
            // Nothing comes before the acknowledgement; polling keeps the membership's client served meanwhile.
            return match self.membership.poll(max_wait.min(Duration::from_millis(5))) {
                Ok(_) => Ok(()),
                Err(error) => self.troubled(error),
            };
        }
        if committing {
            tracing::warn!("tasks that move away did not commit in time: their uncommitted work is dropped");
        }
        let tasks = giving_up.tasks.clone();
        self.giving_up = None;
        self.take_away_and_acknowledge(&tasks)
    }

    fn take_away_and_acknowledge(&mut self, tasks: &BTreeSet<usize>) -> Result<(), Error> {
        if !self.settings.rules.hold(Rule::EpochBeforeAcknowledge) {
            let acknowledged = self.acknowledge();
            self.take_away(tasks);
            return acknowledged;
        }
        self.take_away(tasks);
        self.acknowledge()
    }

    /// Moves the epochs: from here on nothing of these tasks can be committed by this process.
    fn take_away(&self, tasks: &BTreeSet<usize>) {
        for task in tasks {
            self.shared.epochs.advance(*task);
        }
        self.shared.set_assigned(|assigned| assigned.retain(|task| !tasks.contains(task)));
    }

    /// Where the log can't be told now, it is told at the next turn.
    fn acknowledge(&mut self) -> Result<(), Error> {
        let acknowledged = self.membership.acknowledge();
        self.unacknowledged = acknowledged.is_err();
        acknowledged.or_else(|error| self.troubled(error))
    }

    fn names(&self, tasks: &BTreeSet<usize>) -> String {
        let names: Vec<String> =
            tasks.iter().filter_map(|task| self.layout.task(*task)).map(|task| self.layout.task_name(task)).collect();
        names.join(" ")
    }
}

fn numbers(partitions: &[i32]) -> BTreeSet<usize> {
    partitions.iter().filter_map(|partition| usize::try_from(*partition).ok()).collect()
}
