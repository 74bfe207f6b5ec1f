//! Folds the records of each key into one value.

use super::{KGroupedStream, KStream, KTable, Known, store};
use crate::codec::{Codec, CodecId, SharedCodec};
use crate::processor::{Cx, Dropped, Lookup, Materialized, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{Assembly, Kind, OldValues, erase};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: 'static> KGroupedStream<K, V> {
    /// Folds the records of each key into one value, kept in store `name` and written there by `codec`:
    /// `initializer` gives what a key begins with, `aggregator` takes a record in. An aggregator may give
    /// back the value, or an `Option` of it: `None` deletes the key, which then begins anew.
    ///
    /// Records whose key or value is null are dropped and counted. A result's timestamp is the largest of
    /// its records'.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be())
    ///     .group_by_key()
    ///     .aggregate("total-delay", i64_be(), || 0, |_, minutes, total| total + minutes)
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", 30, 100)?;
    /// delays.pipe("OK1", 12, 90)?;
    /// let out = driver.output("out", utf8(), i64_be()).read_all()?;
    /// assert_eq!(out, [("OK1".into(), Some(30), 100), ("OK1".into(), Some(42), 100)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Send + 'static, R: Into<Option<A>>>(
        &self,
        name: &str,
        codec: impl Codec<A>,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, &V, A) -> R + Send + Sync + 'static,
    ) -> KTable<K, A> {
        let step = move |record: &Record<'_, K, V>, old: Option<A>| {
            let Some(value) = record.value()? else { return Ok(old) };
            Ok(aggregator(record.key()?, value, old.unwrap_or_else(&initializer)).into())
        };
        self.fold(name, "aggregate", SharedCodec::new(codec), Some(look), step)
    }

    /// The table that `step` makes of the records; `look` decodes what `step` will look at; `None` where
    /// it looks at no value.
    pub(crate) fn fold<A: Send + 'static>(
        &self,
        name: &str,
        operator: &str,
        value: SharedCodec<A>,
        look: Option<Look<K, V>>,
        step: impl Fn(&Record<'_, K, V>, Option<A>) -> Result<Option<A>, ProcessError> + Send + Sync + 'static,
    ) -> KTable<K, A> {
        let title = format!("{operator}({name})");
        let input = self.stream.partitioned(&title, name);
        let key = input.need_key(&title);
        let graph = Rc::clone(&input.graph);
        let index = graph.borrow().stores.len();
        let step = Arc::new(step);
        let (node_key, node_value) = (key.clone(), value.clone());
        let make =
            move |assembly: &mut Assembly<'_>, node| match assembly.materialize(node, index, &node_key, &node_value) {
                Some(table) => erase::<K, V>(Fold {
                    name: assembly.name(node),
                    table,
                    look,
                    step: Arc::clone(&step),
                    types: PhantomData,
                }),
                None => unreachable!("the store of an aggregate is always needed"),
            };
        let node = graph.borrow_mut().add(name, operator, &[input.node], Kind::Operator, Arc::new(make));
        graph.borrow_mut().add_store(store(name, operator, Some(node), &key, &value));
        graph.borrow_mut().nodes[node].stores.push(index);
        graph.borrow_mut().nodes[node].old_values = OldValues::Store(index);
        let stream =
            KStream { graph, node, key: Known::Codec(key.clone()), value: Known::Codec(value), rekeyed: false };
        KTable { stream, lookup: Lookup::in_store(index), key }
    }
}

/// Decodes a part of a record before anything is done for it.
pub(crate) type Look<K, V> = fn(&Record<'_, K, V>) -> Result<(), ProcessError>;

/// For steps that look at key and value.
pub(crate) fn look<K: 'static, V: 'static>(record: &Record<'_, K, V>) -> Result<(), ProcessError> {
    record.key()?;
    record.value().map(|_| ())
}

pub(crate) struct Fold<K, V, A, S> {
    pub(crate) name: Arc<str>,
    pub(crate) table: Materialized<K, A>,
    /// `None` where values are not looked at.
    pub(crate) look: Option<Look<K, V>>,
    pub(crate) step: Arc<S>,
    pub(crate) types: PhantomData<fn(V)>,
}

impl<K: 'static, V: 'static, A: Send + 'static, S> Fold<K, V, A, S>
where
    S: Fn(&Record<'_, K, V>, Option<A>) -> Result<Option<A>, ProcessError>,
{
    fn fold(&self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let mut timestamp_ms = record.timestamp_ms;
        let mut failed = None;
        let mut deleted = false;
        let store = cx.store::<A>(self.table.slot);
        store.update(key, |old| {
            let old = old.map(|(value, old_ms)| {
                timestamp_ms = timestamp_ms.max(old_ms);
                value
            });
            let new = (self.step)(record, old).unwrap_or_else(|error| {
                failed = Some(error);
                None
            });
            deleted = new.is_none();
            new.map(|value| (value, timestamp_ms))
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if deleted {
            // The tombstone's timestamp is the result's, not the old row's.
            store.put(key, None, timestamp_ms)?;
        }
        self.table.changed(key, record, timestamp_ms, cx)
    }
}

impl<K: 'static, V: 'static, A: Send + 'static, S> Receiver<K, V> for Fold<K, V, A, S>
where
    S: Fn(&Record<'_, K, V>, Option<A>) -> Result<Option<A>, ProcessError> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if record.value.is_none() {
            return cx.drop_record(Dropped::NullValue);
        }
        if let Some(look) = self.look {
            look(record)?;
        }
        let folded = cx.with_key(&self.name, record.key, &self.table.key, |key, cx| self.fold(key, record, cx))?;
        if folded.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }

    fn looks(&self, _wire: CodecId) -> bool {
        self.look.is_some()
    }
}
