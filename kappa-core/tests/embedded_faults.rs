//! Faults of the embedded log: late markers, lost answers, a broker that is down, a lost tail, and a
//! process that was stopped. On a manual clock: no test waits.

#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used)]

use kappa_core::log::embedded::{EmbeddedLog, Fault, FaultPlan, InspectedKind, ManualClock, Operation};
use kappa_core::log::*;
use std::sync::Arc;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

struct World {
    clock: ManualClock,
    log: EmbeddedLog,
    plan: Arc<FaultPlan>,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new(0);
        let log = EmbeddedLog::with_clock(&clock);
        let plan = FaultPlan::new();
        log.set_faults(plan.clone());
        let world = Self { clock, log, plan };
        for name in ["out", "changelog", "tasks"] {
            let spec = TopicSpec {
                name: name.to_owned(),
                partitions: 2,
                replication_factor: None,
                cleanup: CleanupPolicy::Delete,
                settings: vec![],
            };
            world.log.topics().unwrap().create(&spec).unwrap();
        }
        world
    }

    fn appender(&self) -> Box<dyn Append> {
        let mut append = self
            .log
            .append(AppendOptions {
                client_id: "app".to_owned(),
                transactional_id: Some("tx".to_owned()),
                transaction_timeout: Duration::from_secs(10),
                linger: NOW,
                buffer_bytes: 1 << 20,
            })
            .unwrap();
        append.init(NOW).unwrap();
        append
    }

    fn reader(&self, topic: &str, isolation: Isolation) -> Box<dyn Fetch> {
        let options = FetchOptions {
            client_id: "reader".to_owned(),
            isolation,
            buffer_bytes: 1 << 20,
            wait_max: Duration::from_millis(20),
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
        };
        let mut fetch = self.log.fetch(options).unwrap();
        let assignment = Assignment { partition: TopicPartition::new(topic, 0), start: Start::Earliest, token: 0 };
        fetch.assign(&[assignment]).unwrap();
        fetch
    }

    fn member(&self) -> Box<dyn Membership> {
        let options = MembershipOptions {
            group: "group".to_owned(),
            task_topic: "tasks".to_owned(),
            client_id: "app".to_owned(),
            instance_id: None,
            session_timeout: Duration::from_secs(6),
            heartbeat_interval: Duration::from_secs(1),
        };
        self.log.join(options).unwrap()
    }

    fn kinds(&self, topic: &str) -> Vec<InspectedKind> {
        let records = self.log.inspect(&TopicPartition::new(topic, 0)).unwrap();
        records.iter().map(|record| record.kind).collect()
    }
}

fn put(append: &mut dyn Append, topic: &str, value: &str) {
    let handle = append.topic(topic, true).unwrap();
    let mut batch = AppendBatch::default();
    batch.push(handle, 0, 1, None, Some(value.as_bytes()), Headers::empty());
    append.append(&batch).unwrap();
}

fn count(polled: &Polled) -> usize {
    polled.batch.as_ref().map_or(0, |batch| batch.len())
}

fn input() -> TopicPartition {
    TopicPartition::new("in", 0)
}

#[test]
fn committed_offsets_are_visible_before_a_late_marker() {
    let world = World::new();
    world.plan.delay_markers("changelog", 300);
    let mut membership = world.member();
    membership.poll(NOW).unwrap();
    let mut append = world.appender();
    append.begin().unwrap();
    put(append.as_mut(), "out", "o");
    put(append.as_mut(), "changelog", "c");
    let commit = OffsetCommit { partition: input(), offset: 5, metadata: String::new() };
    append.send_offsets(&[commit], &membership.member().stamp().unwrap()).unwrap();
    append.commit().unwrap();

    let committed = world.log.group_offsets("group").unwrap().committed(&[input()], NOW).unwrap();
    assert_eq!(committed[0].as_ref().map(|committed| committed.offset), Some(5));
    assert_eq!(world.kinds("out"), [InspectedKind::Committed, InspectedKind::CommitMarker]);
    assert_eq!(world.kinds("changelog"), [InspectedKind::Open]);
    let mut reader = world.reader("changelog", Isolation::ReadCommitted);
    let early = reader.poll(10, NOW).unwrap();
    assert_eq!((count(&early), early.ends[0].offset), (0, 0), "a restore that ends here has lost a record");
    world.clock.advance(Duration::from_millis(300));
    let late = reader.poll(10, NOW).unwrap();
    assert_eq!((count(&late), late.ends[0].offset), (1, 2));
}

#[test]
fn late_markers_are_written_before_the_same_id_does_anything_else() {
    let world = World::new();
    world.plan.delay_markers("out", 1_000_000);
    let mut append = world.appender();
    append.begin().unwrap();
    put(append.as_mut(), "out", "a");
    append.commit().unwrap();
    assert_eq!(world.kinds("out"), [InspectedKind::Open]);
    append.begin().unwrap();
    put(append.as_mut(), "out", "b");
    assert_eq!(world.kinds("out"), [InspectedKind::Committed, InspectedKind::CommitMarker, InspectedKind::Open]);
    append.abort().unwrap();
    let _next = world.appender();
    assert_eq!(
        world.kinds("out")[2..],
        [InspectedKind::Aborted, InspectedKind::AbortMarker],
        "a take-over settles what was decided"
    );
}

#[test]
fn commit_with_a_lost_answer_took_effect_and_the_client_is_dead() {
    let world = World::new();
    let mut append = world.appender();
    world.plan.strike("app", Operation::Commit, 1, 1, Fault::LoseAnswer);
    for value in ["heard", "lost"] {
        append.begin().unwrap();
        put(append.as_mut(), "out", value);
        let committed = append.commit();
        assert_eq!(matches!(committed, Err(LogError::OutcomeUnknown { .. })), value == "lost", "{committed:?}");
    }
    assert!(matches!(append.begin(), Err(LogError::OutcomeUnknown { .. })), "dead (A7)");
    assert_eq!(count(&world.reader("out", Isolation::ReadCommitted).poll(10, NOW).unwrap()), 2);
}

#[test]
fn commit_that_never_arrived_is_settled_by_the_next_client() {
    let world = World::new();
    let mut append = world.appender();
    let unknown = LogError::OutcomeUnknown { operation: "commit", reason: "injected".to_owned() };
    world.plan.strike("app", Operation::Commit, 0, 1, Fault::Fail(unknown));
    append.begin().unwrap();
    put(append.as_mut(), "out", "never");
    assert!(append.commit().is_err());
    assert_eq!(world.log.open_transactions(), ["tx"]);
    let _next = world.appender();
    assert!(world.log.open_transactions().is_empty());
    assert_eq!(world.kinds("out"), [InspectedKind::Aborted, InspectedKind::AbortMarker]);
}

#[test]
fn append_with_a_lost_answer_keeps_the_transaction_from_committing() {
    let world = World::new();
    let mut append = world.appender();
    world.plan.strike("app", Operation::Append, 0, 1, Fault::LoseAnswer);
    append.begin().unwrap();
    put(append.as_mut(), "out", "a");
    assert!(matches!(append.commit(), Err(LogError::AbortRequired { .. })));
    append.abort().unwrap();
    assert_eq!(world.kinds("out"), [InspectedKind::Aborted, InspectedKind::AbortMarker]);
}

#[test]
fn broker_that_is_down_is_no_error_of_a_reader_and_loses_members() {
    let world = World::new();
    let mut membership = world.member();
    membership.poll(NOW).unwrap();
    membership.acknowledge().unwrap();
    let mut append = world.appender();
    append.begin().unwrap();
    put(append.as_mut(), "out", "a");
    append.commit().unwrap();
    let mut reader = world.reader("out", Isolation::ReadCommitted);
    world.plan.down("", 7_000);
    let polled = reader.poll(10, NOW).unwrap();
    assert!(polled.batch.is_none() && polled.ends.is_empty() && polled.failures.is_empty(), "{polled:?}");
    assert!(matches!(membership.poll(NOW), Err(LogError::Unavailable { .. })));
    assert!(matches!(append.begin(), Err(LogError::Unavailable { .. })));
    world.clock.advance(Duration::from_secs(7));
    assert_eq!(count(&reader.poll(10, NOW).unwrap()), 1);
    assert_eq!(membership.poll(NOW).unwrap(), Some(MembershipEvent::Revoked { tasks: vec![0, 1], lost: true }));
    append.begin().unwrap();
}

#[test]
fn lost_tail_is_beyond_the_end_for_a_reader_that_saw_it() {
    let world = World::new();
    let mut append = world.appender();
    append.begin().unwrap();
    put(append.as_mut(), "out", "a");
    put(append.as_mut(), "out", "b");
    append.commit().unwrap();
    let mut reader = world.reader("out", Isolation::ReadCommitted);
    reader.poll(10, NOW).unwrap();
    world.log.lose_tail(&TopicPartition::new("out", 0), 1).unwrap();
    let failures = reader.poll(10, NOW).unwrap().failures;
    let expected = LogError::BeyondEnd { topic: "out".to_owned(), partition: 0, offset: 3, log_end: 1 };
    assert_eq!(failures, [PartitionFailure { token: 0, error: expected }]);
}

#[test]
fn stopped_process_holds_a_refused_stamp_and_is_told_of_its_loss_first() {
    let world = World::new();
    let mut stopped = world.member();
    stopped.poll(NOW).unwrap();
    stopped.acknowledge().unwrap();
    let seat = stopped.member();
    let mut append = world.appender();
    append.begin().unwrap();
    put(append.as_mut(), "out", "zombie");
    world.clock.advance(Duration::from_secs(6));
    let commit = [OffsetCommit { partition: input(), offset: 1, metadata: String::new() }];
    let held = seat.stamp().expect("what it heard last");
    assert!(matches!(append.send_offsets(&commit, &held), Err(LogError::StaleMember { .. })));
    assert!(matches!(append.commit(), Err(LogError::StaleMember { .. })));
    append.abort().unwrap();
    assert_eq!(stopped.poll(NOW).unwrap(), Some(MembershipEvent::Revoked { tasks: vec![0, 1], lost: true }));
    assert_eq!(seat.stamp(), None);
    assert_eq!(stopped.poll(NOW).unwrap(), None);
    assert_eq!(seat.stamp(), None, "nothing before the acknowledgement (M3)");
    stopped.acknowledge().unwrap();
    assert_eq!(stopped.poll(NOW).unwrap(), Some(MembershipEvent::Assigned { tasks: vec![0, 1] }));
    assert!(seat.stamp().is_some_and(|stamp| stamp.generation > held.generation));
}

#[test]
fn process_stopped_past_its_transaction_time_out_is_fenced() {
    let world = World::new();
    let mut append = world.appender();
    append.begin().unwrap();
    put(append.as_mut(), "out", "late");
    world.clock.advance(Duration::from_millis(9_999));
    assert_eq!(world.kinds("out"), [InspectedKind::Open]);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.kinds("out"), [InspectedKind::Aborted, InspectedKind::AbortMarker]);
    assert!(matches!(append.commit(), Err(LogError::ProducerFenced { .. })));
}
