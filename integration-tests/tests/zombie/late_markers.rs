//! Transaction markers come late on three brokers: the group's offsets are decided while a changelog's last stable offset is still
//! behind. A restore that ended at the first end of the partition would miss what is committed.

use super::{PATIENCE, alone};
use kappa_core::log::{
    AppendBatch, AppendOptions, Assignment, Fetch, FetchOptions, Headers, Isolation, MembershipEvent,
    MembershipOptions, OffsetCommit, OffsetSpec, PARTITION_BYTES_LEAN, SharedLog, Start, TopicPartition,
};
use kappa_integration_tests::Options;
use kappa_integration_tests::harness::{self, unique};
use kappa_integration_tests::records::{create_topic, kafka};
use kappa_integration_tests::wait::wait_until;
use std::time::Duration;

const TRANSACTIONS: i64 = 300;
/// So many in all, should none of the first have shown a late marker.
const TRANSACTIONS_MAX: i64 = 2_000;
/// Enough that each broker leads some.
const CHANGELOGS: i32 = 9;
/// Every so many transactions a changelog is read to its end, besides those whose markers are seen to be late.
const READ_EACH: i64 = 25;

/// Reads a changelog from the beginning until the end-of-partition position reaches the watermark: step 4 of a restore. Returns
/// the records found at the first end, and at the last.
fn restore(fetch: &mut dyn Fetch, changelog: &TopicPartition, watermark: i64) -> (i64, i64) {
    let start = Start::Earliest;
    fetch.assign(&[Assignment { partition: changelog.clone(), start, token: 0 }]).expect("assigned");
    let (mut records, mut at_first_end, mut position) = (0, None, 0);
    let done = wait_until(PATIENCE, || {
        let polled = fetch.poll(1_000, Duration::from_millis(100)).expect("polled");
        records += polled.batch.map_or(0, |batch| batch.len() as i64);
        for end in polled.ends {
            at_first_end.get_or_insert(records);
            position = end.offset;
        }
        position >= watermark
    });
    assert!(done, "{changelog}: stuck at {position}, the watermark is {watermark}");
    fetch.unassign(&[0]).expect("unassigned");
    (at_first_end.unwrap_or(records), records)
}

/// A group with one member; its stamp.
fn member(log: &SharedLog, group: &str) -> Box<dyn kappa_core::log::Membership> {
    let task_topic = unique("tasks");
    create_topic(log, &task_topic, 1);
    let options = MembershipOptions {
        group: group.to_owned(),
        task_topic,
        client_id: unique("member"),
        instance_id: None,
        session_timeout: Duration::from_secs(30),
        heartbeat_interval: Duration::from_secs(1),
    };
    let mut membership = log.join(options).expect("joins");
    let joined = wait_until(PATIENCE, || {
        let event = membership.poll(Duration::from_millis(50)).expect("polled");
        membership.acknowledge().expect("accepted");
        matches!(event, Some(MembershipEvent::Assigned { tasks }) if !tasks.is_empty())
    });
    assert!(joined);
    membership
}

#[test]
fn on_three_brokers_the_first_end_of_a_changelog_may_come_too_early() {
    let _alone = alone();
    let Some(cluster) = harness::own_broker(&Options { nodes: 3, ..Options::default() }) else { return };
    let log = kafka(&cluster.bootstrap());
    let (group, changelog, input) = (unique("group"), unique("changelog"), unique("input"));
    create_topic(&log, &changelog, CHANGELOGS);
    create_topic(&log, &input, 1);
    let mut membership = member(&log, &group);
    let options = AppendOptions {
        client_id: unique("appender"),
        transactional_id: Some(unique("owner")),
        transaction_timeout: Duration::from_secs(60),
        linger: Duration::ZERO,
        buffer_bytes: 1 << 20,
    };
    let mut append = log.append(options).expect("an appender");
    append.init(PATIENCE).expect("initialised");
    let topic = append.topic(&changelog, true).expect("the topic");
    let options = FetchOptions {
        client_id: unique("restore"),
        isolation: Isolation::ReadCommitted,
        buffer_bytes: 1 << 20,
        wait_max: Duration::from_millis(20),
        ahead_records: 10_000,
        partition_bytes: PARTITION_BYTES_LEAN,
    };
    let mut fetch = log.fetch(options).expect("a reader");
    let mut offsets = log.group_offsets(&group).expect("a reader of offsets");
    let mut topics = log.topics().expect("topics");
    let input = TopicPartition::new(input.as_str(), 0);
    let changelogs: Vec<TopicPartition> =
        (0..CHANGELOGS).map(|partition| TopicPartition::new(changelog.as_str(), partition)).collect();
    let mut ends = |isolation| {
        let wanted: Vec<_> = changelogs.iter().map(|one| (one.clone(), OffsetSpec::Latest(isolation))).collect();
        topics.offsets(&wanted).expect("the ends")
    };
    let (mut behind, mut read, mut read_too_early, mut n) = (0, 0, 0, 0);
    while n < TRANSACTIONS || (behind == 0 && n < TRANSACTIONS_MAX) {
        n += 1;
        if membership.poll(Duration::ZERO).expect("polled").is_some() {
            membership.acknowledge().expect("accepted");
        }
        append.begin().expect("begun");
        let mut batch = AppendBatch::default();
        for partition in 0..CHANGELOGS {
            batch.push(topic, partition, n, Some(b"key"), Some(&n.to_be_bytes()), Headers::empty());
        }
        append.append(&batch).expect("appended");
        let stamp = membership.member().stamp().expect("a member");
        let commit = OffsetCommit { partition: input.clone(), offset: n, metadata: String::new() };
        append.send_offsets(&[commit], &stamp).expect("sent");
        append.commit().expect("committed");
        // A restorer now: offsets that are decided, then the high watermark. Where a reader of committed records would be told
        // that the partition ends comes last, and so in its favour.
        let committed = offsets.committed(std::slice::from_ref(&input), PATIENCE).expect("decided");
        assert_eq!(committed[0].as_ref().map(|committed| committed.offset), Some(n));
        let (watermarks, stable) = (ends(Isolation::ReadUncommitted), ends(Isolation::ReadCommitted));
        let late = (0..changelogs.len()).find(|one| stable[*one] < watermarks[*one]);
        behind += u32::from(late.is_some());
        if late.is_some() || n % READ_EACH == 0 {
            let one = late.unwrap_or(0);
            let (at_first_end, at_watermark) = restore(&mut *fetch, &changelogs[one], watermarks[one]);
            assert_eq!(at_watermark, n, "transaction {n}: the four steps find all that is committed");
            read += 1;
            read_too_early += u32::from(at_first_end < at_watermark);
        }
    }
    eprintln!(
        "three brokers: after {behind} of {n} commits a changelog's end was still before committed records; \
         of {read} changelogs then read, {read_too_early} reached an end too early, and none at the watermark"
    );
    assert!(behind > 0, "no marker came late in {n} transactions: this run shows nothing");
}
