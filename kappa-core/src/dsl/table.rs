//! The handle of a table, and the table of a topic.

mod filter;
mod foreign;
mod group_by;
mod join;
mod map_values;
mod materialized;
mod revision;
mod suppress;
mod suppress_entry;
mod to_stream;
mod transform_values;

pub use group_by::KGroupedTable;
pub use suppress::Suppressed;

use super::KStream;
use crate::codec::SharedCodec;
use crate::processor::{Cx, Dropped, Lookup, Materialized, Next, Receiver, Slot};
use crate::record::Record;
use crate::task::{ProcessError, TaskScope};
use crate::topology::{NodeId, OldValues, OpenAs, Store, StoreKind};
use kappa_state::{BufferOptions, BufferedStore, PrefixLen, StateError, StoreId};
use std::fmt;
use std::sync::Arc;

/// A table: the latest value of each key (Kafka Streams: `KTable`).
///
/// A handle, like [`KStream`]. Its changes are passed on when they are committed, each key's last one, or
/// every one at once where the stores' cache is set to 0 bytes.
#[must_use = "write the table with to() or to_view(), or join with it; `let _ =` keeps an aggregate for its store alone"]
pub struct KTable<K, V> {
    /// Its changes; a null value deletes.
    pub(crate) stream: KStream<K, V>,
    /// How its values are looked up.
    pub(crate) lookup: Lookup<K, V>,
    pub(crate) key: SharedCodec<K>,
}

impl<K: 'static, V: 'static> KTable<K, V> {
    /// The table's changes as a stream of records; deletions are null values.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8())
    ///     .group_by_key()
    ///     .count("counts")
    ///     .to_stream()
    ///     .filter(|_, count| *count > 1)
    ///     .to("repeated");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("a", "x", 1)?;
    /// input.pipe("a", "y", 2)?;
    /// assert_eq!(driver.output("repeated", utf8(), i64_be()).read_all()?, [("a".into(), Some(2), 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_stream(&self) -> KStream<K, V> {
        self.stream.clone()
    }
}

impl<K, V> Clone for KTable<K, V> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), lookup: self.lookup.clone(), key: self.key.clone() }
    }
}

impl<K, V> fmt::Debug for KTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KTable").field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// A store for values of one type, that `owner` writes.
pub(crate) fn store<K, V: Send + 'static>(
    name: &str,
    kind: &str,
    owner: Option<NodeId>,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
) -> Store {
    store_of(name, kind, owner, key, value, None)
}

/// As [`store`], of keys that are looked for by a prefix as well.
pub(super) fn prefixed_store<K, V: Send + 'static>(
    name: &str,
    kind: &str,
    owner: NodeId,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
    prefix_len: PrefixLen,
) -> Store {
    store_of(name, kind, Some(owner), key, value, Some(prefix_len))
}

fn store_of<K, V: Send + 'static>(
    name: &str,
    kind: &str,
    owner: Option<NodeId>,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
    prefix_len: Option<PrefixLen>,
) -> Store {
    let shape = format!("{kind} {} {}", key.name, value.name);
    let codec = Arc::clone(&value.codec);
    let open = move |scope: &TaskScope<'_>, id: StoreId, open_as: OpenAs| -> Result<Box<dyn Slot>, StateError> {
        let options = BufferOptions {
            tail_bound: scope.tail_bound,
            cache_bytes: scope.cache_bytes_per_store,
            keep_old: open_as.keep_old,
        };
        let behind = scope.state.open(&id)?;
        let store = BufferedStore::open(id, behind, Arc::clone(&codec), options)?;
        Ok(Box::new(match prefix_len {
            Some(prefix_len) => store.with_prefixes(prefix_len),
            None => store,
        }))
    };
    Store {
        name: name.to_owned(),
        shape,
        owner,
        needed: true,
        table_of: None,
        kind: StoreKind::KeyValue,
        open: Arc::new(open),
        flush: None,
        from_topic: None,
    }
}

/// The table of a topic, from its stream; one table for all that read it.
pub(crate) fn table<K: 'static, V: Clone + Send + 'static>(stream: &KStream<K, V>, name: &str) -> KTable<K, V> {
    let known = stream.graph.borrow().stores.iter().position(|store| store.table_of == Some(stream.node));
    let Some(index) = known else {
        let table = made_of(stream, "table", name);
        let mut graph = stream.graph.borrow_mut();
        if let Some(store) = graph.stores.iter_mut().find(|store| store.owner == Some(table.stream.node)) {
            store.table_of = Some(stream.node);
        }
        drop(graph);
        return table;
    };
    let key = stream.need_key("table");
    let owner = stream.graph.borrow().stores[index].owner.unwrap_or(stream.node);
    KTable { stream: stream.same(owner), lookup: Lookup::in_store(index), key }
}

/// The table that a stream's records are the changes of, kept in store `name` where something needs it.
pub(crate) fn made_of<K: 'static, V: Clone + Send + 'static>(
    stream: &KStream<K, V>,
    operator: &str,
    name: &str,
) -> KTable<K, V> {
    let title = format!("{operator}({name})");
    let (key, value) = (stream.need_key(&title), stream.need_value(&title));
    let index = stream.graph.borrow().stores.len();
    let (node_key, node_value) = (key.clone(), value.clone());
    let node = stream.operator_of(name, operator, move |assembly, node| TableSource {
        key: node_key.clone(),
        value: node_value.clone(),
        materialized: assembly.materialize(node, index, &node_key, &node_value),
        name: assembly.name(node),
        next: assembly.next_unless_stored(node, index),
    });
    let store = Store { needed: false, table_of: Some(node), ..store(name, operator, Some(node), &key, &value) };
    let mut graph = stream.graph.borrow_mut();
    graph.add_store(store);
    graph.nodes[node].stores.push(index);
    graph.nodes[node].old_values = OldValues::Store(index);
    drop(graph);
    KTable { stream: stream.same(node), lookup: Lookup::in_store(index), key }
}

/// Keeps the latest value of each key (Kafka Streams: `KTableSource`).
struct TableSource<K, V> {
    name: Arc<str>,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    materialized: Option<Materialized<K, V>>,
    /// What follows, where there is no store.
    next: Next<K, V>,
}

impl<K: 'static, V: Clone + Send + 'static> Receiver<K, V> for TableSource<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        // What is written as null deletes.
        let value = record.value()?.filter(|value| !self.value.codec.is_null(value));
        let (materialized, next) = (&self.materialized, &mut self.next);
        let done = cx.with_key(&self.name, record.key, &self.key, |key, cx| {
            let Some(table) = materialized else {
                let Record { key, timestamp_ms, headers, .. } = *record;
                return next
                    .receive(&Record::new(key, record.value.filter(|_| value.is_some()), timestamp_ms, headers), cx);
            };
            cx.store::<V>(table.slot).put(key, value.cloned(), record.timestamp_ms)?;
            table.changed(key, record, record.timestamp_ms, cx)
        })?;
        if done.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }
}
