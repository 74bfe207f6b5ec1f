//! Keeps or drops records by their keys alone.

use super::KStream;
use crate::codec::CodecId;
use crate::processor::{Cx, Next, Receiver};
use crate::record::Record;
use crate::task::ProcessError;
use std::sync::Arc;

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Keeps the records for whose key `predicate` holds, whatever their values, null too: values are not looked at. What a
    /// topic's values cost to decode is saved with [`KStream::with_lazy_values`]. Kafka Streams has only [`KStream::filter`].
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be()).filter_keys(|flight| flight.starts_with("OK")).to("ours");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", 5, 10)?;
    /// delays.pipe("LH2", 25, 20)?;
    /// assert_eq!(driver.output("ours", utf8(), i64_be()).read_all()?, [("OK1".into(), Some(5), 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn filter_keys(&self, predicate: impl Fn(&K) -> bool + Send + Sync + 'static) -> Self {
        let predicate = Arc::new(predicate);
        self.same(self.operator("filter_keys", move |assembly, node| FilterKeys {
            predicate: Arc::clone(&predicate),
            next: assembly.next(node),
        }))
    }
}

struct FilterKeys<K, V, F> {
    predicate: Arc<F>,
    next: Next<K, V>,
}

impl<K: 'static, V: 'static, F: Fn(&K) -> bool + Send + Sync> Receiver<K, V> for FilterKeys<K, V, F> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if (self.predicate)(record.key()?) { self.next.receive(record, cx) } else { Ok(()) }
    }

    fn looks(&self, wire: CodecId) -> bool {
        self.next.looks(wire)
    }
}
