//! Makes new values with state of its own.

use super::KTable;
use crate::processor::{
    ConnectedStore, Cx, Found, Getter, Links, Next, Receiver, TransformContext, ValueTransformer, Wanted,
};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::OldValues;
use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;

impl<K: 'static, V: Clone + Send + 'static> KTable<K, V> {
    /// Makes a new value of each row with a transformer, which can look into stores and is asked about deleted rows
    /// too (Kafka Streams: `transformValues`). `name` is for messages; `stores` are those it looks into; `supplier`
    /// makes one transformer for each task, and one for each operator downstream that looks values up.
    ///
    /// Where the result is not [`materialized`](KTable::materialized), a look-up asks a transformer anew, so it must
    /// give the same answer each time.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{TransformContext, ValueTransformer};
    ///
    /// struct Describe;
    ///
    /// impl ValueTransformer<String, String> for Describe {
    ///     type Value = String;
    ///
    ///     fn transform(
    ///         &mut self,
    ///         key: &String,
    ///         value: Option<&String>,
    ///         _cx: &mut TransformContext<'_, '_>,
    ///     ) -> Result<Option<String>, ProcessError> {
    ///         Ok(Some(format!("{key} is {}", value.map_or("gone", String::as_str))))
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// app.table("cities", utf8(), utf8())
    ///     .transform_values("describe", &[], || Describe)
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let cities = driver.input("cities", utf8(), utf8());
    /// cities.pipe("PRG", "Praha", 5)?;
    /// cities.pipe_null("PRG", 6)?;
    /// let out = driver.output("out", utf8(), utf8()).read_values()?;
    /// assert_eq!(out, [Some("PRG is Praha".into()), Some("PRG is gone".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn transform_values<T: ValueTransformer<K, V>>(
        &self,
        name: &str,
        stores: &[&dyn ConnectedStore],
        supplier: impl Fn() -> T + Send + Sync + 'static,
    ) -> KTable<K, T::Value> {
        let supplier = Arc::new(supplier);
        let reading = Arc::clone(&supplier);
        let connected: Vec<usize> = stores.iter().map(|store| store.index()).collect();
        let looked_into = connected.clone();
        let node = self.stream.operator_of(name, "transform_values", move |assembly, node| TransformValues {
            own: Own::new(Arc::clone(&supplier), assembly.links(node, &connected)),
            sends_old: assembly.sends_old(node),
            next: assembly.next(node),
            types: PhantomData,
        });
        let mut graph = self.stream.graph.borrow_mut();
        graph.check_name("transformer", name);
        graph.nodes[node].old_values = OldValues::Inputs;
        stores.iter().for_each(|handle| graph.connect_by(node, *handle, &format!("transform_values({name})")));
        drop(graph);
        let mut lookup = self.lookup.computed(move |table, assembly| TransformGetter {
            table,
            own: RefCell::new(Own::new(Arc::clone(&reading), assembly.links(node, &looked_into))),
        });
        lookup.stores.extend(stores.iter().map(|store| store.index()));
        KTable { stream: self.stream.new_values(node), lookup, key: self.key.clone() }
    }
}

/// A transformer, made anew after an abort: what it keeps in memory goes with a transaction.
struct Own<T, S> {
    transformer: T,
    supplier: Arc<S>,
    aborts: u32,
    links: Links,
}

impl<T, S: Fn() -> T> Own<T, S> {
    fn new(supplier: Arc<S>, links: Links) -> Self {
        Self { transformer: supplier(), supplier, aborts: 0, links }
    }

    fn transform<K, V>(
        &mut self,
        key: &K,
        value: Option<&V>,
        timestamp_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<Option<T::Value>, ProcessError>
    where
        T: ValueTransformer<K, V>,
    {
        if self.aborts != cx.state.aborts {
            self.aborts = cx.state.aborts;
            self.transformer = (self.supplier)();
        }
        self.transformer.transform(key, value, &mut TransformContext::new(cx, &self.links, timestamp_ms))
    }
}

/// Kafka Streams: `KTableTransformValues`.
struct TransformValues<K, V, T: ValueTransformer<K, V>, S> {
    own: Own<T, S>,
    sends_old: bool,
    next: Next<K, T::Value>,
    types: PhantomData<fn(V)>,
}

impl<K: 'static, V: 'static, T, S> Receiver<K, V> for TransformValues<K, V, T, S>
where
    T: ValueTransformer<K, V>,
    S: Fn() -> T + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Record { key, timestamp_ms, headers, latest, .. } = *record;
        let value = self.own.transform(record.key()?, record.value()?, timestamp_ms, cx)?.map(Lazy::ready);
        let old = match self.sends_old {
            true => self.own.transform(record.key()?, record.old()?, timestamp_ms, cx)?.map(Lazy::ready),
            false => None,
        };
        let record = Record::new(key, value.as_ref(), timestamp_ms, headers);
        self.next.receive(&Record { old: old.as_ref(), latest, ..record }, cx)
    }
}

struct TransformGetter<K, V, T, S> {
    table: Box<dyn Getter<K, V>>,
    own: RefCell<Own<T, S>>,
}

/// The timestamp of a value that was made of nothing.
const UNKNOWN: i64 = -1;

impl<K: 'static, V: Clone + 'static, T, S> Getter<K, T::Value> for TransformGetter<K, V, T, S>
where
    T: ValueTransformer<K, V>,
    S: Fn() -> T + Send + Sync,
{
    fn get(
        &self,
        wanted: Wanted<'_, '_, K>,
        cx: &mut Cx<'_>,
        with: &mut Found<'_, T::Value>,
    ) -> Result<(), ProcessError> {
        let mut row = None;
        self.table.get(wanted, cx, &mut |found| {
            row = found.map(|(value, at_ms)| (value.clone(), at_ms));
            Ok(())
        })?;
        let at_ms = row.as_ref().map_or(UNKNOWN, |(_, at_ms)| *at_ms);
        let value = row.as_ref().map(|(value, _)| value);
        let made = self.own.borrow_mut().transform(wanted.key()?, value, at_ms, cx)?;
        with(made.as_ref().map(|value| (value, at_ms)))
    }
}
