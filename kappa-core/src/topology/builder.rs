//! Building a topology, and what comes of it.

use super::assembly::Assembly;
use super::check::check;
use super::graph::{Global, Graph, Kind, SharedGraph};
use super::parking;
use super::planner::{SubTopology, sub_topologies};
use super::{GlobalPlan, TopicRef, TopologyDescription, TopologyError, TopologyPlan, fingerprint};
use crate::codec::{Codec, SharedCodec};
use crate::dsl::{self, GlobalKTable, KStream, KTable};
use crate::parking::wrap;
use crate::processor::{SessionHandle, StoreHandle, StoredWindows, VersionedHandle, WindowHandle};
use crate::task::{GlobalTable, ProcessError, Program, SourceRecord, TaskProcessor, TaskScope};
use kappa_state::StateError;
use std::fmt;
use std::sync::Arc;

/// Takes the description of a topology (Kafka Streams: `StreamsBuilder`).
#[must_use = "a topology is there when build() is called"]
#[derive(Default)]
pub struct TopologyBuilder {
    pub(super) graph: SharedGraph,
}

impl TopologyBuilder {
    /// Reads a topic as a stream of records.
    ///
    /// Records that the codecs can't decode are found here, where they enter. A topic read in several
    /// places is read once; each record then goes down the branches one after the other, in the order in
    /// which they were built.
    ///
    /// ```
    /// use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    ///
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("in", utf8(), utf8()).pipe("key", "value", 10)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, [("key".into(), Some("value".into()), 10)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn stream<K: 'static, V: 'static>(
        &mut self,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> KStream<K, V> {
        let (key, value) = (SharedCodec::new(key), SharedCodec::new(value));
        dsl::source(&self.graph, TopicRef::External(topic.to_owned()), None, key, value)
    }

    /// Reads a topic as a table: the latest value of each key, a null value deletes (Kafka Streams:
    /// `KTableSource`). Records with a null key are dropped and counted.
    ///
    /// The table's store, where one is needed, is named as the topic.
    ///
    /// ```
    /// use kappa_core::{codec::utf8, testing::TestDriver, topology::Topology};
    ///
    /// let mut app = Topology::builder();
    /// let names = app.table("names", utf8(), utf8());
    /// app.stream("codes", utf8(), utf8()).join(&names, |code, name| format!("{code}: {name}"))
    ///     .with_value_codec(utf8())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// driver.input("names", utf8(), utf8()).pipe("PRG", "Praha", 10)?;
    /// driver.input("codes", utf8(), utf8()).pipe("PRG", "gate 4", 20)?;
    /// assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, [("PRG".into(), Some("gate 4: Praha".into()), 20)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn table<K: 'static, V: Clone + Send + 'static>(
        &mut self,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> KTable<K, V> {
        dsl::table(&self.stream(topic, key, value), topic)
    }

    /// Reads a topic as a global table: every process has all of its rows, whatever their partitions (Kafka Streams:
    /// `GlobalKTable`). For tables that are small, or change rarely, and are joined with by other keys than their own
    /// partitioning: see [`KStream::join_global`].
    ///
    /// Each process reads the topic from its beginning when it starts, and runs no task before it is through. Records
    /// with a null key are left out.
    pub fn global_table<K: 'static, V: 'static>(
        &mut self,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> GlobalKTable<K, V> {
        GlobalKTable::new(&self.graph, topic, SharedCodec::new(key), SharedCodec::new(value))
    }

    /// A store for processors, connected by naming it in [`KStream::process`].
    pub fn store<K: 'static, V: Send + 'static>(
        &mut self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> StoreHandle<K, V> {
        dsl::processor_store(&self.graph, name, SharedCodec::new(key), SharedCodec::new(value))
    }

    /// A versioned store for processors: it keeps versions of each key for `history_ms` after they have ended, and takes late
    /// ones for as long (Kafka Streams: `persistentVersionedKeyValueStore`).
    pub fn versioned_store<K: 'static, V: Send + 'static>(
        &mut self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
        history_ms: i64,
    ) -> VersionedHandle<K, V> {
        dsl::versioned_processor_store(
            &self.graph,
            name,
            SharedCodec::new(key),
            SharedCodec::new(value),
            (history_ms, None),
        )
    }

    /// As [`versioned_store`](Self::versioned_store), with the length of the store's segments: history is dropped by segments.
    pub fn versioned_store_in_segments<K: 'static, V: Send + 'static>(
        &mut self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
        history_ms: i64,
        segment_ms: i64,
    ) -> VersionedHandle<K, V> {
        let (key, value) = (SharedCodec::new(key), SharedCodec::new(value));
        dsl::versioned_processor_store(&self.graph, name, key, value, (history_ms, Some(segment_ms)))
    }

    /// A window store for processors: values by key and the start of a window, until they expire (Kafka Streams:
    /// `persistentTimestampedWindowStore`).
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{Direction, Processor, ProcessorContext, StoredWindows, WindowHandle};
    ///
    /// /// How often a user has failed to log in: in the minute before, minute by minute.
    /// struct Failures(WindowHandle<String, i64>);
    ///
    /// impl Processor<String, String> for Failures {
    ///     type Key = String;
    ///     type Value = i64;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, String>,
    ///         cx: &mut ProcessorContext<'_, '_, String, i64>,
    ///     ) -> Result<(), ProcessError> {
    ///         let (user, now_ms) = (record.key()?, record.timestamp_ms);
    ///         let minute = now_ms - now_ms % 60_000;
    ///         let mut failures = cx.window_store(&self.0)?;
    ///         let count = failures.get(user, minute)?.copied().unwrap_or(0) + 1;
    ///         failures.put(user, count, minute, now_ms)?;
    ///         let recent = failures.fetch(user, minute - 60_000, minute, Direction::Forward)?;
    ///         cx.forward(user.clone(), recent.iter().map(|(_, count)| count).sum())
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let failures = app.window_store("failures", utf8(), i64_be(), StoredWindows::new(60_000, 3_600_000));
    /// let named = failures.clone();
    /// app.stream("failed-logins", utf8(), utf8())
    ///     .process("recent", &[&named], move || Failures(failures.clone()))
    ///     .with_codecs(utf8(), i64_be())
    ///     .to("recent-failures");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("failed-logins", utf8(), utf8());
    /// input.pipe("ann", "", 50_000)?;
    /// input.pipe("ann", "", 61_000)?;
    /// input.pipe("ann", "", 150_000)?;
    /// let recent = driver.output("recent-failures", utf8(), i64_be()).read_values()?;
    /// assert_eq!(recent, [Some(1), Some(2), Some(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn window_store<K: 'static, V: Send + 'static>(
        &mut self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
        windows: StoredWindows,
    ) -> WindowHandle<K, V> {
        dsl::window_processor_store(&self.graph, name, SharedCodec::new(key), SharedCodec::new(value), windows)
    }

    /// A session store for processors: values by key and session, kept until the largest end put is `retention_ms` later than
    /// their own (Kafka Streams: `persistentSessionStore`).
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, record::Record, task::ProcessError, testing::TestDriver, topology::Topology};
    /// use kappa_core::processor::{Direction, Processor, ProcessorContext, Session, SessionHandle};
    ///
    /// /// How long a trip has taken so far; a new one begins when there was nothing for five minutes.
    /// struct Trips(SessionHandle<String, i64>);
    ///
    /// impl Processor<String, String> for Trips {
    ///     type Key = String;
    ///     type Value = i64;
    ///
    ///     fn process(
    ///         &mut self,
    ///         record: &Record<'_, String, String>,
    ///         cx: &mut ProcessorContext<'_, '_, String, i64>,
    ///     ) -> Result<(), ProcessError> {
    ///         let (car, now_ms) = (record.key()?, record.timestamp_ms);
    ///         let mut trips = cx.session_store(&self.0)?;
    ///         let mut trip = Session { start_ms: now_ms, end_ms: now_ms };
    ///         for (before, _) in trips.find(car, now_ms - 300_000, now_ms, Direction::Forward)? {
    ///             trips.remove(car, before, now_ms)?;
    ///             trip = Session { start_ms: trip.start_ms.min(before.start_ms), end_ms: trip.end_ms.max(before.end_ms) };
    ///         }
    ///         let took_ms = trip.end_ms - trip.start_ms;
    ///         trips.put(car, trip, took_ms, now_ms)?;
    ///         cx.forward(car.clone(), took_ms)
    ///     }
    /// }
    ///
    /// let mut app = Topology::builder();
    /// let trips = app.session_store("trips", utf8(), i64_be(), 3_600_000);
    /// let named = trips.clone();
    /// app.stream("positions", utf8(), utf8())
    ///     .process("trips", &[&named], move || Trips(trips.clone()))
    ///     .with_codecs(utf8(), i64_be())
    ///     .to("durations");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("positions", utf8(), utf8());
    /// input.pipe("car", "", 0)?;
    /// input.pipe("car", "", 200_000)?;
    /// input.pipe("car", "", 900_000)?;
    /// let durations = driver.output("durations", utf8(), i64_be()).read_values()?;
    /// assert_eq!(durations, [Some(0), Some(200_000), Some(0)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn session_store<K: 'static, V: Send + 'static>(
        &mut self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
        retention_ms: i64,
    ) -> SessionHandle<K, V> {
        dsl::session_processor_store(&self.graph, name, SharedCodec::new(key), SharedCodec::new(value), retention_ms)
    }

    /// Checks the whole and cuts it into sub-topologies.
    pub fn build(self) -> Result<Topology, TopologyError> {
        if let Some(error) = self.graph.borrow().errors.first() {
            return Err(error.clone());
        }
        // Before the wrapper adds stores: what goes nowhere goes nowhere with one, too.
        check(&self.graph.borrow())?;
        self.wrap();
        let graph = self.graph.borrow().clone();
        if let Some(error) = graph.errors.first() {
            return Err(error.clone());
        }
        let mut subs = sub_topologies(&graph)?;
        if graph.parks {
            parking::extend(&graph, &mut subs)?;
        }
        let mut views: Vec<String> = graph.nodes.iter().filter_map(|node| view(&node.kind)).collect();
        views.sort();
        views.dedup();
        let fingerprint = fingerprint::fingerprint(&graph, &subs);
        let sub_topologies = subs.iter().map(|sub| sub.plan.clone()).collect();
        let mut globals: Vec<GlobalPlan> = (graph.globals.iter())
            .map(|global| GlobalPlan {
                name: global.name.clone(),
                topic: global.topic.clone(),
                has_update: global.update.is_some(),
            })
            .collect();
        globals.sort_by(|a, b| a.topic.cmp(&b.topic));
        let plan = TopologyPlan { sub_topologies, views, globals, fingerprint };
        Ok(Topology { inner: Arc::new(Inner { graph, subs, plan }) })
    }
}

impl fmt::Debug for TopologyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopologyBuilder").finish_non_exhaustive()
    }
}

fn view(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Sink { topic: TopicRef::View(name), .. } => Some(name.clone()),
        _ => None,
    }
}

/// What an application computes. Cheap to clone; shared by all threads.
#[derive(Clone)]
pub struct Topology {
    inner: Arc<Inner>,
}

struct Inner {
    graph: Graph,
    subs: Vec<SubTopology>,
    plan: TopologyPlan,
}

impl Topology {
    /// Begins a topology.
    pub fn builder() -> TopologyBuilder {
        TopologyBuilder::default()
    }

    /// Names and how they hang together.
    pub fn plan(&self) -> &TopologyPlan {
        &self.inner.plan
    }

    /// Makes the task of one partition of a sub-topology (an index into the plan's), opening its stores.
    /// Panics when there is no such sub-topology.
    pub fn instantiate(
        &self,
        sub_topology: usize,
        scope: &TaskScope<'_>,
    ) -> Result<Box<dyn TaskProcessor>, StateError> {
        let Inner { graph, subs, .. } = &*self.inner;
        let sub = &subs[sub_topology];
        if !graph.parks {
            return Ok(Box::new(Assembly::task(graph, sub, scope)?));
        }
        let (calls, globals) = (Arc::clone(&scope.calls), scope.globals.clone());
        let undoing = TaskScope { undo_records: true, calls, globals, ..*scope };
        wrap(Box::new(Assembly::task(graph, sub, &undoing)?), parking::parking(sub), scope)
    }

    /// The topology as text, in the very form of Kafka Streams' `Topology.describe()`, for which there are visualisers.
    pub fn describe(&self) -> String {
        self.description().to_string()
    }

    /// The topology as data: to be drawn ([`TopologyDescription::svg`], [`TopologyDescription::mermaid`]), kept as JSON, and
    /// compared with another version's.
    pub fn description(&self) -> TopologyDescription {
        TopologyDescription::new(&self.inner.graph, &self.inner.subs, &self.inner.plan)
    }
}

impl Topology {
    /// One of the plan's global tables.
    fn planned_global(&self, index: usize) -> Option<&Global> {
        let planned = self.plan().globals.get(index)?;
        self.inner.graph.globals.iter().find(|global| global.topic == planned.topic)
    }
}

impl Program for Topology {
    fn plan(&self) -> &TopologyPlan {
        Topology::plan(self)
    }

    fn instantiate(&self, sub_topology: usize, scope: &TaskScope<'_>) -> Result<Box<dyn TaskProcessor>, StateError> {
        Topology::instantiate(self, sub_topology, scope)
    }

    fn description(&self) -> Option<TopologyDescription> {
        Some(Topology::description(self))
    }

    fn check_global(&self, table: usize, key: &[u8], value: Option<&[u8]>) -> Result<(), ProcessError> {
        let Some(global) = self.planned_global(table) else { return Ok(()) };
        (global.check)(key, value).map_err(|(part, reason)| ProcessError::Undecodable { part, reason })
    }

    fn update_global(
        &self,
        store: usize,
        record: &SourceRecord<'_>,
        partition: i32,
        rows: &GlobalTable,
    ) -> Result<(), ProcessError> {
        let update = self.planned_global(store).and_then(|global| global.update.as_ref());
        update.map_or(Ok(()), |update| (update.take)(record, partition, rows))
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
