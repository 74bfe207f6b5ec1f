//! One partition: segments in offset order, and which transactions are open or aborted in it.
//!
//! **Invariants:**
//! - Offsets are given once, ascending; every control record takes one.
//! - `log_start <= last stable offset <= log_end`, and no segment lies outside `log_start..log_end`
//!   except one that straddles `log_start` (its records below are never read).
//! - The last stable offset is the first offset of the oldest open transaction, or `log_end`. It never
//!   lies inside a segment.

use super::segment::{Kind, Segment, Slice};
use crate::log::Isolation;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// The records of one partition.
#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    pub(super) log_start: i64,
    pub(super) log_end: i64,
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Producer to the first offset of its open transaction.
    open: BTreeMap<i64, i64>,
    /// (producer, first offset) of an aborted transaction to its marker's offset.
    aborted: BTreeMap<(i64, i64), i64>,
}

impl PartitionLog {
    /// Appends records whose offsets are not given yet; says the first one's.
    pub(super) fn append(&mut self, mut segment: Segment) -> i64 {
        let base = self.log_end;
        segment.next = base + segment.records.len() as i64;
        segment.base = base;
        self.log_end = segment.next;
        if let Kind::Data { producer: Some(producer) } = segment.kind {
            self.open.entry(producer).or_insert(base);
        }
        self.segments.push_back(Arc::new(segment));
        base
    }

    /// Writes the marker that ends a producer's transaction here.
    pub(super) fn end_transaction(&mut self, producer: i64, commit: bool) {
        let marker = self.log_end;
        if let Some(first) = self.open.remove(&producer)
            && !commit
        {
            self.aborted.insert((producer, first), marker);
        }
        self.segments.push_back(Arc::new(Segment::marker(marker, producer, commit)));
        self.log_end = marker + 1;
    }

    /// One past what a reader of that isolation may see.
    pub(super) fn end(&self, isolation: Isolation) -> i64 {
        match isolation {
            Isolation::ReadUncommitted => self.log_end,
            Isolation::ReadCommitted => self.open.values().copied().min().unwrap_or(self.log_end).max(self.log_start),
        }
    }

    pub(super) fn is_aborted(&self, producer: i64, offset: i64) -> bool {
        let before = self.aborted.range((producer, i64::MIN)..=(producer, offset)).next_back();
        before.is_some_and(|(_, marker)| offset < *marker)
    }

    /// Whether the segment's transaction is neither committed nor aborted here.
    #[cfg(feature = "testing")]
    pub(super) fn is_open(&self, producer: i64, offset: i64) -> bool {
        self.open.get(&producer).is_some_and(|first| offset >= *first)
    }

    fn is_visible(&self, segment: &Segment, isolation: Isolation) -> bool {
        match (segment.kind, isolation) {
            (Kind::Marker { .. }, _) => false,
            (Kind::Data { producer: Some(producer) }, Isolation::ReadCommitted) => {
                !self.is_aborted(producer, segment.base)
            }
            (Kind::Data { .. }, _) => true,
        }
    }

    /// Collects up to `max` records from `position` on; says where to read on. At the end that is
    /// [`Self::end`], however far back the last record lies.
    pub(super) fn read(&self, position: i64, isolation: Isolation, max: usize, out: &mut Vec<Slice>) -> i64 {
        let end = self.end(isolation);
        let mut left = max;
        let first = self.segments.partition_point(|segment| segment.next <= position);
        let mut position = position;
        for segment in self.segments.range(first..) {
            if segment.base >= end {
                break;
            }
            if !self.is_visible(segment, isolation) {
                position = segment.next;
                continue;
            }
            let start = segment.records.partition_point(|record| segment.offset(record) < position);
            let stop = segment.records.len().min(start.saturating_add(left));
            if stop > start {
                out.push(Slice { segment: Arc::clone(segment), start, end: stop });
                left -= stop - start;
            }
            if stop < segment.records.len() {
                return segment.offset(&segment.records[stop]);
            }
            position = segment.next;
        }
        position.max(end)
    }

    /// The first offset whose timestamp is at or after `timestamp_ms`, else the end.
    pub(super) fn at_time(&self, timestamp_ms: i64) -> i64 {
        for segment in &self.segments {
            for record in &segment.records {
                let offset = segment.offset(record);
                if offset >= self.log_start && record.timestamp_ms >= timestamp_ms {
                    return offset;
                }
            }
        }
        self.log_end
    }

    /// Removes the records below `offset`.
    pub(super) fn delete_before(&mut self, offset: i64) {
        self.log_start = self.log_start.max(offset);
        while self.segments.front().is_some_and(|segment| segment.next <= self.log_start) {
            self.segments.pop_front();
        }
        let log_start = self.log_start;
        self.aborted.retain(|_, marker| *marker >= log_start);
    }

    /// Loses everything from `offset` on, as an unclean leader election does.
    #[cfg(feature = "testing")]
    pub(super) fn lose_tail(&mut self, offset: i64) {
        let offset = offset.clamp(self.log_start, self.log_end);
        while self.segments.back().is_some_and(|segment| segment.base >= offset) {
            self.segments.pop_back();
        }
        if let Some(last) = self.segments.back_mut()
            && last.next > offset
        {
            let segment = Arc::make_mut(last);
            segment.next = offset;
            let base = segment.base;
            segment.records.retain(|record| base + i64::from(record.delta) < offset);
        }
        self.log_end = offset;
        self.open.retain(|_, first| *first < offset);
        self.aborted.retain(|(_, first), _| *first < offset);
    }

    /// Keeps the last committed record of each key below the last stable offset, as Kafka's cleaner
    /// does: aborted records and markers go, tombstones stay.
    pub(super) fn compact(&mut self) {
        let stable = self.end(Isolation::ReadCommitted);
        let mut last_of_key: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for segment in self.segments.iter().filter(|segment| segment.base < stable) {
            if self.is_visible(segment, Isolation::ReadCommitted) {
                for record in &segment.records {
                    let key = segment.key(record).unwrap_or_default().to_vec();
                    last_of_key.insert(key, segment.offset(record));
                }
            }
        }
        let segments = std::mem::take(&mut self.segments);
        self.segments = segments
            .into_iter()
            .filter_map(|segment| {
                if segment.base >= stable {
                    return Some(segment);
                }
                if !self.is_visible(&segment, Isolation::ReadCommitted) {
                    return None;
                }
                let mut kept = Segment::clone(&segment);
                kept.records.retain(|record| {
                    let key = segment.key(record).unwrap_or_default();
                    last_of_key.get(key) == Some(&segment.offset(record))
                });
                (!kept.records.is_empty()).then(|| Arc::new(kept))
            })
            .collect();
        self.aborted.retain(|_, marker| *marker >= stable);
    }
}
