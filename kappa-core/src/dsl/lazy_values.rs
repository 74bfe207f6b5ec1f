//! Values that are decoded only when something looks at them.

use super::KStream;
use crate::topology::{Kind, TopologyError};

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Leaves the topic's values undecoded until an operator looks at them, where else each is decoded, or at least checked, as it
    /// enters. Right behind [`stream`](crate::topology::TopologyBuilder::stream), and for the topic as a whole, wherever it is
    /// read. Keys are decoded as ever. Kafka Streams has nothing like it.
    ///
    /// For streams of which few values are of interest: those that a filter of keys drops cost no decoding, and what
    /// is only passed on goes out as it came. The price: a value that can't be decoded is found where it is looked at, and passed on
    /// where nothing does. Then it counts as a record whose processing fails (`KAPPA_FAILED_RECORDS`), not as a bad one.
    ///
    /// ```
    /// # use kappa_core::{codec::{bytes, i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", i64_be(), utf8())
    ///     .with_lazy_values()
    ///     .filter_keys(|key| key % 100 == 0)
    ///     .map_values(|_, text| text.to_uppercase())
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", i64_be(), bytes());
    /// input.pipe(100, b"looked at".to_vec(), 0)?;
    /// input.pipe(101, vec![0xff], 0)?; // no text, and nobody minds
    /// assert_eq!(driver.output("out", i64_be(), utf8()).read_values()?, [Some("LOOKED AT".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_lazy_values(&self) -> Self {
        let mut graph = self.graph.borrow_mut();
        if !matches!(graph.nodes[self.node].kind, Kind::Source { .. }) {
            let operator = graph.nodes[self.node].name.clone();
            graph.errors.push(TopologyError::NotASource { what: "with_lazy_values()", operator });
        }
        graph.lazy_values.push(self.node);
        drop(graph);
        self.clone()
    }
}
