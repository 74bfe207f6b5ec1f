//! What can go wrong at the log, and what to do about it.

use std::time::Duration;

/// What a caller does after an error: the one classification that the runtime acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing is lost: the same call may be made again after a pause.
    Retry,
    /// Abort the transaction, roll the tasks back to what is committed, go on with the same client.
    AbortTransaction,
    /// The client is of no use any more: drop it, make a new one, read again what is committed.
    ReplaceClient,
    /// This member has lost its right to the tasks: give them up and join again.
    Rejoin,
    /// The log's content or set-up contradicts what was asked: a person must look.
    Fatal,
    /// A setting is wrong: a person must mend it.
    Configuration,
}

/// An error of the log seam.
///
/// Kafka's error codes are mapped to these in one function of the `kafka` implementation; the
/// embedded log makes the same errors for the same reasons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The deadline passed without an answer. Nothing is known to have failed.
    #[error("{operation}: no answer within {} ms; is the cluster reachable and healthy?", .deadline.as_millis())]
    Timeout {
        /// What was being done.
        operation: &'static str,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// The log can't be reached or is not ready (no leader, coordinator loading, connection refused).
    #[error("{operation}: {reason}; it is tried again")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// What the client said.
        reason: String,
    },
    /// The topic does not exist.
    #[error("topic {topic} does not exist; create it, or mend its name in the topology")]
    TopicMissing {
        /// The topic.
        topic: String,
    },
    /// The topic exists already.
    #[error("topic {topic} exists already")]
    TopicExists {
        /// The topic.
        topic: String,
    },
    /// The topic has no such partition.
    #[error("topic {topic} has no partition {partition}")]
    PartitionMissing {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
    },
    /// The offset asked for is below the log's start: retention or `delete_records` removed it.
    #[error(
        "topic {topic} partition {partition}: offset {offset} is gone, the log starts at {log_start}; \
         the records between are lost to this reader"
    )]
    Truncated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// The first offset that is there.
        log_start: i64,
    },
    /// The offset asked for is beyond the log's end: the topic was deleted and made again, or lost its tail.
    #[error(
        "topic {topic} partition {partition}: offset {offset} is beyond the log's end {log_end}; \
         was the topic deleted and created again?"
    )]
    BeyondEnd {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// One past the last offset that is there.
        log_end: i64,
    },
    /// The group no longer knows this member under this generation: a stopped process that woke up,
    /// or a rebalance between begin and commit.
    #[error("{operation}: the group has moved on ({reason}); this member's work since its last commit is dropped")]
    StaleMember {
        /// What was being done.
        operation: &'static str,
        /// What the log said.
        reason: String,
    },
    /// Another client with the same transactional id has taken over. The client is dead.
    #[error("{operation}: fenced by a newer client with the same transactional id ({reason})")]
    ProducerFenced {
        /// What was being done.
        operation: &'static str,
        /// What the log said.
        reason: String,
    },
    /// Another process joined with the same `group.instance.id`. The member is dead.
    #[error(
        "{operation}: fenced by another process with the same instance id ({reason}); \
         give every process its own KAPPA_INSTANCE_ID"
    )]
    InstanceFenced {
        /// What was being done.
        operation: &'static str,
        /// What the log said.
        reason: String,
    },
    /// The transaction can only be aborted; afterwards the client goes on.
    #[error("{operation}: the transaction must be aborted ({reason})")]
    AbortRequired {
        /// What was being done.
        operation: &'static str,
        /// What the log said.
        reason: String,
    },
    /// A commit or abort got no answer: it may or may not have taken effect, and may still do so.
    /// The client must not be used again.
    #[error("{operation}: the outcome is unknown ({reason}); a new client settles it")]
    OutcomeUnknown {
        /// What was being done.
        operation: &'static str,
        /// What the log said.
        reason: String,
    },
    /// The group has an open transaction on these offsets: what is committed can't be said yet.
    #[error("group {group}: offsets of {partition} are part of an open transaction")]
    OffsetsUnstable {
        /// The group.
        group: String,
        /// The first partition that is undecided, `topic-partition`.
        partition: String,
    },
    /// A record is larger than the log takes.
    #[error(
        "topic {topic}: a record of {bytes} bytes is larger than the log takes; raise max.message.bytes or send less"
    )]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// The record's size.
        bytes: usize,
    },
    /// The credentials were refused, or the right is missing.
    #[error("{operation}: refused ({reason}); check the security.*, sasl.* and ssl.* settings and the ACLs")]
    Unauthorized {
        /// What was being done.
        operation: &'static str,
        /// What the log said.
        reason: String,
    },
    /// A setting is unknown, out of range or protected.
    #[error("setting {property}: {reason}")]
    Setting {
        /// The setting.
        property: String,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The call does not fit the client's state: a bug in the caller.
    #[error("{operation}: {reason}")]
    Misuse {
        /// What was being done.
        operation: &'static str,
        /// The rule that was broken.
        reason: String,
    },
    /// Anything that no retry mends.
    #[error("{operation}: {reason}")]
    Fatal {
        /// What was being done.
        operation: &'static str,
        /// What the log said.
        reason: String,
    },
}

impl LogError {
    /// What the caller should do.
    pub fn recovery(&self) -> Recovery {
        match self {
            Self::Timeout { .. } | Self::Unavailable { .. } | Self::OffsetsUnstable { .. } => Recovery::Retry,
            Self::StaleMember { .. } | Self::AbortRequired { .. } => Recovery::AbortTransaction,
            Self::ProducerFenced { .. } | Self::OutcomeUnknown { .. } => Recovery::ReplaceClient,
            Self::InstanceFenced { .. } => Recovery::Rejoin,
            Self::Unauthorized { .. } | Self::Setting { .. } => Recovery::Configuration,
            Self::TopicMissing { .. }
            | Self::TopicExists { .. }
            | Self::PartitionMissing { .. }
            | Self::Truncated { .. }
            | Self::BeyondEnd { .. }
            | Self::RecordTooLarge { .. }
            | Self::Misuse { .. }
            | Self::Fatal { .. } => Recovery::Fatal,
        }
    }

    /// A short stable word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Timeout { .. } => "timeout",
            Self::Unavailable { .. } => "unavailable",
            Self::TopicMissing { .. } => "topic_missing",
            Self::TopicExists { .. } => "topic_exists",
            Self::PartitionMissing { .. } => "partition_missing",
            Self::Truncated { .. } => "truncated",
            Self::BeyondEnd { .. } => "beyond_end",
            Self::StaleMember { .. } => "stale_member",
            Self::ProducerFenced { .. } => "producer_fenced",
            Self::InstanceFenced { .. } => "instance_fenced",
            Self::AbortRequired { .. } => "abort_required",
            Self::OutcomeUnknown { .. } => "outcome_unknown",
            Self::OffsetsUnstable { .. } => "offsets_unstable",
            Self::RecordTooLarge { .. } => "record_too_large",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Setting { .. } => "setting",
            Self::Misuse { .. } => "misuse",
            Self::Fatal { .. } => "fatal",
        }
    }
}
