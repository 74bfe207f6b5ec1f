//! Folds the records of several streams into one table.

use super::aggregate::{Fold, look};
use super::window::{Over, Target, attach_rows, rows_result};
use super::{KGroupedStream, KStream, KTable, Known, Windows, store};
use crate::codec::{Codec, SharedCodec};
use crate::processor::Lookup;
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{Assembly, Kind, NodeId, OldValues, SharedGraph, StoreIndex, TopologyError, erase};
use crate::window::Windowed;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

pub(crate) type CogroupAggregator<K, V, A> = Arc<dyn Fn(&K, &V, A) -> Option<A> + Send + Sync>;

/// Grouped streams with the functions that take their records into one value (Kafka Streams: `CogroupedKStream`): made by
/// [`KGroupedStream::cogroup`].
#[must_use = "cogrouping alone does nothing: aggregate"]
pub struct CogroupedKStream<K, A> {
    parts: Vec<Rc<dyn Part<K, A>>>,
}

/// One of the streams, whatever its values.
pub(crate) trait Part<K, A> {
    fn graph(&self) -> SharedGraph;

    /// With every record in its key's partition.
    fn partitioned(&self, operator: &str, repartition: &str) -> Rc<dyn Part<K, A>>;

    fn key(&self, operator: &str) -> SharedCodec<K>;

    /// Adds the operator that takes its records into the table of node `merged`.
    fn attach(&self, name: &str, merged: NodeId, target: &Target<K, A>) -> NodeId;
}

struct Grouped<K, V, A> {
    stream: KStream<K, V>,
    aggregator: CogroupAggregator<K, V, A>,
}

impl<K: 'static, V: 'static> KGroupedStream<K, V> {
    /// Begins a table of several streams: `aggregator` takes this one's records into the value they share. It may give back
    /// the value or an `Option` of it: `None` deletes the key, which then begins anew.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let bought = app.stream("bought", utf8(), i64_be()).group_by_key();
    /// let returned = app.stream("returned", utf8(), i64_be()).group_by_key();
    /// bought
    ///     .cogroup(|_, amount, sum: i64| sum + amount)
    ///     .cogroup(&returned, |_, amount, sum| sum - amount)
    ///     .aggregate("balance", i64_be(), || 0)
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("bought", utf8(), i64_be()).pipe("ann", 30, 1)?;
    /// driver.input("returned", utf8(), i64_be()).pipe("ann", 10, 2)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(30), Some(20)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cogroup<A: Send + 'static, R: Into<Option<A>>>(
        &self,
        aggregator: impl Fn(&K, &V, A) -> R + Send + Sync + 'static,
    ) -> CogroupedKStream<K, A> {
        CogroupedKStream { parts: Vec::new() }.cogroup(self, aggregator)
    }
}

impl<K: 'static, A: Send + 'static> CogroupedKStream<K, A> {
    /// Adds a stream, whose records `aggregator` takes into the value.
    pub fn cogroup<V: 'static, R: Into<Option<A>>>(
        &self,
        grouped: &KGroupedStream<K, V>,
        aggregator: impl Fn(&K, &V, A) -> R + Send + Sync + 'static,
    ) -> Self {
        let aggregator: CogroupAggregator<K, V, A> =
            Arc::new(move |key, value, sum| aggregator(key, value, sum).into());
        let mut parts = self.parts.clone();
        parts.push(Rc::new(Grouped { stream: grouped.stream.clone(), aggregator }));
        Self { parts }
    }

    /// The table of what the streams' records of each key make together, kept in store `name` and written there by `codec`:
    /// `initializer` gives what a key begins with.
    ///
    /// A stream whose key was changed goes through a repartition topic named as the store, with a number from the second
    /// stream on. Records whose key or value is null are dropped and counted. A result's timestamp is the largest of its
    /// records'.
    pub fn aggregate(
        &self,
        name: &str,
        codec: impl Codec<A>,
        initializer: impl Fn() -> A + Send + Sync + 'static,
    ) -> KTable<K, A> {
        let value = SharedCodec::new(codec);
        let (graph, merged, index, key) = self.merge(name, &value, Arc::new(initializer), |_| Over::Keys);
        graph.borrow_mut().add_store(store(name, "cogroup", Some(merged), &key, &value));
        graph.borrow_mut().nodes[merged].stores.push(index);
        graph.borrow_mut().nodes[merged].old_values = OldValues::Store(index);
        let known = Known::Codec(key.clone());
        let stream = KStream { graph, node: merged, key: known, value: Known::Codec(value), rekeyed: false };
        KTable { stream, lookup: Lookup::in_store(index), key }
    }

    /// Puts the records into windows: each stream's are late by its own time.
    pub fn windowed_by<W: Windows>(&self, windows: W) -> W::Cogrouped<K, A> {
        windows.over_cogrouped(self.clone())
    }

    pub(crate) fn graph(&self) -> SharedGraph {
        self.parts[0].graph()
    }

    /// The windowed table of what the streams' records make together.
    pub(crate) fn windowed(
        &self,
        name: &str,
        value: SharedCodec<A>,
        initializer: Arc<dyn Fn() -> A + Send + Sync>,
        over: impl Fn(&SharedCodec<K>) -> Over<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let (graph, merged, index, key) = self.merge(name, &value, initializer, &over);
        rows_result(&graph, name, merged, index, &over(&key), value)
    }

    /// Adds the operators of all streams, and the node behind which they meet; the store is added by the caller.
    fn merge(
        &self,
        name: &str,
        value: &SharedCodec<A>,
        initial: Arc<dyn Fn() -> A + Send + Sync>,
        over: impl Fn(&SharedCodec<K>) -> Over<K, A>,
    ) -> (SharedGraph, NodeId, StoreIndex, SharedCodec<K>) {
        let title = format!("cogroup({name})");
        let graph = self.parts[0].graph();
        let mut parts = Vec::new();
        for (number, part) in self.parts.iter().enumerate() {
            if !Rc::ptr_eq(&graph, &part.graph()) {
                graph.borrow_mut().errors.push(TopologyError::Foreign { operator: title.clone() });
                continue;
            }
            let topic = if number == 0 { name.to_owned() } else { format!("{name}-{number}") };
            parts.push(part.partitioned(&title, &topic));
        }
        let key = parts[0].key(&title);
        for part in &parts {
            let (first, other) = (key.name.to_string(), part.key(&title));
            if other.id != key.id {
                let other = other.name.to_string();
                graph.borrow_mut().errors.push(TopologyError::CogroupKeys { operator: title.clone(), first, other });
            }
        }
        let index = graph.borrow().stores.len();
        // Known before it is there: the streams' operators come first.
        let merged = graph.borrow().nodes.len() + parts.len();
        let target = Target { index, key: key.clone(), value: value.clone(), initial, over: over(&key) };
        let inputs: Vec<NodeId> = parts.iter().map(|part| part.attach(name, merged, &target)).collect();
        let make = |_: &mut Assembly<'_>, _| unreachable!("the streams' operators pass results on by themselves");
        let node = graph.borrow_mut().add(name, "cogroup-merge", &inputs, Kind::Operator, Arc::new(make));
        debug_assert_eq!(node, merged, "nothing else is added between");
        graph.borrow_mut().nodes[merged].copartitioned = true;
        (graph, merged, index, key)
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Part<K, A> for Grouped<K, V, A> {
    fn graph(&self) -> SharedGraph {
        Rc::clone(&self.stream.graph)
    }

    fn partitioned(&self, operator: &str, repartition: &str) -> Rc<dyn Part<K, A>> {
        let stream = self.stream.partitioned(operator, repartition);
        Rc::new(Self { stream, aggregator: Arc::clone(&self.aggregator) })
    }

    fn key(&self, operator: &str) -> SharedCodec<K> {
        self.stream.need_key(operator)
    }

    fn attach(&self, name: &str, merged: NodeId, target: &Target<K, A>) -> NodeId {
        let Target { index, key, value, initial, over } = target.clone();
        let aggregator = Arc::clone(&self.aggregator);
        let Over::Keys = over else {
            return attach_rows(&self.stream, name, merged, target, aggregator);
        };
        let step = Arc::new(move |record: &Record<'_, K, V>, old: Option<A>| -> Result<Option<A>, ProcessError> {
            let Some(value) = record.value()? else { return Ok(old) };
            Ok(aggregator(record.key()?, value, old.unwrap_or_else(|| initial())))
        });
        let make = move |assembly: &mut Assembly<'_>, node| match assembly.materialize(merged, index, &key, &value) {
            Some(table) => {
                let (name, step) = (assembly.name(node), Arc::clone(&step));
                erase::<K, V>(Fold { name, table, look: Some(look), step, types: PhantomData })
            }
            None => unreachable!("the store of an aggregate is always needed"),
        };
        self.stream.graph.borrow_mut().add(name, "cogroup", &[self.stream.node], Kind::Operator, Arc::new(make))
    }
}

impl<K, A> Clone for CogroupedKStream<K, A> {
    fn clone(&self) -> Self {
        Self { parts: self.parts.clone() }
    }
}

impl<K, A> fmt::Debug for CogroupedKStream<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CogroupedKStream").field("streams", &self.parts.len()).finish()
    }
}
