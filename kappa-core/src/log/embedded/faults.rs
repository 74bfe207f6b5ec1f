//! Faults on purpose: what can go wrong between a client and its log.
//!
//! A [`FaultHook`] is asked before and after each operation of each client. It decides by what it is
//! told alone, so that a run with the same calls has the same faults.

use super::operation::Operation;
use super::{EmbeddedLog, LogError};
use crate::log::TopicPartition;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An operation that a client begins or ends.
#[derive(Debug, Clone, Copy)]
pub struct Call<'c> {
    /// The client's id; of a [`crate::log::GroupOffsets`] the group, of a [`crate::log::Topics`] `topics`.
    pub client_id: &'c str,
    /// The operation.
    pub operation: Operation,
    /// The log's clock.
    pub now_ms: i64,
}

/// Decides about faults. Called without the log's lock; it may call the log.
pub trait FaultHook: Send + Sync + fmt::Debug {
    /// Before the operation: an error here is given to the caller, and nothing is done. A reader's poll
    /// turns [`LogError::Unavailable`] and [`LogError::Timeout`] into an empty answer (F10).
    fn before(&self, call: &Call<'_>) -> Result<(), LogError>;

    /// After the operation was done well: whether its answer is lost. The caller sees
    /// [`LogError::OutcomeUnknown`] for commit and abort, a refusal at commit for `append`, and
    /// [`LogError::Timeout`] for all others.
    fn loses_answer(&self, call: &Call<'_>) -> bool;

    /// How long the marker of a decided transaction is late in a partition; `None` for not at all. The
    /// offsets of the transaction are visible at once.
    fn marker_delay_ms(&self, call: &Call<'_>, partition: &TopicPartition) -> Option<i64>;

    /// How long a commit stays under way: the caller hears [`LogError::OutcomeUnknown`] at once, and the
    /// commit takes effect that much later, unless its client is fenced by then. `None` for not at all.
    fn commit_delay_ms(&self, _: &Call<'_>) -> Option<i64> {
        None
    }
}

/// What a rule of a [`FaultPlan`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The operation fails and is not done.
    Fail(LogError),
    /// The operation is done and the caller does not hear of it.
    LoseAnswer,
}

#[derive(Debug)]
struct Rule {
    client_prefix: String,
    operation: Operation,
    skip: u32,
    times: u32,
    fault: Fault,
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    down_until_ms: BTreeMap<String, i64>,
    marker_delays: Vec<(String, i64)>,
}

/// A script of faults, for tests.
#[derive(Debug, Default)]
pub struct FaultPlan(Mutex<Script>);

impl FaultPlan {
    /// No faults yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the operations of clients whose id starts with `client_prefix`, lets `skip` pass and strikes the
    /// `times` that follow.
    pub fn strike(&self, client_prefix: &str, operation: Operation, skip: u32, times: u32, fault: Fault) {
        self.script().rules.push(Rule { client_prefix: client_prefix.to_owned(), operation, skip, times, fault });
    }

    /// Until the clock shows `until_ms`, clients whose id starts with `client_prefix` can't reach the log.
    pub fn down(&self, client_prefix: &str, until_ms: i64) {
        self.script().down_until_ms.insert(client_prefix.to_owned(), until_ms);
    }

    /// From now on markers in topics whose name starts with `topic_prefix` are `delay_ms` late.
    pub fn delay_markers(&self, topic_prefix: &str, delay_ms: i64) {
        self.script().marker_delays.push((topic_prefix.to_owned(), delay_ms));
    }

    /// No more faults.
    pub fn heal(&self) {
        *self.script() = Script::default();
    }
}

impl Script {
    /// Finds the rule that strikes now among those that are of this phase, and counts.
    fn strike(&mut self, call: &Call<'_>, is_of_phase: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let fits = |rule: &&mut Rule| {
            rule.operation == call.operation
                && call.client_id.starts_with(&rule.client_prefix)
                && rule.times > 0
                && is_of_phase(&rule.fault)
        };
        for rule in self.rules.iter_mut().filter(fits) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            return Some(rule.fault.clone());
        }
        None
    }
}

impl FaultHook for FaultPlan {
    fn before(&self, call: &Call<'_>) -> Result<(), LogError> {
        let mut script = self.script();
        let is_down =
            |(prefix, until_ms): (&String, &i64)| call.client_id.starts_with(prefix) && call.now_ms < *until_ms;
        if script.down_until_ms.iter().any(is_down) {
            let reason = "the broker is down (injected)".to_owned();
            return Err(LogError::Unavailable { operation: call.operation.name(), reason });
        }
        match script.strike(call, |fault| matches!(fault, Fault::Fail(_))) {
            Some(Fault::Fail(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn loses_answer(&self, call: &Call<'_>) -> bool {
        self.script().strike(call, |fault| *fault == Fault::LoseAnswer).is_some()
    }

    fn marker_delay_ms(&self, _: &Call<'_>, partition: &TopicPartition) -> Option<i64> {
        let script = self.script();
        let late = script.marker_delays.iter().find(|(prefix, _)| partition.topic.starts_with(prefix));
        late.map(|(_, delay_ms)| *delay_ms)
    }
}

impl EmbeddedLog {
    /// Asks this hook about every operation from now on.
    pub fn set_faults(&self, hook: Arc<dyn FaultHook>) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        *self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Writes all markers that are late.
    pub fn release_markers(&self) {
        self.shared.lock().write_late_markers(|_| true);
        self.shared.notify();
    }

    /// Loses everything from `offset` on, as an unclean leader election does: committed or not.
    pub fn lose_tail(&self, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
        self.shared.lock().topics.partition_mut(partition)?.lose_tail(offset);
        self.shared.notify();
        Ok(())
    }

    /// Waits on the real clock for a condition on the log, at most `deadline`. For tests only.
    #[doc(hidden)]
    pub fn wait_until(&self, deadline: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let deadline_ms = self.shared.deadline_ms(deadline);
        loop {
            if condition(self) {
                return true;
            }
            if self.shared.wait(self.shared.lock(), deadline_ms).is_none() {
                return false;
            }
        }
    }
}
