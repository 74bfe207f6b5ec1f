//! Runs a whole topology in memory, one record at a time.
//!
//! **Invariants:**
//! - Records wait in one queue, first in, first out; the queue is empty whenever no call is running.
//! - What a task writes is seen by others when it is committed: after every record, unless told otherwise.

use super::{TestError, TestInput, TestOutput, TestStore};
use crate::codec::{Codec, SharedCodec};
use crate::log::{Headers, RecordView, TopicHandle};
use crate::task::{InlineCalls, Output, OutputTopic, ProcessError, SourceRecord, TaskProcessor, TaskScope};
use crate::topology::{ChangelogSource, SubTopologyPlan, TopicRef, Topology, display};
use kappa_state::{MemoryBackend, TailBound};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// How a [`TestDriver`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestOptions {
    /// Partitions of every topic that does not set its own number. Default: 1.
    pub partitions: i32,
    /// As [`TaskScope::cache_bytes_per_store`]. Default: 10 MiB.
    pub cache_bytes: usize,
    /// Commit after every record, so that results are there at once. Default: true. Else results wait for
    /// [`TestDriver::commit`].
    pub commit_every_record: bool,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self { partitions: 1, cache_bytes: 10 * 1024 * 1024, commit_every_record: true }
    }
}

/// Runs a topology in memory: pipe records in, read what comes out (Kafka Streams: `TopologyTestDriver`).
///
/// All sub-topologies run, with all their partitions; what is written to a topic that the topology reads
/// is read from there. Nothing happens by itself and nothing depends on a clock.
///
/// ```
/// use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
///
/// let mut app = Topology::builder();
/// app.stream("words", utf8(), utf8()).group_by(utf8(), |_, word| word.clone()).count("counts").to("counts");
///
/// let driver = TestDriver::new(&app.build()?)?;
/// driver.input("words", utf8(), utf8()).pipe("any", "kappa", 100)?;
/// assert_eq!(driver.output("counts", utf8(), i64_be()).read_all()?, [("kappa".into(), Some(1), 100)]);
/// assert_eq!(driver.store("counts", utf8(), i64_be()).get("kappa")?, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TestDriver {
    inner: Rc<RefCell<Inner>>,
}

impl TestDriver {
    /// Runs a topology with the default options.
    pub fn new(topology: &Topology) -> Result<Self, TestError> {
        Self::with_options(topology, TestOptions::default())
    }

    /// Runs a topology.
    pub fn with_options(topology: &Topology, options: TestOptions) -> Result<Self, TestError> {
        Ok(Self { inner: Rc::new(RefCell::new(Inner::new(topology, options)?)) })
    }

    /// A topic to pipe records into.
    pub fn input<K: 'static, V: 'static>(
        &self,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestInput<K, V> {
        let topic = TopicRef::External(topic.to_owned());
        TestInput::new(Rc::clone(&self.inner), topic, SharedCodec::new(key), SharedCodec::new(value))
    }

    /// A topic to read results from.
    pub fn output<K: 'static, V: 'static>(
        &self,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestOutput<K, V> {
        self.read(TopicRef::External(topic.to_owned()), key, value)
    }

    /// A view to read results from.
    pub fn view<K: 'static, V: 'static>(
        &self,
        view: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestOutput<K, V> {
        self.read(TopicRef::View(view.to_owned()), key, value)
    }

    /// A repartition topic, for looking at what goes through it.
    pub fn repartition<K: 'static, V: 'static>(
        &self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestOutput<K, V> {
        self.read(TopicRef::Repartition(name.to_owned()), key, value)
    }

    fn read<K: 'static, V: 'static>(
        &self,
        topic: TopicRef,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestOutput<K, V> {
        TestOutput::new(Rc::clone(&self.inner), topic, SharedCodec::new(key), SharedCodec::new(value))
    }

    /// A store's committed contents, all partitions together.
    pub fn store<K: 'static, V: 'static>(
        &self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestStore<K, V> {
        TestStore::new(Rc::clone(&self.inner), name.to_owned(), SharedCodec::new(key), SharedCodec::new(value))
    }

    /// Commits all tasks, until nothing is left to be passed on.
    pub fn commit(&self) -> Result<(), TestError> {
        self.inner.borrow_mut().commit()
    }

    /// Records dropped so far, by reason.
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.inner.borrow().dropped.clone()
    }
}

impl fmt::Debug for TestDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDriver").finish_non_exhaustive()
    }
}

/// A record as it lies in a topic.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) partition: i32,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
}

/// A store's changelog, compacted: by partition and key.
type Compacted = BTreeMap<(i32, Vec<u8>), Vec<u8>>;

pub(super) struct Inner {
    tasks: Vec<Task>,
    options: TestOptions,
    queue: VecDeque<(TopicRef, Stored)>,
    ends: BTreeMap<(TopicRef, i32), i64>,
    pub(super) written: BTreeMap<TopicRef, VecDeque<Stored>>,
    pub(super) changelogs: BTreeMap<String, Compacted>,
    dropped: BTreeMap<&'static str, u64>,
}

struct Task {
    name: String,
    plan: SubTopologyPlan,
    partition: i32,
    processor: Box<dyn TaskProcessor>,
    out: Output,
    changelog_ends: Vec<i64>,
}

impl Inner {
    fn new(topology: &Topology, options: TestOptions) -> Result<Self, TestError> {
        let state = MemoryBackend::new();
        let plan = topology.plan();
        let counts = partition_counts(&plan.sub_topologies);
        let count = |topic: &TopicRef| counts.get(topic).copied().unwrap_or(options.partitions);
        let mut tasks = Vec::new();
        for (index, sub) in plan.sub_topologies.iter().enumerate() {
            let partitions = sub.sources.iter().map(|source| count(&source.topic)).max().unwrap_or(0);
            for partition in 0..partitions {
                let name = format!("{}-{partition}", sub.name);
                let scope = TaskScope {
                    calls: Arc::new(InlineCalls::default()),
                    name: &name,
                    partition,
                    state: &state,
                    tail_bound: TailBound::default(),
                    cache_bytes_per_store: options.cache_bytes,
                };
                let mut processor = topology.instantiate(index, &scope)?;
                (0..processor.store_count()).try_for_each(|store| processor.store(store).restored(0, &[]))?;
                let topics = (sub.outputs.iter().enumerate())
                    .map(|(handle, topic)| OutputTopic { handle: TopicHandle(handle as u32), partitions: count(topic) })
                    .collect();
                let out = Output::new(topics, partition);
                let changelog_ends = vec![0; sub.stores.len()];
                tasks.push(Task { name, plan: sub.clone(), partition, processor, out, changelog_ends });
            }
        }
        let mut written: BTreeMap<TopicRef, VecDeque<Stored>> = BTreeMap::new();
        let mut changelogs: BTreeMap<String, Compacted> = BTreeMap::new();
        for topic in plan.sub_topologies.iter().flat_map(|sub| &sub.outputs) {
            match topic {
                TopicRef::Changelog(store) => drop(changelogs.entry(store.clone()).or_default()),
                topic => drop(written.entry(topic.clone()).or_default()),
            }
        }
        let (queue, ends, dropped) = (VecDeque::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Self { tasks, options, queue, ends, written, changelogs, dropped })
    }

    /// The number of partitions of an input.
    pub(super) fn partitions(&self) -> i32 {
        self.options.partitions
    }

    /// Whether any task reads the topic.
    pub(super) fn reads(&self, topic: &TopicRef) -> Result<(), TestError> {
        let sources = || self.tasks.iter().flat_map(|task| &task.plan.sources).map(|source| &source.topic);
        if sources().any(|source| source == topic) {
            return Ok(());
        }
        let mut has: Vec<String> = sources().map(display).collect();
        has.dedup();
        Err(TestError::Unknown { what: "input", name: display(topic), has: has.join(", ") })
    }

    /// Runs a record, and everything that follows from it.
    pub(super) fn pipe(&mut self, topic: &TopicRef, record: Stored) -> Result<(), TestError> {
        self.queue.push_back((topic.clone(), record));
        self.drain()
    }

    fn commit(&mut self) -> Result<(), TestError> {
        loop {
            for task in 0..self.tasks.len() {
                self.commit_task(task)?;
            }
            if self.queue.is_empty() {
                return Ok(());
            }
            self.drain()?;
        }
    }

    fn drain(&mut self) -> Result<(), TestError> {
        while let Some((topic, record)) = self.queue.pop_front() {
            let end = self.ends.entry((topic.clone(), record.partition)).or_default();
            let offset = *end;
            *end += 1;
            for index in 0..self.tasks.len() {
                let task = &mut self.tasks[index];
                let source = task.plan.sources.iter().position(|source| source.topic == topic);
                let (Some(source), true) = (source, task.partition == record.partition) else { continue };
                if let Err(source) = task.process(source, offset, &record) {
                    self.queue.clear();
                    let (topic, partition) = (display(&topic), record.partition);
                    return Err(TestError::Process { topic, partition, offset, source });
                }
                for (reason, count) in task.processor.take_dropped() {
                    *self.dropped.entry(reason).or_default() += count;
                }
                if self.options.commit_every_record {
                    self.commit_task(index)?;
                }
            }
        }
        Ok(())
    }

    fn commit_task(&mut self, index: usize) -> Result<(), TestError> {
        let task = &mut self.tasks[index];
        if let Err(source) = task.processor.flush(&mut task.out) {
            return Err(TestError::Commit { task: task.name.clone(), source });
        }
        for (reason, count) in task.processor.take_dropped() {
            *self.dropped.entry(reason).or_default() += count;
        }
        let mut logged = vec![false; task.plan.stores.len()];
        let batch = std::mem::take(&mut task.out.batch);
        for entry in batch.entries {
            let bytes = |range: std::ops::Range<u32>| batch.bytes[range.start as usize..range.end as usize].to_vec();
            let (key, value) = (entry.key.map(bytes), entry.value.map(bytes));
            let (partition, timestamp_ms, headers) = (entry.partition, entry.timestamp_ms, entry.headers);
            let output = entry.topic.0 as usize;
            let topic = task.plan.outputs[output].clone();
            if let TopicRef::Changelog(name) = &topic {
                let logs = |store: &crate::topology::StorePlan| store.changelog == ChangelogSource::Own { output };
                if let Some(store) = task.plan.stores.iter().position(logs) {
                    logged[store] = true;
                    task.changelog_ends[store] += 1;
                }
                let rows = self.changelogs.entry(name.clone()).or_default();
                let key = (partition, key.unwrap_or_default());
                match value {
                    Some(value) => drop(rows.insert(key, value)),
                    None => drop(rows.remove(&key)),
                }
                continue;
            }
            let record = Stored { partition, timestamp_ms, key, value, headers };
            self.queue.push_back((topic.clone(), record.clone()));
            self.written.entry(topic).or_default().push_back(record);
        }
        for (store, logged) in logged.into_iter().enumerate() {
            let end = logged.then_some(task.changelog_ends[store]);
            task.processor.store(store).committed(end, &[], 0)?;
        }
        Ok(())
    }
}

impl Task {
    fn process(&mut self, source: usize, offset: i64, record: &Stored) -> Result<(), ProcessError> {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let view = RecordView { offset, timestamp_ms: record.timestamp_ms, key, value };
        let record = SourceRecord { view, headers: record.headers.clone() };
        self.processor.process(source, &record, &mut self.out)
    }
}

/// Partitions of topics that set their own number.
fn partition_counts(subs: &[SubTopologyPlan]) -> BTreeMap<TopicRef, i32> {
    subs.iter()
        .flat_map(|sub| &sub.sources)
        .filter_map(|source| source.partitions.map(|count| (source.topic.clone(), count)))
        .collect()
}
