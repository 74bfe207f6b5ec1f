//! What can go wrong for a reader of a view.

use crate::log::LogError;
use crate::registry::RegistryError;

/// An error of a view reader. What it serves stays as it was, and polling again tries again.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The log failed.
    #[error("view {view}: {error}")]
    Log {
        /// The view.
        view: String,
        /// What failed.
        error: LogError,
    },
    /// The registry failed or can't be read.
    #[error("view {view}: {error}")]
    Registry {
        /// The view.
        view: String,
        /// What failed.
        error: RegistryError,
    },
    /// A record of the view can't be decoded with the codecs given.
    #[error(
        "view {view}: topic {topic} partition {partition} offset {offset}: the {part} can't be decoded: {reason}; \
         are the reader's codecs those of to_view?"
    )]
    Undecodable {
        /// The view.
        view: String,
        /// The view's topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The record's offset.
        offset: i64,
        /// `key` or `value`.
        part: &'static str,
        /// What the codec said.
        reason: String,
    },
}
