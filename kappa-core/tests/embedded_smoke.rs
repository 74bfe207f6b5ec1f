//! The embedded log from end to end, in a few lines: what a first user of the seam does.

#![allow(clippy::unwrap_used)]
use kappa_core::log::embedded::{EmbeddedLog, ManualClock};
use kappa_core::log::*;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

fn spec(name: &str, partitions: i32) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions,
        replication_factor: None,
        cleanup: CleanupPolicy::Delete,
        settings: vec![],
    }
}

#[test]
fn a_transaction_with_offsets_of_a_member_becomes_visible_as_one() {
    let clock = ManualClock::new(0);
    let log = EmbeddedLog::with_clock(&clock);
    log.topics().unwrap().create(&spec("out", 1)).unwrap();
    log.topics().unwrap().create(&spec("app-tasks", 4)).unwrap();
    let options = MembershipOptions {
        group: "app".into(),
        task_topic: "app-tasks".into(),
        client_id: "m".into(),
        instance_id: None,
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_secs(1),
    };
    let mut membership = log.join(options).unwrap();
    let event = membership.poll(NOW).unwrap();
    assert_eq!(event, Some(MembershipEvent::Assigned { tasks: vec![0, 1, 2, 3] }));
    membership.acknowledge().unwrap();
    let stamp = membership.member().stamp().unwrap();

    let mut append = log
        .append(AppendOptions {
            client_id: "a".into(),
            transactional_id: Some("tx".into()),
            transaction_timeout: Duration::from_secs(10),
            linger: NOW,
            buffer_bytes: 1 << 20,
        })
        .unwrap();
    append.init(NOW).unwrap();
    append.begin().unwrap();
    let out = append.topic("out", true).unwrap();
    let mut batch = AppendBatch::default();
    batch.push(out, 0, 7, Some(b"k"), Some(b"v"), Headers::empty());
    append.append(&batch).unwrap();
    let input = TopicPartition::new("in", 0);
    let commit = OffsetCommit { partition: input.clone(), offset: 5, metadata: "m".into() };
    append.send_offsets(&[commit], &stamp).unwrap();

    let mut offsets = log.group_offsets("app").unwrap();
    assert!(matches!(offsets.committed(std::slice::from_ref(&input), NOW), Err(LogError::OffsetsUnstable { .. })));
    let mut fetch = log
        .fetch(FetchOptions {
            client_id: "r".into(),
            isolation: Isolation::ReadCommitted,
            buffer_bytes: 1,
            wait_max: Duration::from_millis(20),
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
        })
        .unwrap();
    fetch.assign(&[Assignment { partition: TopicPartition::new("out", 0), start: Start::Earliest, token: 9 }]).unwrap();
    let before = fetch.poll(10, NOW).unwrap();
    assert!(before.batch.is_none());
    assert_eq!(before.ends, [PartitionEnd { token: 9, offset: 0 }]);

    assert_eq!(append.commit().unwrap(), [Position { topic: out, partition: 0, next_offset: 1 }]);
    let after = fetch.poll(10, NOW).unwrap();
    assert_eq!(after.batch.unwrap().record(0).value, Some(&b"v"[..]));
    assert_eq!(after.ends, [PartitionEnd { token: 9, offset: 2 }], "behind the marker");
    let committed = offsets.committed(&[input], NOW).unwrap();
    assert_eq!(committed[0].as_ref().map(|committed| committed.offset), Some(5));
}
