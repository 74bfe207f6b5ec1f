//! The handle of a stream.

use super::{Known, Repartition};
use crate::codec::{Codec, CodecId, SharedCodec, Unkeyed};
use crate::processor::{Arrival, Next, Receiver, SourceEntry};
use crate::topology::{Assembly, Entry, Erased, Kind, NodeId, SharedGraph, TopicRef, TopologyError, erase};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// A stream of records (Kafka Streams: `KStream`).
///
/// A handle: operators called on it add to the topology and return the handle of what comes out. A stream
/// may be used several times; each record then goes down the branches in the order in which they were
/// made.
///
/// The handle knows the codecs of its keys and values as long as operators leave them alone, and for that
/// long bytes are passed on as they came. After an operator that makes new values ([`KStream::map_values`],
/// a join, …) say how they are written with [`KStream::with_value_codec`] where something needs it:
/// [`KStream::to`], or an aggregate or join behind a change of key. Forgetting it is an error at
/// [`build`](crate::topology::TopologyBuilder::build) that names the place.
#[must_use = "end the stream with to(), to_view() or for_each(): one that goes nowhere is an error when the topology is built"]
pub struct KStream<K, V> {
    pub(crate) graph: SharedGraph,
    pub(crate) node: NodeId,
    pub(crate) key: Known<K>,
    pub(crate) value: Known<V>,
    /// The key was changed since the records were last partitioned by it.
    pub(crate) rekeyed: bool,
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Says how keys are written from here on. Needed after operators that make new keys without a codec,
    /// where a topic follows. Writing known keys in another way changes which partition they belong to, as
    /// changing them would.
    pub fn with_key_codec(&self, key: impl Codec<K>) -> Self {
        let key = SharedCodec::new(key);
        let rewritten = matches!(&self.key, Known::Codec(known) if known.id != key.id);
        Self { key: Known::Codec(key), rekeyed: self.rekeyed || rewritten, ..self.clone() }
    }

    /// Says how values are written from here on. Needed after operators that make new values, where a
    /// topic follows.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).map_values(|_, text| text.len() as i64).with_value_codec(i64_be()).to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("k", "four", 0)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(4)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_value_codec(&self, value: impl Codec<V>) -> Self {
        Self { value: Known::Codec(SharedCodec::new(value)), ..self.clone() }
    }

    /// Says how keys and values are written from here on.
    pub fn with_codecs(&self, key: impl Codec<K>, value: impl Codec<V>) -> Self {
        self.with_key_codec(key).with_value_codec(value)
    }

    /// Adds an operator behind this stream.
    pub(crate) fn operator<R: Receiver<K, V> + 'static>(
        &self,
        operator: &str,
        make: impl Fn(&mut Assembly<'_>, NodeId) -> R + Send + Sync + 'static,
    ) -> NodeId {
        let base = self.base();
        self.operator_of(&base, operator, make)
    }

    /// Adds an operator behind this stream, named after `base`.
    pub(crate) fn operator_of<R: Receiver<K, V> + 'static>(
        &self,
        base: &str,
        operator: &str,
        make: impl Fn(&mut Assembly<'_>, NodeId) -> R + Send + Sync + 'static,
    ) -> NodeId {
        let make = Arc::new(move |assembly: &mut Assembly<'_>, node| erase::<K, V>(make(assembly, node)));
        self.graph.borrow_mut().add(base, operator, &[self.node], Kind::Operator, make)
    }

    /// The name that operators behind this stream begin with.
    pub(crate) fn base(&self) -> String {
        self.graph.borrow().nodes[self.node].base.clone()
    }

    /// The stream that comes out of `node`, which leaves keys and values alone.
    pub(crate) fn same(&self, node: NodeId) -> Self {
        Self { node, ..self.clone() }
    }

    /// The stream that comes out of `node`, which makes new values.
    pub(crate) fn new_values<V2>(&self, node: NodeId) -> KStream<K, V2> {
        let Self { graph, key, rekeyed, .. } = self.clone();
        KStream { graph, node, key, value: Known::Since(node), rekeyed }
    }

    /// The stream that comes out of `node`, which makes new keys and values.
    pub(crate) fn new_records<K2, V2>(&self, node: NodeId) -> KStream<K2, V2> {
        let (key, value) = (Known::Since(node), Known::Since(node));
        KStream { graph: Rc::clone(&self.graph), node, key, value, rekeyed: true }
    }

    /// The key's codec, for an operator that writes keys.
    pub(crate) fn need_key(&self, operator: &str) -> SharedCodec<K> {
        self.key.need(&self.graph, operator, "key", "with_key_codec(..)")
    }

    /// The value's codec, for an operator that writes values.
    pub(crate) fn need_value(&self, operator: &str) -> SharedCodec<V> {
        self.value.need(&self.graph, operator, "value", "with_value_codec(..)")
    }

    /// This stream with every record in its key's partition: itself, or behind a repartition topic where
    /// the key has changed.
    pub(crate) fn partitioned(&self, operator: &str, repartition: &str) -> Self {
        self.partitioned_by(operator, &Repartition::named(repartition))
    }

    /// As [`partitioned`](Self::partitioned), by a repartition topic of one's own making.
    pub(crate) fn partitioned_by(&self, operator: &str, repartition: &Repartition) -> Self {
        if matches!(&self.key, Known::Codec(codec) if codec.id == CodecId::of::<Unkeyed>()) {
            self.graph.borrow_mut().errors.push(TopologyError::Unkeyed { operator: operator.to_owned() });
        }
        if self.rekeyed { self.through(operator, repartition) } else { self.clone() }
    }
}

/// The stream of a topic; one node for all that read it.
pub(crate) fn source<K: 'static, V: 'static>(
    graph: &SharedGraph,
    topic: TopicRef,
    partitions: Option<i32>,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
) -> KStream<K, V> {
    let known = graph.borrow().source_of(&topic);
    let node = match known {
        Some(node) => node,
        None => source_node(graph, topic.clone(), partitions, &key, &value),
    };
    check_codecs(graph, node, &topic, &key, &value);
    KStream { graph: Rc::clone(graph), node, key: Known::Codec(key), value: Known::Codec(value), rekeyed: false }
}

fn source_node<K: 'static, V: 'static>(
    graph: &SharedGraph,
    topic: TopicRef,
    partitions: Option<i32>,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
) -> NodeId {
    let mut graph = graph.borrow_mut();
    let name = match &topic {
        TopicRef::External(name)
        | TopicRef::Repartition(name)
        | TopicRef::Changelog(name)
        | TopicRef::View(name)
        | TopicRef::Control(name) => name.clone(),
    };
    graph.check_name("topic", &name);
    let external = matches!(topic, TopicRef::External(_));
    let kind = Kind::Source { topic, partitions, key: key.form(), value: value.form() };
    let (key, value) = (key.clone(), value.clone());
    let make = move |assembly: &mut Assembly<'_>, node| -> Erased {
        let next: Next<K, V> = assembly.next(node);
        let times = assembly.timestamps::<K, V>(node).map(|times| (times, assembly.time(node, "partition")));
        let (name, key, value) = (assembly.name(node), key.clone(), value.clone());
        let arrival = match external {
            true if assembly.has_lazy_values(node) => Arrival::Keys,
            true => Arrival::All,
            false => Arrival::Nothing,
        };
        let entry: Box<dyn Entry> = Box::new(SourceEntry::new(name, key, value, arrival, times, next));
        Box::new(entry)
    };
    graph.add(&name, "source", &[], kind, Arc::new(make))
}

/// A topic is decoded in one way, whoever reads it.
fn check_codecs<K: 'static, V: 'static>(
    graph: &SharedGraph,
    node: NodeId,
    topic: &TopicRef,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
) {
    let mut graph = graph.borrow_mut();
    let Kind::Source { key: first_key, value: first_value, .. } = graph.nodes[node].kind.clone() else { return };
    for (part, first, second) in [("key", first_key, key.form()), ("value", first_value, value.form())] {
        if first != second {
            let (topic, first, second) =
                (crate::topology::display(topic), first.name.to_string(), second.name.to_string());
            graph.errors.push(TopologyError::SourceCodecs { topic, part, first, second });
        }
    }
}

impl<K, V> Clone for KStream<K, V> {
    fn clone(&self) -> Self {
        Self {
            graph: Rc::clone(&self.graph),
            node: self.node,
            key: self.key.clone(),
            value: self.value.clone(),
            rekeyed: self.rekeyed,
        }
    }
}

impl<K, V> fmt::Debug for KStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KStream").field("name", &self.graph.borrow().nodes[self.node].name).finish_non_exhaustive()
    }
}
