//! Makes a new value of each row.

use super::KTable;
use crate::processor::{Cx, Found, Getter, Next, Receiver, Wanted};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::OldValues;
use std::marker::PhantomData;
use std::sync::Arc;

impl<K: 'static, V: 'static> KTable<K, V> {
    /// The table with a new value for each row. Deletions pass.
    ///
    /// The result is computed on reading; [`KTable::materialized`] keeps it in a store. `mapper` must give one value
    /// for one row.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("cities", utf8(), utf8())
    ///     .map_values(|code, city| format!("{city} ({code})"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let cities = driver.input("cities", utf8(), utf8());
    /// cities.pipe("PRG", "Praha", 5)?;
    /// cities.pipe_null("PRG", 6)?;
    /// let out = driver.output("out", utf8(), utf8()).read_values()?;
    /// assert_eq!(out, [Some("Praha (PRG)".into()), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_values<V2: 'static>(&self, mapper: impl Fn(&K, &V) -> V2 + Send + Sync + 'static) -> KTable<K, V2> {
        self.mapped("map_values", move |key, value| Some(mapper(key, value)))
    }

    /// As [`KTable::map_values`], but a row may be left out: where `mapper` gives `None` it is passed on as deleted
    /// (Kafka Streams: `mapValues` with a mapper that gives null).
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("gates", utf8(), utf8())
    ///     .filter_map_values(|_, gate| gate.parse().ok())
    ///     .with_value_codec(i64_be())
    ///     .to("numbers");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let gates = driver.input("gates", utf8(), utf8());
    /// gates.pipe("OK1", "12", 5)?;
    /// gates.pipe("OK1", "C4", 6)?;
    /// assert_eq!(driver.output("numbers", utf8(), i64_be()).read_values()?, [Some(12), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter_map_values<V2: 'static>(
        &self,
        mapper: impl Fn(&K, &V) -> Option<V2> + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        self.mapped("filter_map_values", mapper)
    }

    fn mapped<V2: 'static>(
        &self,
        operator: &str,
        mapper: impl Fn(&K, &V) -> Option<V2> + Send + Sync + 'static,
    ) -> KTable<K, V2> {
        let mapper = Arc::new(mapper);
        let reading = Arc::clone(&mapper);
        let node = self.stream.operator(operator, move |assembly, node| MapValues {
            mapper: Arc::clone(&mapper),
            sends_old: assembly.sends_old(node),
            next: assembly.next(node),
            types: PhantomData,
        });
        self.stream.graph.borrow_mut().nodes[node].old_values = OldValues::Inputs;
        let lookup = self.lookup.computed(move |table, _| MapGetter { table, mapper: Arc::clone(&reading) });
        KTable { stream: self.stream.new_values(node), lookup, key: self.key.clone() }
    }
}

/// Kafka Streams: `KTableMapValues`.
struct MapValues<K, V, V2, F> {
    mapper: Arc<F>,
    sends_old: bool,
    next: Next<K, V2>,
    types: PhantomData<fn(V)>,
}

impl<K: 'static, V: 'static, V2: 'static, F> Receiver<K, V> for MapValues<K, V, V2, F>
where
    F: Fn(&K, &V) -> Option<V2> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let made = |value: Option<&V>| -> Result<Option<Lazy<'_, V2>>, ProcessError> {
            let Some(value) = value else { return Ok(None) };
            Ok((self.mapper)(record.key()?, value).map(Lazy::ready))
        };
        let value = made(record.value()?)?;
        let old = if self.sends_old { made(record.old()?)? } else { None };
        let Record { key, timestamp_ms, headers, latest, .. } = *record;
        let record = Record::new(key, value.as_ref(), timestamp_ms, headers);
        self.next.receive(&Record { old: old.as_ref(), latest, ..record }, cx)
    }
}

struct MapGetter<K, V, F> {
    table: Box<dyn Getter<K, V>>,
    mapper: Arc<F>,
}

impl<K: 'static, V: 'static, V2, F> Getter<K, V2> for MapGetter<K, V, F>
where
    F: Fn(&K, &V) -> Option<V2> + Send + Sync,
{
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, V2>) -> Result<(), ProcessError> {
        let key = wanted.key()?;
        self.table.get(wanted, cx, &mut |found| {
            let made = found.and_then(|(value, at_ms)| Some(((self.mapper)(key, value)?, at_ms)));
            with(made.as_ref().map(|(value, at_ms)| (value, *at_ms)))
        })
    }
}
