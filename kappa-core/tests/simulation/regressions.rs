//! What seeds have found, step by step and by name.

use crate::job::{APPLICATION, INPUT, MIDDLE, OUTPUT, PARTITIONS_OUT, topology};
use kappa_core::Error;
use kappa_core::log::embedded::{
    Call, EmbeddedLog, Fault, FaultHook, FaultPlan, InspectedKind, ManualClock, Operation,
};
use kappa_core::log::{
    Append, AppendBatch, AppendOptions, CleanupPolicy, Headers, Log, LogError, MembershipOptions, OffsetSpec,
    TopicPartition, TopicSpec,
};
use kappa_core::runtime::machines::{Machine, Part, Started, start};
use kappa_core::runtime::{Holder, Settings};
use kappa_core::task::Program;
use kappa_state::MemoryBackend;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WORKER: Part = Part::Worker(0);

/// A log with the application's topics, and one input record.
struct Scene {
    log: EmbeddedLog,
    clock: ManualClock,
    faults: Arc<FaultPlan>,
    program: Arc<dyn Program>,
}

impl Scene {
    fn new() -> Self {
        let clock = ManualClock::new(1_000);
        let log = EmbeddedLog::with_clock(&clock);
        let faults = FaultPlan::new();
        log.set_faults(Arc::<FaultPlan>::clone(&faults));
        for (name, partitions) in [(INPUT, 1), (OUTPUT, PARTITIONS_OUT)] {
            let (name, cleanup) = (name.to_owned(), CleanupPolicy::Delete);
            let spec = TopicSpec { name, partitions, replication_factor: None, cleanup, settings: vec![] };
            log.topics().expect("topics").create(&spec).expect("created");
        }
        let scene = Self { log, clock, faults, program: Arc::new(topology(1, 1)) };
        scene.feed();
        scene
    }

    fn feed(&self) {
        let mut client = self.appender(None);
        let topic = client.topic(INPUT, false).expect("the input");
        let mut batch = AppendBatch::default();
        batch.push(topic, 0, 7, Some(&1u64.to_be_bytes()), Some(&5i64.to_be_bytes()), Headers::empty());
        client.append(&batch).expect("appended");
        client.flush(Duration::ZERO).expect("flushed");
    }

    fn appender(&self, transactional_id: Option<String>) -> Box<dyn Append> {
        let options = AppendOptions {
            client_id: "outside".into(),
            transactional_id,
            transaction_timeout: Duration::from_secs(10),
            linger: Duration::ZERO,
            buffer_bytes: 1 << 20,
        };
        self.log.append(options).expect("an appender")
    }

    fn start(&self, identity: &str, state: &MemoryBackend) -> Process<'_> {
        let instance_id = Some(format!("seat-{identity}"));
        self.start_with(identity, state, Settings { commit_interval_ms: 10, instance_id, ..Settings::default() })
    }

    fn start_with(&self, identity: &str, state: &MemoryBackend, settings: Settings) -> Process<'_> {
        let now_ms = self.clock.now_ms();
        let (log, state) = (self.log.shared(), Arc::new(state.clone()));
        let started = start(&log, APPLICATION, &self.program, settings, identity, state, now_ms).expect("started");
        Process { scene: self, started }
    }

    /// How far the input is committed.
    fn committed(&self) -> Option<i64> {
        self.committed_of(INPUT)
    }

    fn committed_of(&self, topic: &str) -> Option<i64> {
        let offsets = self.log.group(APPLICATION)?.offsets;
        offsets.get(&TopicPartition::new(topic, 0)).map(|committed| committed.offset)
    }

    /// How many records the first stage has passed on, in committed transactions.
    fn passed_on(&self) -> usize {
        let records = self.log.inspect(&TopicPartition::new(MIDDLE, 0)).expect("the topic between the stages");
        records.iter().filter(|record| record.kind == InspectedKind::Committed).count()
    }

    fn log_start(&self, topic: &str) -> i64 {
        let asked = [(TopicPartition::new(topic, 0), OffsetSpec::Earliest)];
        self.log.topics().expect("topics").offsets(&asked).expect("offsets")[0]
    }
}

/// A process whose threads are driven by hand; dropping it is a crash.
struct Process<'s> {
    scene: &'s Scene,
    started: Started,
}

impl Process<'_> {
    /// One turn, after which some time has passed; false when the thread has ended.
    fn turn(&mut self, part: Part) -> bool {
        self.try_turn(part).expect("no failure")
    }

    fn try_turn(&mut self, part: Part) -> Result<bool, Error> {
        let place = self.started.machines.iter_mut().find(|(of, _)| *of == part).expect("there is such a thread");
        let Some(machine) = place.1.take() else { return Ok(false) };
        let (machine, done): (Option<Machine>, _) =
            machine.turn(&self.started.shared, self.started.layout.task_count(), self.scene.clock.now_ms());
        done?;
        place.1 = machine;
        self.scene.clock.advance(Duration::from_millis(20));
        Ok(place.1.is_some())
    }

    /// So many turns of the worker; the seat in the group is kept.
    fn works(&mut self, turns: usize) {
        self.turn(Part::Coordinator);
        for _ in 0..turns {
            self.turn(WORKER);
        }
    }

    fn turns(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for part in [Part::Coordinator, Part::Restorer, WORKER] {
                self.turn(part);
            }
        }
    }
}

/// A life in which no commit succeeds: what it leaves in the changelog is aborted.
fn life_of_aborts(scene: &Scene, state: &MemoryBackend) {
    let refused = LogError::AbortRequired { operation: "commit", reason: "a test".into() };
    scene.faults.strike("", Operation::Commit, 0, u32::MAX, Fault::Fail(refused));
    scene.start("A", state).turns(10);
    assert_eq!(scene.committed(), None);
    scene.faults.heal();
}

#[test]
fn a_restore_of_nothing_but_aborted_records_is_no_lost_offset() {
    let (scene, state) = (Scene::new(), MemoryBackend::new());
    life_of_aborts(&scene, &state);
    // This life restores what was aborted, and dies before its first commit. The next one finds its mark.
    let mut second = scene.start("A", &state);
    scene.clock.advance(Duration::from_secs(20));
    for _ in 0..10 {
        second.turn(Part::Coordinator);
        second.turn(Part::Restorer);
    }
    drop(second);
    scene.clock.advance(Duration::from_secs(20));
    scene.start("A", &state).turns(20);
    assert_eq!(scene.committed(), Some(1));
}

#[test]
fn a_restore_that_another_process_overtook_begins_again() {
    let scene = Scene::new();
    life_of_aborts(&scene, &MemoryBackend::new());
    scene.clock.advance(Duration::from_secs(20));
    let mut zombie = scene.start("A", &MemoryBackend::new());
    // Its restore has read the offsets (there are none), and then the process is stopped past its session.
    zombie.turn(Part::Coordinator);
    let nothing = LogError::Unavailable { operation: "fetch", reason: "a test".into() };
    scene.faults.strike("sim-v1-restore", Operation::PollFetch, 0, 1, Fault::Fail(nothing));
    zombie.turn(Part::Restorer);
    assert_eq!(zombie.started.shared.holder(0), Some(Holder::Restorer));
    scene.clock.advance(Duration::from_secs(20));
    scene.start("B", &MemoryBackend::new()).turns(20);
    assert_eq!(scene.committed(), Some(1));
    // It wakes up, and its restorer comes first.
    zombie.turn(Part::Restorer);
    zombie.turn(Part::Restorer);
    scene.clock.advance(Duration::from_secs(20));
    scene.feed();
    zombie.turns(40);
    assert_eq!(scene.committed(), Some(2));
}

/// A changelog in which there is nothing isn't read for: the worker has the task at once, and whoever comes meanwhile fences it.
#[test]
fn a_task_without_anything_to_restore_that_another_process_overtook_begins_again() {
    let scene = Scene::new();
    let mut zombie = scene.start("A", &MemoryBackend::new());
    zombie.turn(Part::Coordinator);
    zombie.turn(Part::Restorer);
    assert_eq!(zombie.started.shared.holder(0), Some(Holder::Worker(0)));
    scene.clock.advance(Duration::from_secs(20));
    scene.start("B", &MemoryBackend::new()).turns(20);
    assert_eq!((scene.committed(), scene.passed_on()), (Some(1), 1));
    for _ in 0..10 {
        zombie.turn(WORKER);
    }
    assert_eq!(scene.passed_on(), 1, "what the sleeper did is not committed");
    scene.clock.advance(Duration::from_secs(20));
    scene.feed();
    zombie.turns(40);
    assert_eq!((scene.committed(), scene.passed_on()), (Some(2), 2));
}

/// A process sleeps past its session; the other takes its tasks, goes on, commits and purges what the sleeper was about to read.
#[test]
fn a_reader_that_a_purge_overtook_goes_on_from_what_is_committed() {
    let (scene, state) = (Scene::new(), MemoryBackend::new());
    let settings = Settings { commit_interval_ms: 10, repartition_purge_interval_ms: 50, ..Settings::default() };
    let mut zombie = scene.start_with("A", &state, settings.clone());
    zombie.turns(20);
    let known = scene.committed_of(MIDDLE).expect("the second stage has committed");
    scene.clock.advance(Duration::from_secs(20));
    scene.feed();
    let other = MemoryBackend::new();
    let mut next = scene.start_with("B", &other, settings);
    next.turns(20);
    next.turn(Part::Purger);
    assert!(scene.log_start(MIDDLE) > known, "purged beyond what the sleeper knows");
    assert_eq!(Some(scene.log_start(MIDDLE)), scene.committed_of(MIDDLE));
    // It wakes up, and its worker comes first.
    zombie.turn(WORKER);
    zombie.turn(WORKER);
    let metrics = zombie.started.shared.metrics.text();
    // The order of labels is no promise.
    let told = |line: &str| line.contains("kind=\"truncated\"") && line.ends_with("} 1");
    assert!(metrics.lines().any(told), "it was overtaken: {metrics}");
    drop(next);
    scene.clock.advance(Duration::from_secs(20));
    scene.feed();
    zombie.turns(40);
    assert_eq!(scene.committed(), Some(3));
    let offsets = scene.committed_of(MIDDLE);
    zombie.turn(Part::Purger);
    assert_eq!(Some(scene.log_start(MIDDLE)), offsets);
}

/// Somebody else deletes what is not processed yet: that is not a purge, and the application must not go on without the records.
#[test]
fn records_of_a_repartition_topic_that_are_lost_stop_the_application() {
    let (scene, state) = (Scene::new(), MemoryBackend::new());
    scene.start("A", &state).turns(20);
    let committed = scene.committed_of(MIDDLE).expect("the second stage has committed");
    scene.clock.advance(Duration::from_secs(20));
    let mut client = scene.appender(None);
    let topic = client.topic(MIDDLE, false).expect("the topic");
    let mut batch = AppendBatch::default();
    batch.push(topic, 0, 7, Some(&0u64.to_be_bytes()), Some(&5i64.to_be_bytes()), Headers::empty());
    client.append(&batch).and_then(|()| client.flush(Duration::ZERO)).expect("appended");
    let lost = [(TopicPartition::new(MIDDLE, 0), committed + 1)];
    scene.log.topics().expect("topics").delete_records(&lost).expect("deleted");
    let mut process = scene.start("A", &state);
    let ended = (0..40).find_map(|_| {
        process.turn(Part::Coordinator);
        process.turn(Part::Restorer);
        process.try_turn(WORKER).err()
    });
    let error = ended.expect("it stops").to_string();
    assert!(error.contains(&format!("offset {committed} is gone")), "{error}");
    assert_eq!(scene.committed_of(MIDDLE), Some(committed));
}

#[test]
fn an_acknowledgement_that_failed_is_made_again() {
    let (scene, state) = (Scene::new(), MemoryBackend::new());
    let refused = LogError::Unavailable { operation: "acknowledge", reason: "a test".into() };
    scene.faults.strike("", Operation::Acknowledge, 0, 1, Fault::Fail(refused));
    let mut first = scene.start("A", &state);
    first.turns(10);
    let other = MemoryBackend::new();
    let mut second = scene.start("B", &other);
    for _ in 0..40 {
        first.turns(1);
        second.turns(1);
    }
    let members = scene.log.group(APPLICATION).expect("a group").members;
    assert!(members.iter().all(|seat| seat.owned.len() == 1 && seat.owned == seat.target), "{members:?}");
}

#[test]
fn a_task_that_is_handed_over_after_its_worker_has_stopped_does_not_hold_up_the_stop() {
    let (scene, state) = (Scene::new(), MemoryBackend::new());
    let mut process = scene.start("A", &state);
    process.turn(Part::Coordinator);
    let shared = Arc::clone(&process.started.shared);
    // The stop is asked for between the restorer's look at it and its turn: so the turn is made by hand.
    shared.stop();
    assert!(!process.turn(WORKER), "the worker has stopped");
    let restorer = process.started.machines.iter_mut().find(|(of, _)| *of == Part::Restorer);
    let Some(Machine::Restorer(restorer)) = restorer.and_then(|(_, machine)| machine.as_mut()) else {
        panic!("there is a restorer")
    };
    for _ in 0..4 {
        restorer.turn(scene.clock.now_ms(), Duration::ZERO).expect("a turn");
        scene.clock.advance(Duration::from_millis(20));
    }
    assert!(restorer.is_idle());
    assert!(!process.turn(Part::Restorer) && !process.turn(Part::Coordinator), "the group is left");
}

/// While offsets are on their way, the member is dropped and its client goes back into its static seat.
#[derive(Debug)]
struct RejoinsBeforeOffsets {
    log: EmbeddedLog,
    clock: ManualClock,
    done: AtomicBool,
}

impl FaultHook for RejoinsBeforeOffsets {
    fn before(&self, call: &Call<'_>) -> Result<(), LogError> {
        if call.operation != Operation::SendOffsets || self.done.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.clock.advance(Duration::from_secs(9));
        let options = MembershipOptions {
            group: APPLICATION.into(),
            task_topic: format!("{APPLICATION}-tasks"),
            client_id: "A again".into(),
            instance_id: Some("seat-A".into()),
            session_timeout: Duration::from_secs(10),
            heartbeat_interval: Duration::from_secs(1),
        };
        self.log.join(options)?.poll(Duration::ZERO).map(drop)
    }

    fn loses_answer(&self, _: &Call<'_>) -> bool {
        false
    }

    fn marker_delay_ms(&self, _: &Call<'_>, _: &TopicPartition) -> Option<i64> {
        None
    }
}

#[test]
fn a_static_member_that_has_joined_again_is_stale_not_fenced_for_good() {
    let (scene, state) = (Scene::new(), MemoryBackend::new());
    let (log, clock) = (scene.log.clone(), scene.clock.clone());
    let hook = Arc::new(RejoinsBeforeOffsets { log, clock, done: AtomicBool::new(false) });
    scene.log.set_faults(Arc::<RejoinsBeforeOffsets>::clone(&hook));
    let mut process = scene.start("A", &state);
    process.turn(Part::Coordinator);
    for _ in 0..10 {
        process.turn(Part::Restorer);
        process.turn(WORKER);
    }
    assert!(hook.done.load(Ordering::SeqCst));
    assert_eq!(scene.committed(), None, "the seat's stamp is its later self's");
}

/// One record and 20 ms a turn: 200 records take 4 s, in which a replay commits each second and a live version with every record.
#[test]
fn a_replay_commits_seldom_while_there_is_work_left_and_as_ever_at_the_end() {
    let (scene, state) = (Scene::new(), MemoryBackend::new());
    (1..200).for_each(|_| scene.feed());
    let settings =
        Settings { commit_interval_ms: 10, replay_commit_interval_ms: 1_000, poll_records: 1, ..Settings::default() };
    let mut process = scene.start_with("A", &state, settings);
    let shared = Arc::clone(&process.started.shared);
    shared.set_replaying(true);
    process.turns(10);
    // Turns go to the second stage too, which has what the first has committed.
    let committed = (0..100).find(|_| {
        process.works(10);
        scene.committed() == Some(200)
    });
    assert!(committed.is_some(), "the end of the input is committed");
    let commits = shared.metrics.commits.get();
    assert!((3..60).contains(&commits), "{commits} commits");
    // The second stage gets the rest; then nothing waits for the long interval, though the replay goes on.
    for _ in 0..20 {
        process.works(20);
    }
    scene.feed();
    process.works(10);
    assert_eq!(scene.committed(), Some(201));
    // Over between two turns: each record is committed by itself again.
    shared.set_replaying(false);
    let before = shared.metrics.commits.get();
    (0..20).for_each(|_| scene.feed());
    process.works(60);
    assert_eq!(scene.committed(), Some(221));
    assert!(shared.metrics.commits.get() >= before + 20, "{} commits since", shared.metrics.commits.get() - before);
}
