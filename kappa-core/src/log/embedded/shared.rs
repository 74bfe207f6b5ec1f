//! The lock around the state, waiting, and how each client's calls go in.
//!
//! **Invariants:** no call holds the lock while it waits, copies a batch, or asks a fault hook.

use super::clock::{Clock, as_ms};
use super::operation::Operation;
use super::state::State;
use crate::log::LogError;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What all clients of one embedded log share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    pub(super) clock: Clock,
    #[cfg(feature = "testing")]
    pub(super) faults: Mutex<Option<Arc<dyn super::faults::FaultHook>>>,
}

impl Shared {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            clock,
            #[cfg(feature = "testing")]
            faults: Mutex::default(),
        }
    }

    /// The state, with everything done that is due. A panic elsewhere does not make it unusable:
    /// no operation leaves it half changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.advance(self.clock.now_ms());
        state
    }

    /// Tells those who wait that the state has changed.
    pub(super) fn notify(&self) {
        self.changed.notify_all();
    }

    /// The clock's time `timeout` from now.
    pub(super) fn deadline_ms(&self, timeout: Duration) -> i64 {
        self.clock.now_ms().saturating_add(as_ms(timeout))
    }

    /// Waits for a change, something due, or the deadline. `None` when the deadline has passed, at
    /// once on a manual clock.
    pub(super) fn wait<'s>(&'s self, state: MutexGuard<'s, State>, deadline_ms: i64) -> Option<MutexGuard<'s, State>> {
        let now_ms = self.clock.now_ms();
        if !self.clock.may_wait() || now_ms >= deadline_ms {
            return None;
        }
        let until_ms = deadline_ms.min(state.next_due_ms.max(now_ms + 1));
        let pause = Duration::from_millis(u64::try_from(until_ms - now_ms).unwrap_or(1));
        let (mut state, _) = self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner);
        let due_before = state.next_due_ms;
        state.advance(self.clock.now_ms());
        if state.now_ms >= due_before {
            // What was due may be what another one waits for.
            self.changed.notify_all();
        }
        Some(state)
    }
}

/// One client's way into the log.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) shared: Arc<Shared>,
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "fault hooks tell clients apart by it"))]
    pub(super) client_id: Arc<str>,
}

impl Caller {
    pub(super) fn new(shared: &Arc<Shared>, client_id: &str) -> Self {
        Self { shared: Arc::clone(shared), client_id: Arc::from(client_id) }
    }

    /// One whole call: faults before, the work, wake those who wait, faults after.
    pub(super) fn call<T>(
        &self,
        operation: Operation,
        work: impl FnOnce(&mut State) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        self.before(operation)?;
        let result = work(&mut self.shared.lock());
        self.shared.notify();
        if result.is_ok() {
            self.after(operation)?;
        }
        result
    }

    /// Asks the fault hook whether the operation may begin.
    #[cfg(feature = "testing")]
    pub(super) fn before(&self, operation: Operation) -> Result<(), LogError> {
        self.hook().map_or(Ok(()), |hook| hook.before(&self.describe(operation)))
    }

    /// Asks the fault hook whether the caller hears that the operation is done.
    #[cfg(feature = "testing")]
    pub(super) fn after(&self, operation: Operation) -> Result<(), LogError> {
        let lost = self.hook().is_some_and(|hook| hook.loses_answer(&self.describe(operation)));
        if lost { Err(operation.lost_answer()) } else { Ok(()) }
    }

    #[cfg(feature = "testing")]
    pub(super) fn hook(&self) -> Option<Arc<dyn super::faults::FaultHook>> {
        self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(feature = "testing")]
    pub(super) fn describe(&self, operation: Operation) -> super::faults::Call<'_> {
        super::faults::Call { client_id: &self.client_id, operation, now_ms: self.shared.clock.now_ms() }
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "without faults there is nothing to ask")]
    pub(super) fn before(&self, _: Operation) -> Result<(), LogError> {
        Ok(())
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "without faults there is nothing to ask")]
    pub(super) fn after(&self, _: Operation) -> Result<(), LogError> {
        Ok(())
    }
}
