//! The client for topics.

use super::operation::Operation;
use super::shared::Caller;
use super::state::State;
use crate::log::{LogError, OffsetSpec, TopicInfo, TopicPartition, TopicSpec, Topics};

/// Manages the topics of an embedded log.
#[derive(Debug)]
pub(super) struct EmbeddedTopics {
    caller: Caller,
}

impl EmbeddedTopics {
    pub(super) fn new(caller: Caller) -> Self {
        Self { caller }
    }
}

impl Topics for EmbeddedTopics {
    fn create(&mut self, topic: &TopicSpec) -> Result<(), LogError> {
        self.caller.call(Operation::CreateTopic, |state| state.topics.create(topic))
    }

    fn describe(&mut self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        self.caller.call(Operation::DescribeTopic, |state| {
            let found = state.topics.topic(name).ok();
            Ok(found.map(|topic| TopicInfo { name: name.to_owned(), partitions: topic.spec.partitions }))
        })
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, LogError> {
        self.caller.call(Operation::ListTopics, |state| {
            Ok(state.topics.names().filter(|name| name.starts_with(prefix)).map(|name| name.to_string()).collect())
        })
    }

    fn delete(&mut self, name: &str) -> Result<(), LogError> {
        self.caller.call(Operation::DeleteTopic, |state| state.topics.delete(name))
    }

    fn delete_records(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        self.caller.call(Operation::DeleteRecords, |state| {
            for (partition, offset) in before {
                delete_records(state, partition, *offset)?;
            }
            Ok(())
        })
    }

    fn offsets(&mut self, partitions: &[(TopicPartition, OffsetSpec)]) -> Result<Vec<i64>, LogError> {
        self.caller.call(Operation::ListOffsets, |state| {
            let offset = |(partition, spec): &(TopicPartition, OffsetSpec)| {
                let log = state.topics.partition(partition)?;
                Ok(match spec {
                    OffsetSpec::Earliest => log.log_start,
                    OffsetSpec::Latest(isolation) => log.end(*isolation),
                    OffsetSpec::AtTime(timestamp_ms) => log.at_time(*timestamp_ms),
                })
            };
            partitions.iter().map(offset).collect()
        })
    }

    fn delete_group(&mut self, group: &str) -> Result<(), LogError> {
        let operation = Operation::DeleteGroup;
        self.caller.call(operation, |state| {
            let members = state.groups.get(group).map_or(0, |group| group.members.len());
            if members > 0 {
                let reason = format!("group {group} has {members} members; stop them first");
                return Err(LogError::Fatal { operation: operation.name(), reason });
            }
            state.groups.remove(group);
            Ok(())
        })
    }
}

fn delete_records(state: &mut State, partition: &TopicPartition, offset: i64) -> Result<(), LogError> {
    if state.topics.topic(&partition.topic)?.is_compacted() {
        return Err(LogError::Setting {
            property: format!("cleanup.policy of topic {}", partition.topic),
            reason: "records of a compacted topic are not deleted from its start".to_owned(),
        });
    }
    let log = state.topics.partition_mut(partition)?;
    if offset < 0 || offset > log.log_end {
        return Err(LogError::BeyondEnd {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset,
            log_end: log.log_end,
        });
    }
    log.delete_before(offset);
    Ok(())
}
