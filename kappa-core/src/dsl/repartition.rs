//! Sends records through a topic of the application's own, to where their keys belong.

use super::{KStream, sink_of, source};
use crate::topology::{Kind, TopicRef, TopologyError};

/// A repartition topic: its name, and the number of its partitions where it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repartition {
    name: String,
    partitions: Option<i32>,
    /// Records with null keys go through: an operator behind it can do something with them.
    null_keys: bool,
}

impl Repartition {
    /// The topic `<application id>-<name>-repartition`, with as many partitions as there are upstream.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, null_keys: false }
    }

    /// As it is, but records with null keys go through, whichever partition they come to.
    pub(crate) fn with_null_keys(self) -> Self {
        Self { null_keys: true, ..self }
    }

    /// Sets the number of partitions.
    #[must_use]
    pub fn partitions(self, partitions: i32) -> Self {
        Self { partitions: Some(partitions), ..self }
    }
}

impl From<&str> for Repartition {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Sends the records through a repartition topic, whether or not the key has changed.
    ///
    /// Aggregates and joins do this by themselves behind a change of key, each for itself. Do it once before
    /// them where several use the same re-keyed stream.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, dsl::Repartition, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let by_origin = app.stream("flights", utf8(), utf8())
    ///     .select_key(utf8(), |_, origin| origin.clone())
    ///     .repartition(Repartition::named("by-origin").partitions(4));
    /// by_origin.group_by_key().count("flights-by-origin").to_view("flights-by-origin");
    /// by_origin.to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 5)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("PRG".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn repartition(&self, topic: impl Into<Repartition>) -> Self {
        let topic = topic.into();
        self.through(&format!("repartition({})", topic.name), &topic)
    }

    /// Writes and reads a repartition topic, for `operator`.
    pub(crate) fn through(&self, operator: &str, topic: &Repartition) -> Self {
        let (key, value) = (self.need_key(operator), self.need_value(operator));
        let name = topic.name.clone();
        let topic_ref = TopicRef::Repartition(name.clone());
        let taken = |kind: &Kind| matches!(kind, Kind::Sink { topic, .. } if *topic == topic_ref);
        if self.graph.borrow().nodes.iter().any(|node| taken(&node.kind)) {
            self.graph.borrow_mut().errors.push(TopologyError::DuplicateRepartition { name: name.clone() });
        }
        let names = (name.as_str(), "repartition");
        sink_of(self, names, topic_ref.clone(), !topic.null_keys, key.clone(), value.clone());
        source(&self.graph, topic_ref, topic.partitions, key, value)
    }
}
