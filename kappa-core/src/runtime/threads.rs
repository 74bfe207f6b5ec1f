//! The production threads: each drives one state machine, and none dies unnoticed.
//!
//! Invariants:
//! - A thread that fails or panics records why and stops the others.
//! - The order of stopping: stream threads commit and close their tasks, restorers drop their jobs, then the group is left.

use super::clock::Clock;
use super::coordinator::Coordinator;
use super::restore::Restorer;
use super::shared::Shared;
use super::worker::Worker;
use crate::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const IDLE_WAIT: Duration = Duration::from_millis(50);
const RESTORE_WAIT: Duration = Duration::from_millis(10);
const COORDINATE_WAIT: Duration = Duration::from_millis(50);
/// How long the group is kept after a stop was asked for, while tasks are still being closed.
const CLOSE_WAIT_MS: i64 = 15_000;

/// Starts a named thread whose failure or panic stops the application.
pub(crate) fn spawn(
    name: String,
    shared: &Arc<Shared>,
    body: impl FnOnce() -> Result<(), Error> + Send + 'static,
) -> Result<JoinHandle<()>, Error> {
    let shared = Arc::clone(shared);
    let thread = name.clone();
    std::thread::Builder::new()
        .name(name)
        .spawn(move || match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => shared.fail(error),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let message =
                    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
                shared.fail(Error::Panic { thread, message });
            }
        })
        .map_err(|error| Error::System { operation: "starting a thread", reason: error.to_string() })
}

/// Runs a worker until the application stops.
pub(crate) fn run_worker(mut worker: Worker, clock: Clock, shared: &Shared) -> Result<(), Error> {
    loop {
        let max_wait = if worker.is_idle() {
            // Nothing is read: the first task is what is waited for.
            shared.wait_for_command(worker.index(), IDLE_WAIT);
            Duration::ZERO
        } else {
            IDLE_WAIT
        };
        match worker.turn(clock.now_ms(), max_wait) {
            Ok(turn) if turn.stopped => break,
            Ok(_) => {}
            Err(error) => {
                let error = worker.give_up(error);
                worker.close();
                return Err(error);
            }
        }
    }
    worker.close();
    Ok(())
}

/// Runs a restorer until the application stops.
pub(crate) fn run_restorer(mut restorer: Restorer, clock: Clock, shared: &Shared) -> Result<(), Error> {
    let result = loop {
        if shared.is_stopping() {
            break Ok(());
        }
        match restorer.turn(clock.now_ms(), RESTORE_WAIT) {
            Ok(true) => {}
            Ok(false) if restorer.is_idle() => shared.wait_for_restore(IDLE_WAIT),
            Ok(false) => std::thread::sleep(RESTORE_WAIT),
            Err(error) => break Err(error),
        }
    };
    restorer.close();
    result
}

/// Keeps the seat in the group until the application stops and its tasks are closed.
pub(crate) fn run_coordinator(mut coordinator: Coordinator, clock: Clock, shared: &Shared) -> Result<(), Error> {
    let mut close_until_ms = None;
    let result = loop {
        if shared.is_stopping() {
            let until_ms = *close_until_ms.get_or_insert(clock.now_ms() + CLOSE_WAIT_MS);
            if shared.held().is_empty() || shared.failure().is_some() || clock.now_ms() >= until_ms {
                break Ok(());
            }
            std::thread::sleep(RESTORE_WAIT);
            continue;
        }
        if let Err(error) = coordinator.turn(clock.now_ms(), COORDINATE_WAIT) {
            break Err(error);
        }
    };
    coordinator.leave();
    result
}
