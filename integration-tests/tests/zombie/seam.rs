//! What the broker accepts from a client without kappa's rules, and what kappa's own clients refuse: call by call.

use super::{PATIENCE, alone};
use kappa_core::log::{
    Append, AppendOptions, LogError, MemberStamp, Membership, MembershipEvent, MembershipOptions, OffsetCommit,
    Recovery, SharedLog, TopicPartition,
};
use kappa_integration_tests::harness::{self, unique};
use kappa_integration_tests::records::{create_topic, kafka};
use kappa_integration_tests::wait::wait_until;
use std::collections::BTreeSet;
use std::time::Duration;

const SESSION: Duration = Duration::from_secs(6);

/// A group's member and the tasks it has now.
struct Seat {
    membership: Box<dyn Membership>,
    tasks: BTreeSet<i32>,
}

impl Seat {
    fn join(log: &SharedLog, group: &str, task_topic: &str) -> Seat {
        let options = MembershipOptions {
            group: group.to_owned(),
            task_topic: task_topic.to_owned(),
            client_id: unique("member"),
            instance_id: None,
            session_timeout: SESSION,
            heartbeat_interval: SESSION / 10,
        };
        Seat { membership: log.join(options).expect("joins"), tasks: BTreeSet::new() }
    }

    /// Takes in what has changed, accepting all of it.
    fn pump(&mut self) {
        match self.membership.poll(Duration::from_millis(20)).expect("polled") {
            None => return,
            Some(MembershipEvent::Assigned { tasks }) => self.tasks.extend(tasks),
            Some(MembershipEvent::Revoked { tasks, .. }) => tasks.iter().for_each(|task| {
                self.tasks.remove(task);
            }),
        }
        self.membership.acknowledge().expect("accepted");
    }

    fn stamp(&self) -> Option<MemberStamp> {
        self.membership.member().stamp()
    }
}

fn appender(log: &SharedLog) -> Box<dyn Append> {
    let options = AppendOptions {
        client_id: unique("appender"),
        transactional_id: Some(unique("owner")),
        transaction_timeout: Duration::from_secs(30),
        linger: Duration::ZERO,
        buffer_bytes: 1 << 20,
    };
    let mut append = log.append(options).expect("an appender");
    append.init(PATIENCE).expect("initialised");
    append
}

fn offset(partition: &TopicPartition, offset: i64) -> OffsetCommit {
    OffsetCommit { partition: partition.clone(), offset, metadata: "test".into() }
}

fn committed(log: &SharedLog, group: &str, partition: &TopicPartition) -> Option<i64> {
    let mut reader = log.group_offsets(group).expect("a reader");
    let offsets = reader.committed(std::slice::from_ref(partition), PATIENCE).expect("decided");
    offsets[0].as_ref().map(|committed| committed.offset)
}

/// The broker fences by generation and member, not by partition: a member in good standing may commit for a task that is
/// another's. Nobody but kappa's epochs can refuse that.
#[test]
fn the_broker_takes_a_fresh_stamp_for_a_task_that_is_anothers() {
    let Some(brokers) = harness::brokers() else { return };
    let _alone = alone();
    let log = kafka(&brokers);
    let (group, tasks, input) = (unique("group"), unique("tasks"), unique("input"));
    create_topic(&log, &tasks, 2);
    create_topic(&log, &input, 2);
    let mut first = Seat::join(&log, &group, &tasks);
    assert!(wait_until(PATIENCE, || {
        first.pump();
        first.tasks.len() == 2
    }));
    let old = first.stamp().expect("a member");
    let (mut one, mut other) = (appender(&log), appender(&log));
    one.begin().expect("begun");
    // A second member takes one of the tasks, does its work, and commits it.
    let mut second = Seat::join(&log, &group, &tasks);
    assert!(wait_until(PATIENCE, || {
        first.pump();
        second.pump();
        first.tasks.len() == 1 && second.tasks.len() == 1
    }));
    let moved = *second.tasks.first().expect("one task");
    let partition = TopicPartition::new(input.as_str(), moved);
    other.begin().expect("begun");
    other.send_offsets(&[offset(&partition, 10)], &second.stamp().expect("a member")).expect("its own task");
    other.commit().expect("committed");
    assert_eq!(committed(&log, &group, &partition), Some(10));
    // The first goes on where it was. With its old stamp it is refused, and may go on after an abort …
    let refused = one.send_offsets(&[offset(&partition, 5)], &old).expect_err("an old generation");
    assert!(matches!(refused, LogError::StaleMember { .. }), "{refused}");
    assert_eq!(refused.recovery(), Recovery::AbortTransaction);
    one.abort().expect("aborted");
    assert_eq!(committed(&log, &group, &partition), Some(10));
    // … with a fresh one it is let through: the other's work is undone, and will be done twice.
    let fresh = first.stamp().expect("still a member");
    assert_ne!(fresh.generation, old.generation);
    one.begin().expect("begun");
    one.send_offsets(&[offset(&partition, 5)], &fresh).expect("the broker sees nothing wrong");
    one.commit().expect("nor now");
    assert_eq!(committed(&log, &group, &partition), Some(5));
}

/// A consumer that never joined has generation −1 and no member id. The broker takes a commit with these on a group that has
/// members; kappa never hands such a stamp out, and its appender refuses one.
#[test]
fn the_broker_takes_a_commit_without_generation_and_kappa_does_not() {
    let Some(brokers) = harness::brokers() else { return };
    let _alone = alone();
    let log = kafka(&brokers);
    let (group, tasks, input) = (unique("group"), unique("tasks"), unique("input"));
    create_topic(&log, &tasks, 1);
    create_topic(&log, &input, 1);
    let mut seat = Seat::join(&log, &group, &tasks);
    assert_eq!(seat.stamp(), None, "before it has joined there is nothing to show");
    assert!(wait_until(PATIENCE, || {
        seat.pump();
        !seat.tasks.is_empty()
    }));
    let partition = TopicPartition::new(input.as_str(), 0);
    let mut append = appender(&log);
    append.begin().expect("begun");
    append.send_offsets(&[offset(&partition, 10)], &seat.stamp().expect("a member")).expect("its own task");
    append.commit().expect("committed");

    raw::commit_without_joining(&brokers, &group, &input, 5);
    assert_eq!(committed(&log, &group, &partition), Some(5), "the broker let it through");

    let nobody = MemberStamp { group, generation: -1, member_id: String::new(), instance_id: None };
    append.begin().expect("begun");
    let refused = append.send_offsets(&[offset(&partition, 7)], &nobody).expect_err("fences nobody");
    assert!(refused.to_string().contains("fences nobody"), "{refused}");
    append.abort().expect("aborted");
    assert_eq!(committed(&log, &nobody.group, &partition), Some(5));
}

/// The client library without kappa around it.
mod raw {
    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::producer::{BaseProducer, Producer};
    use rdkafka::{Offset, TopicPartitionList};
    use std::time::Duration;

    const DEADLINE: Duration = Duration::from_secs(30);

    pub(super) fn commit_without_joining(brokers: &str, group: &str, topic: &str, offset: i64) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        let mut consumer = config.clone();
        let consumer: BaseConsumer = consumer.set("group.id", group).create().expect("a consumer");
        let metadata = consumer.group_metadata().expect("metadata of a group that was never joined");
        let id = kappa_integration_tests::harness::unique("raw");
        let producer: BaseProducer = config.set("transactional.id", id).create().expect("a producer");
        producer.init_transactions(DEADLINE).expect("initialised");
        producer.begin_transaction().expect("begun");
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("added");
        producer.send_offsets_to_transaction(&offsets, &metadata, DEADLINE).expect("the broker sees nothing wrong");
        producer.commit_transaction(DEADLINE).expect("nor now");
    }
}
