//! What is done next: the seeded scheduler, and the way to quiescence.

use crate::job::{APPLICATION, INPUT};
use crate::stories::Story;
use crate::tally::{Event, Tally};
use crate::trace::Trace;
use crate::world::World;
use kappa_core::log::{Append, AppendBatch, AppendOptions, Headers, Log, TopicPartition};
use kappa_core::partitioner;
use kappa_core::runtime::Rules;
use kappa_core::runtime::machines::Part;
use std::time::Duration;

/// Simulated time within which the application must get on once no trouble comes any more.
const STUCK_MS: i64 = 30_000;
const CHECKPOINT_EVERY: u64 = 64;

/// What a seed found.
pub(crate) struct Found {
    pub(crate) violation: Option<String>,
    pub(crate) trace: Vec<String>,
    /// Calls of the log by the application.
    pub(crate) steps: u64,
    pub(crate) tally: Tally,
}

/// Runs one seed to its end.
pub(crate) fn run(seed: u64, rules: Rules, trace: Trace) -> Found {
    run_world(&World::create(seed, rules, trace, None))
}

/// Runs one seed of a story to its end.
pub(crate) fn run_story(seed: u64, story: Story, trace: Trace) -> Found {
    run_world(&World::create(seed, Rules::default(), trace, Some(story)))
}

fn run_world(world: &World) -> Found {
    world.begin();
    for action in 1..=world.knobs.actions {
        world.act();
        if action % CHECKPOINT_EVERY == 0 {
            world.checkpoint();
            world.compact();
        }
        if world.is_over() {
            break;
        }
    }
    world.settle();
    if world.knobs.truncate && !world.is_fed && !world.is_over() {
        world.truncate_input();
    }
    if !world.is_over() {
        world.end();
    }
    let (steps, tally) = (world.steps.get(), *world.tally.borrow());
    let (violation, trace) = world.finish();
    Found { violation, trace, steps, tally }
}

impl World {
    fn begin(&self) {
        self.feed();
        (0..self.knobs.instances).for_each(|at| self.start(at));
    }

    /// One action.
    pub(crate) fn act(&self) {
        if self.is_over() {
            return;
        }
        let knobs = &self.knobs;
        let weights = [400, 25, 60, 12, knobs.crash, knobs.stop, knobs.freeze, knobs.outage, knobs.leap];
        let choice = self.random.borrow_mut().weighted(&weights);
        let at = self.random.borrow_mut().index(knobs.instances);
        match choice {
            0 => self.turn_of(at),
            1 if self.is_fed => self.stir_parked(),
            1 => self.feed(),
            2 => self.pass(self.random.borrow_mut().between(1, 25)),
            3 => self.restart(at),
            4 if self.is_up(at) => {
                self.count(Event::CrashBetween);
                self.crash(at);
            }
            5 => self.stop(at),
            6 => {
                let ms = self.random.borrow_mut().between(50, 4_000);
                self.say(|| format!("{} is stopped for {ms} ms", self.name(at)));
                self.count(Event::Stopped);
                self.instances.borrow_mut()[at].frozen_until_ms = self.now_ms() + ms;
            }
            7 => {
                let ms = self.random.borrow_mut().between(10, 2_500);
                let all = self.random.borrow_mut().below(2) == 0;
                self.say(|| {
                    format!(
                        "{} is cut off for {ms} ms",
                        if all { "everybody".to_owned() } else { self.name(at).to_string() }
                    )
                });
                let until_ms = self.now_ms() + ms;
                let mut instances = self.instances.borrow_mut();
                let cut_off = instances.iter_mut().enumerate().filter(|(other, _)| all || *other == at);
                cut_off.for_each(|(_, instance)| instance.cut_off_until_ms = until_ms);
            }
            8 => self.pass(self.random.borrow_mut().between(100, 1_200)),
            _ => {}
        }
    }

    fn is_up(&self, at: usize) -> bool {
        let instance = &self.instances.borrow()[at];
        instance.alive && instance.frozen_until_ms <= self.now_ms()
    }

    pub(crate) fn turn_of(&self, at: usize) {
        if !self.is_up(at) {
            return;
        }
        let parts = self.instances.borrow()[at].idle_parts();
        if !parts.is_empty() {
            let part = parts[self.random.borrow_mut().index(parts.len())];
            self.turn(at, part);
        }
    }

    fn restart(&self, at: usize) {
        {
            let mut instances = self.instances.borrow_mut();
            let instance = &mut instances[at];
            if instance.alive || instance.in_flight > 0 {
                return;
            }
            let lost = self.knobs.lose_disk && self.chaos.get() && self.random.borrow_mut().below(10) == 0;
            if lost {
                self.count(Event::DiskLost);
                instance.disk += 1;
                instance.inspected = true;
                instance.backend = kappa_state::MemoryBackend::new();
            }
        }
        self.start(at);
    }

    /// Asks a process to end in good order.
    fn stop(&self, at: usize) {
        let shared = self.instances.borrow()[at].shared.clone();
        if let Some(shared) = shared.filter(|_| self.is_up(at)) {
            self.say(|| format!("{} is asked to stop", self.name(at)));
            shared.stop();
        }
    }

    /// New input: plain, or in a transaction that is committed or aborted.
    pub(crate) fn feed(&self) {
        if self.is_fed {
            return;
        }
        let (records, kind) = {
            let mut random = self.random.borrow_mut();
            (1 + random.below(12), random.below(6))
        };
        let transactional_id = (kind < 2).then(|| "feeder".to_owned());
        let transactional = transactional_id.is_some();
        self.in_peace(|| {
            let options = AppendOptions {
                client_id: "feeder".into(),
                transactional_id,
                transaction_timeout: Duration::from_secs(1),
                linger: Duration::ZERO,
                buffer_bytes: 1 << 20,
            };
            let mut client = self.log.append(options).expect("an appender");
            let topic = client.topic(INPUT, false).expect("the input");
            let mut batch = AppendBatch::default();
            for _ in 0..records {
                let number = self.fed.get() + 1;
                self.fed.set(number);
                let key = self.random.borrow_mut().below(self.knobs.keys).to_be_bytes();
                let amount = (number % 0xffff + 1) as i64;
                let timestamp_ms = self.now_ms() - self.random.borrow_mut().between(0, 50);
                let partition = partitioner::partition(&key, self.knobs.partitions_in);
                batch.push(topic, partition, timestamp_ms, Some(&key), Some(&amount.to_be_bytes()), Headers::empty());
            }
            write(&mut *client, &batch, transactional, kind == 0).expect("fed");
        });
        self.say(|| format!("{records} records fed{}", if kind == 0 { " and aborted" } else { "" }));
    }

    /// After a checkpoint, which has a copy of everything.
    fn compact(&self) {
        if self.knobs.compact && !self.is_fed && self.random.borrow_mut().below(3) == 0 {
            for topic in [crate::job::SEEN, crate::job::SUMS] {
                if self.log.compact(topic).is_ok() {
                    self.say(|| format!("{topic} is compacted"));
                    self.count(Event::Compacted);
                }
            }
        }
    }

    /// No more trouble: everything must be processed within a bounded time, and be right.
    fn settle(&self) {
        self.chaos.set(false);
        let (mut until_ms, mut before) = (self.now_ms() + STUCK_MS, 0);
        let (mut round, mut released) = (0, self.controls.is_empty());
        while !self.is_over() {
            round += 1;
            self.round(if round < 100 { 20 } else { 200 });
            let through = round % 4 == 0 && self.oracle.borrow_mut().is_through(&self.log, APPLICATION);
            if through && self.log.open_transactions().is_empty() {
                if std::mem::replace(&mut released, true) {
                    break;
                }
                self.release_parked();
            }
            let offsets = self.log.group(APPLICATION).map(|group| group.offsets).unwrap_or_default();
            let committed: i64 = offsets.values().map(|committed| committed.offset).sum();
            if committed > before {
                (until_ms, before) = (self.now_ms() + STUCK_MS, committed);
            } else if self.now_ms() >= until_ms {
                self.violate(format!("nothing was committed for {STUCK_MS} ms, though no trouble came"));
            }
        }
        self.checkpoint();
    }

    /// A turn for everybody.
    fn round(&self, ms: i64) {
        for at in 0..self.knobs.instances {
            self.instances.borrow_mut()[at].frozen_until_ms = 0;
            self.instances.borrow_mut()[at].cut_off_until_ms = 0;
            if !self.instances.borrow()[at].alive && self.truncated.borrow().is_none() {
                self.start(at);
            }
            let parts = self.instances.borrow()[at].idle_parts();
            for part in parts {
                self.turn(at, part);
            }
        }
        self.pass(ms);
    }

    /// The start of an input partition is cut off above what is committed, with all processes down: each that gets the
    /// partition must stop with the error that says so, and nothing may be committed beyond the cut.
    fn truncate_input(&self) {
        (0..self.knobs.instances).filter(|at| self.instances.borrow()[*at].alive).for_each(|at| self.crash(at));
        (0..4).for_each(|_| self.feed());
        let offsets = self.log.group(APPLICATION).map(|group| group.offsets).unwrap_or_default();
        let partitions = (0..self.knobs.partitions_in).map(|partition| TopicPartition::new(INPUT, partition));
        let end =
            |of: &TopicPartition| self.log.inspect(of).unwrap_or_default().last().map_or(0, |record| record.offset + 1);
        let cut = partitions.filter_map(|of| offsets.get(&of).map(|committed| (end(&of), committed.offset, of)));
        let Some((end, committed, cut)) = cut.into_iter().find(|(end, committed, _)| end > committed) else { return };
        self.checkpoint();
        self.count(Event::Truncated);
        self.say(|| format!("{cut} is cut off below {end}, committed is {committed}"));
        self.in_peace(|| self.log.topics()?.delete_records(&[(cut.clone(), end)])).expect("cut off");
        (0..self.knobs.instances).for_each(|at| self.start(at));
        *self.truncated.borrow_mut() = Some(cut.clone());
        for _ in 0..2_000 {
            if self.is_over() || self.instances.borrow().iter().all(|instance| !instance.alive) {
                break;
            }
            self.round(50);
        }
        if self.truncation_errors.get() != self.knobs.instances {
            self.violate(format!("{} processes have stopped because {cut} is cut off", self.truncation_errors.get()));
        }
        let now = self.log.group(APPLICATION).and_then(|group| group.offsets.get(&cut).map(|at| at.offset));
        if now != Some(committed) {
            self.violate(format!("{cut} is cut off below {end}, and committed went from {committed} to {now:?}"));
        }
        self.checkpoint();
    }

    /// All processes stop in good order; their state must be complete.
    fn end(&self) {
        let instances = 0..self.knobs.instances;
        instances.clone().for_each(|at| self.stop(at));
        for _ in 0..200 {
            if self.is_over() || self.instances.borrow().iter().all(|instance| !instance.alive) {
                break;
            }
            for at in instances.clone() {
                let parts = self.instances.borrow()[at].idle_parts();
                for part in parts {
                    self.turn(at, part);
                }
            }
            self.pass(10);
        }
        if let Some(instance) = self.instances.borrow().iter().find(|instance| instance.alive) {
            let left: Vec<Part> = instance.machines.iter().map(|(part, _)| *part).collect();
            self.violate(format!("{} does not stop: {left:?} go on", instance.name));
        }
        self.checkpoint();
    }
}

fn write(
    client: &mut dyn Append,
    batch: &AppendBatch,
    transactional: bool,
    abort: bool,
) -> Result<(), kappa_core::log::LogError> {
    if !transactional {
        client.append(batch)?;
        return client.flush(Duration::ZERO).map(drop);
    }
    client.init(Duration::ZERO)?;
    client.begin()?;
    client.append(batch)?;
    if abort { client.abort() } else { client.commit().map(drop) }
}
