//! Windows made by the records that lie in them.

/// Windows that slide over the records of each key: for every set of records that lie no further apart than the difference there
/// is one (Kafka Streams: `SlidingWindows`). A window contains both its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindows {
    pub(crate) difference_ms: i64,
    pub(crate) grace_ms: i64,
}

impl SlidingWindows {
    /// Windows of records that are at most `difference_ms` apart.
    pub fn of(difference_ms: i64) -> Self {
        Self { difference_ms, grace_ms: 0 }
    }

    /// How long after its end a window takes late records.
    pub fn grace(self, grace_ms: i64) -> Self {
        Self { grace_ms, ..self }
    }
}
