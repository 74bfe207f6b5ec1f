//! Reads the registry and follows it.
//!
//! **Invariants:**
//! - What is handed out changes only when the end of the topic is reported: never in the middle of a
//!   transaction of the registry.

use super::record::Record;
use super::{RegistryError, Snapshot};
use crate::log::{Isolation, LogError, OffsetSpec, SharedLog, TopicPartition, Topics};
use crate::tail::Tail;
use std::sync::Arc;
use std::time::{Duration, Instant};

const RECORDS_MAX: usize = 1_000;

/// Follows the registry; writes nothing and creates nothing.
#[derive(Debug)]
pub struct RegistryReader {
    topics: Box<dyn Topics>,
    tail: Tail,
    topic: String,
    partition: TopicPartition,
    /// What has been read; ahead of `published` between two ends of the topic.
    read: Snapshot,
    dirty: bool,
    published: Arc<Snapshot>,
}

impl RegistryReader {
    /// Opens the registry and reads it. Refuses with [`RegistryError::Missing`] where there is none.
    pub fn open(log: &SharedLog, topic: &str, deadline: Duration) -> Result<Self, RegistryError> {
        let mut topics = log.topics()?;
        match topics.describe(topic)? {
            Some(info) if info.partitions == 1 => {}
            Some(info) => {
                return Err(RegistryError::NotOnePartition { topic: topic.to_owned(), partitions: info.partitions });
            }
            None => return Err(RegistryError::Missing { topic: topic.to_owned(), log: log.describe() }),
        }
        let partition = TopicPartition::new(topic, 0);
        let tail = Tail::open(log, format!("{topic}-reader"), [partition.clone()])?;
        let mut reader = Self {
            topics,
            tail,
            topic: topic.to_owned(),
            partition,
            read: Snapshot::default(),
            dirty: false,
            published: Arc::default(),
        };
        reader.refresh(deadline)?;
        Ok(reader)
    }

    /// The registry as last read.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.published)
    }

    /// Reads on to the last stable offset as it is now.
    pub fn refresh(&mut self, deadline: Duration) -> Result<Arc<Snapshot>, RegistryError> {
        self.read_to(Isolation::ReadCommitted, deadline)
    }

    /// Reads on to the end as a read_uncommitted reader sees it now: after a fence, nothing that was ever
    /// committed lies beyond.
    pub(super) fn read_to_exact_end(&mut self, deadline: Duration) -> Result<Arc<Snapshot>, RegistryError> {
        self.read_to(Isolation::ReadUncommitted, deadline)
    }

    fn read_to(&mut self, isolation: Isolation, deadline: Duration) -> Result<Arc<Snapshot>, RegistryError> {
        let ends = self.topics.offsets(&[(self.partition.clone(), OffsetSpec::Latest(isolation))])?;
        self.read_to_offset(ends.first().copied().unwrap_or(0), deadline)
    }

    /// Reads on until everything committed below `offset` is read.
    pub(super) fn read_to_offset(&mut self, offset: i64, deadline: Duration) -> Result<Arc<Snapshot>, RegistryError> {
        let until = Instant::now() + deadline;
        self.tail.aim(&[offset])?;
        while !self.tail.reached() || self.dirty {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LogError::Timeout { operation: "reading the registry to its end", deadline }.into());
            }
            self.poll(left.min(Duration::from_millis(100)))?;
        }
        Ok(self.snapshot())
    }

    /// Waits up to `timeout` for a change; `None` when there is none.
    pub fn follow(&mut self, timeout: Duration) -> Result<Option<Arc<Snapshot>>, RegistryError> {
        let until = Instant::now() + timeout;
        loop {
            let before = Arc::clone(&self.published);
            self.poll(until.saturating_duration_since(Instant::now()))?;
            if !Arc::ptr_eq(&before, &self.published) {
                return Ok(Some(self.snapshot()));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }

    fn poll(&mut self, timeout: Duration) -> Result<(), RegistryError> {
        let Self { tail, read, dirty, topic, .. } = self;
        let step = tail.poll(RECORDS_MAX, timeout, |_, record| {
            let undecodable =
                |reason| RegistryError::Undecodable { topic: topic.clone(), offset: record.offset, reason };
            read.apply(record.offset, Record::decode(record.key, record.value).map_err(undecodable)?);
            *dirty = true;
            Ok::<(), RegistryError>(())
        })?;
        if step.ended && self.dirty {
            self.published = Arc::new(self.read.clone());
            self.dirty = false;
        }
        Ok(())
    }

    /// Ends reading.
    pub fn close(self, deadline: Duration) -> Result<(), RegistryError> {
        Ok(self.tail.close(deadline)?)
    }
}
