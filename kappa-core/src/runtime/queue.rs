//! The records of one source partition that wait for their turn.
//!
//! Invariants:
//! - Records leave in offset order, each once.
//! - `position` is the offset of the next record to process; what is below it has been processed.
//! - While `at_end` holds and the queue is empty, everything up to `position` has been seen, control records included.

use crate::log::{FetchedBatch, RecordView, Run, TopicPartition};
use crate::task::SourceRecord;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Debug)]
struct Segment {
    batch: Rc<dyn FetchedBatch>,
    next: usize,
    end: usize,
}

/// One partition's queue.
#[derive(Debug)]
pub(crate) struct SourceQueue {
    pub(crate) partition: TopicPartition,
    pub(crate) token: u32,
    /// Offset of the next record to process.
    pub(crate) position: i64,
    /// What is committed.
    pub(crate) committed: Option<i64>,
    /// When it was committed, ms.
    pub(crate) committed_at_ms: i64,
    /// Greatest timestamp processed.
    pub(crate) time_ms: Option<i64>,
    /// The same, as of the last commit.
    pub(crate) committed_time_ms: Option<i64>,
    pub(crate) paused: bool,
    /// A repartition topic: what is committed of it is deleted.
    pub(crate) is_purged: bool,
    /// Its records are commands: their timestamps mean nothing.
    pub(crate) is_control: bool,
    /// The time that the head goes by, where it had to be extracted.
    head_time_ms: Cell<Option<i64>>,
    end: Option<i64>,
    segments: VecDeque<Segment>,
    buffered: usize,
}

impl SourceQueue {
    pub(crate) fn new(
        partition: TopicPartition,
        token: u32,
        committed: Option<i64>,
        time_ms: Option<i64>,
        now_ms: i64,
    ) -> Self {
        Self {
            partition,
            token,
            position: committed.unwrap_or(-1),
            committed,
            committed_at_ms: now_ms,
            time_ms,
            committed_time_ms: time_ms,
            paused: false,
            is_purged: false,
            is_control: false,
            head_time_ms: Cell::new(None),
            end: None,
            segments: VecDeque::new(),
            buffered: 0,
        }
    }

    pub(crate) fn push(&mut self, batch: &Rc<dyn FetchedBatch>, run: Run) {
        let (next, end) = (run.start as usize, run.end as usize);
        if next < end {
            self.buffered += end - next;
            self.end = None;
            self.segments.push_back(Segment { batch: Rc::clone(batch), next, end });
        }
    }

    /// The log's end was reached behind everything pushed so far.
    pub(crate) fn reached_end(&mut self, offset: i64) {
        self.end = Some(offset);
        self.settle();
    }

    /// Moves the position over control records once nothing is waiting before the end.
    fn settle(&mut self) {
        if self.segments.is_empty()
            && let Some(end) = self.end
        {
            self.position = self.position.max(end);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.buffered
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether nothing is known to follow what has been processed.
    pub(crate) fn at_end(&self) -> bool {
        self.end.is_some()
    }

    /// The batch and index of the next record.
    pub(crate) fn head(&self) -> Option<(&dyn FetchedBatch, usize)> {
        self.segments.front().map(|segment| (&*segment.batch, segment.next))
    }

    pub(crate) fn head_record(&self) -> Option<RecordView<'_>> {
        self.head().map(|(batch, index)| batch.record(index))
    }

    /// The time that the head goes by, extracted once.
    pub(crate) fn head_time(&self, extract: impl FnOnce(&SourceRecord<'_>) -> Option<i64>) -> Option<i64> {
        let (batch, index) = self.head()?;
        if self.head_time_ms.get().is_none() {
            let record = SourceRecord { view: batch.record(index), headers: batch.headers(index) };
            self.head_time_ms.set(Some(extract(&record).unwrap_or(record.view.timestamp_ms)));
        }
        self.head_time_ms.get()
    }

    /// The head has been processed (or left out).
    pub(crate) fn advance(&mut self, offset: i64, timestamp_ms: i64) {
        self.head_time_ms.set(None);
        self.position = offset + 1;
        if timestamp_ms >= 0 && self.time_ms.is_none_or(|time| time < timestamp_ms) && !self.is_control {
            self.time_ms = Some(timestamp_ms);
        }
        let Some(segment) = self.segments.front_mut() else { return };
        segment.next += 1;
        self.buffered -= 1;
        if segment.next == segment.end {
            self.segments.pop_front();
            self.settle();
        }
    }

    /// Back to what is committed; the caller assigns the partition anew.
    pub(crate) fn rewind(&mut self) {
        self.segments.clear();
        self.head_time_ms.set(None);
        self.buffered = 0;
        self.end = None;
        self.paused = false;
        self.position = self.committed.unwrap_or(-1);
        self.time_ms = self.committed_time_ms;
    }

    /// Whether there is something to commit: progress, or an old commit that the broker may forget.
    pub(crate) fn to_commit(&self, now_ms: i64, refresh_ms: i64) -> Option<i64> {
        let moved = self.position >= 0 && self.committed != Some(self.position);
        let stale = self.committed.is_some() && now_ms - self.committed_at_ms >= refresh_ms;
        (moved || stale).then_some(self.position)
    }

    /// The position is committed.
    pub(crate) fn set_committed(&mut self, offset: i64, now_ms: i64) {
        self.committed = Some(offset);
        self.committed_at_ms = now_ms;
        self.committed_time_ms = self.time_ms;
    }
}
