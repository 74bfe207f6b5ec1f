//! Two streams become one.

use super::{KStream, Known};
use crate::topology::{Assembly, Kind, TopologyError, erase};
use std::rc::Rc;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// The records of both streams, with no order between them.
    ///
    /// Codecs are known where both sides have the same.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let departures = app.stream("departures", utf8(), utf8());
    /// app.stream("arrivals", utf8(), utf8()).merge(&departures).to("movements");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("departures", utf8(), utf8()).pipe("OK1", "PRG", 5)?;
    /// driver.input("arrivals", utf8(), utf8()).pipe("OK2", "BRQ", 6)?;
    /// assert_eq!(driver.output("movements", utf8(), utf8()).read_all()?.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge(&self, other: &KStream<K, V>) -> Self {
        let base = self.base().min(other.base());
        if !Rc::ptr_eq(&self.graph, &other.graph) {
            self.graph.borrow_mut().errors.push(TopologyError::Foreign { operator: format!("{base}.merge") });
            return self.clone();
        }
        // The chain behind is made once and entered from both sides.
        let make = |assembly: &mut Assembly<'_>, node| erase::<K, V>(assembly.joint::<K, V>(node));
        let parents = [self.node, other.node];
        let node = self.graph.borrow_mut().add(&base, "merge", &parents, Kind::Operator, Arc::new(make));
        let (key, value) = (both(&self.key, &other.key, node), both(&self.value, &other.value, node));
        // Keys written in two ways are in two partitions.
        let rekeyed = self.rekeyed || other.rekeyed || matches!(key, Known::Since(_));
        KStream { graph: Rc::clone(&self.graph), node, key, value, rekeyed }
    }
}

fn both<T>(one: &Known<T>, other: &Known<T>, node: usize) -> Known<T> {
    match (one, other) {
        (Known::Codec(one), Known::Codec(other)) if one.id == other.id => Known::Codec(one.clone()),
        _ => Known::Since(node),
    }
}
