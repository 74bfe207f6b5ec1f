//! The world of one seed: a log, a clock, processes, and who is running at this moment.
//!
//! **Invariants:**
//! - Everything happens on one thread. The log's hook and the probes find the world through a thread-local.
//! - `stack` names the turns in progress, innermost last: while one call of the log is held up, others run.
//! - A machine is either in its instance or in a turn on the stack.

use crate::instance::Instance;
use crate::job::{self, APPLICATION, INPUT, OUTPUT, PARTITIONS_OUT};
use crate::judge::Judge;
use crate::knobs::Knobs;
use crate::oracle::Oracle;
use crate::probe::Probe;
use crate::random::Random;
use crate::semantics::{INPUTS, LETTERS, Semantics};
use crate::stories::Story;
use crate::tally::{Event, Tally};
use crate::trace::Trace;
use kappa_core::Error;
use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use kappa_core::log::{CleanupPolicy, Log, SharedLog, TopicPartition, TopicSpec};
use kappa_core::runtime::machines::{Machine, Part, Started, start};
use kappa_core::runtime::{AppLayout, Rules};
use kappa_core::task::Program;
use kappa_core::topology::TopicRef;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    static WORLD: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

/// The world of this thread, if a seed is being run on it.
pub(crate) fn current() -> Option<Rc<World>> {
    WORLD.with(|world| world.borrow().clone())
}

/// What a crash unwinds with.
pub(crate) struct Crash;

/// A turn in progress.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    /// The instance; `None` for what is no process of the application (feeders, the oracle): it is left in peace.
    pub(crate) instance: Option<usize>,
    pub(crate) life: u32,
    pub(crate) part: Part,
    /// What it is about to send as offsets: the member, and the input partitions.
    pub(crate) sending: Option<(String, Vec<TopicPartition>)>,
}

pub(crate) struct World {
    pub(crate) knobs: Knobs,
    pub(crate) rules: Rules,
    pub(crate) log: EmbeddedLog,
    pub(crate) clock: ManualClock,
    pub(crate) random: RefCell<Random>,
    pub(crate) trace: RefCell<Trace>,
    pub(crate) instances: RefCell<Vec<Instance>>,
    pub(crate) stack: RefCell<Vec<Running>>,
    pub(crate) oracle: RefCell<Box<dyn Judge>>,
    /// The input is there from the beginning, and no more of it comes.
    pub(crate) is_fed: bool,
    /// Topics that parking commands go to, with the source that is parked there.
    pub(crate) controls: Vec<(String, String)>,
    /// Troubles happen.
    pub(crate) chaos: Cell<bool>,
    pub(crate) fed: Cell<u64>,
    pub(crate) steps: Cell<u64>,
    pub(crate) tally: RefCell<Tally>,
    /// The partition whose start was cut off, once that has been done.
    pub(crate) truncated: RefCell<Option<TopicPartition>>,
    /// How many processes have stopped because of it.
    pub(crate) truncation_errors: Cell<usize>,
    layout: RefCell<Option<Arc<AppLayout>>>,
    violation: RefCell<Option<String>>,
    program: Arc<dyn Program>,
    seam: SharedLog,
}

impl World {
    pub(crate) fn create(seed: u64, rules: Rules, trace: Trace, story: Option<Story>) -> Rc<Self> {
        let mut random = Random::seeded(seed);
        let mut knobs = Knobs::of(&mut random);
        if let Some(story) = story {
            knobs.tell(story);
        }
        let clock = ManualClock::new(1_000_000);
        let log = EmbeddedLog::with_clock(&clock);
        let mut topics = log.topics().expect("topics");
        for (name, partitions) in [(INPUT, knobs.partitions_in), (OUTPUT, PARTITIONS_OUT)] {
            let (name, cleanup) = (name.to_owned(), CleanupPolicy::Delete);
            topics
                .create(&TopicSpec { name, partitions, replication_factor: None, cleanup, settings: vec![] })
                .expect("created");
        }
        let (program, oracle): (Arc<dyn Program>, Box<dyn Judge>) = match story {
            None => (Arc::new(job::topology(knobs.groups, knobs.partitions_mid)), Box::new(Oracle::new(&knobs))),
            Some(story) => {
                let names = INPUTS.map(|name| (name, knobs.partitions_in));
                for (name, partitions) in names.into_iter().chain([(LETTERS, 1)]) {
                    let (name, cleanup) = (name.to_owned(), CleanupPolicy::Delete);
                    let spec = TopicSpec { name, partitions, replication_factor: None, cleanup, settings: vec![] };
                    topics.create(&spec).expect("created");
                }
                let judge = Semantics::new(story, &knobs, &mut random);
                judge.feed(&log);
                (Arc::new((story.topology)()), Box::new(judge))
            }
        };
        crate::parking::begin();
        let world = Rc::new(Self {
            rules,
            is_fed: story.is_some(),
            controls: controls(&*program),
            seam: Arc::new(Probe { log: log.clone() }),
            program,
            instances: RefCell::new((0..knobs.instances).map(Instance::new).collect()),
            oracle: RefCell::new(oracle),
            knobs,
            log,
            clock,
            random: RefCell::new(random),
            trace: RefCell::new(trace),
            stack: RefCell::default(),
            chaos: Cell::new(true),
            fed: Cell::new(0),
            steps: Cell::new(0),
            tally: RefCell::default(),
            truncated: RefCell::default(),
            truncation_errors: Cell::new(0),
            layout: RefCell::default(),
            violation: RefCell::default(),
        });
        world.log.set_faults(Arc::new(crate::moment::Moments));
        WORLD.with(|current| *current.borrow_mut() = Some(Rc::clone(&world)));
        world.say(|| format!("{:?}", world.knobs));
        world
    }

    /// Takes the world apart: what it found, and its trace.
    pub(crate) fn finish(&self) -> (Option<String>, Vec<String>) {
        self.instances.borrow_mut().clear();
        WORLD.with(|current| *current.borrow_mut() = None);
        (self.violation.take(), self.trace.take().into_lines())
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(crate) fn layout(&self) -> Option<Arc<AppLayout>> {
        self.layout.borrow().clone()
    }

    /// Notes an event.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.trace.borrow().is_on() {
            let depth = self.stack.borrow().len();
            let line = format!("{:>8} {:indent$}{}", self.now_ms() - 1_000_000, "", line(), indent = depth * 2);
            self.trace.borrow_mut().push(line);
        }
    }

    /// Counts an event.
    pub(crate) fn count(&self, event: Event) {
        self.tally.borrow_mut().count(event);
    }

    /// Notes that a rule of the application is broken: the seed has failed.
    pub(crate) fn violate(&self, what: String) {
        self.say(|| format!("VIOLATION {what}"));
        self.violation.borrow_mut().get_or_insert(what);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.violation.borrow().is_some()
    }

    pub(crate) fn check(&self, result: Result<(), String>) {
        if let Err(what) = result {
            self.violate(what);
        }
    }

    /// Runs `what` in the name of nobody: no trouble comes to it.
    pub(crate) fn in_peace<T>(&self, what: impl FnOnce() -> T) -> T {
        self.stack.borrow_mut().push(Running { instance: None, life: 0, part: Part::Start, sending: None });
        let result = what();
        self.stack.borrow_mut().pop();
        result
    }

    /// Starts a process that is down.
    pub(crate) fn start(&self, at: usize) {
        let (identity, backend) = {
            let instances = self.instances.borrow();
            let instance = &instances[at];
            if instance.alive || instance.in_flight > 0 {
                return;
            }
            (instance.identity(), instance.backend.clone())
        };
        self.inspect_state(at);
        self.say(|| format!("{identity} starts"));
        let settings = self.knobs.settings(self.rules, at);
        let now_ms = self.now_ms();
        let started = self.protected(at, Part::Start, || {
            start(&self.seam, APPLICATION, &self.program, settings, &identity, Arc::new(backend), now_ms)
        });
        match started {
            Some(Ok(Started { layout, shared, machines })) => {
                *self.layout.borrow_mut() = Some(layout);
                let mut instances = self.instances.borrow_mut();
                let instance = &mut instances[at];
                instance.alive = true;
                instance.inspected = false;
                instance.shared = Some(shared);
                instance.machines = machines;
            }
            Some(Err(error)) if error.is_transient() => self.say(|| format!("{identity} did not start: {error}")),
            Some(Err(error)) => self.violate(format!("{identity} did not start: {error}")),
            None => {}
        }
    }

    /// Gives one part of a process a turn.
    pub(crate) fn turn(&self, at: usize, part: Part) {
        let taken = {
            let mut instances = self.instances.borrow_mut();
            let instance = &mut instances[at];
            let machine = instance.take(part);
            machine.zip(instance.shared.clone()).map(|(machine, shared)| (machine, shared, instance.life))
        };
        let (Some((machine, shared, life)), Some(layout)) = (taken, self.layout()) else { return };
        let (now_ms, tasks) = (self.now_ms(), layout.task_count());
        // Replay comes and goes as a steward's answer would, at any time.
        let replaying = self.knobs.replay_interval_ms > 0 && (now_ms / 900 + at as i64) % 2 == 0;
        if replaying && !shared.is_replaying() {
            self.count(Event::Replay);
        }
        shared.set_replaying(replaying);
        let Some((machine, done)) = self.protected(at, part, || machine.turn(&shared, tasks, now_ms)) else { return };
        let ended = {
            let mut instances = self.instances.borrow_mut();
            let instance = &mut instances[at];
            if instance.life != life {
                return;
            }
            if let Some(machine) = machine {
                instance.put_back(part, machine);
                false
            } else {
                instance.machines.retain(|(of, _)| *of != part);
                instance.machines.is_empty()
            }
        };
        if let Err(error) = done {
            self.fail(at, part, &error);
        } else if ended {
            self.say(|| "stopped".to_owned());
            self.count(Event::EndedWell);
            self.instances.borrow_mut()[at].die();
        }
    }

    /// A thread has failed: the process ends in an orderly way, as far as it can.
    fn fail(&self, at: usize, part: Part, error: &Error) {
        self.say(|| format!("{}.{part:?} fails: {error}", self.name(at)));
        let truncated = self.truncated.borrow().clone();
        match error {
            Error::Log(kappa_core::log::LogError::Truncated { topic, partition, .. })
                if truncated.as_ref().is_some_and(|of| *of.topic == **topic && of.partition == *partition) =>
            {
                self.truncation_errors.set(self.truncation_errors.get() + 1);
            }
            _ => self.violate(format!("{}.{part:?} failed: {error}", self.name(at))),
        }
        let machines = std::mem::take(&mut self.instances.borrow_mut()[at].machines);
        self.in_peace(|| {
            for (_, machine) in machines {
                if let Some(Machine::Coordinator(coordinator)) = machine {
                    coordinator.leave();
                }
            }
        });
        self.instances.borrow_mut()[at].die();
    }

    /// Runs a part of an instance; `None` where it crashed meanwhile.
    fn protected<T>(&self, at: usize, part: Part, what: impl FnOnce() -> T) -> Option<T> {
        let life = {
            let mut instances = self.instances.borrow_mut();
            instances[at].in_flight += 1;
            instances[at].life
        };
        self.stack.borrow_mut().push(Running { instance: Some(at), life, part, sending: None });
        let result = catch_unwind(AssertUnwindSafe(what));
        self.stack.borrow_mut().pop();
        self.instances.borrow_mut()[at].in_flight -= 1;
        match result {
            Ok(result) => Some(result),
            Err(payload) if payload.is::<Crash>() => None,
            Err(payload) => {
                let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
                self.violate(format!("{}.{part:?} panicked: {text}", self.name(at)));
                None
            }
        }
    }

    /// The process dies now.
    pub(crate) fn crash(&self, at: usize) {
        self.say(|| format!("{} CRASHES", self.name(at)));
        // Dropped outside the borrow: machines look at the world while they go.
        let machines = std::mem::take(&mut self.instances.borrow_mut()[at].machines);
        self.in_peace(|| drop(machines));
        self.instances.borrow_mut()[at].die();
    }

    /// Ends the running turn if its process has died.
    pub(crate) fn end_if_dead(&self, running: &Running) {
        let Some(at) = running.instance else { return };
        if self.instances.borrow()[at].life != running.life {
            resume_unwind(Box::new(Crash));
        }
    }

    pub(crate) fn name(&self, at: usize) -> char {
        self.instances.borrow()[at].name
    }

    /// Shows the oracle what is in the stores of a process that is down.
    pub(crate) fn inspect_state(&self, at: usize) {
        let mut instances = self.instances.borrow_mut();
        let instance = &mut instances[at];
        if instance.inspected || instance.alive || instance.in_flight > 0 {
            return;
        }
        instance.inspected = true;
        let (identity, backend) = (instance.identity(), instance.backend.clone());
        drop(instances);
        self.check(self.oracle.borrow_mut().take_snapshots(&identity, &backend));
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, ms: i64) {
        self.clock.advance(Duration::from_millis(ms as u64));
    }

    /// Checks everything that must hold at every moment.
    pub(crate) fn checkpoint(&self) {
        self.say(|| "checkpoint".to_owned());
        for at in 0..self.knobs.instances {
            self.inspect_state(at);
        }
        self.log.release_markers();
        let checked = self.oracle.borrow_mut().check(&self.log, APPLICATION);
        self.check(checked);
    }
}

/// The control topics of an application, with a source of each sub-topology as commands name it.
fn controls(program: &dyn Program) -> Vec<(String, String)> {
    let sources =
        program.plan().sub_topologies.iter().flat_map(|sub| sub.sources.iter().map(move |source| (sub, source)));
    let controls = sources.filter(|(_, source)| matches!(source.topic, TopicRef::Control(_)));
    controls
        .map(|(sub, source)| {
            let first = sub.sources.first().map(|first| first.topic.physical(APPLICATION)).unwrap_or_default();
            let named = first.strip_prefix(&format!("{APPLICATION}-")).map_or(first.clone(), str::to_owned);
            (source.topic.physical(APPLICATION), named)
        })
        .collect()
}
