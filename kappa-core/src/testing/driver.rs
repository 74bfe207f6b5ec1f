//! The driver of tests.

use super::world::World;
use super::{Recording, TestError, TestInput, TestOutput, TestStore, TestVersionedStore, TestWindows, WrittenRecord};
use crate::codec::{Codec, SharedCodec};
use crate::runtime::BadRecords;
use crate::topology::{TopicRef, Topology};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// How a [`TestDriver`] runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestOptions {
    /// Partitions of every topic that does not set its own number. Default: 1.
    pub partitions: i32,
    /// As [`TaskScope::cache_bytes_per_store`](crate::task::TaskScope::cache_bytes_per_store). Default: 10 MiB.
    pub cache_bytes: usize,
    /// Commit after every record, so that results are there at once. Default: true. Else what stores hold back waits
    /// for [`TestDriver::commit`].
    pub commit_every_record: bool,
    /// What the wall clock shows at the beginning, ms since 1970. Default: 0.
    pub wall_clock_ms: i64,
    /// What becomes of records that can't be decoded. Default: the call that pipes one in fails.
    pub bad_records: BadRecords,
    /// What becomes of records that an operator fails on. Default: the call that pipes one in fails.
    pub failed_records: BadRecords,
}

impl Default for TestOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            cache_bytes: 10 * 1024 * 1024,
            commit_every_record: true,
            wall_clock_ms: 0,
            bad_records: BadRecords::Fail,
            failed_records: BadRecords::Fail,
        }
    }
}

/// A record of a changelog: key, value, timestamp.
pub type ChangelogRecord = (Vec<u8>, Option<Vec<u8>>, i64);

/// Runs a topology in memory: pipe records in, read what comes out (Kafka Streams: `TopologyTestDriver`).
///
/// All sub-topologies run, with all their partitions; what is written to a topic that the topology reads
/// is read from there. Among what waits, the record with the smallest timestamp is next. Nothing happens by itself:
/// the wall clock stands still until [`TestDriver::advance_wall_clock_ms`].
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
    pub(super) world: Rc<RefCell<World>>,
}

impl TestDriver {
    /// Runs a topology with the default options.
    pub fn new(topology: &Topology) -> Result<Self, TestError> {
        Self::with_options(topology, TestOptions::default())
    }

    /// Runs a topology.
    pub fn with_options(topology: &Topology, options: TestOptions) -> Result<Self, TestError> {
        Ok(Self { world: Rc::new(RefCell::new(World::new(topology, options)?)) })
    }

    /// A topic to pipe records into.
    pub fn input<K: 'static, V: 'static>(
        &self,
        topic: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestInput<K, V> {
        let topic = TopicRef::External(topic.to_owned());
        TestInput::new(Rc::clone(&self.world), topic, SharedCodec::new(key), SharedCodec::new(value))
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
        TestOutput::new(Rc::clone(&self.world), topic, SharedCodec::new(key), SharedCodec::new(value))
    }

    /// Takes what was written to any topic and not read yet, as bytes, in the order of writing.
    pub fn take_written(&self) -> Vec<WrittenRecord> {
        WrittenRecord::take(&mut self.world.borrow_mut())
    }

    /// A store's committed contents, all partitions together.
    pub fn store<K: 'static, V: 'static>(
        &self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestStore<K, V> {
        TestStore::new(Rc::clone(&self.world), name.to_owned(), SharedCodec::new(key), SharedCodec::new(value))
    }

    /// A versioned store's committed contents, all partitions together.
    pub fn versioned_store<K: 'static, V: Clone + Send + 'static>(
        &self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> Result<TestVersionedStore<K, V>, TestError> {
        TestVersionedStore::new(&self.world.borrow(), name, SharedCodec::new(key), &SharedCodec::new(value))
    }

    /// A window store's committed contents, all partitions together; `size_ms` is the windows' size, or the difference of
    /// sliding ones.
    pub fn window_store<K: 'static, V: 'static>(
        &self,
        name: &str,
        key: impl Codec<K>,
        size_ms: i64,
        value: impl Codec<V>,
    ) -> TestWindows<K, V> {
        let (key, value) = (SharedCodec::new(key), SharedCodec::new(value));
        TestWindows::new(Rc::clone(&self.world), name.to_owned(), Some(size_ms), key, value)
    }

    /// A session store's committed contents, all partitions together.
    pub fn session_store<K: 'static, V: 'static>(
        &self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> TestWindows<K, V> {
        let (key, value) = (SharedCodec::new(key), SharedCodec::new(value));
        TestWindows::new(Rc::clone(&self.world), name.to_owned(), None, key, value)
    }

    /// Goes on from the state of an application elsewhere, such as a running one: what the changelogs of its stores hold, by store
    /// and partition, and what its tasks know of time (see [`OffsetMetadata`](crate::runtime::OffsetMetadata)), by task. All tasks
    /// start anew on it.
    pub fn load(
        &self,
        changelogs: impl IntoIterator<Item = (String, i32, Vec<ChangelogRecord>)>,
        times_ms: &BTreeMap<String, Vec<i64>>,
    ) -> Result<(), TestError> {
        self.world.borrow_mut().load(changelogs, times_ms)
    }

    /// Commits all tasks, until nothing is left to be passed on.
    pub fn commit(&self) -> Result<(), TestError> {
        self.world.borrow_mut().commit()
    }

    /// Moves the wall clock on, and runs all that follows from it.
    pub fn advance_wall_clock_ms(&self, by_ms: i64) -> Result<(), TestError> {
        self.world.borrow_mut().advance(by_ms)
    }

    /// What the wall clock shows, ms since 1970.
    pub fn wall_clock_ms(&self) -> i64 {
        self.world.borrow().now_ms
    }

    /// Records dropped so far, by reason.
    pub fn dropped(&self) -> BTreeMap<&'static str, u64> {
        self.world.borrow().dropped.clone()
    }

    /// How many steps the test has made: each record piped in, each commit and each move of the clock is one.
    pub fn steps(&self) -> usize {
        self.world.borrow().step
    }

    /// The names of the tasks: `<sub-topology>-<partition>`.
    pub fn tasks(&self) -> Vec<String> {
        self.world.borrow().task_names()
    }

    /// All that the test did so far: records piped in, commits, moves of the clock.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::{Recording, TestDriver}, topology::Topology};
    /// # fn topology() -> Topology {
    /// #     let mut app = Topology::builder();
    /// #     app.stream("in", utf8(), utf8()).group_by_key().count("counts").to("out");
    /// #     app.build().expect("a topology")
    /// # }
    /// let driver = TestDriver::new(&topology())?;
    /// driver.input("in", utf8(), utf8()).pipe("k", "x", 1)?;
    /// let mut file = Vec::new();
    /// driver.recording().write(&mut file)?;
    ///
    /// let again = TestDriver::new(&topology())?;
    /// again.replay(&Recording::read(&file[..])?)?;
    /// assert_eq!(again.output("out", utf8(), i64_be()).read_values()?, [Some(1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn recording(&self) -> Recording {
        Recording { steps: self.world.borrow().recorded.clone() }
    }

    /// Does again what was recorded, of this topology or another one that reads the same topics.
    pub fn replay(&self, recording: &Recording) -> Result<(), TestError> {
        self.world.borrow_mut().replay(recording)
    }

    /// Stops all tasks and starts them again on the state they have, as a restart of the process does. Commits first.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, utf8}, testing::TestDriver, topology::Topology};
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8()).group_by_key().count("counts").to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("k", "x", 1)?;
    /// driver.restart()?;
    /// input.pipe("k", "y", 2)?;
    /// assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(1), Some(2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restart(&self) -> Result<(), TestError> {
        self.world.borrow_mut().restart(|_| true, true).map(drop)
    }

    /// Moves a task (see [`TestDriver::tasks`]) to where nothing is known of it: its stores are made anew from their
    /// changelogs. Commits first.
    pub fn move_task(&self, name: &str) -> Result<(), TestError> {
        let mut world = self.world.borrow_mut();
        if world.restart(|task| task == name, false)? == 0 {
            let has = world.task_names().join(", ");
            return Err(TestError::Unknown { what: "task", name: name.to_owned(), has });
        }
        Ok(())
    }
}

impl fmt::Debug for TestDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDriver").finish_non_exhaustive()
    }
}
