//! What is appended together to one partition: the unit that is stored, shared with readers, and
//! decided as a whole by a transaction.

use crate::log::{Headers, RecordView};
use std::ops::Range;
use std::sync::Arc;

/// One record; ranges point into its segment's bytes.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Offset from the segment's base.
    pub(super) delta: u32,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<Range<u32>>,
    pub(super) value: Option<Range<u32>>,
    pub(super) headers: Headers,
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records, of a transaction where a producer is named.
    Data { producer: Option<i64> },
    /// A control record: the end of a producer's transaction.
    Marker { producer: i64, commit: bool },
}

/// Records `base..next` of one partition. Never changed once it is in a log.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) base: i64,
    /// One past the last offset it covers.
    pub(super) next: i64,
    pub(super) kind: Kind,
    /// Shared by all segments of one appended batch.
    pub(super) bytes: Arc<[u8]>,
    pub(super) records: Vec<Stored>,
}

impl Segment {
    pub(super) fn marker(base: i64, producer: i64, commit: bool) -> Self {
        Self { base, next: base + 1, kind: Kind::Marker { producer, commit }, bytes: Arc::from([]), records: vec![] }
    }

    pub(super) fn offset(&self, record: &Stored) -> i64 {
        self.base + i64::from(record.delta)
    }

    pub(super) fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    pub(super) fn key(&self, record: &Stored) -> Option<&[u8]> {
        record.key.as_ref().map(|range| self.slice(range))
    }

    pub(super) fn view(&self, index: usize) -> RecordView<'_> {
        let record = &self.records[index];
        RecordView {
            offset: self.offset(record),
            timestamp_ms: record.timestamp_ms,
            key: self.key(record),
            value: record.value.as_ref().map(|range| self.slice(range)),
        }
    }
}

/// Records `start..end` (indexes) of a segment.
#[derive(Debug, Clone)]
pub(super) struct Slice {
    pub(super) segment: Arc<Segment>,
    pub(super) start: usize,
    pub(super) end: usize,
}
