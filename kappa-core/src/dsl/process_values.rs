//! A processor of the user's own that leaves keys alone.

use super::KStream;
use crate::processor::{ConnectedStore, FixedKey, ValueProcessor};

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Runs records through a [`ValueProcessor`] of your own, one made by `supplier` for each task, connected to
    /// `stores`. Keys stay, so nothing is repartitioned behind it.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{StoreHandle, ValueContext, ValueProcessor};
    ///
    /// /// Numbers the records of each key.
    /// struct Number {
    ///     seen: StoreHandle<String, i64>,
    /// }
    ///
    /// impl ValueProcessor<String, String> for Number {
    ///     type Value = String;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, String>,
    ///         cx: &mut ValueContext<'_, '_, '_, String, String>,
    ///     ) -> Result<(), ProcessError> {
    ///         let (key, Some(value)) = (record.key()?, record.value()?) else { return Ok(()) };
    ///         let mut seen = cx.store(&self.seen)?;
    ///         let number = seen.get(key)?.copied().unwrap_or(0) + 1;
    ///         seen.put(key, number, record.timestamp_ms)?;
    ///         cx.forward(format!("{number}: {value}"))
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let seen = app.store("seen", utf8(), i64_be());
    /// app.stream("in", utf8(), utf8())
    ///     .process_values("number", &[&seen], { let seen = seen.clone(); move || Number { seen: seen.clone() } })
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("a", "x", 1)?;
    /// input.pipe("a", "y", 2)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("1: x".into()), Some("2: y".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn process_values<P: ValueProcessor<K, V>>(
        &self,
        name: &str,
        stores: &[&dyn ConnectedStore],
        supplier: impl Fn() -> P + Send + Sync + 'static,
    ) -> KStream<K, P::Value> {
        self.new_values(self.hosted(name, "process_values", stores, move || FixedKey(supplier())))
    }
}
