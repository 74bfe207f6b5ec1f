//! How far apart in time records may be that are joined.

use crate::topology::TopologyError;

/// Which records of another stream a record is joined with: those with the same key whose timestamp is at most `before_ms`
/// earlier and at most `after_ms` later, both ends included (Kafka Streams: `JoinWindows`). Seen from the left stream: a right
/// record looks as far back as the left one looks ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "hand it to join_within(), left_join_within() or outer_join_within()"]
pub struct JoinWindows {
    pub(crate) before_ms: i64,
    pub(crate) after_ms: i64,
    pub(crate) grace_ms: i64,
    pub(crate) emit_interval_ms: i64,
}

impl JoinWindows {
    /// Records up to so many ms apart, whichever is earlier. `grace_ms` is how long records may come late: for so much longer
    /// than the window both sides are kept, and so much longer a left or outer join waits before it joins a record with nothing.
    pub const fn within_ms(difference_ms: i64, grace_ms: i64) -> Self {
        Self { before_ms: difference_ms, after_ms: difference_ms, grace_ms, emit_interval_ms: 0 }
    }

    /// How much earlier the right record may be. Negative: it must be later by so much.
    pub const fn before_ms(self, before_ms: i64) -> Self {
        Self { before_ms, ..self }
    }

    /// How much later the right record may be. Negative: it must be earlier by so much.
    pub const fn after_ms(self, after_ms: i64) -> Self {
        Self { after_ms, ..self }
    }

    /// Looks for records that have found no match at most so often, ms by the wall clock: fewer scans, and results that come
    /// later and depend on the clock. Default: 0, whenever one may be due. (Kafka Streams: an internal setting of 1,000.)
    pub const fn emit_interval_ms(self, emit_interval_ms: i64) -> Self {
        Self { emit_interval_ms, ..self }
    }

    /// How long records are kept, ms.
    pub(crate) fn retention_ms(&self) -> i64 {
        self.size_ms().saturating_add(self.grace_ms)
    }

    /// The length of the stores' segments, ms: a look-up spans two or three, and there are not too many of them.
    pub(crate) fn segment_ms(&self) -> i64 {
        self.size_ms().max(self.retention_ms() / 64).max(1)
    }

    fn size_ms(&self) -> i64 {
        self.before_ms.saturating_add(self.after_ms)
    }

    pub(crate) fn check(&self, operator: &str) -> Option<TopologyError> {
        let reason = if self.size_ms() < 0 {
            format!(
                "a window from {} ms before to {} ms after is empty: after_ms must not be less than -before_ms",
                self.before_ms, self.after_ms
            )
        } else if self.grace_ms < 0 {
            format!("a grace of {} ms makes no sense: 0 or longer", self.grace_ms)
        } else {
            return None;
        };
        Some(TopologyError::BadTime { operator: operator.to_owned(), reason })
    }
}
