//! Global tables, and joins with them.

use super::KStream;
use crate::codec::SharedCodec;
use crate::processor::{Cx, Dropped, GlobalHandle, Next, Receiver, unencodable};
use crate::record::{Lazy, Record};
use crate::task::{GlobalTable, ProcessError};
use crate::topology::{Global, SharedGraph, TopologyError};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

/// A table that every process has all of (Kafka Streams: `GlobalKTable`): made by
/// [`TopologyBuilder::global_table`](crate::topology::TopologyBuilder::global_table), joined with by any key that a
/// record gives, and read by processors.
#[must_use = "join streams with it, or read it in processors: join_global(), left_join_global(), handle()"]
pub struct GlobalKTable<K, V> {
    graph: SharedGraph,
    index: usize,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> GlobalKTable<K, V> {
    /// The global table of a topic; one for all that read it.
    pub(crate) fn new(graph: &SharedGraph, topic: &str, key: SharedCodec<K>, value: SharedCodec<V>) -> Self {
        let mut nodes = graph.borrow_mut();
        nodes.check_name("topic", topic);
        let known = nodes.globals.iter().position(|global| global.topic == topic);
        let index = known.unwrap_or(nodes.globals.len());
        match known {
            Some(known) => {
                if nodes.globals[known].update.is_some() {
                    nodes.errors.push(TopologyError::GlobalTopic { topic: topic.to_owned() });
                }
                let Global { key: first_key, value: first_value, .. } = nodes.globals[known].clone();
                for (part, first, second) in [("key", first_key, key.form()), ("value", first_value, value.form())] {
                    if first != second {
                        let (topic, first, second) =
                            (topic.to_owned(), first.name.to_string(), second.name.to_string());
                        nodes.errors.push(TopologyError::SourceCodecs { topic, part, first, second });
                    }
                }
            }
            None => {
                let (key_codec, value_codec) = (Arc::clone(&key.codec), Arc::clone(&value.codec));
                nodes.globals.push(Global {
                    name: topic.to_owned(),
                    topic: topic.to_owned(),
                    key: key.form(),
                    value: value.form(),
                    check: Arc::new(move |key, value| {
                        let unusable = |part| move |error: crate::codec::CodecError| (part, error.reason);
                        key_codec.check(key).map_err(unusable("key"))?;
                        value.map_or(Ok(()), |value| value_codec.check(value).map_err(unusable("value")))
                    }),
                    update: None,
                });
            }
        }
        drop(nodes);
        Self { graph: Rc::clone(graph), index, key, value }
    }

    /// Names its store, which is named as its topic otherwise (Kafka Streams: `Materialized.as`).
    pub fn materialized(&self, name: &str) -> Self {
        let mut graph = self.graph.borrow_mut();
        graph.check_name("store", name);
        let taken = graph.globals.iter().enumerate().any(|(index, global)| index != self.index && global.name == name);
        if taken || graph.stores.iter().any(|store| store.name == name) {
            graph.errors.push(TopologyError::DuplicateName { what: "store", name: name.to_owned() });
        }
        graph.globals[self.index].name = name.to_owned();
        drop(graph);
        self.clone()
    }

    /// What processors read the table by: move it into them. They need not be connected to it, and can't write it.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{GlobalHandle, ValueContext, ValueProcessor};
    ///
    /// /// What an order costs by the prices of the moment.
    /// struct Price(GlobalHandle<String, i64>);
    ///
    /// impl ValueProcessor<String, String> for Price {
    ///     type Value = i64;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, String>,
    ///         cx: &mut ValueContext<'_, '_, '_, String, i64>,
    ///     ) -> Result<(), ProcessError> {
    ///         let Some(items) = record.value()? else { return Ok(()) };
    ///         let mut prices = cx.global_store(&self.0)?;
    ///         let mut total = 0;
    ///         for item in items.split(' ') {
    ///             total += prices.get(&item.to_owned())?.unwrap_or(0);
    ///         }
    ///         cx.forward(total)
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let prices = app.global_table("prices", utf8(), i64_be()).handle();
    /// app.stream("orders", utf8(), utf8())
    ///     .process_values("price", &[], move || Price(prices.clone()))
    ///     .with_value_codec(i64_be())
    ///     .to("totals");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let prices = driver.input("prices", utf8(), i64_be());
    /// prices.pipe("tea", 3, 1)?;
    /// prices.pipe("cake", 4, 1)?;
    /// driver.input("orders", utf8(), utf8()).pipe("ann", "tea cake tea", 2)?;
    /// assert_eq!(driver.output("totals", utf8(), i64_be()).read_values()?, [Some(10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle(&self) -> GlobalHandle<K, V> {
        let topic = Arc::from(self.graph.borrow().globals[self.index].topic.as_str());
        GlobalHandle { index: self.index, topic, key: self.key.clone(), value: self.value.clone() }
    }
}

impl<K, V> Clone for GlobalKTable<K, V> {
    fn clone(&self) -> Self {
        let (key, value) = (self.key.clone(), self.value.clone());
        Self { graph: Rc::clone(&self.graph), index: self.index, key, value }
    }
}

impl<K, V> fmt::Debug for GlobalKTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GlobalKTable").field(&self.graph.borrow().globals[self.index].name).finish()
    }
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Joins each record with the row of a global table whose key `key` finds in it; records without one, or without
    /// a match, are dropped. Nothing is repartitioned, and the record's own key stays. Only the stream triggers
    /// results; they have its timestamp.
    ///
    /// The table is not read in the order of the records' timestamps: it holds what has arrived. Records whose value
    /// is null, or for which `key` gives `None`, are dropped and counted.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let airports = app.global_table("airports", utf8(), utf8());
    /// app.stream("flights", utf8(), utf8())
    ///     .join_global(&airports, |_, origin| Some(origin.clone()), |_, airport| format!("from {airport}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("airports", utf8(), utf8()).pipe("PRG", "Praha", 20)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 10)?;
    /// let out = driver.output("out", utf8(), utf8()).read_all()?;
    /// assert_eq!(out, [("OK1".into(), Some("from Praha".into()), 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_global<K2: 'static, T: Send + 'static, V2: 'static>(
        &self,
        table: &GlobalKTable<K2, T>,
        key: impl Fn(&K, &V) -> Option<K2> + Send + Sync + 'static,
        joiner: impl Fn(&V, &T) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        let joiner = move |value: &V, found: Option<&T>| found.map(|found| joiner(value, found));
        self.global("join_global", table, key, joiner, false)
    }

    /// As [`KStream::join_global`], but a record without a match is joined with `None`, and so is one for which `key`
    /// gives `None`.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let airports = app.global_table("airports", utf8(), utf8());
    /// app.stream("flights", utf8(), utf8())
    ///     .left_join_global(
    ///         &airports,
    ///         |_, origin| Some(origin.clone()),
    ///         |origin, airport| airport.unwrap_or(origin).clone(),
    ///     )
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 10)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("PRG".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn left_join_global<K2: 'static, T: Send + 'static, V2: 'static>(
        &self,
        table: &GlobalKTable<K2, T>,
        key: impl Fn(&K, &V) -> Option<K2> + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&T>) -> V2 + Send + Sync + 'static,
    ) -> KStream<K, V2> {
        self.global("left_join_global", table, key, move |value, found: Option<&T>| Some(joiner(value, found)), true)
    }

    fn global<K2: 'static, T: Send + 'static, V2: 'static>(
        &self,
        operator: &str,
        table: &GlobalKTable<K2, T>,
        key: impl Fn(&K, &V) -> Option<K2> + Send + Sync + 'static,
        joiner: impl Fn(&V, Option<&T>) -> Option<V2> + Send + Sync + 'static,
        left: bool,
    ) -> KStream<K, V2> {
        if !Rc::ptr_eq(&self.graph, &table.graph) {
            let operator = format!("{}.{operator}", self.base());
            self.graph.borrow_mut().errors.push(TopologyError::Foreign { operator });
        }
        let (mapper, joiner) = (Arc::new(key), Arc::new(joiner));
        let GlobalKTable { index, key, value, .. } = table.clone();
        let node = self.operator(operator, move |assembly, node| Join {
            name: assembly.name(node),
            table: Reader::new(assembly.global(index), value.clone()),
            key: key.clone(),
            mapper: Arc::clone(&mapper),
            joiner: Arc::clone(&joiner),
            left,
            next: assembly.next(node),
            types: PhantomData,
        });
        self.new_values(node)
    }
}

struct Join<K, V, K2, T, V2, M, F> {
    name: Arc<str>,
    table: Reader<T>,
    key: SharedCodec<K2>,
    mapper: Arc<M>,
    joiner: Arc<F>,
    left: bool,
    next: Next<K, V2>,
    types: PhantomData<fn(V)>,
}

impl<K: 'static, V: 'static, K2: 'static, T: Send + 'static, V2: 'static, M, F> Receiver<K, V>
    for Join<K, V, K2, T, V2, M, F>
where
    M: Fn(&K, &V) -> Option<K2> + Send + Sync,
    F: Fn(&V, Option<&T>) -> Option<V2> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(value) = record.value()? else { return cx.drop_record(Dropped::NullValue) };
        let mut bytes = Vec::new();
        let keyed = match (self.mapper)(record.key()?, value) {
            Some(key) => {
                let written = Lazy::ready(key).write(&self.key, &mut bytes);
                written.map_err(|error| unencodable(&self.name, "key", &error))?
            }
            None => false,
        };
        let found = match keyed {
            true => self.table.get(&bytes)?,
            false if self.left => None,
            false => return cx.drop_record(Dropped::NullKey),
        };
        let Some(joined) = (self.joiner)(value, found) else { return Ok(()) };
        let Record { key, timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(key, Some(&Lazy::ready(joined)), timestamp_ms, headers), cx)
    }
}

/// Rows that a reader keeps decoded at most.
const KEPT_ROWS: usize = 16 * 1024;

/// Looks rows up. What it has found it keeps decoded as long as the table does not change: then no look-up takes the
/// table's lock.
struct Reader<T> {
    table: Arc<GlobalTable>,
    value: SharedCodec<T>,
    version: u64,
    known: HashMap<Box<[u8]>, Option<T>>,
    bytes: Vec<u8>,
}

impl<T: 'static> Reader<T> {
    fn new(table: Arc<GlobalTable>, value: SharedCodec<T>) -> Self {
        Self { table, value, version: 0, known: HashMap::new(), bytes: Vec::new() }
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<&T>, ProcessError> {
        // Read before the row: a change in between is found out at the next look-up.
        let version = self.table.version();
        if version != self.version || self.known.len() >= KEPT_ROWS {
            self.known.clear();
            self.version = version;
        }
        if !self.known.contains_key(key) {
            self.bytes.clear();
            let row = match self.table.get(key, &mut self.bytes)? {
                Some(_) => Some(self.value.codec.decode(&self.bytes).map_err(|error| ProcessError::Operator {
                    operator: format!("global table {}", self.table.name()),
                    reason: error.reason,
                })?),
                None => None,
            };
            self.known.insert(key.into(), row);
        }
        Ok(self.known.get(key).and_then(Option::as_ref))
    }
}
