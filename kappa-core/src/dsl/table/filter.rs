//! Keeps or leaves out rows by a predicate.

use super::KTable;
use crate::processor::{Cx, Found, Getter, Next, Receiver, Wanted};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::OldValues;
use std::sync::Arc;

impl<K: 'static, V: 'static> KTable<K, V> {
    /// The table of the rows for which `predicate` holds. A row for which it doesn't hold (any more) is passed on as
    /// deleted, also where it was never in the result, unless what was there before is known.
    ///
    /// The result is computed on reading; [`KTable::materialized`] keeps it in a store. `predicate` is never asked
    /// about deleted rows, and must give one answer for one row.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("delays", utf8(), i64_be()).filter(|_, minutes| *minutes > 0).to("late");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", 25, 10)?;
    /// delays.pipe("OK1", 0, 20)?;
    /// let late = driver.output("late", utf8(), i64_be()).read_all()?;
    /// assert_eq!(late, [("OK1".into(), Some(25), 10), ("OK1".into(), None, 20)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.keep("filter", predicate)
    }

    /// The table of the rows for which `predicate` does not hold: see [`KTable::filter`].
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.table("delays", utf8(), i64_be()).filter_not(|_, minutes| *minutes > 0).to("punctual");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("delays", utf8(), i64_be()).pipe("OK1", -3, 10)?;
    /// assert_eq!(driver.output("punctual", utf8(), i64_be()).read_values()?, [Some(-3)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter_not(&self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.keep("filter_not", move |key, value| !predicate(key, value))
    }

    fn keep(&self, operator: &str, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        let predicate = Arc::new(predicate);
        let reading = Arc::clone(&predicate);
        let versioned = self.lookup.history_ms.is_some();
        let node = self.stream.operator(operator, move |assembly, node| Filter {
            predicate: Arc::clone(&predicate),
            sends_old: assembly.sends_old(node),
            versioned,
            next: assembly.next(node),
        });
        let mut graph = self.stream.graph.borrow_mut();
        graph.nodes[node].old_values = OldValues::Inputs;
        graph.nodes[node].leaves_out = !versioned;
        // Where they are to be had for nothing: they spare deletions of what was never there.
        graph.accept_old(node);
        drop(graph);
        let lookup = self.lookup.computed(move |table, _| FilterGetter { table, predicate: Arc::clone(&reading) });
        Self { stream: self.stream.same(node), lookup, key: self.key.clone() }
    }
}

/// Kafka Streams: `KTableFilter`.
struct Filter<K, V, F> {
    predicate: Arc<F>,
    sends_old: bool,
    versioned: bool,
    next: Next<K, V>,
}

impl<K: 'static, V: 'static, F: Fn(&K, &V) -> bool + Send + Sync> Receiver<K, V> for Filter<K, V, F> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let value = match record.value()? {
            Some(value) if (self.predicate)(record.key()?, value) => record.value,
            _ => None,
        };
        let old = match record.old()? {
            Some(old) if self.sends_old && (self.predicate)(record.key()?, old) => record.old,
            _ => None,
        };
        if self.sends_old && !self.versioned && value.is_none() && old.is_none() {
            return Ok(());
        }
        self.next.receive(&Record { value, old, ..*record }, cx)
    }
}

struct FilterGetter<K, V, F> {
    table: Box<dyn Getter<K, V>>,
    predicate: Arc<F>,
}

impl<K: 'static, V: 'static, F: Fn(&K, &V) -> bool + Send + Sync> Getter<K, V> for FilterGetter<K, V, F> {
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, V>) -> Result<(), ProcessError> {
        let key = wanted.key()?;
        self.table.get(wanted, cx, &mut |found| with(found.filter(|(value, _)| (self.predicate)(key, value))))
    }
}
