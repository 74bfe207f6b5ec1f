//! Which time a record is given where it enters (Kafka Streams: timestamp extractors).

use super::KStream;
use super::to_routed::RecordContext;
use crate::topology::{Kind, TopologyError};
use std::fmt;
use std::sync::Arc;

/// Time from key, value, context and partition time.
type Extract<K, V> = Arc<dyn Fn(&K, Option<&V>, RecordContext<'_>, i64) -> i64 + Send + Sync>;

/// Which time a record is given where it enters (Kafka Streams: `TimestampExtractor`).
///
/// A record whose time is negative in the end is left out: by [`fail`](Self::fail) as a bad record is, by the others dropped
/// and counted (`negative-timestamp`).
pub struct Timestamps<K, V>(pub(crate) Rule<K, V>);

pub(crate) enum Rule<K, V> {
    Fail,
    Skip,
    PartitionTime,
    WallClock,
    From(Extract<K, V>),
}

impl<K, V> Timestamps<K, V> {
    /// The record's own; a negative one makes it a bad record, which stops the application unless the settings say
    /// otherwise. The default (Kafka Streams: `FailOnInvalidTimestamp`).
    pub fn fail() -> Self {
        Self(Rule::Fail)
    }

    /// The record's own; one that is negative is dropped (Kafka Streams: `LogAndSkipOnInvalidTimestamp`).
    pub fn skip() -> Self {
        Self(Rule::Skip)
    }

    /// The record's own, or where that is negative the largest time seen in its partition; before there is one, a negative
    /// time makes it a bad record (Kafka Streams: `UsePartitionTimeOnInvalidTimestamp`).
    pub fn partition_time() -> Self {
        Self(Rule::PartitionTime)
    }

    /// The time of processing (Kafka Streams: `WallclockTimestampExtractor`). What is computed from it is not the same in a
    /// replay.
    pub fn wall_clock() -> Self {
        Self(Rule::WallClock)
    }

    /// What `extract` makes of key, value (`None` for null), the record's own time with its headers, and the largest time
    /// seen in the partition (−1 before there is one).
    pub fn from(extract: impl Fn(&K, Option<&V>, RecordContext<'_>, i64) -> i64 + Send + Sync + 'static) -> Self {
        Self(Rule::From(Arc::new(extract)))
    }
}

impl<K, V> Clone for Timestamps<K, V> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Rule::Fail => Rule::Fail,
            Rule::Skip => Rule::Skip,
            Rule::PartitionTime => Rule::PartitionTime,
            Rule::WallClock => Rule::WallClock,
            Rule::From(extract) => Rule::From(Arc::clone(extract)),
        })
    }
}

impl<K, V> fmt::Debug for Timestamps<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Rule::Fail => "fail",
            Rule::Skip => "skip",
            Rule::PartitionTime => "partition_time",
            Rule::WallClock => "wall_clock",
            Rule::From(_) => "from",
        })
    }
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Says which time the topic's records are given. Right behind [`stream`](crate::topology::TopologyBuilder::stream), and
    /// for the topic as a whole, wherever it is read.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, dsl::Timestamps, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), i64_be())
    ///     .with_timestamps(Timestamps::from(|_, seconds, _, partition_time| match seconds {
    ///         Some(seconds) => seconds * 1000,
    ///         None => partition_time,
    ///     }))
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), i64_be());
    /// input.pipe("k", 7, 1)?;
    /// input.pipe_null("k", 2)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, [("k".into(), Some(7), 7000), ("k".into(), None, 7000)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_timestamps(&self, timestamps: Timestamps<K, V>) -> Self {
        let mut graph = self.graph.borrow_mut();
        let (node, name) = (self.node, graph.nodes[self.node].name.clone());
        if !matches!(graph.nodes[node].kind, Kind::Source { .. }) {
            graph.errors.push(TopologyError::NotASource { what: "with_timestamps()", operator: name });
        } else if graph.timestamps.iter().any(|(source, _)| *source == node) {
            graph.errors.push(TopologyError::TwoTimestamps { operator: name });
        }
        graph.timestamps.push((node, Arc::new(timestamps)));
        drop(graph);
        self.clone()
    }
}
