//! Grouping: what an aggregate is over.

use super::KStream;
use crate::codec::Codec;
use std::fmt;

/// A stream grouped by its key, to be aggregated (Kafka Streams: `KGroupedStream`).
#[must_use = "grouping alone does nothing: count, reduce or aggregate"]
pub struct KGroupedStream<K, V> {
    pub(crate) stream: KStream<K, V>,
}

impl<K: 'static, V: 'static> KStream<K, V> {
    /// Groups records by their key. Where the key was changed upstream, the aggregate reads them through a
    /// repartition topic named as its store.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("flights", utf8(), utf8()).group_by_key().count("flights-by-number").to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 10)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, [("OK1".into(), Some(1), 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group_by_key(&self) -> KGroupedStream<K, V> {
        KGroupedStream { stream: self.clone() }
    }

    /// Groups records by a new key, written by `codec`: [`KStream::select_key`], then
    /// [`KStream::group_by_key`].
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("flights", utf8(), utf8())
    ///     .group_by(utf8(), |_, origin| origin.clone())
    ///     .count("flights-by-origin")
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("flights", utf8(), utf8()).pipe("OK1", "PRG", 10)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_all()?, [("PRG".into(), Some(1), 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn group_by<K2: 'static>(
        &self,
        codec: impl Codec<K2>,
        selector: impl Fn(&K, &V) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<K2, V> {
        self.select_key(codec, selector).group_by_key()
    }
}

impl<K, V> fmt::Debug for KGroupedStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KGroupedStream").field("stream", &self.stream).finish()
    }
}
