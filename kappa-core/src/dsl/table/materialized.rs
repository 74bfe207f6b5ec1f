//! Keeps a table in a store of a given name.

use super::{KTable, store};
use crate::codec::{Codec, SharedCodec};
use crate::dsl::Known;
use crate::processor::{Cx, Dropped, Lookup, Materialized, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{Kind, OldValues, StoreIndex, TopologyError, erase};
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: 'static> KTable<K, V> {
    /// Says how values are written from here on. Needed after operators that make new values, where a store or a
    /// topic follows.
    pub fn with_value_codec(&self, value: impl Codec<V>) -> Self {
        let stream = self.stream.with_value_codec(value);
        Self { stream, lookup: self.lookup.clone(), key: self.key.clone() }
    }
}

impl<K: 'static, V: Clone + Send + 'static> KTable<K, V> {
    /// Keeps the table in a store named `name` (Kafka Streams: `Materialized.as`): rows are looked up there, not
    /// computed anew at each reading, and the store can be queried.
    ///
    /// A topic's table has its store from the start, kept where something needs it; here it is given a name and kept
    /// in any case. Aggregates have named stores already.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("delays", utf8(), i64_be()).filter(|_, minutes| *minutes > 0).materialized("late").to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("delays", utf8(), i64_be()).pipe("OK1", 25, 10)?;
    /// assert_eq!(driver.store("late", utf8(), i64_be()).get("OK1")?, Some(25));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn materialized(&self, name: &str) -> Self {
        let own = self.stream.graph.borrow().stores.iter().position(|store| store.owner == Some(self.stream.node));
        match own {
            Some(store) => self.named(store, name),
            None => self.kept(name),
        }
        .terminal()
    }

    /// It has a store: this is its name.
    fn named(&self, index: StoreIndex, name: &str) -> Self {
        let mut graph = self.stream.graph.borrow_mut();
        let base = &graph.nodes[self.stream.node].base;
        let (free, known) = (graph.stores[index].table_of.is_some(), graph.stores[index].name.clone());
        if known != name && (!free || known != *base) {
            let table = graph.nodes[self.stream.node].name.clone();
            graph.errors.push(TopologyError::AlreadyStored { table, store: known, name: name.to_owned() });
        } else if known != name {
            graph.check_name("store", name);
            if graph.stores.iter().any(|store| store.name == name) {
                graph.errors.push(TopologyError::DuplicateName { what: "store", name: name.to_owned() });
            }
            graph.stores[index].name = name.to_owned();
        }
        graph.stores[index].needed = true;
        drop(graph);
        self.clone()
    }

    /// It has none: one is kept behind it.
    fn kept(&self, name: &str) -> Self {
        let value = self.stream.need_value(&format!("materialized({name})"));
        let (key, graph, of) = (self.key.clone(), Rc::clone(&self.stream.graph), self.stream.node);
        let index = graph.borrow().stores.len();
        let leaves_out = graph.borrow().nodes[self.stream.node].leaves_out;
        let joined = graph.borrow().nodes[self.stream.node].old_values == OldValues::Joined;
        let (node_key, node_value) = (key.clone(), value.clone());
        let make = move |assembly: &mut crate::topology::Assembly<'_>, node| match assembly.materialize(
            node,
            index,
            &node_key,
            &node_value,
        ) {
            Some(table) => erase::<K, V>(Keep {
                name: assembly.name(node),
                silent: leaves_out && (table.sends_old || assembly.sends_old(of)),
                table,
                joined,
            }),
            None => unreachable!("a store that was asked for by name is always needed"),
        };
        let mut nodes = graph.borrow_mut();
        let node = nodes.add(name, "materialized", &[self.stream.node], Kind::Operator, Arc::new(make));
        nodes.add_store(store(name, "materialized", Some(node), &key, &value));
        nodes.nodes[node].stores.push(index);
        nodes.nodes[node].old_values = if joined { OldValues::KeptJoin(index) } else { OldValues::Store(index) };
        nodes.nodes[node].leaves_out = leaves_out;
        drop(nodes);
        let stream = self.stream.same(node);
        let stream = crate::dsl::KStream { value: Known::Codec(value), ..stream };
        Self { stream, lookup: Lookup::in_store(index), key }
    }

    /// A store is use enough.
    fn terminal(self) -> Self {
        self.stream.graph.borrow_mut().nodes[self.stream.node].terminal = true;
        self
    }
}

/// Puts what comes into a store.
struct Keep<K, V> {
    name: Arc<str>,
    table: Materialized<K, V>,
    /// What comes is a filter's, and a change from nothing to nothing is not passed on.
    silent: bool,
    /// What comes is a join's, with the old value that Kafka Streams passes on as it is.
    joined: bool,
}

impl<K: 'static, V: Clone + Send + 'static> Receiver<K, V> for Keep<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let value = record.value()?;
        let Self { name, table, silent, joined } = self;
        let codec: &SharedCodec<K> = &table.key;
        let kept = cx.with_key(name, record.key, codec, |key, cx| {
            let store = cx.store::<V>(table.slot);
            if *silent && value.is_none() && store.get(key)?.is_none() {
                return Ok(());
            }
            store.put(key, value.cloned(), record.timestamp_ms)?;
            if *joined && cx.state.at_once {
                let Some(next) = &table.next else { return Ok(()) };
                let Record { key, value, timestamp_ms, headers, .. } = *record;
                let old = record.old.filter(|_| table.sends_old);
                return next.send(&Record { old, ..Record::new(key, value, timestamp_ms, headers) }, cx);
            }
            table.changed(key, record, record.timestamp_ms, cx)
        })?;
        if kept.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }
}
