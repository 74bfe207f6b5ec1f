//! Has a version caught up? Asked of what its group has committed, never of a clock or a state called RUNNING.
//!
//! The question is put at one moment. The inputs' ends as they are then are what the first stages must have
//! committed; when they have, the ends of the repartition topics they write, as they are at that moment, are what
//! the next stages must have committed; and so on. Then everything that was in the inputs at the moment of the
//! question has gone all the way through to the views.
//!
//! **Invariants:**
//! - A target, once set, stays: a version under a steady stream of new records does catch up.
//! - The target of a topic that the version writes itself is set only after its writers have reached theirs, and
//!   is taken as a read_uncommitted reader sees it: on real clusters a commit's markers arrive late.

use crate::app::ApplicationId;
use crate::log::{GroupOffsets, Isolation, LogError, OffsetSpec, SharedLog, TopicPartition, Topics};
use crate::registry::Manifest;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// How far a version is in one partition of what it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputProgress {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The sub-topology's place in the topological order.
    pub stage: usize,
    /// The group's committed offset; `None` when nothing is committed yet.
    pub committed: Option<i64>,
    /// The offset to reach; the end of the topic as it is now, while it is not settled.
    pub end: i64,
    /// Whether `end` is the target for good. It is not while an earlier stage has not reached its own.
    pub settled: bool,
    /// Offsets from what is committed (or the start of the log) to `end`; transaction markers count.
    pub lag: u64,
}

/// How far a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The version.
    pub id: ApplicationId,
    /// Every partition it reads, in topological order.
    pub inputs: Vec<InputProgress>,
    /// The sum of the lags.
    pub behind: u64,
}

impl Progress {
    /// Whether everything that was there at the question has gone all the way through.
    pub fn caught_up(&self) -> bool {
        self.behind == 0 && self.inputs.iter().all(|input| input.settled)
    }

    /// The lag of every topic that has one, in topological order.
    pub fn lag_by_topic(&self) -> Vec<(&str, u64)> {
        let mut topics: Vec<(&str, u64)> = Vec::new();
        for input in self.inputs.iter().filter(|input| input.lag > 0) {
            match topics.iter_mut().find(|(topic, _)| *topic == input.topic) {
                Some((_, lag)) => *lag += input.lag,
                None => topics.push((&input.topic, input.lag)),
            }
        }
        topics
    }

    fn new(id: &ApplicationId, inputs: Vec<InputProgress>) -> Self {
        let behind = inputs.iter().map(|input| input.lag).sum();
        Self { id: id.clone(), inputs, behind }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.caught_up() {
            return f.write_str("caught up");
        }
        write!(f, "{} record{} behind", self.behind, if self.behind == 1 { "" } else { "s" })?;
        let Some(worst) = self.inputs.iter().max_by_key(|input| input.lag).filter(|input| input.lag > 0) else {
            return f.write_str(" in what it has read, with later stages still to come");
        };
        let topics: Vec<String> = self.lag_by_topic().iter().map(|(topic, lag)| format!("{lag} in {topic}")).collect();
        let committed = worst.committed.map_or_else(|| "nothing committed".to_owned(), |c| format!("committed {c}"));
        write!(
            f,
            ": {}; most in {} partition {}: {committed}, end {}",
            topics.join(", "),
            worst.topic,
            worst.partition,
            worst.end
        )
    }
}

#[derive(Debug)]
struct Source {
    stage: usize,
    partition: TopicPartition,
    /// Stages before this one that write the topic.
    writers: Vec<usize>,
    target: Option<i64>,
}

/// The question whether a version has caught up, put at one moment and asked again until it has.
#[derive(Debug)]
pub struct CatchUp {
    id: ApplicationId,
    topics: Box<dyn Topics>,
    group: Box<dyn GroupOffsets>,
    sources: Vec<Source>,
    stages: usize,
}

impl CatchUp {
    /// Puts the question: the inputs' ends are taken now.
    pub fn new(log: &SharedLog, manifest: &Manifest) -> Result<Self, LogError> {
        let mut question = Self {
            id: manifest.id.clone(),
            topics: log.topics()?,
            group: log.group_offsets(&manifest.id.group())?,
            sources: sources(manifest),
            stages: manifest.stages.len(),
        };
        question.settle(|source| source.writers.is_empty(), Isolation::ReadCommitted)?;
        Ok(question)
    }

    /// Puts the question anew, at this moment, with the same clients.
    pub fn put_again(&mut self) -> Result<(), LogError> {
        self.sources.iter_mut().for_each(|source| source.target = None);
        self.settle(|source| source.writers.is_empty(), Isolation::ReadCommitted)
    }

    /// Asks again. `deadline` bounds the wait for offsets that are part of a transaction.
    pub fn check(&mut self, deadline: Duration) -> Result<Progress, LogError> {
        let partitions: Vec<TopicPartition> = self.sources.iter().map(|s| s.partition.clone()).collect();
        let committed = self.group.committed(&partitions, deadline)?;
        let committed: Vec<Option<i64>> = committed.into_iter().map(|c| c.map(|c| c.offset)).collect();
        let starts = self.offsets(&partitions, OffsetSpec::Earliest)?;
        let from: Vec<i64> = committed.iter().zip(&starts).map(|(c, start)| c.unwrap_or(*start)).collect();
        for stage in 0..self.stages {
            let reached = self.reached(&from);
            let fed = |source: &Source| source.stage == stage && source.writers.iter().all(|writer| reached[*writer]);
            self.settle(fed, Isolation::ReadUncommitted)?;
        }
        let ends = self.offsets(&partitions, OffsetSpec::Latest(Isolation::ReadCommitted))?;
        let inputs = (0..self.sources.len()).map(|i| self.input(i, committed[i], from[i], ends[i])).collect();
        Ok(Progress::new(&self.id, inputs))
    }

    fn input(&self, index: usize, committed: Option<i64>, from: i64, end_now: i64) -> InputProgress {
        let source = &self.sources[index];
        let end = source.target.unwrap_or(end_now);
        InputProgress {
            topic: source.partition.topic.to_string(),
            partition: source.partition.partition,
            stage: source.stage,
            committed,
            end,
            settled: source.target.is_some(),
            lag: u64::try_from(end - from).unwrap_or(0),
        }
    }

    /// Which stages have committed up to all their targets.
    fn reached(&self, from: &[i64]) -> Vec<bool> {
        let mut reached = vec![true; self.stages];
        for (source, from) in self.sources.iter().zip(from) {
            reached[source.stage] &= source.target.is_some_and(|target| *from >= target);
        }
        reached
    }

    fn settle(&mut self, ready: impl Fn(&Source) -> bool, isolation: Isolation) -> Result<(), LogError> {
        let due: Vec<usize> =
            (0..self.sources.len()).filter(|i| self.sources[*i].target.is_none() && ready(&self.sources[*i])).collect();
        if due.is_empty() {
            return Ok(());
        }
        let partitions: Vec<TopicPartition> = due.iter().map(|i| self.sources[*i].partition.clone()).collect();
        let ends = self.offsets(&partitions, OffsetSpec::Latest(isolation))?;
        for (index, end) in due.into_iter().zip(ends) {
            self.sources[index].target = Some(end);
        }
        Ok(())
    }

    fn offsets(&mut self, partitions: &[TopicPartition], spec: OffsetSpec) -> Result<Vec<i64>, LogError> {
        let asked: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
        self.topics.offsets(&asked)
    }
}

/// Puts the question and asks once: how far is this version now?
pub fn caught_up(log: &SharedLog, manifest: &Manifest, deadline: Duration) -> Result<Progress, LogError> {
    CatchUp::new(log, manifest)?.check(deadline)
}

/// Every partition a version reads, once, at the first stage that reads it.
fn sources(manifest: &Manifest) -> Vec<Source> {
    let mut first_reader: BTreeMap<&str, usize> = BTreeMap::new();
    for (stage, plan) in manifest.stages.iter().enumerate() {
        for topic in &plan.reads {
            first_reader.entry(topic).or_insert(stage);
        }
    }
    let mut sources = Vec::new();
    for (stage, plan) in manifest.stages.iter().enumerate() {
        for topic in plan.reads.iter().filter(|topic| first_reader.get(topic.as_str()) == Some(&stage)) {
            let writers: Vec<usize> =
                (0..stage).filter(|earlier| manifest.stages[*earlier].writes.contains(topic)).collect();
            sources.extend((0..manifest.partitions_of(topic)).map(|partition| Source {
                stage,
                partition: TopicPartition::new(topic.as_str(), partition),
                writers: writers.clone(),
                target: None,
            }));
        }
    }
    sources
}
