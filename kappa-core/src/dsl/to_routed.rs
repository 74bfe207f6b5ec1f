//! Writes each record to a topic of its own choice.

use super::{KStream, sink};
use crate::log::Headers;
use crate::processor::{Cx, Next, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::TopicRef;
use std::sync::Arc;

/// What a function may know of a record besides its key and value (Kafka Streams: `RecordContext`).
#[derive(Debug, Clone, Copy)]
pub struct RecordContext<'r> {
    /// The timestamp, ms since 1970.
    pub timestamp_ms: i64,
    /// The headers.
    pub headers: &'r Headers,
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Writes each record to one of `topics`: the one that `route` names (Kafka Streams: `to(TopicNameExtractor)`).
    /// It is shown the key, the value (`None` for null), time and headers.
    ///
    /// The topics are named up front: they are looked for when the application starts, not in the middle of its work; they
    /// belong to the version's manifest, as its other outputs do; and each has its place in
    /// [`describe`](crate::topology::Topology::describe). Routing to any other is an error of the record's.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be())
    ///     .to_routed(["late", "punctual"], |_, minutes, _| if minutes > Some(&0) { "late" } else { "punctual" });
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("delays", utf8(), i64_be()).pipe("OK1", 20, 10)?;
    /// driver.input("delays", utf8(), i64_be()).pipe("OK2", -3, 20)?;
    /// assert_eq!(driver.output("late", utf8(), i64_be()).read_values()?, [Some(20)]);
    /// assert_eq!(driver.output("punctual", utf8(), i64_be()).read_values()?, [Some(-3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_routed<R: AsRef<str>>(
        &self,
        topics: impl IntoIterator<Item = impl Into<String>>,
        route: impl Fn(&K, Option<&V>, RecordContext<'_>) -> R + Send + Sync + 'static,
    ) {
        let topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        let operator = format!("to_routed({})", topics.join(", "));
        let (key, value) = (self.need_key(&operator), self.need_value(&operator));
        let route = Arc::new(route);
        let names = topics.clone();
        let node = self.operator("to_routed", move |assembly, node| Routed {
            name: assembly.name(node),
            // The sinks are this node's children, in this order.
            topics: names.iter().cloned().zip(assembly.children(node).all).collect(),
            route: Arc::clone(&route),
        });
        self.graph.borrow_mut().nodes[node].terminal = true;
        for topic in topics {
            self.graph.borrow_mut().check_name("topic", &topic);
            let target = TopicRef::External(topic.clone());
            sink(&self.same(node), &topic, "sink", target, key.clone(), value.clone());
        }
    }
}

struct Routed<K, V, F> {
    name: Arc<str>,
    topics: Vec<(String, Next<K, V>)>,
    route: Arc<F>,
}

impl<K: 'static, V: 'static, R: AsRef<str>, F> Receiver<K, V> for Routed<K, V, F>
where
    F: Fn(&K, Option<&V>, RecordContext<'_>) -> R + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Record { timestamp_ms, headers, .. } = *record;
        let topic = (self.route)(record.key()?, record.value()?, RecordContext { timestamp_ms, headers });
        match self.topics.iter_mut().find(|(name, _)| name == topic.as_ref()) {
            Some((_, next)) => next.receive(record, cx),
            None => {
                let names: Vec<&str> = self.topics.iter().map(|(name, _)| name.as_str()).collect();
                let reason = format!("routed to {}, but declared are [{}]", topic.as_ref(), names.join(", "));
                Err(ProcessError::Operator { operator: self.name.to_string(), reason })
            }
        }
    }
}
