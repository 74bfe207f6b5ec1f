//! Windows that last as long as records keep coming.

/// Sessions: the records of a key with no more than a gap between one and the next (Kafka Streams: `SessionWindows`). A session
/// contains both its ends; a record that lies between two sessions makes one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionWindows {
    pub(crate) gap_ms: i64,
    pub(crate) grace_ms: i64,
}

impl SessionWindows {
    /// Sessions whose records are at most `gap_ms` apart.
    pub fn with_gap(gap_ms: i64) -> Self {
        Self { gap_ms, grace_ms: 0 }
    }

    /// How long after its end, and the gap, a session takes late records.
    pub fn grace(self, grace_ms: i64) -> Self {
        Self { grace_ms, ..self }
    }
}
