//! Combines the values of each key.

use super::aggregate::look;
use super::{KGroupedStream, KTable};
use crate::record::Record;

impl<K: 'static, V: Clone + Send + 'static> KGroupedStream<K, V> {
    /// Combines the values of each key, in store `name`: a key's first value is kept as it is, and then
    /// `reducer` makes one of the kept value and the next. A reducer may give back the value, or an `Option`
    /// of it: `None` deletes the key.
    ///
    /// Records whose key or value is null are dropped and counted. A result's timestamp is the largest of
    /// its records'.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be()).group_by_key().reduce("worst", |worst, next| worst.max(*next)).to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", 30, 1)?;
    /// delays.pipe("OK1", 12, 2)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(30), Some(30)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        name: &str,
        reducer: impl Fn(V, &V) -> R + Send + Sync + 'static,
    ) -> KTable<K, V> {
        let codec = self.stream.need_value(&format!("reduce({name})"));
        let step = move |record: &Record<'_, K, V>, old: Option<V>| {
            Ok(match (old, record.value()?) {
                (Some(old), Some(value)) => reducer(old, value).into(),
                (None, Some(value)) => Some(value.clone()),
                (old, None) => old,
            })
        };
        self.fold(name, "reduce", codec, Some(look), step)
    }
}
