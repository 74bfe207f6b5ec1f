//! Writes records to a topic.

use super::{KStream, KTable};
use crate::codec::{CodecId, Form, SharedCodec};
use crate::processor::{Cx, Dropped, Receiver, unencodable};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{Assembly, Erased, Kind, NodeId, TopicRef, erase};
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Writes the records to a topic, to the partition that Kafka's Java client would choose (murmur2 of the
    /// key's bytes). Null values are written as such.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe_null("key", 10)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, [("key".into(), None, 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to(&self, topic: &str) {
        let operator = format!("to({topic})");
        let (key, value) = (self.need_key(&operator), self.need_value(&operator));
        self.graph.borrow_mut().check_name("topic", topic);
        sink(self, topic, "sink", TopicRef::External(topic.to_owned()), key, value);
    }

    /// Writes the records to a view: a named result that others read, whichever version of the application
    /// it comes from.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).to_view("latest");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("key", "value", 10)?;
    /// assert_eq!(driver.view("latest", utf8(), utf8()).read_values()?, [Some("value".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_view(&self, view: &str) {
        let operator = format!("to_view({view})");
        let (key, value) = (self.need_key(&operator), self.need_value(&operator));
        self.graph.borrow_mut().check_name("view", view);
        sink(self, view, "view", TopicRef::View(view.to_owned()), key, value);
    }
}

impl<K: 'static, V: 'static> KTable<K, V> {
    /// Writes the table's changes to a topic: `to_stream().to(topic)`.
    pub fn to(&self, topic: &str) {
        self.to_stream().to(topic);
    }

    /// Writes the table's changes to a view: a named result that others read, whichever version of the
    /// application it comes from. Deletions are written as null values.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).group_by_key().count("counts").to_view("counts");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("key", "value", 10)?;
    /// assert_eq!(driver.view("counts", utf8(), i64_be()).read_all()?, [("key".into(), Some(1), 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_view(&self, view: &str) {
        self.stream.to_view(view);
    }
}

/// Adds a sink behind a stream.
pub(crate) fn sink<K: 'static, V: 'static>(
    stream: &KStream<K, V>,
    base: &str,
    operator: &str,
    topic: TopicRef,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
) {
    let keyed = matches!(topic, TopicRef::Repartition(_));
    sink_of(stream, (base, operator), topic, keyed, key, value);
}

/// Adds a sink behind a stream, which drops records with null keys where it is `keyed`.
pub(crate) fn sink_of<K: 'static, V: 'static>(
    stream: &KStream<K, V>,
    (base, operator): (&str, &str),
    topic: TopicRef,
    keyed: bool,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
) {
    let forms = (key.form(), value.form());
    add_sink(stream, base, operator, topic, forms, move |assembly, node, topic| {
        let own = matches!(topic, TopicRef::Repartition(_));
        let keyed = keyed && !(own && assembly.joins_null_keys(topic));
        let (key, value) = (key.clone(), value.clone());
        erase::<K, V>(Sink { name: assembly.name(node), output: assembly.output(topic), keyed, key, value })
    });
}

/// Adds a sink of any kind behind a stream.
pub(crate) fn add_sink<K: 'static, V: 'static>(
    stream: &KStream<K, V>,
    base: &str,
    operator: &str,
    topic: TopicRef,
    (key, value): (Form, Form),
    make: impl Fn(&mut Assembly<'_>, NodeId, &TopicRef) -> Erased + Send + Sync + 'static,
) {
    let kind = Kind::Sink { topic: topic.clone(), key, value };
    let make = Arc::new(move |assembly: &mut Assembly<'_>, node| make(assembly, node, &topic));
    stream.graph.borrow_mut().add(base, operator, &[stream.node], kind, make);
}

struct Sink<K, V> {
    name: Arc<str>,
    output: usize,
    /// Records without a key are dropped, as Kafka Streams does before a repartition topic.
    keyed: bool,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> Sink<K, V> {
    fn send(&self, record: &Record<'_, K, V>, key: Option<&[u8]>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let value = |bytes: &mut Vec<u8>| match record.value {
            Some(value) => value.write(&self.value, bytes),
            None => Ok(false),
        };
        let by = key.map(|key| self.key.partition_by(key));
        let sent = cx.out.send(self.output, record.timestamp_ms, record.headers, (key, by), value);
        sent.map_err(|error| unencodable(&self.name, "value", &error))
    }
}

impl<K: 'static, V: 'static> Receiver<K, V> for Sink<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let keyed = cx.with_key(&self.name, record.key, &self.key, |key, cx| self.send(record, Some(key), cx))?;
        match keyed {
            Some(()) => Ok(()),
            None if self.keyed => cx.drop_record(Dropped::NullKeyRepartition),
            None => self.send(record, None, cx),
        }
    }

    fn looks(&self, wire: CodecId) -> bool {
        wire != self.value.id
    }
}
