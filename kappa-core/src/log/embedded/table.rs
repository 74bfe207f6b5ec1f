//! The topics of an embedded log.
//!
//! **Invariants:** a topic's index is never used again, so that a client may keep it and notices that
//! the topic was deleted (and perhaps made again under a new index).

use super::partition::PartitionLog;
use crate::log::{CleanupPolicy, LogError, TopicPartition, TopicSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kafka's default for `max.message.bytes`.
const MAX_RECORD_BYTES: usize = 1_048_588;

/// One topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) spec: TopicSpec,
    pub(super) partitions: Vec<PartitionLog>,
}

impl Topic {
    /// The size a record may have.
    pub(super) fn max_record_bytes(&self) -> usize {
        let set = self.spec.settings.iter().rev().find(|(name, _)| name == "max.message.bytes");
        set.and_then(|(_, value)| value.parse().ok()).unwrap_or(MAX_RECORD_BYTES)
    }

    pub(super) fn is_compacted(&self) -> bool {
        matches!(self.spec.cleanup, CleanupPolicy::Compact | CleanupPolicy::CompactDelete)
    }
}

/// All topics, by name and by index.
#[derive(Debug, Default)]
pub(super) struct TopicTable {
    names: BTreeMap<Arc<str>, usize>,
    slots: Vec<Option<Topic>>,
}

impl TopicTable {
    pub(super) fn create(&mut self, spec: &TopicSpec) -> Result<(), LogError> {
        if self.names.contains_key(spec.name.as_str()) {
            return Err(LogError::TopicExists { topic: spec.name.clone() });
        }
        if spec.partitions < 1 {
            return Err(LogError::Setting {
                property: format!("partitions of topic {}", spec.name),
                reason: format!("{} is not a number of partitions; give at least 1", spec.partitions),
            });
        }
        let partitions = (0..spec.partitions).map(|_| PartitionLog::default()).collect();
        self.names.insert(Arc::from(spec.name.as_str()), self.slots.len());
        self.slots.push(Some(Topic { spec: spec.clone(), partitions }));
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str) -> Result<(), LogError> {
        let index = self.names.remove(name).ok_or_else(|| LogError::TopicMissing { topic: name.to_owned() })?;
        self.slots[index] = None;
        Ok(())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.keys()
    }

    pub(super) fn index(&self, name: &str) -> Result<usize, LogError> {
        self.names.get(name).copied().ok_or_else(|| LogError::TopicMissing { topic: name.to_owned() })
    }

    /// The topic of an index, unless it was deleted.
    pub(super) fn at(&self, index: usize) -> Option<&Topic> {
        self.slots.get(index)?.as_ref()
    }

    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut Topic> {
        self.slots.get_mut(index)?.as_mut()
    }

    pub(super) fn topic(&self, name: &str) -> Result<&Topic, LogError> {
        let missing = || LogError::TopicMissing { topic: name.to_owned() };
        self.names.get(name).and_then(|index| self.at(*index)).ok_or_else(missing)
    }

    pub(super) fn topic_mut(&mut self, name: &str) -> Result<&mut Topic, LogError> {
        let index = self.index(name)?;
        self.at_mut(index).ok_or_else(|| LogError::TopicMissing { topic: name.to_owned() })
    }

    pub(super) fn partition(&self, partition: &TopicPartition) -> Result<&PartitionLog, LogError> {
        let topic = self.topic(&partition.topic)?;
        let found = usize::try_from(partition.partition).ok().and_then(|index| topic.partitions.get(index));
        found.ok_or_else(|| missing_partition(partition))
    }

    pub(super) fn partition_mut(&mut self, partition: &TopicPartition) -> Result<&mut PartitionLog, LogError> {
        let topic = self.topic_mut(&partition.topic)?;
        let found = usize::try_from(partition.partition).ok().and_then(|index| topic.partitions.get_mut(index));
        found.ok_or_else(|| missing_partition(partition))
    }
}

fn missing_partition(partition: &TopicPartition) -> LogError {
    LogError::PartitionMissing { topic: partition.topic.to_string(), partition: partition.partition }
}
