//! Groups a table's rows by a new key, to be aggregated.
//!
//! **Invariants:**
//! - What a row gave to a group is taken out of it before what it gives now is taken in; where the group stays the
//!   same, both are in one record, so that nobody sees the group in between.
//! - The records go through a repartition topic in any case: groups are where their keys belong.

use super::KTable;
use super::revision::{Revision, RevisionCodec};
use crate::codec::{Codec, SharedCodec, i64_be};
use crate::dsl::aggregate::look;
use crate::dsl::{KGroupedStream, KStream, Known};
use crate::processor::{Cx, Next, Receiver, unencodable};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

/// A table's rows grouped by a new key, to be aggregated (Kafka Streams: `KGroupedTable`).
#[must_use = "grouping alone does nothing: count, reduce or aggregate"]
pub struct KGroupedTable<K, V> {
    grouped: KGroupedStream<K, Revision<V>>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> KTable<K, V> {
    /// Groups the table's rows: `mapper` gives each a group and the value that it gives to it, which `key` and
    /// `value` write to a repartition topic. Where the mapper gives `None`, or a key or value that is written as
    /// null, the row belongs to no group.
    ///
    /// When a row changes, its old value is taken out of its old group and the new one into the new group. Where
    /// these are two groups they may be in two partitions: between both steps each is right by itself, and together
    /// they are not.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("aircraft-at", utf8(), utf8())
    ///     .group_by(utf8(), utf8(), |aircraft, airport| Some((airport.clone(), aircraft.clone())))
    ///     .count("aircraft-by-airport")
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let at = driver.input("aircraft-at", utf8(), utf8());
    /// at.pipe("OK-A", "PRG", 1)?;
    /// at.pipe("OK-B", "PRG", 2)?;
    /// at.pipe("OK-A", "BRQ", 3)?;
    /// let counts = driver.store("aircraft-by-airport", utf8(), i64_be());
    /// assert_eq!((counts.get("PRG")?, counts.get("BRQ")?), (Some(1), Some(1)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group_by<K2: 'static, V2: 'static>(
        &self,
        key: impl Codec<K2>,
        value: impl Codec<V2>,
        mapper: impl Fn(&K, &V) -> Option<(K2, V2)> + Send + Sync + 'static,
    ) -> KGroupedTable<K2, V2> {
        let (key, value) = (SharedCodec::new(key), SharedCodec::new(value));
        let mapper = Arc::new(mapper);
        let (node_key, node_value) = (key.clone(), value.clone());
        let node = self.stream.operator("group_by", move |assembly, node| GroupBy {
            name: assembly.name(node),
            key: node_key.clone(),
            value: node_value.clone(),
            mapper: Arc::clone(&mapper),
            next: assembly.next(node),
            types: PhantomData,
        });
        self.stream.graph.borrow_mut().request_old(self.stream.node);
        let graph = Rc::clone(&self.stream.graph);
        let revision = Known::Codec(SharedCodec::new(RevisionCodec(value.clone())));
        let stream = KStream { graph, node, key: Known::Codec(key), value: revision, rekeyed: true };
        KGroupedTable { grouped: KGroupedStream { stream }, value }
    }
}

impl<K: 'static, V: 'static> KGroupedTable<K, V> {
    /// Counts the rows of each group, in store `name`, which also names the repartition topic. A group that has lost
    /// its last row has 0, and stays.
    ///
    /// See [`KTable::group_by`] for an example.
    pub fn count(&self, name: &str) -> KTable<K, i64> {
        let step = |record: &Record<'_, K, Revision<V>>, count: Option<i64>| {
            let Some(Revision { new, old }) = record.value()? else { return Ok(count) };
            let without = if old.is_some() { count.map(|count| count - 1) } else { count };
            Ok(if new.is_some() { Some(without.unwrap_or(0) + 1) } else { without })
        };
        self.grouped.fold(name, "count", SharedCodec::new(i64_be()), Some(look), step)
    }

    /// Folds the rows of each group into one value, kept in store `name` and written there by `codec`:
    /// `initializer` gives what a group begins with, `adder` takes a row in, `subtractor` takes one out. Both may give
    /// back the value, or an `Option` of it: `None` deletes the group.
    ///
    /// A result's timestamp is the largest of its rows'.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("delays", utf8(), i64_be())
    ///     .group_by(utf8(), i64_be(), |flight, minutes| Some((flight[..2].to_owned(), *minutes)))
    ///     .aggregate("by-airline", i64_be(), || 0, |_, add, sum| sum + add, |_, gone, sum| sum - gone)
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", 30, 100)?;
    /// delays.pipe("OK2", 12, 90)?;
    /// delays.pipe("OK1", 5, 110)?;
    /// let out = driver.output("out", utf8(), i64_be()).read_values()?;
    /// assert_eq!(out, [Some(30), Some(42), Some(17)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Send + 'static, R: Into<Option<A>>, R2: Into<Option<A>>>(
        &self,
        name: &str,
        codec: impl Codec<A>,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        adder: impl Fn(&K, &V, A) -> R + Send + Sync + 'static,
        subtractor: impl Fn(&K, &V, A) -> R2 + Send + Sync + 'static,
    ) -> KTable<K, A> {
        let step = move |record: &Record<'_, K, Revision<V>>, sum: Option<A>| {
            let Some(Revision { new, old }) = record.value()? else { return Ok(sum) };
            let key = record.key()?;
            // What was never taken in is not taken out.
            let without = match (old, sum) {
                (Some(old), Some(sum)) => subtractor(key, old, sum).into(),
                (_, sum) => sum,
            };
            Ok(match new {
                Some(new) => adder(key, new, without.unwrap_or_else(&initializer)).into(),
                None => without,
            })
        };
        self.grouped.fold(name, "aggregate", SharedCodec::new(codec), Some(look), step)
    }
}

impl<K: 'static, V: Clone + Send + 'static> KGroupedTable<K, V> {
    /// Combines the values of each group, in store `name`: a group's first value is kept as it is, then `adder` makes
    /// one of the kept value and the next, and `subtractor` takes one out. Both may give back the value, or an
    /// `Option` of it: `None` deletes the group.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("seats", utf8(), i64_be())
    ///     .group_by(utf8(), i64_be(), |aircraft, seats| Some((aircraft[..2].to_owned(), *seats)))
    ///     .reduce("by-country", |sum, seats| sum + seats, |sum, gone| sum - gone)
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let seats = driver.input("seats", utf8(), i64_be());
    /// seats.pipe("OK-A", 180, 1)?;
    /// seats.pipe("OK-B", 140, 2)?;
    /// seats.pipe_null("OK-A", 3)?;
    /// let out = driver.output("out", utf8(), i64_be()).read_values()?;
    /// assert_eq!(out, [Some(180), Some(320), Some(140)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce<R: Into<Option<V>>, R2: Into<Option<V>>>(
        &self,
        name: &str,
        adder: impl Fn(V, &V) -> R + Send + Sync + 'static,
        subtractor: impl Fn(V, &V) -> R2 + Send + Sync + 'static,
    ) -> KTable<K, V> {
        let step = move |record: &Record<'_, K, Revision<V>>, sum: Option<V>| {
            let Some(Revision { new, old }) = record.value()? else { return Ok(sum) };
            let without = match (old, sum) {
                (Some(old), Some(sum)) => subtractor(sum, old).into(),
                (_, sum) => sum,
            };
            Ok(match (new, without) {
                (Some(new), Some(sum)) => adder(sum, new).into(),
                (Some(new), None) => Some(new.clone()),
                (None, without) => without,
            })
        };
        self.grouped.fold(name, "reduce", self.value.clone(), Some(look), step)
    }
}

impl<K, V> fmt::Debug for KGroupedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KGroupedTable").field("grouped", &self.grouped).finish_non_exhaustive()
    }
}

/// Sends each half of a change to its group (Kafka Streams: `KTableRepartitionMap`).
struct GroupBy<K, V, K2, V2, F> {
    name: Arc<str>,
    key: SharedCodec<K2>,
    value: SharedCodec<V2>,
    mapper: Arc<F>,
    next: Next<K2, Revision<V2>>,
    types: PhantomData<fn(K, V)>,
}

impl<K: 'static, V: 'static, K2: 'static, V2: 'static, F> GroupBy<K, V, K2, V2, F>
where
    F: Fn(&K, &V) -> Option<(K2, V2)> + Send + Sync,
{
    /// The group of a row and its value there; `None` where it belongs to none.
    fn half(&self, key: &K, value: Option<&V>) -> Option<(Lazy<'static, K2>, V2)> {
        let (key, value) = (self.mapper)(key, value?)?;
        let none = self.key.codec.is_null(&key) || self.value.codec.is_null(&value);
        (!none).then(|| (Lazy::ready(key), value))
    }

    /// Whether two keys are the same group: they are written alike.
    fn same(&self, one: &Lazy<'_, K2>, other: &Lazy<'_, K2>) -> Result<bool, ProcessError> {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let failed = |error| unencodable(&self.name, "key", &error);
        one.write(&self.key, &mut left).map_err(failed)?;
        other.write(&self.key, &mut right).map_err(failed)?;
        Ok(left == right)
    }
}

impl<K: 'static, V: 'static, K2: 'static, V2: 'static, F> Receiver<K, V> for GroupBy<K, V, K2, V2, F>
where
    F: Fn(&K, &V) -> Option<(K2, V2)> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        // What has a newer version already changes no group.
        if !record.latest {
            return Ok(());
        }
        let new = self.half(record.key()?, record.value()?);
        let old = self.half(record.key()?, record.old()?);
        let same = match (&new, &old) {
            (Some((new, _)), Some((old, _))) => self.same(new, old)?,
            _ => false,
        };
        let Record { timestamp_ms, headers, .. } = *record;
        let mut send = |key: &Lazy<'_, K2>, new: Option<V2>, old: Option<V2>, cx: &mut Cx<'_>| {
            let revision = Lazy::ready(Revision { new, old });
            self.next.receive(&Record::new(key, Some(&revision), timestamp_ms, headers), cx)
        };
        match (new, old) {
            (Some((key, new)), Some((_, old))) if same => send(&key, Some(new), Some(old), cx),
            (new, old) => {
                if let Some((key, old)) = old {
                    send(&key, None, Some(old), cx)?;
                }
                match new {
                    Some((key, new)) => send(&key, Some(new), None, cx),
                    None => Ok(()),
                }
            }
        }
    }
}
