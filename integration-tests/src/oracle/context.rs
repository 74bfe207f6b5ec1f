//! What a family builds with.

use super::functions::Value;
use super::generate::Draw;
use super::text::{Shown, Text, sink};
use super::{Params, Row, Scenario};
use kappa_core::codec::{Codec, Nullable, nullable};
use kappa_core::dsl::KStream;
use kappa_core::runtime::BadRecords;
use kappa_core::testing::{TestDriver, TestError};
use kappa_core::topology::{TopologyBuilder, TopologyError};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// One topology: builds itself from parameters, and draws parameters and inputs for itself.
pub trait Family: Sync {
    /// Builds kappa's topology.
    fn build(&self, cx: &mut Context) -> Result<(), BuildError>;

    /// Draws parameters, and says what the inputs are like.
    fn draw(&self, draw: &mut Draw);

    /// Whether restarts and moves between steps must not change the outcome. They may where something is kept in
    /// memory on purpose.
    fn survives(&self, _scenario: &Scenario) -> bool {
        true
    }
}

/// Why kappa has nothing to compare.
#[derive(Debug)]
pub enum BuildError {
    /// kappa can't do what these parameters ask for: says what is missing.
    Missing(String),
    /// The topology is refused.
    Topology(TopologyError),
}

impl From<TopologyError> for BuildError {
    fn from(error: TopologyError) -> Self {
        Self::Topology(error)
    }
}

/// Reads a store's rows at the end.
pub(super) type ReadStore = Box<dyn Fn(&TestDriver) -> Result<Vec<Row>, TestError>>;

/// Texts that functions of the topology say, in order.
#[derive(Debug, Clone, Default)]
pub struct Peeks(Arc<Mutex<Vec<String>>>);

impl Peeks {
    /// Says one.
    pub fn say(&self, text: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Takes what was said.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a family builds with: the builder, the parameters, sources, sinks, stores to be compared.
pub struct Context {
    /// The topology so far.
    pub app: TopologyBuilder,
    /// The scenario's parameters.
    pub params: Params,
    /// What functions say.
    pub peeks: Peeks,
    /// What becomes of records that can't be decoded.
    pub bad_records: BadRecords,
    /// What becomes of records that an operator fails on.
    pub failed_records: BadRecords,
    /// The keys and the times of the scenario's records, for stores that can only be asked.
    pub(super) probes: Vec<(Option<String>, i64)>,
    pub(super) stores: Vec<(String, ReadStore)>,
}

impl Context {
    /// Begins a topology.
    pub fn new(params: Params) -> Self {
        let app = kappa_core::Topology::builder();
        let (bad_records, failed_records) = (BadRecords::Fail, BadRecords::Fail);
        let (peeks, probes, stores) = (Peeks::default(), Vec::new(), Vec::new());
        Self { app, params, peeks, bad_records, failed_records, probes, stores }
    }

    /// The codec of keys and values that can be null.
    pub fn text() -> Nullable<Text> {
        nullable(Text)
    }

    /// A topic as a stream whose functions see null keys and values, as all functions of Kafka Streams do.
    pub fn stream(&mut self, topic: &str) -> KStream<Value, Value> {
        self.app.stream(topic, Self::text(), Self::text())
    }

    /// A topic as a stream whose null values stay Kafka's null: for aggregates, tables and joins.
    pub fn records(&mut self, topic: &str) -> KStream<Value, String> {
        self.app.stream(topic, Self::text(), Text)
    }

    /// Writes a stream to a topic whose records are compared.
    pub fn out<K: Shown, V: Shown>(&self, stream: &KStream<K, V>, topic: &str) {
        stream.with_codecs(sink::<K>(), sink::<V>()).to(topic);
    }

    /// Compares a key-value store whose rows have timestamps.
    pub fn compare_store<V: Shown>(&mut self, name: &str, value: impl Codec<V> + Clone) {
        self.compare_rows(name, value, true);
    }

    /// Compares a key-value store whose rows have no timestamps.
    pub fn compare_plain_store<V: Shown>(&mut self, name: &str, value: impl Codec<V> + Clone) {
        self.compare_rows(name, value, false);
    }

    fn compare_rows<V: Shown>(&mut self, name: &str, value: impl Codec<V> + Clone, timestamps: bool) {
        let store = name.to_owned();
        self.compare_with(name, move |driver| {
            let row = |(key, value, timestamp_ms): (String, V, i64)| {
                Row(key, None, value.shown().unwrap_or("null".into()), timestamps.then_some(timestamp_ms))
            };
            let mut rows: Vec<Row> = driver.store(&store, Text, value.clone()).rows()?.into_iter().map(row).collect();
            rows.sort();
            Ok(rows)
        });
    }

    /// Compares a versioned store: what it says of every key of the scenario at every time of it.
    pub fn compare_versions(&mut self, name: &str) {
        let keys: BTreeSet<String> = self.probes.iter().filter_map(|(key, _)| key.clone()).collect();
        let mut times: BTreeSet<i64> = self.probes.iter().map(|(_, time_ms)| *time_ms).collect();
        times.retain(|time_ms| *time_ms >= 0);
        times.insert(i64::MAX - 1);
        let store = name.to_owned();
        self.compare_with(name, move |driver| {
            let mut versions = driver.versioned_store::<String, String>(&store, Text, Text)?;
            let mut rows = Vec::new();
            for key in &keys {
                let mut seen = BTreeSet::new();
                for time_ms in &times {
                    if let Some((value, since_ms)) = versions.get_as_of(key, *time_ms)?
                        && seen.insert(since_ms)
                    {
                        rows.push(Row(key.clone(), None, value, Some(since_ms)));
                    }
                }
            }
            // Sorted: by key, then by time.
            Ok(rows)
        });
    }

    /// Compares a store of any kind; rows are sorted by key, window and timestamp.
    pub fn compare_with(&mut self, name: &str, read: impl Fn(&TestDriver) -> Result<Vec<Row>, TestError> + 'static) {
        self.stores.push((name.to_owned(), Box::new(read)));
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("params", &self.params).finish_non_exhaustive()
    }
}
