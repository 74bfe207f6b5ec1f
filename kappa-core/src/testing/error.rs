//! What can go wrong in a test.

use crate::codec::CodecError;
use crate::task::ProcessError;
use kappa_state::StateError;

/// What can go wrong in a test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// The topology could not process a record.
    #[error("{topic}, partition {partition}, offset {offset}: {source}")]
    Process {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
        /// Why.
        source: ProcessError,
    },
    /// What was held back could not be passed on.
    #[error("task {task}: at the commit: {source}")]
    Commit {
        /// The task.
        task: String,
        /// Why.
        source: ProcessError,
    },
    /// What was due by the wall clock failed.
    #[error("task {task}: as the wall clock moved: {source}")]
    Clock {
        /// The task.
        task: String,
        /// Why.
        source: ProcessError,
    },
    /// A store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The test's own codec does not fit what is there.
    #[error("{what}: {reason}")]
    Codec {
        /// The topic or store.
        what: String,
        /// What the codec said.
        reason: String,
    },
    /// A recording can't be read or written.
    #[error("recording, line {line}: {reason}")]
    Recording {
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The topology has no such topic or store.
    #[error("the topology has no {what} {name}; it has {has}")]
    Unknown {
        /// `input`, `output`, `store` or `task`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// What there is.
        has: String,
    },
}

impl TestError {
    pub(super) fn codec(what: &str, error: CodecError) -> Self {
        Self::Codec { what: what.to_owned(), reason: error.reason }
    }
}
