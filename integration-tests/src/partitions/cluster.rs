//! Two instances of an application on one thread over the embedded log, disturbed by a seed.
//!
//! **Invariants:**
//! - The seed is the whole difference between two runs: time is the cluster's own, and stands still but for its rounds.
//! - An instance that is down has no machine, and its state, which outlives it, is open nowhere.

use super::Tally;
use super::plan::{Feeding, PARTITIONS, Plan};
use crate::oracle::run::Built;
use crate::oracle::{Input, Scenario};
use crate::random::Random;
use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use kappa_core::log::{
    Append, AppendBatch, AppendOptions, CleanupPolicy, Headers, Isolation, OffsetSpec, SharedLog, TopicPartition,
    TopicSpec, Topics,
};
use kappa_core::runtime::machines::{Machine, Part, Started, start};
use kappa_core::runtime::{AppLayout, Settings};
use kappa_core::task::{InlineCalls, Program};
use kappa_state::{MemoryBackend, TailBound};
use std::sync::Arc;
use std::time::Duration;

/// The application under test.
pub const APPLICATION: &str = "parts-v1";
/// Rounds in which nothing has moved before the time passes faster: somebody's session has to end.
const PATIENCE: u32 = 12;
/// Rounds in which nothing has moved: it never will.
const STUCK: u32 = 400;

/// One process, up or down.
#[derive(Debug)]
struct Instance {
    name: char,
    disk: u32,
    state: MemoryBackend,
    up: Option<Started>,
}

/// Two processes and their log.
#[derive(Debug)]
pub struct Cluster {
    /// The log.
    pub log: EmbeddedLog,
    /// The application on the log.
    pub layout: Arc<AppLayout>,
    /// What happened.
    pub tally: Tally,
    clock: ManualClock,
    seam: SharedLog,
    topics: Box<dyn Topics>,
    feeder: Box<dyn Append>,
    program: Arc<dyn Program>,
    settings: Settings,
    instances: Vec<Instance>,
    /// What tasks read, and where each ends.
    sources: Vec<(TopicPartition, OffsetSpec)>,
    random: Random,
    /// Disturbances that are still to come, and in one of how many rounds one comes.
    disturbances: u64,
    one_in: u64,
}

impl Cluster {
    /// A cluster for a topology, with its topics; nobody runs yet.
    pub fn new(built: &Built, scenario: &Scenario, feeding: Feeding, mut random: Random) -> Result<Self, String> {
        let clock = ManualClock::new(1_000_000);
        let log = EmbeddedLog::with_clock(&clock);
        let seam = log.shared();
        let mut topics = seam.topics().map_err(text)?;
        for name in AppLayout::external_topics(built.topology.plan()) {
            let (partitions, cleanup) = (PARTITIONS, CleanupPolicy::Delete);
            topics
                .create(&TopicSpec { name, partitions, replication_factor: None, cleanup, settings: Vec::new() })
                .map_err(text)?;
        }
        let settings = settings(built, &mut random);
        let program: Arc<dyn Program> = Arc::new(built.topology.clone());
        let layout =
            kappa_core::runtime::prepare(&mut *topics, APPLICATION, program.plan(), &settings).map_err(text)?;
        let sources = layout.sub_topologies.iter().flat_map(|sub| &sub.sources);
        let sources = sources.flat_map(|source| {
            let of = |partition| TopicPartition::new(Arc::clone(&source.topic), partition);
            (0..source.partitions).map(move |partition| (of(partition), OffsetSpec::Latest(Isolation::ReadUncommitted)))
        });
        let feeder = seam
            .append(AppendOptions {
                client_id: "feeder".into(),
                transactional_id: None,
                transaction_timeout: Duration::from_secs(1),
                linger: Duration::ZERO,
                buffer_bytes: 1 << 20,
            })
            .map_err(text)?;
        let instances = ['A', 'B'].map(|name| Instance { name, disk: 0, state: MemoryBackend::new(), up: None });
        let disturbances = random.below(5);
        let one_in = match feeding {
            Feeding::AtOnce => 6,
            Feeding::OneByOne => scenario.steps.len() as u64 + 4,
        };
        Ok(Self {
            sources: sources.collect(),
            layout: Arc::new(layout),
            instances: instances.into(),
            tally: Tally::default(),
            log,
            clock,
            seam,
            topics,
            feeder,
            program,
            settings,
            random,
            disturbances,
            one_in,
        })
    }

    /// Feeds the records of a plan, and goes on until all is processed.
    pub fn run(&mut self, plan: &Plan) -> Result<(), String> {
        match plan.feeding {
            Feeding::AtOnce => {
                plan.records.iter().try_for_each(|(input, partition)| self.feed(input, *partition))?;
                (0..self.instances.len()).try_for_each(|at| self.start(at))?;
                self.settle()?;
            }
            Feeding::OneByOne => {
                (0..self.instances.len()).try_for_each(|at| self.start(at))?;
                for (input, partition) in &plan.records {
                    self.feed(input, *partition)?;
                    self.settle()?;
                }
            }
        }
        Ok(())
    }

    fn feed(&mut self, input: &Input, partition: i32) -> Result<(), String> {
        // Records of topics that the topology does not read are ignored, as the judge does.
        let reads = self.sources.iter().any(|(source, _)| *source.topic == *input.topic);
        let is_global = self.layout.globals.iter().any(|(topic, _)| **topic == *input.topic);
        if !reads && !is_global {
            return Ok(());
        }
        self.tally.records += 1;
        let headers = (input.headers.iter())
            .fold(Headers::empty(), |all, (name, value)| all.with(&**name, Some(value.as_bytes())));
        let topic = self.feeder.topic(&input.topic, false).map_err(text)?;
        let (key, value) = (input.key.as_ref().map(String::as_bytes), input.value.as_ref().map(String::as_bytes));
        let mut batch = AppendBatch::default();
        batch.push(topic, partition, input.ts, key, value, headers);
        self.feeder.append(&batch).and_then(|()| self.feeder.flush(Duration::ZERO)).map_err(text)?;
        if is_global {
            // Whoever runs knows it before the next record comes; whoever starts reads it first.
            (0..3).try_for_each(|_| self.round(&[Part::Globals]))?;
        }
        Ok(())
    }

    /// Goes on until everything is processed and committed, with what the seed lets go wrong.
    fn settle(&mut self) -> Result<(), String> {
        let (mut before, mut still) = (0, 0);
        loop {
            self.disturb()?;
            self.round(&[])?;
            let (committed, through) = self.progress()?;
            if through {
                return Ok(());
            }
            still = if committed > before { 0 } else { still + 1 };
            before = committed;
            if still == STUCK {
                return Err(format!("nothing has moved for {STUCK} rounds"));
            }
            if still > PATIENCE {
                (0..self.instances.len()).try_for_each(|at| self.start(at))?;
            }
            let ms = if still > PATIENCE { 100 } else { 2 };
            self.clock.advance(Duration::from_millis(ms));
        }
    }

    /// How much is committed as processed, and whether it is all.
    fn progress(&mut self) -> Result<(i64, bool), String> {
        let ends = self.topics.offsets(&self.sources).map_err(text)?;
        let offsets = self.log.group(APPLICATION).map(|group| group.offsets).unwrap_or_default();
        let (mut sum, mut through) = (0, true);
        for ((partition, _), end) in self.sources.iter().zip(ends) {
            let committed = offsets.get(partition).map_or(0, |committed| committed.offset);
            sum += committed;
            through &= committed >= end;
        }
        Ok((sum, through))
    }

    /// A turn for all parts of all processes, or for these parts; the seed says in which order, and who misses his.
    fn round(&mut self, only: &[Part]) -> Result<(), String> {
        let first = self.random.index(self.instances.len());
        for step in 0..self.instances.len() {
            let at = (first + step) % self.instances.len();
            let parts = self.instances[at].up.as_ref().map_or(0, |up| up.machines.len());
            let from = self.random.index(parts);
            for index in (0..parts).map(|index| (index + from) % parts) {
                if only.is_empty() && self.random.below(8) == 0 {
                    continue;
                }
                self.turn(at, index, only)?;
            }
        }
        Ok(())
    }

    fn turn(&mut self, at: usize, index: usize, only: &[Part]) -> Result<(), String> {
        let (now_ms, tasks) = (self.clock.now_ms(), self.layout.task_count());
        let instance = &mut self.instances[at];
        let Some(up) = &mut instance.up else { return Ok(()) };
        let (part, place) = &mut up.machines[index];
        if !only.is_empty() && !only.contains(part) {
            return Ok(());
        }
        let Some(machine) = place.take() else { return Ok(()) };
        let (machine, done) = machine.turn(&up.shared, tasks, now_ms);
        done.map_err(|error| format!("{} {part:?} has failed: {error}", instance.name))?;
        *place = machine;
        if up.machines.iter().all(|(_, machine)| machine.is_none()) {
            instance.up = None;
            self.tally.stops += 1;
        }
        Ok(())
    }

    fn start(&mut self, at: usize) -> Result<(), String> {
        let instance = &mut self.instances[at];
        if instance.up.is_some() {
            return Ok(());
        }
        let (identity, state) = (format!("{}{}", instance.name, instance.disk), Arc::new(instance.state.clone()));
        let (settings, now_ms) = (self.settings.clone(), self.clock.now_ms());
        let started = start(&self.seam, APPLICATION, &self.program, settings, &identity, state, now_ms);
        instance.up = Some(started.map_err(text)?);
        Ok(())
    }

    /// A crash, with or without the disk; an orderly stop; a start.
    fn disturb(&mut self) -> Result<(), String> {
        if self.disturbances == 0 || self.random.below(self.one_in) > 0 {
            return Ok(());
        }
        self.disturbances -= 1;
        let at = self.random.index(self.instances.len());
        match self.random.below(4) {
            _ if self.instances[at].up.is_none() => self.start(at)?,
            0 | 1 => {
                let lost = self.random.below(3) == 0;
                let instance = &mut self.instances[at];
                drop(instance.up.take());
                self.tally.crashes += 1;
                if lost {
                    self.tally.lost_disks += 1;
                    instance.disk += 1;
                    instance.state = MemoryBackend::new();
                }
            }
            _ => {
                if let Some(up) = &self.instances[at].up {
                    up.shared.stop();
                }
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for instance in &mut self.instances {
            let machines = instance.up.take().into_iter().flat_map(|up| up.machines);
            machines.filter_map(|(_, machine)| machine).for_each(Machine::close);
        }
    }
}

fn settings(built: &Built, random: &mut Random) -> Settings {
    let poll_records = 1 + random.index(20);
    Settings {
        commit_interval_ms: [1, 1, 5, 30][random.index(4)],
        replay_commit_interval_ms: 0,
        session_timeout_ms: 1_500,
        heartbeat_interval_ms: 300,
        transaction_timeout_ms: 3_000,
        takeover_after_ms: 400,
        revoke_wait_ms: 300,
        poll_records,
        buffered_records: poll_records * 2,
        cache_bytes: 0,
        tail_bound: TailBound { records: 1 + random.below(40), bytes: 1 << 30, age_ms: 100_000 },
        restoring_bytes: 1 << 16,
        bad_records: built.bad_records.clone(),
        failed_records: built.failed_records.clone(),
        repartition_purge_interval_ms: [0, 1, 50][random.index(3)],
        calls: Arc::new(InlineCalls::default()),
        ..Settings::default()
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
