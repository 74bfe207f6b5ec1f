//! Time as the embedded log sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// A clock that stands still until it is told to move, for tests and the simulator.
///
/// A log on a manual clock never blocks: a call that would wait returns at once with what is there.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `start_ms`.
    pub fn new(start_ms: i64) -> Self {
        Self(Arc::new(AtomicI64::new(start_ms)))
    }

    /// What the clock shows, ms.
    pub fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Moves the clock forward. Time-outs take effect at the next call to the log.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(as_ms(by), Ordering::SeqCst);
    }
}

/// Where a log's time comes from.
#[derive(Debug, Clone)]
pub(super) enum Clock {
    /// Monotonic, from 0 at the log's making.
    Real(Instant),
    /// Moved by a test.
    Manual(ManualClock),
}

impl Clock {
    pub(super) fn now_ms(&self) -> i64 {
        match self {
            Self::Real(start) => as_ms(start.elapsed()),
            Self::Manual(clock) => clock.now_ms(),
        }
    }

    /// Whether a call may wait for this clock to move.
    pub(super) fn may_wait(&self) -> bool {
        matches!(self, Self::Real(_))
    }
}

/// A duration in ms, as long as a clock can count.
pub(super) fn as_ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
