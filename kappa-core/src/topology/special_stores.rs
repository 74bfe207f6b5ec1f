//! Stores that processors read and do not write.

use super::TopologyBuilder;
use crate::codec::{Codec, SharedCodec};
use crate::dsl;
use crate::processor::{GlobalHandle, GlobalStoreWriter};
use crate::record::Record;
use crate::task::ProcessError;

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
}
