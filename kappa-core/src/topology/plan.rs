//! What the runtime needs to know of a topology: names and how they hang together, no types.
//!
//! Invariants:
//! - The order of sub-topologies, sources, outputs and stores is a function of names alone, never of
//!   the order in which a program calls the builder: every process of a version sees the same numbers.
//! - All names are given by the user or derived from given ones; none holds a counter.

use serde::{Deserialize, Serialize};

/// A topic as a topology names it. The physical name follows from the application id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicRef {
    /// A topic of the user's, by its own name.
    External(String),
    /// `<application id>-<name>-repartition`.
    Repartition(String),
    /// `<application id>-<store>-changelog`.
    Changelog(String),
    /// The physical output of a view: `<application id>-<view>-view`.
    View(String),
    /// What a sub-topology takes commands from: `<application id>-<sub-topology>-control`.
    Control(String),
}

impl TopicRef {
    /// The topic's name for an application id.
    pub fn physical(&self, application_id: &str) -> String {
        match self {
            Self::External(topic) => topic.clone(),
            Self::Repartition(name) => format!("{application_id}-{name}-repartition"),
            Self::Changelog(store) => format!("{application_id}-{store}-changelog"),
            Self::View(view) => format!("{application_id}-{view}-view"),
            Self::Control(name) => format!("{application_id}-{name}-control"),
        }
    }
}

/// A topic that a sub-topology reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePlan {
    /// The topic.
    pub topic: TopicRef,
    /// Partitions of a repartition topic, where the user set them; `None` follows upstream.
    pub partitions: Option<i32>,
    /// Whether what is read beside a repartition topic is not to be read ahead of those that write it. Not so for the topics of joins by
    /// foreign key: their results are the same whichever side comes first.
    pub aligned: bool,
}

/// Where a store's changes are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangelogSource {
    /// In a changelog topic of its own; the index is into [`SubTopologyPlan::outputs`].
    Own {
        /// Index of the changelog among the outputs.
        output: usize,
    },
    /// Nowhere, because the store follows from a topic that the sub-topology reads: it is restored from there, up to what is
    /// committed (Kafka Streams: a read-only store); the index is into [`SubTopologyPlan::sources`].
    Input {
        /// Index of the topic among the sources.
        source: usize,
    },
    /// Nowhere: the store is lost with its process and rebuilt from nothing.
    None,
}

/// What a store's changelog topic must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// The latest value of each key: compacted.
    KeyValue,
    /// Rows that expire: compacted, and deleted after the retention with some margin.
    Windowed {
        /// How long the store keeps rows, ms.
        retention_ms: i64,
        /// Whether no row ever replaces another, as in the stores of joined streams: there is nothing to compact then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        duplicates: bool,
    },
    /// Several versions of a key: compacted no sooner than the history with some margin.
    Versioned {
        /// How long versions are kept, ms.
        history_ms: i64,
    },
}

/// A store of a sub-topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlan {
    /// The store's name.
    pub name: String,
    /// Where its changes are logged.
    pub changelog: ChangelogSource,
    /// What its changelog topic must be like.
    pub kind: StoreKind,
}

/// A part of the topology that is connected without going through a topic: what one task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubTopologyPlan {
    /// A name derived from its stores, or sources where it has none.
    pub name: String,
    /// The topics it reads, sorted by [`TopicRef`]. A task reads the partition of its own number of each
    /// that has that partition.
    pub sources: Vec<SourcePlan>,
    /// The topics it writes, sorted by [`TopicRef`], changelogs included.
    pub outputs: Vec<TopicRef>,
    /// Its stores, sorted by name; the one of parked records is the last.
    pub stores: Vec<StorePlan>,
    /// Sets of sources (indices) that must have the same number of partitions: co-partitioning.
    pub copartitioned: Vec<Vec<usize>>,
}

/// A global table: every process reads all partitions of its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalPlan {
    /// Its store's name.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// A function of the user's writes its store ([`Program::update_global`](crate::task::Program::update_global)); else the
    /// records are the rows.
    pub has_update: bool,
}

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyPlan {
    /// The sub-topologies, sorted by name.
    pub sub_topologies: Vec<SubTopologyPlan>,
    /// Names of the views it writes, sorted.
    pub views: Vec<String>,
    /// The global tables, sorted by topic.
    pub globals: Vec<GlobalPlan>,
    /// A number that changes when anything changes that state or topics depend on. Hexadecimal.
    pub fingerprint: String,
}
