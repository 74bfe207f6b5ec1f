//! Stores that processors read and do not write.

use super::TopologyBuilder;
use crate::codec::{Codec, SharedCodec};
use crate::dsl;
use crate::processor::{GlobalHandle, GlobalStoreWriter, Processor, ProcessorSupplier, ReadOnlyHandle, StoreHandle};
use crate::record::Record;
use crate::task::ProcessError;
use std::convert::Infallible;

impl TopologyBuilder {
    /// A store that every process has all of, made of a topic by a function of your own (Kafka Streams: `addGlobalStore`): `update`
    /// is run over every record of the topic, all partitions, and writes the store by `put` and `delete`; it forwards nothing.
    /// `rows` are the codecs of the store, whose keys and values may be others than the topic's. Every processor may read the store,
    /// unconnected, by the handle.
    ///
    /// Each process reads the topic from its beginning whenever it starts, before it runs any task, so the function always sees every
    /// record, and what it makes of them is not kept elsewhere. It must be a function of the records and the store: what it is
    /// to remember it writes there. Partitions have no order among each other, so rows that are made of several partitions
    /// may differ between processes; give each row's records one partition where that matters.
    ///
    /// Records that can't be decoded, and records for which `update` fails, stop the application or are left out whole, as is chosen for
    /// bad and for failed records. They go to no dead-letter topic, because every process reads them.
    ///
    /// ```
    /// # use kappa_core::{codec::utf8, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{GlobalHandle, ValueContext, ValueProcessor};
    ///
    /// /// Which airports are in a country.
    /// struct Airports(GlobalHandle<String, String>);
    ///
    /// impl ValueProcessor<String, String> for Airports {
    ///     type Value = String;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, String>,
    ///         cx: &mut ValueContext<'_, '_, '_, String, String>,
    ///     ) -> Result<(), ProcessError> {
    ///         let Some(country) = record.value()? else { return Ok(()) };
    ///         let airports = cx.global_store(&self.0)?.get(country)?;
    ///         cx.forward_option(airports)
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let by_country =
    ///     app.global_store("by-country", "airports", utf8(), utf8(), (utf8(), utf8()), |record, store| {
    ///         let Some(country) = record.value()? else { return Ok(()) };
    ///         let known = store.get(country)?.unwrap_or_default();
    ///         store.put(country, &format!("{known} {}", record.key()?), record.timestamp_ms)
    ///     });
    /// app.stream("questions", utf8(), utf8())
    ///     .process_values("airports-of", &[], move || Airports(by_country.clone()))
    ///     .with_value_codec(utf8())
    ///     .to("answers");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let airports = driver.input("airports", utf8(), utf8());
    /// airports.pipe("PRG", "CZ", 1)?;
    /// airports.pipe("BRQ", "CZ", 2)?;
    /// driver.input("questions", utf8(), utf8()).pipe("ann", "CZ", 3)?;
    /// assert_eq!(driver.output("answers", utf8(), utf8()).read_values()?, [Some(" PRG BRQ".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn global_store<K: 'static, V: 'static, SK: 'static, SV: 'static>(
        &mut self,
        name: &str,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
        rows: (impl Codec<SK>, impl Codec<SV>),
        update: impl Fn(&Record<'_, K, V>, &mut GlobalStoreWriter<'_, SK, SV>) -> Result<(), ProcessError>
        + Send
        + Sync
        + 'static,
    ) -> GlobalHandle<SK, SV> {
        let codecs = (SharedCodec::new(key), SharedCodec::new(value));
        let rows = (SharedCodec::new(rows.0), SharedCodec::new(rows.1));
        dsl::global_store(&self.graph, name, topic, codecs, rows, update)
    }

    /// A store that holds the latest value of each key of a topic, for processors that read it and can't write it (Kafka Streams:
    /// `addReadOnlyStateStore`). Connect it as other stores; what reads it must have as many partitions as the topic, and is
    /// read by the same tasks.
    ///
    /// It has no changelog: after a crash, or where its task moves to, it is restored from the topic itself, up to what is
    /// committed as processed. So the topic should be compacted, or kept for good.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{ReadOnlyHandle, ValueContext, ValueProcessor};
    ///
    /// /// What is left of an account's limit.
    /// struct Left(ReadOnlyHandle<String, i64>);
    ///
    /// impl ValueProcessor<String, i64> for Left {
    ///     type Value = i64;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, i64>,
    ///         cx: &mut ValueContext<'_, '_, '_, String, i64>,
    ///     ) -> Result<(), ProcessError> {
    ///         let limit = cx.read_only_store(&self.0)?.get(record.key()?)?.copied().unwrap_or(0);
    ///         cx.forward(limit - record.value()?.unwrap_or(&0))
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let limits = app.read_only_store("limits", "account-limits", utf8(), i64_be());
    /// app.stream("payments", utf8(), i64_be())
    ///     .process_values("left", &[&limits], { let limits = limits.clone(); move || Left(limits.clone()) })
    ///     .with_value_codec(i64_be())
    ///     .to("left");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("account-limits", utf8(), i64_be()).pipe("ann", 100, 1)?;
    /// driver.input("payments", utf8(), i64_be()).pipe("ann", 30, 2)?;
    /// assert_eq!(driver.output("left", utf8(), i64_be()).read_values()?, [Some(70)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_only_store<K: 'static, V: Clone + Send + 'static>(
        &mut self,
        name: &str,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> ReadOnlyHandle<K, V> {
        self.stream(topic, key, value).read_only_store(name)
    }

    /// As [`read_only_store`](Self::read_only_store), with a processor of your own that writes the store: `update` is given the one
    /// handle by which it can be written, and makes the supplier. The processor can forward nothing, which its types say
    /// ([`Infallible`]).
    ///
    /// As in Kafka Streams a restore goes past the processor: it puts the topic's records as they are, and so brings back what the
    /// processor has left out or changed. Let it put records as they come, and do besides what does not show in the store.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{Processor, ProcessorContext, StoreHandle};
    /// use std::convert::Infallible;
    ///
    /// /// Keeps limits, and has work committed at once when one has come down.
    /// struct Keep(StoreHandle<String, i64>);
    ///
    /// impl Processor<String, i64> for Keep {
    ///     type Key = Infallible;
    ///     type Value = Infallible;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, i64>,
    ///         cx: &mut ProcessorContext<'_, '_, Infallible, Infallible>,
    ///     ) -> Result<(), ProcessError> {
    ///         let (account, limit) = (record.key()?, record.value()?.copied());
    ///         let mut limits = cx.store(&self.0)?;
    ///         let before = limits.get(account)?.copied();
    ///         match limit {
    ///             Some(limit) => limits.put(account, limit, record.timestamp_ms)?,
    ///             None => limits.delete(account, record.timestamp_ms)?,
    ///         }
    ///         if limit < before {
    ///             cx.commit();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let limits =
    ///     app.read_only_store_with("limits", "account-limits", utf8(), i64_be(), |store| move || Keep(store.clone()));
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("account-limits", utf8(), i64_be()).pipe("ann", 100, 1)?;
    /// driver.input("account-limits", utf8(), i64_be()).pipe("ann", 50, 2)?;
    /// assert_eq!(driver.store("limits", utf8(), i64_be()).get("ann")?, Some(50));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_only_store_with<K: 'static, V: Send + 'static, S: ProcessorSupplier<K, V>>(
        &mut self,
        name: &str,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
        update: impl FnOnce(StoreHandle<K, V>) -> S,
    ) -> ReadOnlyHandle<K, V>
    where
        S::Processor: Processor<K, V, Key = Infallible, Value = Infallible>,
    {
        self.stream(topic, key, value).read_only_store_with(name, update)
    }
}
