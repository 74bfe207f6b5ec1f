//! The physical output of one version, read from its start.

use super::ViewError;
use crate::app::ApplicationId;
use crate::log::{Isolation, LogError, OffsetSpec, RecordView, SharedLog, TopicPartition};
use crate::tail::Tail;
use kappa_state::Codec;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const RECORDS_MAX: usize = 10_000;

/// The view's name and how its keys and values are read.
pub(super) struct Format<K, V> {
    pub(super) view: String,
    pub(super) key: Arc<dyn Codec<K>>,
    pub(super) value: Arc<dyn Codec<V>>,
}

impl<K, V> fmt::Debug for Format<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Format").field("view", &self.view).field("key", &self.key).field("value", &self.value).finish()
    }
}

impl<K: 'static, V: 'static> Format<K, V> {
    pub(super) fn log_error(&self, error: LogError) -> ViewError {
        ViewError::Log { view: self.view.clone(), error }
    }

    fn decode(&self, at: &TopicPartition, record: RecordView<'_>) -> Result<(K, Option<V>), ViewError> {
        let undecodable = |part, reason| ViewError::Undecodable {
            view: self.view.clone(),
            topic: at.topic.to_string(),
            partition: at.partition,
            offset: record.offset,
            part,
            reason,
        };
        let key = match record.key {
            Some(bytes) => self.key.decode(bytes).map_err(|error| undecodable("key", error.reason))?,
            None => self.key.null().ok_or_else(|| undecodable("key", "it is null".to_owned()))?,
        };
        let value = record.value.map(|bytes| self.value.decode(bytes)).transpose();
        Ok((key, value.map_err(|error| undecodable("value", error.reason))?))
    }
}

/// Follows one version's output of a view.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) id: ApplicationId,
    tail: Tail,
}

impl Table {
    /// Opens the topic and aims at its end as it is now.
    pub(super) fn open(log: &SharedLog, id: ApplicationId, topic: &str) -> Result<Self, LogError> {
        let mut topics = log.topics()?;
        let info = topics.describe(topic)?.ok_or_else(|| LogError::TopicMissing { topic: topic.to_owned() })?;
        let partitions: Vec<TopicPartition> = (0..info.partitions).map(|p| TopicPartition::new(topic, p)).collect();
        // As a read_uncommitted reader sees it: the live version's last commit may not have its markers everywhere yet.
        let end = OffsetSpec::Latest(Isolation::ReadUncommitted);
        let ends = topics.offsets(&partitions.iter().map(|p| (p.clone(), end)).collect::<Vec<_>>())?;
        let mut tail = Tail::open(log, format!("{topic}-reader"), partitions)?;
        tail.aim(&ends)?;
        Ok(Self { id, tail })
    }

    /// Whether the end aimed at has been read.
    pub(super) fn complete(&self) -> bool {
        self.tail.reached()
    }

    /// The next changes, in the order of each partition; a null value removes.
    pub(super) fn poll<K: 'static, V: 'static>(
        &mut self,
        format: &Format<K, V>,
        timeout: Duration,
    ) -> Result<Vec<(K, Option<V>)>, ViewError> {
        let mut changes = Vec::new();
        let polled: Result<_, PollError> = self.tail.poll(RECORDS_MAX, timeout, |at, record| {
            changes.push(format.decode(at, record).map_err(PollError::View)?);
            Ok(())
        });
        match polled {
            Ok(_) => Ok(changes),
            Err(PollError::View(error)) => Err(error),
            Err(PollError::Log(error)) => Err(format.log_error(error)),
        }
    }

    pub(super) fn close(self, deadline: Duration) -> Result<(), LogError> {
        self.tail.close(deadline)
    }
}

enum PollError {
    Log(LogError),
    View(ViewError),
}

impl From<LogError> for PollError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Puts or removes; returns what was there.
pub(super) fn put<K: Ord + Clone, V: Clone>(entries: &mut BTreeMap<K, V>, key: &K, value: &Option<V>) -> Option<V> {
    match value {
        Some(value) => entries.insert(key.clone(), value.clone()),
        None => entries.remove(key),
    }
}
