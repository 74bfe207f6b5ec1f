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
    /// Bytes of a record's key and value, about.
    record_bytes: usize,
}

/// Records whose lengths are looked at to know about how long those of a run are.
const SAMPLED_RECORDS: usize = 16;

/// Bytes of key and value of the records `start..end` of a batch, on average, from some of them.
fn record_bytes(batch: &dyn FetchedBatch, start: usize, end: usize) -> usize {
    let length = |index| {
        let record = batch.record(index);
        record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)
    };
    let count = end - start;
    if count <= SAMPLED_RECORDS {
        return (start..end).map(length).sum::<usize>() / count.max(1);
    }
    // Scattered (by Knuth's multiplier), so that no period in the lengths deceives.
    let scattered = (1..=SAMPLED_RECORDS).map(|sample| start + sample * 2_654_435_761 % count);
    scattered.map(length).sum::<usize>() / SAMPLED_RECORDS
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
    buffered_bytes: usize,
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
            buffered_bytes: 0,
        }
    }

    pub(crate) fn push(&mut self, batch: &Rc<dyn FetchedBatch>, run: Run) {
        let (next, end) = (run.start as usize, run.end as usize);
        if next < end {
            let record_bytes = record_bytes(&**batch, next, end);
            self.buffered += end - next;
            self.buffered_bytes += (end - next) * record_bytes;
            self.end = None;
            self.segments.push_back(Segment { batch: Rc::clone(batch), next, end, record_bytes });
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

    /// Bytes of the waiting records' keys and values, about.
    pub(crate) fn bytes(&self) -> usize {
        self.buffered_bytes
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
        self.buffered_bytes -= segment.record_bytes;
        if segment.next == segment.end {
            self.segments.pop_front();
            self.settle();
        }
    }

    /// Back to what is committed; the caller assigns the partition anew.
    pub(crate) fn rewind(&mut self) {
        self.segments.clear();
        self.head_time_ms.set(None);
        (self.buffered, self.buffered_bytes) = (0, 0);
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

/// How much may wait in the queues of a stream thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Records of one queue.
    records: usize,
    /// A queue's share of the bytes of all.
    share: usize,
    /// All of them together have reached their bytes, and half of them.
    is_full: bool,
    is_half_full: bool,
}

impl Room {
    /// With so many records for each queue and bytes for all of these together.
    pub(crate) fn of<'q>(records: usize, bytes_max: usize, queues: impl Iterator<Item = &'q SourceQueue>) -> Self {
        let (count, bytes) = queues.fold((0, 0), |(count, bytes), queue| (count + 1, bytes + queue.bytes()));
        let share = bytes_max / count.max(1);
        Self { records, share, is_full: bytes >= bytes_max, is_half_full: bytes > bytes_max / 2 }
    }

    /// Whether reading of the queue is to be paused. One that is goes on when half of its room is free again; an empty queue never is
    /// paused, so that a task that waits for a record of it does not wait for ever.
    pub(crate) fn pauses(&self, queue: &SourceQueue) -> bool {
        match queue.paused {
            false => queue.len() >= self.records || (self.is_full && queue.bytes() > self.share),
            true => queue.len() > self.records / 2 || (self.is_half_full && queue.bytes() > self.share / 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Headers;

    /// Records with values of these lengths, and no keys.
    #[derive(Debug)]
    struct Values(Vec<Vec<u8>>);

    impl FetchedBatch for Values {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn runs(&self) -> &[Run] {
            &[]
        }

        fn record(&self, index: usize) -> RecordView<'_> {
            RecordView { offset: index as i64, timestamp_ms: 0, key: None, value: Some(&self.0[index]) }
        }

        fn headers(&self, _index: usize) -> Headers {
            Headers::empty()
        }
    }

    fn queue_of(lengths: impl Iterator<Item = usize>) -> SourceQueue {
        let batch: Rc<dyn FetchedBatch> = Rc::new(Values(lengths.map(|length| vec![0; length]).collect()));
        let mut queue = SourceQueue::new(TopicPartition::new("t", 0), 0, Some(0), None, 0);
        queue.push(&batch, Run { token: 0, start: 0, end: batch.len() as u32 });
        queue
    }

    #[test]
    fn waiting_bytes_are_known_about_and_go_with_the_records() {
        let mut queue = queue_of([100, 200, 300].into_iter());
        assert_eq!((queue.len(), queue.bytes()), (3, 600), "of few records each is looked at");
        queue.advance(0, 0);
        assert_eq!(queue.bytes(), 400, "two of 200 on average");
        queue.advance(1, 0);
        queue.advance(2, 0);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
        // A third of them are large.
        let large = queue_of((0..1000).map(|at| if at % 3 == 0 { 10_000 } else { 100 })).bytes();
        assert!((1_000_000..6_000_000).contains(&large), "{large}, in truth 3,406,600");
        let mut queue = queue_of([7; 50].into_iter());
        queue.rewind();
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
    }

    /// With room for 100 records each and 1,000 bytes together.
    fn pauses(queues: &[SourceQueue]) -> Vec<bool> {
        let room = Room::of(100, 1_000, queues.iter());
        queues.iter().map(|queue| room.pauses(queue)).collect()
    }

    #[test]
    fn a_queue_pauses_at_its_records_and_goes_on_at_half_of_them() {
        let mut queues = [queue_of([1; 100].into_iter()), queue_of([1; 99].into_iter())];
        assert_eq!(pauses(&queues), [true, false]);
        queues[0].paused = true;
        (0..49).for_each(|offset| queues[0].advance(offset, 0));
        assert_eq!(pauses(&queues), [true, false], "51 wait");
        queues[0].advance(49, 0);
        assert_eq!(pauses(&queues), [false, false], "50 wait");
    }

    #[test]
    fn where_all_bytes_are_taken_those_pause_that_have_more_than_their_share() {
        // The share of each of four is 250.
        let of = |lengths: [usize; 4]| lengths.map(|length| queue_of([length].into_iter()));
        assert_eq!(pauses(&of([998, 1, 0, 0])), [false; 4], "999 in all: whoever needs it may have it");
        assert_eq!(pauses(&of([700, 250, 251, 0])), [true, false, true, false]);
        let mut queues = of([126, 125, 250, 0]);
        queues.iter_mut().for_each(|queue| queue.paused = true);
        assert_eq!(pauses(&queues), [true, false, true, false], "501 in all: half of a share is 125");
        let mut queues = of([126, 124, 250, 0]);
        queues.iter_mut().for_each(|queue| queue.paused = true);
        assert_eq!(pauses(&queues), [false; 4], "500 in all");
    }

    #[test]
    fn an_empty_queue_is_not_paused_whatever_the_others_hold() {
        let mut queues = [queue_of([5_000].into_iter()), queue_of(std::iter::empty())];
        queues[1].paused = true;
        assert_eq!(pauses(&queues), [true, false]);
    }
}
