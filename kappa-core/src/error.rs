//! The errors an application sees.

use crate::log::{LogError, Recovery};
use kappa_state::StateError;

/// Anything that stops an application, or keeps it from starting. Says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log refused, or can't be reached.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log gave no answer when the application started.
    #[error("{log}: {error}")]
    Unreachable {
        /// The log, in words: where it was looked for.
        log: String,
        /// What was being done.
        error: LogError,
    },
    /// Local state failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The registry refused, or can't be reached.
    #[error(transparent)]
    Registry(#[from] crate::registry::RegistryError),
    /// The topology does not hold together.
    #[error(transparent)]
    Topology(#[from] crate::topology::TopologyError),
    /// A name can't be used.
    #[error(transparent)]
    Name(#[from] crate::app::NameError),
    /// A record could not be decoded, or carries no valid timestamp, and the policy is to fail.
    #[error(
        "topic {topic} partition {partition} offset {offset}: {reason}; mend the codec, or set KAPPA_BAD_RECORDS=skip \
         or KAPPA_BAD_RECORDS=dead-letter:TOPIC to go on without it"
    )]
    BadRecord {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// An operator failed on a record.
    #[error("topic {topic} partition {partition} offset {offset}: operator {operator}: {reason}")]
    Operator {
        /// The topic the record came from.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// The operator's name.
        operator: String,
        /// What went wrong.
        reason: String,
    },
    /// Topics are missing, or have the wrong number of partitions. Nothing was started.
    #[error("{}", .problems.join("\n"))]
    Topics {
        /// One line a problem, each with what to do.
        problems: Vec<String>,
    },
    /// The group's offsets are gone while its state is still there: going on would count twice.
    #[error(
        "{task}: the group {group} has no committed offsets for {topics}, but state of it exists up to changelog offset \
         {changelog_offset}; were the group's offsets deleted or expired? Start a new version instead, or remove the \
         state of this one and all topics that begin with {group}-, repartition topics included"
    )]
    OffsetsLost {
        /// The task.
        task: String,
        /// The group.
        group: String,
        /// Its input partitions.
        topics: String,
        /// How far the state goes.
        changelog_offset: i64,
    },
    /// A setting is wrong.
    #[error("{name}: {reason}")]
    Setting {
        /// The environment variable or field.
        name: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A thread of the runtime panicked: a bug in an operator's function, or in kappa.
    #[error("thread {thread} panicked: {message}; the transaction in progress was not committed, nothing is lost")]
    Panic {
        /// The thread.
        thread: String,
        /// The panic's message.
        message: String,
    },
    /// The system refused something (a thread, a port, a signal handler).
    #[error("{operation}: {reason}")]
    System {
        /// What was being done.
        operation: &'static str,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// Whether the same action may succeed by itself a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Log(error) | Self::Unreachable { error, .. } if error.recovery() == Recovery::Retry)
    }

    /// A short stable word for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Log(error) | Self::Unreachable { error, .. } => error.kind(),
            Self::State(_) => "state",
            Self::Registry(_) => "registry",
            Self::Topology(_) => "topology",
            Self::Name(_) => "name",
            Self::BadRecord { .. } => "bad_record",
            Self::Operator { .. } => "operator",
            Self::Topics { .. } => "topics",
            Self::OffsetsLost { .. } => "offsets_lost",
            Self::Setting { .. } => "setting",
            Self::Panic { .. } => "panic",
            Self::System { .. } => "system",
        }
    }
}
