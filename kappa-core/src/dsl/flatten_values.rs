//! Makes optional values Kafka's: `None` becomes null.

use super::KStream;
use crate::processor::{Cx, Next, Receiver};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;

impl<K: 'static, V: 'static> KStream<K, Option<V>> {
    /// Makes `None` Kafka's null, which deletes in tables and is dropped by aggregates and joins, and `Some` the value
    /// in it. So functions can make tombstones.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be())
    ///     .map_values(|_, minutes| (*minutes > 0).then_some(*minutes))
    ///     .flatten_values()
    ///     .with_value_codec(i64_be())
    ///     .to("late");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", 20, 10)?;
    /// delays.pipe("OK1", 0, 20)?;
    /// assert_eq!(driver.output("late", utf8(), i64_be()).read_values()?, [Some(20), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flatten_values(&self) -> KStream<K, V> {
        self.new_values(self.operator("flatten_values", |assembly, node| Flatten { next: assembly.next(node) }))
    }
}

struct Flatten<K, V> {
    next: Next<K, V>,
}

impl<K: 'static, V: 'static> Receiver<K, Option<V>> for Flatten<K, V> {
    fn receive(&mut self, record: &Record<'_, K, Option<V>>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let value = record.value()?.and_then(Option::as_ref).map(|value| Lazy::borrowed(value, None));
        let Record { key, timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(key, value.as_ref(), timestamp_ms, headers), cx)
    }
}
