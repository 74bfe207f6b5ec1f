//! Keeps the versions of a table's rows.

use super::{KStream, KTable, store};
use crate::codec::SharedCodec;
use crate::processor::{
    Cx, Dropped, Getter, Lookup, Next, Receiver, Slot, VersionedGetter, VersionedHandle, unencodable,
};
use crate::record::{Lazy, Record};
use crate::task::{ProcessError, TaskScope};
use crate::topology::{Assembly, NodeId, OldValues, OpenAs, SharedGraph, Store, StoreKind, TopologyError};
use kappa_state::{BufferOptions, Put, StateError, StoreId, VersionedOptions, VersionedStore};
use std::sync::Arc;

impl<K: 'static, V: Send + 'static> KTable<K, V> {
    /// Keeps the versions of this table's rows, each with the time in which it is valid, in store `name`: for `history_ms`
    /// after a version has ended. A stream that is joined with it finds the version that was valid at the time of its own
    /// record, whichever of the two comes first (Kafka Streams: a versioned state store).
    ///
    /// A row that comes out of order goes where it belongs by its timestamp, and does not replace newer ones; one that is older
    /// than `history_ms` is dropped and counted. Joins of tables and aggregates behind it ignore what is not the latest.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let prices = app.table("prices", utf8(), utf8()).versioned("price-versions", 60_000);
    /// app.stream("orders", utf8(), utf8())
    ///     .join(&prices, |order, price| format!("{order} for {price}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let prices = driver.input("prices", utf8(), utf8());
    /// prices.pipe("tea", "3", 1_000)?;
    /// prices.pipe("tea", "4", 5_000)?;
    /// driver.input("orders", utf8(), utf8()).pipe("tea", "two bags", 4_999)?;
    /// let out = driver.output("out", utf8(), utf8()).read_all()?;
    /// assert_eq!(out, [("tea".into(), Some("two bags for 3".into()), 4_999)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn versioned(&self, name: &str, history_ms: i64) -> KTable<K, V> {
        self.versioned_with(name, history_ms, None)
    }

    /// As [`versioned`](Self::versioned), with the length of the store's segments: history is dropped by segments (Kafka
    /// Streams: `segmentInterval`).
    pub fn versioned_in_segments(&self, name: &str, history_ms: i64, segment_ms: i64) -> KTable<K, V> {
        self.versioned_with(name, history_ms, Some(segment_ms))
    }

    fn versioned_with(&self, name: &str, history_ms: i64, segment_ms: Option<i64>) -> KTable<K, V> {
        let stream = &self.stream;
        let value = stream.need_value(&format!("versioned({name})"));
        let graph = &stream.graph;
        let index = graph.borrow().stores.len();
        let (node_key, node_value) = (self.key.clone(), value.clone());
        let node = stream.operator_of(name, "versioned", move |assembly, node| {
            assembly.log_changes::<VersionedStore<V>>(node, index);
            Versioned {
                name: assembly.name(node),
                slot: assembly.slot(index).unwrap_or(usize::MAX),
                changelog: assembly.changelog(index),
                key: node_key.clone(),
                value: node_value.clone(),
                sends_old: assembly.sends_old(node),
                next: assembly.next(node),
            }
        });
        add_store(graph, name, Some(node), &self.key, &value, (history_ms, segment_ms));
        let mut graph = graph.borrow_mut();
        graph.nodes[node].stores.push(index);
        graph.nodes[node].old_values = OldValues::Store(index);
        graph.request_every_change(stream.node);
        drop(graph);
        let make = move |assembly: &Assembly<'_>| -> Box<dyn Getter<K, V>> {
            Box::new(VersionedGetter { slot: assembly.slot(index).unwrap_or(usize::MAX) })
        };
        let lookup = Lookup { stores: vec![index], history_ms: Some(history_ms), make: Arc::new(make) };
        KTable { stream: KStream { node, ..stream.clone() }, lookup, key: self.key.clone() }
    }
}

/// A versioned store for processors.
pub(crate) fn versioned_processor_store<K: 'static, V: Send + 'static>(
    graph: &SharedGraph,
    name: &str,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    history: (i64, Option<i64>),
) -> VersionedHandle<K, V> {
    let index = add_store(graph, name, None, &key, &value, history);
    let flush = Arc::new(|assembly: &mut Assembly<'_>, index| {
        let order = assembly.after_all(index);
        assembly.log_changes::<VersionedStore<V>>(order, index);
    });
    let mut graph = graph.borrow_mut();
    let store = &mut graph.stores[index];
    store.needed = false;
    store.flush = Some(flush);
    VersionedHandle::new(index, name, key)
}

fn add_store<K: 'static, V: Send + 'static>(
    graph: &SharedGraph,
    name: &str,
    owner: Option<NodeId>,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
    (history_ms, segment_ms): (i64, Option<i64>),
) -> usize {
    if history_ms < 0 || segment_ms.is_some_and(|segment_ms| segment_ms < 1) {
        let reason = "a history is 0 ms or longer, a segment of it 1 ms or longer".to_owned();
        graph.borrow_mut().errors.push(TopologyError::BadTime { operator: format!("versioned({name})"), reason });
    }
    let codec = Arc::clone(&value.codec);
    let open = move |scope: &TaskScope<'_>, id: StoreId, _: OpenAs| -> Result<Box<dyn Slot>, StateError> {
        let cache_bytes = scope.cache_bytes_per_store;
        let buffer = BufferOptions { tail_bound: scope.tail_bound, cache_bytes, keep_old: false };
        let options = VersionedOptions::of_history(history_ms, buffer);
        let options = VersionedOptions { segment_ms: segment_ms.unwrap_or(options.segment_ms), ..options };
        let behind = scope.state.open(&id)?;
        Ok(Box::new(VersionedStore::open(id, behind, Arc::clone(&codec), options)?))
    };
    let plain = store(name, "versioned", owner, key, value);
    let shape = format!("{} {history_ms}", plain.shape);
    let store = Store { shape, kind: StoreKind::Versioned { history_ms }, open: Arc::new(open), ..plain };
    graph.borrow_mut().add_store(store)
}

/// Puts a table's changes into a versioned store and passes them on at once (Kafka Streams: `KTableSource` on a versioned store).
struct Versioned<K, V> {
    name: Arc<str>,
    slot: usize,
    changelog: usize,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    sends_old: bool,
    next: Next<K, V>,
}

impl<K: 'static, V: Send + 'static> Versioned<K, V> {
    fn put(&mut self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let mut bytes = Vec::new();
        let encoded = record.value.map(|value| value.write(&self.value, &mut bytes)).transpose();
        let present = encoded.map_err(|error| unencodable(&self.name, "value", &error))? == Some(true);
        let (store, out) = cx.typed::<VersionedStore<V>>(self.slot);
        let old = if self.sends_old { store.get_encoded(key)?.map(<[u8]>::to_vec) } else { None };
        let put = store.put_encoded(key, present.then_some(&bytes), record.timestamp_ms)?;
        if store.over_cache() {
            store.stage(|key, value, timestamp_ms| {
                out.log(self.changelog, timestamp_ms, key, value);
                Ok::<_, ProcessError>(())
            })?;
        }
        if put == Put::TooLate {
            return cx.drop_record(Dropped::Expired);
        }
        let old = old.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
        let value = record.value.filter(|_| present);
        self.next.receive(&Record { value, old: old.as_ref(), latest: put == Put::Latest, ..*record }, cx)
    }
}

impl<K: 'static, V: Send + 'static> Receiver<K, V> for Versioned<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (name, codec) = (Arc::clone(&self.name), self.key.clone());
        let put = cx.with_key(&name, record.key, &codec, |key, cx| self.put(key, record, cx))?;
        if put.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }
}
