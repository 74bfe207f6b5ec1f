//! Counts the records of each key.

use super::{KGroupedStream, KTable};
use crate::codec::{SharedCodec, i64_be};
use crate::record::Record;

impl<K: 'static, V: 'static> KGroupedStream<K, V> {
    /// Counts the records of each key, in store `name`. The count is written as Java's `LongSerializer` does.
    ///
    /// Never looks at values, so from a repartition topic they are not even decoded. Records whose key or
    /// value is null are dropped and counted as dropped.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).group_by_key().count("counts").to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("a", "x", 1)?;
    /// input.pipe("a", "y", 2)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(1), Some(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self, name: &str) -> KTable<K, i64> {
        let step = |_: &Record<'_, K, V>, count: Option<i64>| Ok(Some(count.unwrap_or(0) + 1));
        self.fold(name, "count", SharedCodec::new(i64_be()), None, step)
    }
}
