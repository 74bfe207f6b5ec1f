//! Topics: create, describe, delete, offsets.

use super::{Isolation, LogError, TopicPartition};
use std::fmt;

/// What becomes of old records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleanupPolicy {
    /// Removed when older than the retention (`delete`).
    Delete,
    /// The last record of each key stays (`compact`).
    Compact,
    /// The last record of each key stays, until it is older than the retention (`compact,delete`).
    CompactDelete,
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// The topic's name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
    /// Copies of each partition; `None` is the broker's default.
    pub replication_factor: Option<i32>,
    /// What becomes of old records.
    pub cleanup: CleanupPolicy,
    /// Further topic settings by Kafka's names, for example `retention.ms`.
    pub settings: Vec<(String, String)>,
}

/// A topic that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// The topic's name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
}

/// Which offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The first that is there (log start).
    Earliest,
    /// One past the last a reader of that isolation can reach now: the high watermark, or the last
    /// stable offset.
    Latest(Isolation),
    /// The first whose timestamp is at or after this, ms since 1970; the end where there is none.
    AtTime(i64),
}

/// Manages topics.
///
/// # Contract
/// - **T1** `create` returns when the topic is usable: a `describe` that follows sees it, and it can be
///   appended to. Creating one that exists is [`LogError::TopicExists`] and changes nothing; the topic is usable
///   then too, even if somebody else created it this moment.
/// - **T2** `describe` returns `None` for a topic that does not exist, and never creates one.
/// - **T3** `offsets` are the log's at the time of the call, in the order asked; a missing topic or
///   partition is an error that names it.
/// - **T4** After `delete_records` below an offset, the log starts there.
/// - **T5** `delete` of a missing topic is [`LogError::TopicMissing`].
pub trait Topics: Send + fmt::Debug {
    /// Creates a topic.
    fn create(&mut self, topic: &TopicSpec) -> Result<(), LogError>;

    /// Describes a topic.
    fn describe(&mut self, name: &str) -> Result<Option<TopicInfo>, LogError>;

    /// The names of all topics that start with a prefix, sorted.
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, LogError>;

    /// Deletes a topic with all its records.
    fn delete(&mut self, name: &str) -> Result<(), LogError>;

    /// Removes the records below the given offsets.
    fn delete_records(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), LogError>;

    /// Offsets of partitions.
    fn offsets(&mut self, partitions: &[(TopicPartition, OffsetSpec)]) -> Result<Vec<i64>, LogError>;

    /// Deletes a group and its committed offsets; the group must have no members. A group that does
    /// not exist is no error.
    fn delete_group(&mut self, group: &str) -> Result<(), LogError>;
}
