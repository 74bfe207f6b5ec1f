//! How asynchronous operators call: how many at a time, in which order results go on, what a failure means.

use crate::processor::CallOrder;
use std::fmt;

/// How an asynchronous operator calls. See [`KStream::map_values_async`](super::KStream::map_values_async).
///
/// The defaults: 32 calls at a time in each task, results in order of each key, three more attempts after a failure with 100 ms
/// before the first of them and twice as long before each next, 30 s for a record with all its attempts, and an application
/// that stops where a record's call fails for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AsyncOptions {
    pub(crate) concurrency: usize,
    pub(crate) order: CallOrder,
    pub(crate) retries: u32,
    pub(crate) back_off_ms: u64,
    pub(crate) deadline_ms: u64,
    pub(crate) stop_on_failure: bool,
}

impl Default for AsyncOptions {
    fn default() -> Self {
        Self {
            concurrency: 32,
            order: CallOrder::Key,
            retries: 3,
            back_off_ms: 100,
            deadline_ms: 30_000,
            stop_on_failure: true,
        }
    }
}

impl AsyncOptions {
    /// The defaults with at most `calls` calls at a time in each task, and at least one. While there are as many, the task waits.
    pub fn concurrency(calls: usize) -> Self {
        Self { concurrency: calls.max(1), ..Self::default() }
    }

    /// Results go on in the order of the stream: a slow call holds all later ones up.
    #[must_use]
    pub fn in_stream_order(self) -> Self {
        Self { order: CallOrder::Stream, ..self }
    }

    /// Results go on as calls end, whatever their keys.
    #[must_use]
    pub fn unordered(self) -> Self {
        Self { order: CallOrder::None, ..self }
    }

    /// A call that fails is tried again so many times, first after `back_off_ms` and after twice as long each next time.
    #[must_use]
    pub fn retries(self, retries: u32, back_off_ms: u64) -> Self {
        Self { retries, back_off_ms, ..self }
    }

    /// A record's call, all attempts together, may take so long, ms. A commit waits for calls under way, so this bounds how long a
    /// commit may take; keep it well below `KAPPA_TRANSACTION_TIMEOUT_MS`.
    #[must_use]
    pub fn deadline_ms(self, deadline_ms: u64) -> Self {
        Self { deadline_ms, ..self }
    }

    /// A record whose call fails for good is left out, with a metric (`failed-call`) and a log line, instead of stopping the
    /// application.
    #[must_use]
    pub fn drop_failed(self) -> Self {
        Self { stop_on_failure: false, ..self }
    }
}

/// Why a call failed. Made of any error, which then may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallError {
    pub(crate) reason: String,
    pub(crate) again: bool,
}

impl CallError {
    /// A failure that may pass: the call is tried again, as often as the options say.
    pub fn retry(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), again: true }
    }

    /// A failure that stays: the call isn't tried again.
    pub fn fatal(reason: impl fmt::Display) -> Self {
        Self { reason: reason.to_string(), again: false }
    }
}

impl<E: std::error::Error> From<E> for CallError {
    fn from(error: E) -> Self {
        Self::retry(error)
    }
}
