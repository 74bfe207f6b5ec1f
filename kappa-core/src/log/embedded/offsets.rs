//! The client that reads what a group has committed.

use super::operation::Operation;
use super::shared::Caller;
use crate::log::{CommittedOffset, GroupOffsets, LogError, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

/// Reads committed offsets of one group.
#[derive(Debug)]
pub(super) struct EmbeddedOffsets {
    caller: Caller,
    group: String,
}

impl EmbeddedOffsets {
    pub(super) fn new(caller: Caller, group: &str) -> Self {
        Self { caller, group: group.to_owned() }
    }
}

impl GroupOffsets for EmbeddedOffsets {
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        deadline: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        let shared = Arc::clone(&self.caller.shared);
        self.caller.before(Operation::Committed)?;
        let deadline_ms = shared.deadline_ms(deadline);
        let mut state = shared.lock();
        loop {
            let Some(group) = state.groups.get(&self.group) else {
                return Ok(vec![None; partitions.len()]);
            };
            let undecided = match group.committed(partitions) {
                Ok(committed) => {
                    drop(state);
                    self.caller.after(Operation::Committed)?;
                    return Ok(committed);
                }
                Err(undecided) => undecided,
            };
            match shared.wait(state, deadline_ms) {
                Some(again) => state = again,
                None => {
                    let (group, partition) = (self.group.clone(), undecided.to_string());
                    return Err(LogError::OffsetsUnstable { group, partition });
                }
            }
        }
    }

    fn peek(&mut self, partitions: &[TopicPartition], _: Duration) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        self.caller.call(Operation::Peek, |state| {
            let group = state.groups.get(&self.group);
            let decided = |partition| group.and_then(|group| group.offsets.get(partition).cloned());
            Ok(partitions.iter().map(decided).collect())
        })
    }
}
