//! Makes a table of a stream.

use super::{KStream, KTable, made_of};

impl<K: 'static, V: Clone + Send + 'static> KStream<K, V> {
    /// Takes the stream's records as a table's changes: the latest value of each key, a null value deletes (Kafka
    /// Streams: `toTable`). Records with a null key are dropped and counted.
    ///
    /// `name` is that of the store, kept where something needs it, and of the repartition topic that the records go
    /// through where the key was changed upstream.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// let latest = app
    ///     .stream("flights", utf8(), utf8())
    ///     .select_key(utf8(), |_, origin| origin.clone())
    ///     .to_table("latest-by-origin")
    ///     .materialized("latest-by-origin");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 5)?;
    /// assert_eq!(driver.store("latest-by-origin", utf8(), utf8()).get("PRG")?, Some("PRG".into()));
    /// # let _ = latest;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_table(&self, name: &str) -> KTable<K, V> {
        let title = format!("to_table({name})");
        let input = self.partitioned(&title, name);
        made_of(&input, "to_table", name)
    }
}
