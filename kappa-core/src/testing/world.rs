//! What a test driver runs: the tasks of all partitions, the records between them, the changelogs.
//!
//! **Invariants:**
//! - Nothing waits in a queue whenever no call is running.
//! - A store's changelog holds all that was committed, in order: a task can be made anew from it at any time.
//! - A task that fails leaves nothing behind of what it had not committed.

mod commits;
mod starting;

use super::queues::Queues;
use super::stored::Stored;
use super::{Recorded, RecordedHeader, Recording, TestError, TestOptions};
use crate::log::{Header, TopicHandle};
use crate::runtime::BadRecords;
use crate::runtime::bad_record::{LeftOut, Policies, Policy};
use crate::task::{Globals, Output, OutputTopic, ProcessError, Rows, TaskProcessor};
use crate::topology::{ChangelogSource, SubTopologyPlan, TopicRef, Topology, display};
use kappa_state::MemoryBackend;
use std::collections::{BTreeMap, VecDeque};

/// A record of a changelog.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) timestamp_ms: i64,
}

pub(super) struct World {
    pub(super) topology: Topology,
    pub(super) tasks: Vec<Task>,
    pub(super) options: TestOptions,
    queues: Queues,
    pub(super) globals: Globals,
    /// The next offsets of global tables' topics, by topic and partition.
    pub(super) global_ends: BTreeMap<(String, i32), i64>,
    pub(super) written: BTreeMap<TopicRef, VecDeque<Stored>>,
    /// By store and partition.
    pub(super) changelogs: BTreeMap<String, BTreeMap<i32, Vec<Logged>>>,
    pub(super) dropped: BTreeMap<&'static str, u64>,
    pub(super) now_ms: i64,
    /// What the test did.
    pub(super) recorded: Vec<Recorded>,
    /// The number of calls that could have made something happen.
    pub(super) step: usize,
    sequence: u64,
}

pub(super) struct Task {
    name: String,
    sub_topology: usize,
    plan: SubTopologyPlan,
    partition: i32,
    topics: Vec<OutputTopic>,
    /// Where its stores live; a task that moves gets a new one.
    state: MemoryBackend,
    pub(super) processor: Box<dyn TaskProcessor>,
    out: Output,
    /// What it knew of time at the last commit: kept beside the committed offsets.
    times: Vec<i64>,
    /// What it has processed since the last commit of inputs that stores are made of, by store.
    inputs: Vec<(usize, Logged)>,
}

impl World {
    pub(super) fn new(topology: &Topology, options: TestOptions) -> Result<Self, TestError> {
        let plan = topology.plan();
        let mut world = Self {
            topology: topology.clone(),
            tasks: Vec::new(),
            queues: Queues::default(),
            globals: Globals::open(plan.globals.iter().map(|global| global.name.as_str()), &MemoryBackend::new())?,
            global_ends: BTreeMap::new(),
            written: BTreeMap::new(),
            changelogs: BTreeMap::new(),
            dropped: BTreeMap::new(),
            now_ms: options.wall_clock_ms,
            options,
            recorded: Vec::new(),
            step: 0,
            sequence: 0,
        };
        world.globals.set_ready();
        for global in &plan.globals {
            world.changelogs.entry(global.name.clone()).or_default();
        }
        let counts = partition_counts(&plan.sub_topologies);
        let partitions = world.options.partitions;
        let count = |topic: &TopicRef| match topic {
            // As many as there are tasks.
            TopicRef::Control(_) => 0,
            topic => counts.get(topic).copied().unwrap_or(partitions),
        };
        for letters in [&world.options.bad_records, &world.options.failed_records] {
            if let BadRecords::DeadLetter(topic) = letters {
                world.written.entry(TopicRef::External(topic.clone())).or_default();
            }
        }
        for store in plan.sub_topologies.iter().flat_map(|sub| &sub.stores) {
            world.changelogs.entry(store.name.clone()).or_default();
        }
        for topic in plan.sub_topologies.iter().flat_map(|sub| &sub.outputs) {
            match topic {
                TopicRef::Changelog(store) => drop(world.changelogs.entry(store.clone()).or_default()),
                topic => drop(world.written.entry(topic.clone()).or_default()),
            }
        }
        for (sub_topology, sub) in plan.sub_topologies.iter().enumerate() {
            let partitions = sub.sources.iter().map(|source| count(&source.topic)).max().unwrap_or(0);
            let topics = (sub.outputs.iter().enumerate())
                .map(|(handle, topic)| OutputTopic { handle: TopicHandle(handle as u32), partitions: count(topic) })
                .collect::<Vec<_>>();
            for partition in 0..partitions {
                let task = world.start(sub_topology, partition, MemoryBackend::new(), topics.clone(), &[])?;
                world.tasks.push(task);
            }
        }
        Ok(world)
    }

    /// Up to where rows of a store have expired in a partition.
    pub(super) fn expired_until_ms(&mut self, store: &str, partition: i32) -> Option<i64> {
        for task in self.tasks.iter_mut().filter(|task| task.partition == partition) {
            if let Some(index) = task.plan.stores.iter().position(|plan| plan.name == store) {
                return task.processor.store(index).expired_until_ms();
            }
        }
        None
    }

    /// The rows of a store that is made of a topic, task by task; `None` of one with a changelog of its own.
    pub(super) fn rows_of_input(&mut self, store: &str) -> Result<Option<Rows>, TestError> {
        let mut found = None;
        for task in &mut self.tasks {
            let Some(index) = task.plan.stores.iter().position(|plan| plan.name == store) else { continue };
            if let Some(rows) = task.processor.rows(index)? {
                found.get_or_insert_with(Rows::new).extend(rows);
            }
        }
        Ok(found)
    }

    pub(super) fn task_names(&self) -> Vec<String> {
        self.tasks.iter().map(|task| task.name.clone()).collect()
    }

    /// Whether any task reads the topic.
    pub(super) fn reads(&self, topic: &TopicRef) -> Result<(), TestError> {
        let sources = || self.tasks.iter().flat_map(|task| &task.plan.sources).map(|source| &source.topic);
        if sources().any(|source| source == topic) {
            return Ok(());
        }
        if let TopicRef::External(name) = topic
            && self.topology.plan().globals.iter().any(|global| global.topic == *name)
        {
            return Ok(());
        }
        let mut has: Vec<String> = sources().map(display).collect();
        has.dedup();
        Err(TestError::Unknown { what: "input", name: display(topic), has: has.join(", ") })
    }

    /// Runs a record, and everything that follows from it.
    pub(super) fn pipe(&mut self, topic: &TopicRef, record: Stored) -> Result<(), TestError> {
        self.step += 1;
        self.recorded.push(record.as_recorded(topic));
        self.pipe_global(topic, &record)?;
        if task_reads(&self.topology, topic) {
            self.queue(topic, record);
        }
        self.drain()
    }

    /// Does again what was recorded.
    pub(super) fn replay(&mut self, recording: &Recording) -> Result<(), TestError> {
        for step in &recording.steps {
            match step {
                Recorded::AdvanceMs(by_ms) => self.advance(*by_ms)?,
                Recorded::Commit => self.commit()?,
                Recorded::Record { topic, partition, timestamp_ms, key, value, headers } => {
                    let topic = self.input_named(topic);
                    self.reads(&topic)?;
                    let header = |header: &RecordedHeader| Header {
                        name: header.name.as_str().into(),
                        value: header.value.as_deref().map(Into::into),
                    };
                    let record = Stored {
                        partition: *partition,
                        timestamp_ms: *timestamp_ms,
                        key: key.clone(),
                        value: value.clone(),
                        headers: headers.iter().map(header).collect(),
                        step: self.step,
                        sequence: 0,
                    };
                    self.pipe(&topic, record)?;
                }
            }
        }
        Ok(())
    }

    /// Tells a task what the wall clock shows.
    pub(super) fn advance_task(&mut self, index: usize) -> Result<bool, TestError> {
        let task = &mut self.tasks[index];
        task.processor.advance(self.now_ms, &mut task.out).map_err(|source| {
            let task = self.tasks[index].name.clone();
            self.abort(index);
            TestError::Clock { task, source }
        })
    }

    /// Puts a record in front of the task that reads it.
    fn queue(&mut self, topic: &TopicRef, record: Stored) {
        let offset = self.queues.end(topic, record.partition);
        let reader = self.tasks.iter().filter(|task| task.partition == record.partition).find_map(|task| {
            let source = task.plan.sources.iter().position(|source| source.topic == *topic)?;
            task.processor.time_of(source, &record.as_source(offset))
        });
        self.queues.push(topic, reader.unwrap_or(record.timestamp_ms), record);
    }

    /// Moves the wall clock.
    pub(super) fn advance(&mut self, by_ms: i64) -> Result<(), TestError> {
        self.step += 1;
        self.recorded.push(Recorded::AdvanceMs(by_ms));
        self.now_ms += by_ms;
        for index in 0..self.tasks.len() {
            self.advance_task(index)?;
            self.after(index)?;
        }
        self.drain()?;
        for index in self.upstream_first() {
            let task = &mut self.tasks[index];
            if let Err(source) = task.processor.rest(self.now_ms, &mut task.out) {
                let task = task.name.clone();
                self.abort(index);
                return Err(TestError::Clock { task, source });
            }
            self.after(index)?;
            self.drain()?;
        }
        Ok(())
    }

    /// The tasks, those that write a topic before those that read it.
    fn upstream_first(&self) -> Vec<usize> {
        let mut open: Vec<usize> = (0..self.tasks.len()).collect();
        let mut order = Vec::new();
        let feeds = |writer: usize, reader: usize| {
            let (writer, reader) = (&self.tasks[writer], &self.tasks[reader]);
            writer.sub_topology != reader.sub_topology
                && reader.plan.sources.iter().any(|source| writer.plan.outputs.contains(&source.topic))
        };
        while !open.is_empty() {
            let first = open.iter().position(|reader| !open.iter().any(|writer| feeds(*writer, *reader)));
            // Where topics make a circle there is no first.
            order.push(open.remove(first.unwrap_or(0)));
        }
        order
    }

    pub(super) fn drain(&mut self) -> Result<(), TestError> {
        while let Some((topic, offset, record)) = self.queues.pop() {
            for index in 0..self.tasks.len() {
                let task = &mut self.tasks[index];
                let source = task.plan.sources.iter().position(|source| source.topic == topic);
                let (Some(source), true) = (source, task.partition == record.partition) else { continue };
                if let Err(error) = task.process(source, offset, &record) {
                    self.leave_out(index, source, &topic, offset, &record, error)?;
                }
                self.tasks[index].note_input(source, &record);
                self.after(index)?;
            }
        }
        Ok(())
    }

    /// A record can't be used or has failed: it is left out as the options say, or the step fails.
    fn leave_out(
        &mut self,
        index: usize,
        source: usize,
        topic: &TopicRef,
        offset: i64,
        record: &Stored,
        error: ProcessError,
    ) -> Result<(), TestError> {
        let error = error.of_record(source, offset);
        let policies = Policies {
            bad: policy(&self.options.bad_records, BAD_LETTERS, "kappa.BadRecord"),
            failed: policy(&self.options.failed_records, FAILED_LETTERS, "kappa.FailedRecord"),
        };
        let task = &mut self.tasks[index];
        let (policy, reason, operator, counted) = match &error {
            ProcessError::Undecodable { part, reason } => {
                (policies.bad, format!("{part} can't be used: {reason}"), "", "bad_record")
            }
            ProcessError::Operator { operator, reason }
                if *policies.failed.choice == BadRecords::Fail && !task.processor.parks() =>
            {
                (policies.failed, reason.clone(), operator.as_str(), "failed_record")
            }
            ProcessError::Operator { operator, reason } if task.processor.undo(&mut task.out)? => {
                (policies.failed, reason.clone(), operator.as_str(), "failed_record")
            }
            _ => (Policy { choice: &BadRecords::Fail, ..policies.failed }, String::new(), "", ""),
        };
        let (topic, partition) = (display(topic), record.partition);
        let record_read = record.as_source(offset);
        if !counted.is_empty() && task.processor.park(source, &record_read, operator, &reason)? {
            return Ok(());
        }
        let left_out =
            LeftOut { topic: &topic, partition, view: record_read.view, headers: &record.headers, reason, operator };
        if left_out.treat(policy, &mut task.out).is_err() {
            self.abort(index);
            return Err(TestError::Process { topic, partition, offset, source: error });
        }
        *self.dropped.entry(counted).or_default() += 1;
        Ok(())
    }
}

impl Task {
    fn process(&mut self, source: usize, offset: i64, record: &Stored) -> Result<(), ProcessError> {
        self.processor.process(source, &record.as_source(offset), &mut self.out)
    }

    /// A record has been processed: stores that are made of its topic are restored with it once it is committed.
    fn note_input(&mut self, source: usize, record: &Stored) {
        let Some(key) = &record.key else { return };
        for (store, plan) in self.plan.stores.iter().enumerate() {
            let row = (key.as_slice(), record.value.as_deref(), record.timestamp_ms);
            if plan.changelog == (ChangelogSource::Input { source }) && self.processor.is_row(store, row) {
                let (key, value, timestamp_ms) = (key.clone(), record.value.clone(), record.timestamp_ms);
                self.inputs.push((store, Logged { key, value, timestamp_ms }));
            }
        }
    }
}

/// Handles of dead-letter topics: behind all outputs of a plan.
const BAD_LETTERS: TopicHandle = TopicHandle(u32::MAX - 1);
const FAILED_LETTERS: TopicHandle = TopicHandle(u32::MAX);

fn policy<'s>(choice: &'s BadRecords, handle: TopicHandle, exception: &'static str) -> Policy<'s> {
    Policy { choice, dead_letters: Some(OutputTopic { handle, partitions: 1 }), exception }
}

fn task_reads(topology: &Topology, topic: &TopicRef) -> bool {
    let mut sources = topology.plan().sub_topologies.iter().flat_map(|sub| &sub.sources);
    sources.any(|source| source.topic == *topic)
}

/// Partitions of topics that set their own number.
fn partition_counts(subs: &[SubTopologyPlan]) -> BTreeMap<TopicRef, i32> {
    subs.iter()
        .flat_map(|sub| &sub.sources)
        .filter_map(|source| source.partitions.map(|count| (source.topic.clone(), count)))
        .collect()
}
