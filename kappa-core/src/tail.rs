//! Reads partitions committed, from their start up to an exact end and on from there: what the registry
//! and the view reader are built on.
//!
//! **Invariants:**
//! - A cursor's position only grows: each record is handed out once, in offset order.
//! - A target counts as reached when everything committed below it has been handed out: by a record at or
//!   beyond it, or by an end of the partition reported there. Markers are late on real clusters and an end
//!   is reported only once, so a partition that stalls below its target is assigned afresh, which makes the
//!   log report its end again.

use crate::log::{
    Assignment, Fetch, FetchOptions, Isolation, LogError, PARTITION_BYTES_LEAN, RecordView, SharedLog, Start, Token,
};
use crate::log::{Polled, TopicPartition};
use std::time::{Duration, Instant};

/// How long a partition may stay silent below its target before it is assigned afresh; doubled each time
/// that brings nothing, so that a slow answer is not cut off for ever.
const STALL: Duration = Duration::from_millis(300);
const STALL_MAX: Duration = Duration::from_secs(20);

/// Reading to an exact end waits for the end to be told.
const WAIT_MAX: Duration = Duration::from_millis(50);

const BUFFER_BYTES: usize = 4 << 20;

#[derive(Debug)]
struct Cursor {
    partition: TopicPartition,
    token: Token,
    /// The next offset to read; `None` before the first answer.
    position: Option<i64>,
    /// Where the partition's end was last seen.
    end: Option<i64>,
    target: i64,
}

impl Cursor {
    fn reached(&self) -> bool {
        self.position.is_some_and(|position| position >= self.target) && self.end.is_some()
    }

    fn advance(&mut self, position: i64) {
        self.position = Some(self.position.map_or(position, |before| before.max(position)));
    }

    fn assignment(&self) -> Assignment {
        let start = self.position.map_or(Start::Earliest, Start::Offset);
        Assignment { partition: self.partition.clone(), start, token: self.token }
    }
}

/// What one poll of a [`Tail`] brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Records handed out.
    pub(crate) records: usize,
    /// The end of some partition was reported, and nothing beyond it has been handed out.
    pub(crate) ended: bool,
}

/// A committed reader of whole partitions.
#[derive(Debug)]
pub(crate) struct Tail {
    fetch: Box<dyn Fetch>,
    cursors: Vec<Cursor>,
    next_token: Token,
    last_progress: Instant,
    stall: Duration,
}

impl Tail {
    /// Begins to read these partitions from their start.
    pub(crate) fn open(
        log: &SharedLog,
        client_id: String,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Self, LogError> {
        let options = FetchOptions {
            client_id,
            isolation: Isolation::ReadCommitted,
            buffer_bytes: BUFFER_BYTES,
            wait_max: WAIT_MAX,
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
        };
        let cursor = |(token, partition)| Cursor { partition, token, position: None, end: None, target: 0 };
        let cursors: Vec<Cursor> = (0..).zip(partitions).map(cursor).collect();
        let mut fetch = log.fetch(options)?;
        let assignments: Vec<Assignment> = cursors.iter().map(Cursor::assignment).collect();
        fetch.assign(&assignments)?;
        let next_token = cursors.len() as Token;
        Ok(Self { fetch, cursors, next_token, last_progress: Instant::now(), stall: STALL })
    }

    /// Asks for everything below these offsets, one for each partition in the order of opening.
    pub(crate) fn aim(&mut self, targets: &[i64]) -> Result<(), LogError> {
        for (cursor, target) in self.cursors.iter_mut().zip(targets) {
            cursor.target = cursor.target.max(*target);
        }
        self.reassign_unreached()
    }

    /// Whether everything below the targets has been handed out.
    pub(crate) fn reached(&self) -> bool {
        self.cursors.iter().all(Cursor::reached)
    }

    /// Polls once and hands every record to `each`, with the index of its partition.
    pub(crate) fn poll<E: From<LogError>>(
        &mut self,
        records_max: usize,
        timeout: Duration,
        mut each: impl FnMut(&TopicPartition, RecordView<'_>) -> Result<(), E>,
    ) -> Result<Step, E> {
        let timeout = if self.reached() { timeout } else { timeout.min(STALL) };
        let polled = self.fetch.poll(records_max, timeout)?;
        let step = self.take(polled, &mut each)?;
        if step.records > 0 || step.ended {
            self.last_progress = Instant::now();
            self.stall = STALL;
        } else if !self.reached() && self.last_progress.elapsed() >= self.stall {
            self.stall = (self.stall * 2).min(STALL_MAX);
            self.reassign_unreached()?;
        }
        Ok(step)
    }

    fn take<E: From<LogError>>(
        &mut self,
        polled: Polled,
        each: &mut impl FnMut(&TopicPartition, RecordView<'_>) -> Result<(), E>,
    ) -> Result<Step, E> {
        let mut step = Step::default();
        if let Some(batch) = &polled.batch {
            for run in batch.runs() {
                let Some(cursor) = self.cursors.iter_mut().find(|c| c.token == run.token) else { continue };
                for index in run.start..run.end {
                    let record = batch.record(index as usize);
                    each(&cursor.partition, record)?;
                    cursor.advance(record.offset + 1);
                    step.records += 1;
                }
            }
        }
        for end in &polled.ends {
            if let Some(cursor) = self.cursors.iter_mut().find(|c| c.token == end.token) {
                cursor.advance(end.offset);
                cursor.end = Some(end.offset);
                step.ended |= cursor.position == Some(end.offset);
            }
        }
        match polled.failures.into_iter().find(|f| self.cursors.iter().any(|c| c.token == f.token)) {
            Some(failure) => Err(failure.error.into()),
            None => Ok(step),
        }
    }

    fn reassign_unreached(&mut self) -> Result<(), LogError> {
        self.last_progress = Instant::now();
        for cursor in self.cursors.iter_mut().filter(|c| !c.reached()) {
            self.fetch.unassign(&[cursor.token])?;
            cursor.token = self.next_token;
            self.next_token += 1;
            self.fetch.assign(&[cursor.assignment()])?;
        }
        Ok(())
    }

    /// Ends reading.
    pub(crate) fn close(self, deadline: Duration) -> Result<(), LogError> {
        self.fetch.close(deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::PartitionEnd;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// Reports an end once for each assignment, as F4 allows where nothing is delivered.
    #[derive(Debug)]
    struct Reticent {
        end: Arc<AtomicI64>,
        unreported: Vec<Token>,
    }

    impl Fetch for Reticent {
        fn assign(&mut self, partitions: &[Assignment]) -> Result<(), LogError> {
            self.unreported.extend(partitions.iter().map(|assignment| assignment.token));
            Ok(())
        }

        fn unassign(&mut self, tokens: &[Token]) -> Result<(), LogError> {
            self.unreported.retain(|token| !tokens.contains(token));
            Ok(())
        }

        fn pause(&mut self, _: &[Token]) -> Result<(), LogError> {
            Ok(())
        }

        fn resume(&mut self, _: &[Token]) -> Result<(), LogError> {
            Ok(())
        }

        fn poll(&mut self, _: usize, _: Duration) -> Result<Polled, LogError> {
            let offset = self.end.load(Ordering::Relaxed);
            let ends = self.unreported.drain(..).map(|token| PartitionEnd { token, offset }).collect();
            Ok(Polled { ends, ..Polled::default() })
        }

        fn close(self: Box<Self>, _: Duration) -> Result<(), LogError> {
            Ok(())
        }
    }

    #[test]
    fn an_end_that_moves_without_a_record_is_found() {
        let end = Arc::new(AtomicI64::new(5));
        let partition = TopicPartition::new("t", 0);
        let cursor = Cursor { partition, token: 0, position: None, end: None, target: 0 };
        let fetch = Box::new(Reticent { end: Arc::clone(&end), unreported: vec![0] });
        let mut tail =
            Tail { fetch, cursors: vec![cursor], next_token: 1, last_progress: Instant::now(), stall: STALL };
        let poll = |tail: &mut Tail| tail.poll::<LogError>(10, Duration::ZERO, |_, _| Ok(())).map(|_| ());
        tail.aim(&[8]).unwrap();
        poll(&mut tail).unwrap();
        assert!(!tail.reached(), "5 of 8");
        // The open transaction is aborted: the end moves, and no record comes.
        end.store(8, Ordering::Relaxed);
        let until = Instant::now() + Duration::from_secs(10);
        while !tail.reached() {
            assert!(Instant::now() < until);
            poll(&mut tail).unwrap();
        }
    }
}
