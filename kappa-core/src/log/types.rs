//! The small words of the seam.

use std::fmt;
use std::sync::Arc;

/// One partition of one topic.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names one partition of one topic.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which records a reader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Only records of committed transactions and records outside any; a reader stops at the first
    /// open transaction (the last stable offset).
    ReadCommitted,
    /// Everything up to the high watermark, aborted and undecided records included.
    ReadUncommitted,
}

/// One header of a record. Names may repeat; order is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The header's name.
    pub name: Arc<str>,
    /// The header's value; `None` is Kafka's null.
    pub value: Option<Arc<[u8]>>,
}

/// The headers of a record. Empty ones cost no allocation; a clone shares the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<[Header]>>);

impl Headers {
    /// No headers.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// The headers in their order.
    pub fn as_slice(&self) -> &[Header] {
        self.0.as_deref().unwrap_or(&[])
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of the last header of that name (Kafka's `lastHeader`).
    pub fn last(&self, name: &str) -> Option<&Header> {
        self.as_slice().iter().rev().find(|header| &*header.name == name)
    }

    /// These headers and one more at the end.
    #[must_use]
    pub fn with(&self, name: impl Into<Arc<str>>, value: Option<&[u8]>) -> Self {
        let added = Header { name: name.into(), value: value.map(Arc::from) };
        self.as_slice().iter().cloned().chain([added]).collect()
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        let headers: Arc<[Header]> = headers.into_iter().collect();
        Self((!headers.is_empty()).then_some(headers))
    }
}
