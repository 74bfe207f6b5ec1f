//! What a test driver runs: the tasks of all partitions, the records between them, the changelogs.
//!
//! **Invariants:**
//! - Nothing waits in a queue whenever no call is running.
//! - A store's changelog holds all that was committed, in order: a task can be made anew from it at any time.
//! - A task that fails leaves nothing behind of what it had not committed.

use super::queues::Queues;
use super::stored::Stored;
use super::{ChangelogRecord, Recorded, RecordedHeader, Recording, TestError, TestOptions};
use crate::log::{Header, TopicHandle};
use crate::runtime::BadRecords;
use crate::runtime::bad_record::{LeftOut, Policies, Policy};
use crate::task::{Globals, InlineCalls, Output, OutputTopic, ProcessError, Rows, TaskProcessor, TaskScope};
use crate::topology::{ChangelogSource, SubTopologyPlan, TopicRef, Topology, display};
use kappa_state::{MemoryBackend, TailBound};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

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

    /// Makes a task over the stores in `state`, brought up to date from their changelogs.
    fn start(
        &self,
        sub_topology: usize,
        partition: i32,
        state: MemoryBackend,
        topics: Vec<OutputTopic>,
        times: &[i64],
    ) -> Result<Task, TestError> {
        let plan = self.topology.plan().sub_topologies[sub_topology].clone();
        let name = format!("{}-{partition}", plan.name);
        let scope = TaskScope {
            calls: Arc::new(InlineCalls::default()),
            undo_records: self.options.failed_records != BadRecords::Fail,
            globals: self.globals.clone(),
            name: &name,
            partition,
            state: &state,
            tail_bound: TailBound::default(),
            cache_bytes_per_store: self.options.cache_bytes,
        };
        let mut processor = self.topology.instantiate(sub_topology, &scope)?;
        for (index, store) in plan.stores.iter().enumerate() {
            let log = self.changelogs.get(&store.name).and_then(|logs| logs.get(&partition));
            let log = log.map_or(&[][..], Vec::as_slice);
            let managed = processor.store(index);
            let mark = managed.mark().unwrap_or_default();
            let missing = log.get(mark.changelog_offset as usize..).unwrap_or_default();
            let mut records = missing.iter().map(|row| (&*row.key, row.value.as_deref(), row.timestamp_ms));
            managed.restore(&mut records, log.len() as i64)?;
            managed.restored(log.len() as i64, &mark.operator_time)?;
        }
        if !times.is_empty() {
            processor.restore_times(times);
        }
        let mut out = Output::new(topics.clone(), partition);
        processor.advance(self.now_ms, &mut out).map_err(|source| TestError::Clock { task: name.clone(), source })?;
        let (times, inputs) = (processor.times(), Vec::new());
        Ok(Task { name, sub_topology, plan, partition, topics, state, processor, out, times, inputs })
    }

    /// Stops tasks cleanly and makes them anew: on the state they have, or on none.
    pub(super) fn restart(&mut self, which: impl Fn(&str) -> bool, keeps_state: bool) -> Result<usize, TestError> {
        self.step += 1;
        self.commit_all()?;
        self.start_anew(which, keeps_state)
    }

    fn start_anew(&mut self, which: impl Fn(&str) -> bool, keeps_state: bool) -> Result<usize, TestError> {
        let mut count = 0;
        for index in 0..self.tasks.len() {
            if !which(&self.tasks[index].name) {
                continue;
            }
            let mut old = self.tasks.remove(index);
            (0..old.processor.store_count())
                .try_for_each(|store| old.processor.store(store).flush(self.now_ms, true))?;
            let Task { sub_topology, partition, topics, state, processor, times, .. } = old;
            // Its stores are closed before they are opened again.
            drop(processor);
            let state = if keeps_state { state } else { MemoryBackend::new() };
            let task = self.start(sub_topology, partition, state, topics, &times)?;
            self.tasks.insert(index, task);
            count += 1;
        }
        Ok(count)
    }

    /// Puts records behind the stores' changelogs, and makes all tasks anew.
    pub(super) fn load(
        &mut self,
        changelogs: impl IntoIterator<Item = (String, i32, Vec<ChangelogRecord>)>,
        times_ms: &BTreeMap<String, Vec<i64>>,
    ) -> Result<(), TestError> {
        for (store, partition, records) in changelogs {
            let Some(logs) = self.changelogs.get_mut(&store) else {
                let has: Vec<&str> = self.changelogs.keys().map(String::as_str).collect();
                return Err(TestError::Unknown { what: "store", name: store, has: has.join(", ") });
            };
            let logged = |(key, value, timestamp_ms)| Logged { key, value, timestamp_ms };
            logs.entry(partition).or_default().extend(records.into_iter().map(logged));
        }
        self.commit_all()?;
        for task in &mut self.tasks {
            if let Some(times_ms) = times_ms.get(&task.name) {
                task.times.clone_from(times_ms);
            }
        }
        self.start_anew(|_| true, false).map(drop)
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

    /// Commits all tasks, until nothing is left to be passed on.
    pub(super) fn commit(&mut self) -> Result<(), TestError> {
        self.step += 1;
        self.recorded.push(Recorded::Commit);
        self.commit_all()
    }

    fn commit_all(&mut self) -> Result<(), TestError> {
        loop {
            (0..self.tasks.len()).try_for_each(|task| self.commit_task(task))?;
            if self.queues.is_empty() {
                return Ok(());
            }
            self.drain()?;
        }
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

    /// A task has done something: it is committed, or at least what it wrote can be read.
    pub(super) fn after(&mut self, index: usize) -> Result<(), TestError> {
        self.count_dropped(index);
        let commit = self.tasks[index].processor.take_commit_request() || self.options.commit_every_record;
        match commit {
            true => self.commit_task(index),
            false => {
                self.collect(index);
                Ok(())
            }
        }
    }

    fn commit_task(&mut self, index: usize) -> Result<(), TestError> {
        let task = &mut self.tasks[index];
        if let Err(source) = task.processor.flush(&mut task.out) {
            let task = task.name.clone();
            self.abort(index);
            return Err(TestError::Commit { task, source });
        }
        self.count_dropped(index);
        let mut logged = self.collect(index);
        let task = &mut self.tasks[index];
        for (store, row) in std::mem::take(&mut task.inputs) {
            logged[store] = true;
            let logs = self.changelogs.entry(task.plan.stores[store].name.clone()).or_default();
            logs.entry(task.partition).or_default().push(row);
        }
        for (store, logged) in logged.into_iter().enumerate() {
            let log = self.changelogs.get(&task.plan.stores[store].name).and_then(|logs| logs.get(&task.partition));
            let end = log.filter(|_| logged).map(|log| log.len() as i64);
            task.processor.store(store).committed(end, &[], self.now_ms)?;
        }
        task.times = task.processor.times();
        Ok(())
    }

    fn count_dropped(&mut self, task: usize) {
        for (reason, count) in self.tasks[task].processor.take_dropped() {
            *self.dropped.entry(reason).or_default() += count;
        }
    }

    /// A task has failed: what it has not committed is forgotten, and what waits as well.
    fn abort(&mut self, index: usize) {
        self.queues.clear();
        let task = &mut self.tasks[index];
        task.out.batch = Default::default();
        task.inputs.clear();
        task.processor.take_dropped();
        (0..task.processor.store_count()).for_each(|store| task.processor.store(store).aborted());
        task.processor.aborted();
    }

    /// Moves what a task has written to where it is read. Says for each store whether its changelog has grown.
    fn collect(&mut self, index: usize) -> Vec<bool> {
        let task = &mut self.tasks[index];
        let plan = task.plan.clone();
        let mut logged = vec![false; plan.stores.len()];
        let batch = std::mem::take(&mut task.out.batch);
        for entry in batch.entries {
            let bytes = |range: Range<u32>| batch.bytes[range.start as usize..range.end as usize].to_vec();
            let (key, value) = (entry.key.map(bytes), entry.value.map(bytes));
            let (partition, timestamp_ms, headers) = (entry.partition, entry.timestamp_ms, entry.headers);
            let output = entry.topic.0 as usize;
            let topic = match (entry.topic, &self.options) {
                (BAD_LETTERS, TestOptions { bad_records: BadRecords::DeadLetter(topic), .. })
                | (FAILED_LETTERS, TestOptions { failed_records: BadRecords::DeadLetter(topic), .. }) => {
                    TopicRef::External(topic.clone())
                }
                _ => plan.outputs[output].clone(),
            };
            if let TopicRef::Changelog(name) = &topic {
                let logs = |store: &crate::topology::StorePlan| store.changelog == ChangelogSource::Own { output };
                if let Some(store) = plan.stores.iter().position(logs) {
                    logged[store] = true;
                }
                let log = self.changelogs.entry(name.clone()).or_default().entry(partition).or_default();
                log.push(Logged { key: key.unwrap_or_default(), value, timestamp_ms });
                continue;
            }
            let (step, sequence) = (self.step, self.sequence);
            self.sequence += 1;
            let record = Stored { partition, timestamp_ms, key, value, headers, step, sequence };
            if task_reads(&self.topology, &topic) {
                self.queue(&topic, record.clone());
            }
            self.written.entry(topic).or_default().push_back(record);
        }
        logged
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
