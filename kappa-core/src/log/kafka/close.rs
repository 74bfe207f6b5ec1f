//! Ending what may hang, within a deadline.

use crate::log::LogError;
use std::sync::mpsc;
use std::time::Duration;

/// Runs `work` on a thread of its own and waits for it, at most `deadline`. What is not done then goes on
/// by itself and its result is dropped.
pub(super) fn within<T: Send + 'static>(
    operation: &'static str,
    deadline: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LogError> {
    let (done, wait) = mpsc::sync_channel(1);
    std::thread::Builder::new()
        .name("kafka-close".into())
        .spawn(move || {
            // Nobody waits any more when this fails: the deadline has passed.
            let _ = done.send(work());
        })
        .map_err(|error| LogError::Fatal { operation, reason: format!("no thread for it: {error}") })?;
    wait.recv_timeout(deadline).map_err(|_| LogError::Timeout { operation, deadline })
}
