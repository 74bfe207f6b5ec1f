//! The reader.
//!
//! **Invariants:** `position` of a reading is one past everything delivered or skipped; a failed
//! reading delivers nothing until it is unassigned.

use super::batch::Batch;
use super::operation::Operation;
use super::segment::Slice;
use super::shared::Caller;
use super::state::State;
use crate::log::{
    Assignment, Fetch, FetchOptions, FetchedBatch, Isolation, LogError, PartitionEnd, PartitionFailure, Polled, Start,
    Token, TopicPartition,
};
use std::time::Duration;

/// One assigned partition.
#[derive(Debug)]
struct Reading {
    token: Token,
    partition: TopicPartition,
    /// Where it begins, until the log has been asked.
    start: Option<Start>,
    position: i64,
    is_paused: bool,
    has_failed: bool,
    reported_end: Option<i64>,
}

/// Reads an embedded log.
#[derive(Debug)]
pub(super) struct EmbeddedFetch {
    caller: Caller,
    isolation: Isolation,
    readings: Vec<Reading>,
    /// Which reading comes first in the next poll: none starves.
    turn: usize,
}

/// What a poll gathers under the lock.
#[derive(Debug, Default)]
struct Gathered {
    runs: Vec<(Token, Vec<Slice>)>,
    ends: Vec<PartitionEnd>,
    failures: Vec<PartitionFailure>,
}

impl Gathered {
    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.ends.is_empty() && self.failures.is_empty()
    }

    fn into_polled(self) -> Polled {
        let mut batch = Batch::default();
        for (token, slices) in self.runs {
            batch.push_run(token, slices);
        }
        let batch = (!batch.is_empty()).then(|| Box::new(batch) as Box<dyn FetchedBatch>);
        Polled { batch, ends: self.ends, failures: self.failures }
    }
}

impl EmbeddedFetch {
    pub(super) fn new(caller: Caller, options: &FetchOptions) -> Self {
        Self { caller, isolation: options.isolation, readings: Vec::new(), turn: 0 }
    }

    fn gather(&mut self, state: &State, max_records: usize) -> Gathered {
        let mut gathered = Gathered::default();
        let count = self.readings.len();
        let active = self.readings.iter().filter(|reading| !reading.is_paused && !reading.has_failed).count();
        if active == 0 {
            return gathered;
        }
        self.turn = (self.turn + 1) % count;
        // First an even share each, so that none starves; then what is left to whoever has more.
        let mut left = max_records;
        for share in [(max_records / active).max(1), max_records] {
            for place in 0..count {
                let reading = &mut self.readings[(self.turn + place) % count];
                if !reading.is_paused && !reading.has_failed {
                    left -= reading.gather(state, self.isolation, share.min(left), &mut gathered);
                }
            }
        }
        gathered
    }

    fn for_each(&mut self, tokens: &[Token], change: impl Fn(&mut Reading)) {
        self.readings.iter_mut().filter(|reading| tokens.contains(&reading.token)).for_each(change);
    }
}

impl Reading {
    /// Adds what this partition has to give; says how many records.
    fn gather(&mut self, state: &State, isolation: Isolation, max: usize, gathered: &mut Gathered) -> usize {
        match self.advance(state, isolation, max) {
            Ok((slices, end)) => {
                let count = slices.iter().map(|slice| slice.end - slice.start).sum();
                if count > 0 {
                    gathered.runs.push((self.token, slices));
                }
                gathered.ends.extend(end);
                count
            }
            Err(error) => {
                self.has_failed = true;
                gathered.failures.push(PartitionFailure { token: self.token, error });
                0
            }
        }
    }

    fn advance(
        &mut self,
        state: &State,
        isolation: Isolation,
        max: usize,
    ) -> Result<(Vec<Slice>, Option<PartitionEnd>), LogError> {
        let log = state.topics.partition(&self.partition)?;
        if let Some(start) = self.start.take() {
            self.position = match start {
                Start::Earliest => log.log_start,
                Start::Latest => log.end(isolation),
                Start::Offset(offset) => offset,
            };
        }
        let topic = || self.partition.topic.to_string();
        let (partition, offset) = (self.partition.partition, self.position);
        if offset < log.log_start {
            return Err(LogError::Truncated { topic: topic(), partition, offset, log_start: log.log_start });
        }
        if offset > log.log_end {
            return Err(LogError::BeyondEnd { topic: topic(), partition, offset, log_end: log.log_end });
        }
        let mut slices = Vec::new();
        self.position = log.read(offset, isolation, max, &mut slices);
        let end = log.end(isolation);
        let is_news = self.position == end && self.reported_end != Some(end);
        let end = is_news.then_some(PartitionEnd { token: self.token, offset: end });
        if end.is_some() {
            self.reported_end = Some(self.position);
        }
        Ok((slices, end))
    }
}

impl Fetch for EmbeddedFetch {
    fn assign(&mut self, partitions: &[Assignment]) -> Result<(), LogError> {
        self.caller.before(Operation::Assign)?;
        for assignment in partitions {
            if self.readings.iter().any(|reading| reading.token == assignment.token) {
                let reason = format!("token {} is assigned already; unassign it first", assignment.token);
                return Err(LogError::Misuse { operation: Operation::Assign.name(), reason });
            }
            self.readings.push(Reading {
                token: assignment.token,
                partition: assignment.partition.clone(),
                start: Some(assignment.start),
                position: 0,
                is_paused: false,
                has_failed: false,
                reported_end: None,
            });
        }
        self.caller.after(Operation::Assign)
    }

    fn unassign(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.readings.retain(|reading| !tokens.contains(&reading.token));
        Ok(())
    }

    fn pause(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.for_each(tokens, |reading| reading.is_paused = true);
        Ok(())
    }

    fn resume(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.for_each(tokens, |reading| reading.is_paused = false);
        Ok(())
    }

    fn poll(&mut self, max_records: usize, timeout: Duration) -> Result<Polled, LogError> {
        let shared = std::sync::Arc::clone(&self.caller.shared);
        let deadline_ms = shared.deadline_ms(timeout);
        // Trouble that passes is not an error of `poll` (F10): nothing comes, for as long as was allowed.
        let is_down = match self.caller.before(Operation::PollFetch) {
            Err(LogError::Unavailable { .. } | LogError::Timeout { .. }) => true,
            answer => {
                answer?;
                false
            }
        };
        let mut state = shared.lock();
        loop {
            if !is_down {
                let gathered = self.gather(&state, max_records);
                if !gathered.is_empty() {
                    drop(state);
                    return Ok(gathered.into_polled());
                }
            }
            match shared.wait(state, deadline_ms) {
                Some(again) => state = again,
                None => return Ok(Polled::default()),
            }
        }
    }

    fn close(self: Box<Self>, _: Duration) -> Result<(), LogError> {
        Ok(())
    }
}
