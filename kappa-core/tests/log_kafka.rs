//! The log on a real Kafka: the conformance suite, and what only a real broker shows.
//!
//! Needs `KAPPA_TEST_BROKERS`. Without it the tests say loudly that they were skipped, and fail where `CI` is `true`.
#![cfg(all(feature = "kafka", feature = "testing"))]
#![allow(clippy::unwrap_used, missing_docs)]

use kappa_core::log::conformance::Harness;
use kappa_core::log::kafka::{KafkaLog, KafkaSettings};
use kappa_core::log::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

/// The broker under test, or why there is none.
fn connect() -> Option<KafkaLog> {
    match std::env::var("KAPPA_TEST_BROKERS") {
        Ok(brokers) => Some(KafkaLog::connect(KafkaSettings::new(brokers)).unwrap()),
        Err(_) if std::env::var("CI").as_deref() == Ok("true") => panic!("KAPPA_TEST_BROKERS is not set"),
        Err(_) => {
            eprintln!("\n*** SKIPPED: this test needs a Kafka; set KAPPA_TEST_BROKERS=host:port ***\n");
            None
        }
    }
}

struct RealKafka {
    log: KafkaLog,
    began: Instant,
}

impl Harness for RealKafka {
    fn log(&self) -> SharedLog {
        Arc::new(self.log.clone())
    }

    fn now_ms(&self) -> i64 {
        self.began.elapsed().as_millis() as i64
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

mod conformance {
    use super::*;

    fn harness() -> RealKafka {
        RealKafka { log: connect().unwrap(), began: Instant::now() }
    }

    #[test]
    fn every_case() {
        if connect().is_none() {
            return;
        }
        let wanted = std::env::var("KAPPA_TEST_CASE").unwrap_or_default();
        let mut failed = Vec::new();
        for case in kappa_core::log::conformance::CASES.iter().filter(|case| case.name.contains(&wanted)) {
            let start = Instant::now();
            let result = std::panic::catch_unwind(|| (case.run)(&harness()));
            println!("{} {} ({:?})", if result.is_ok() { "ok  " } else { "FAIL" }, case.name, start.elapsed());
            if result.is_err() {
                failed.push(case.name);
            }
        }
        assert!(failed.is_empty(), "{failed:?}");
    }
}

fn unique(what: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!("kappa-test-{what}-{now}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn create(log: &KafkaLog, what: &str, partitions: i32) -> String {
    let (name, cleanup) = (unique(what), CleanupPolicy::Delete);
    let spec = TopicSpec { name: name.clone(), partitions, replication_factor: None, cleanup, settings: vec![] };
    log.topics().unwrap().create(&spec).unwrap();
    name
}

fn options(id: Option<&str>) -> AppendOptions {
    AppendOptions {
        client_id: "test".into(),
        transactional_id: id.map(str::to_owned),
        transaction_timeout: Duration::from_secs(10),
        linger: SHORT,
        buffer_bytes: 64 << 20,
    }
}

fn transactional(log: &KafkaLog) -> Box<dyn Append> {
    let mut append = log.append(options(Some(&unique("tx")))).unwrap();
    append.init(LONG).unwrap();
    append
}

fn reader(log: &KafkaLog) -> Box<dyn Fetch> {
    let isolation = Isolation::ReadCommitted;
    log.fetch(FetchOptions {
        client_id: "test-fetch".into(),
        isolation,
        buffer_bytes: 32 << 20,
        wait_max: Duration::from_millis(20),
        ahead_records: 10_000,
        partition_bytes: PARTITION_BYTES_LEAN,
    })
    .unwrap()
}

fn put(append: &mut dyn Append, topic: TopicHandle, partition: i32, values: &[&str]) {
    let mut batch = AppendBatch::default();
    for value in values {
        batch.push(topic, partition, 1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), Headers::empty());
    }
    append.append(&batch).unwrap();
}

fn join(log: &KafkaLog, group: &str, tasks: &str, instance: Option<&str>) -> Box<dyn Membership> {
    log.join(MembershipOptions {
        group: group.into(),
        task_topic: tasks.into(),
        client_id: unique("member"),
        instance_id: instance.map(str::to_owned),
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_secs(1),
    })
    .unwrap()
}

/// Polls and accepts until tasks are assigned.
fn first_tasks(member: &mut dyn Membership) -> Vec<i32> {
    let until = Instant::now() + LONG;
    loop {
        assert!(Instant::now() < until, "no tasks were assigned");
        let event = member.poll(SHORT).unwrap();
        member.acknowledge().unwrap();
        if let Some(MembershipEvent::Assigned { mut tasks }) = event
            && !tasks.is_empty()
        {
            tasks.sort_unstable();
            return tasks;
        }
    }
}

fn offset(topic: &str, partition: i32, offset: i64) -> OffsetCommit {
    OffsetCommit { partition: TopicPartition::new(topic, partition), offset, metadata: format!("m{offset}") }
}

#[test]
fn a_revocation_waits_for_its_acknowledgement_and_an_old_stamp_is_refused() {
    let Some(log) = connect() else { return };
    let (tasks, data, group) = (create(&log, "tasks", 4), create(&log, "data", 2), unique("group"));
    let mut one = join(&log, &group, &tasks, None);
    assert_eq!(first_tasks(&mut *one), [0, 1, 2, 3]);
    let old = one.member().stamp().unwrap();
    one.member().commit_offsets(&[offset(&data, 0, 7)], &old, LONG).unwrap();
    let mut two = join(&log, &group, &tasks, None);
    let until = Instant::now() + LONG;
    let mut revoked = loop {
        assert!(Instant::now() < until, "nothing was revoked");
        two.poll(SHORT).unwrap();
        two.acknowledge().unwrap();
        match one.poll(SHORT).unwrap() {
            Some(MembershipEvent::Revoked { tasks, lost }) => {
                assert!(!lost);
                break tasks;
            }
            _ => one.acknowledge().unwrap(),
        }
    };
    assert_eq!(revoked.len(), 2);
    // While it is not accepted the other gets nothing, and this one can commit.
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        assert_eq!(one.poll(SHORT).unwrap(), None);
        let event = two.poll(SHORT).unwrap();
        assert!(matches!(&event, None | Some(MembershipEvent::Assigned { .. })), "{event:?}");
        assert!(!matches!(&event, Some(MembershipEvent::Assigned { tasks }) if !tasks.is_empty()), "{event:?}");
        two.acknowledge().unwrap();
    }
    let stamp = one.member().stamp().unwrap();
    one.member().commit_offsets(&[offset(&data, 0, 8)], &stamp, LONG).unwrap();
    one.acknowledge().unwrap();
    let mut got = vec![];
    let until = Instant::now() + LONG;
    while got.is_empty() {
        assert!(Instant::now() < until, "the revoked tasks went nowhere");
        one.poll(SHORT).unwrap();
        one.acknowledge().unwrap();
        if let Some(MembershipEvent::Assigned { tasks }) = two.poll(SHORT).unwrap() {
            got = tasks;
        }
        two.acknowledge().unwrap();
    }
    got.sort_unstable();
    revoked.sort_unstable();
    assert_eq!(got, revoked);
    let refused = one.member().commit_offsets(&[offset(&data, 0, 9)], &old, LONG).unwrap_err();
    assert_eq!(refused.kind(), "stale_member");
    let mut append = transactional(&log);
    append.begin().unwrap();
    assert_eq!(append.send_offsets(&[offset(&data, 1, 3)], &old).unwrap_err().kind(), "stale_member");
    assert_eq!(append.commit().unwrap_err().kind(), "stale_member");
    append.abort().unwrap();
    let fresh = one.member().stamp().unwrap();
    append.begin().unwrap();
    append.send_offsets(&[offset(&data, 1, 4)], &fresh).unwrap();
    append.commit().unwrap();
    let asked = [TopicPartition::new(data.as_str(), 0), TopicPartition::new(data.as_str(), 1)];
    let seen = log.group_offsets(&group).unwrap().committed(&asked, LONG).unwrap();
    let committed = |offset: i64| Some(CommittedOffset { offset, metadata: format!("m{offset}") });
    assert_eq!(seen, [committed(8), committed(4)]);
    one.leave(LONG).unwrap();
    assert_eq!(first_tasks(&mut *two).len(), 2);
    two.leave(LONG).unwrap();
    log.topics().unwrap().delete_group(&group).unwrap();
}

#[test]
fn offsets_of_an_open_transaction_are_unstable_by_name() {
    let Some(log) = connect() else { return };
    let (tasks, data, group) = (create(&log, "tasks", 1), create(&log, "data", 2), unique("group"));
    let mut member = join(&log, &group, &tasks, None);
    first_tasks(&mut *member);
    let stamp = member.member().stamp().unwrap();
    let mut append = transactional(&log);
    append.begin().unwrap();
    append.send_offsets(&[offset(&data, 1, 5)], &stamp).unwrap();
    let asked = [TopicPartition::new(data.as_str(), 0), TopicPartition::new(data.as_str(), 1)];
    let mut offsets = log.group_offsets(&group).unwrap();
    assert_eq!(offsets.peek(&asked, LONG).unwrap(), [None, None]);
    match offsets.committed(&asked, Duration::from_secs(1)).unwrap_err() {
        LogError::OffsetsUnstable { partition, .. } => assert_eq!(partition, format!("{data}-1")),
        other => panic!("{other:?}"),
    }
    append.commit().unwrap();
    assert_eq!(offsets.committed(&asked, LONG).unwrap()[1].as_ref().unwrap().offset, 5);
    member.leave(LONG).unwrap();
}

#[test]
fn a_second_member_with_the_same_instance_fences_the_first() {
    let Some(log) = connect() else { return };
    let (tasks, group) = (create(&log, "tasks", 2), unique("group"));
    let mut one = join(&log, &group, &tasks, Some("seat"));
    first_tasks(&mut *one);
    let mut two = join(&log, &group, &tasks, Some("seat"));
    let until = Instant::now() + LONG;
    let error = loop {
        assert!(Instant::now() < until, "not fenced");
        two.poll(SHORT).unwrap();
        two.acknowledge().unwrap();
        match one.poll(SHORT) {
            Err(error) => break error,
            Ok(_) => one.acknowledge().unwrap(),
        }
    };
    assert_eq!(error.kind(), "instance_fenced");
    two.leave(LONG).unwrap();
}

#[test]
fn a_missing_task_topic_is_told_within_ten_seconds() {
    let Some(log) = connect() else { return };
    let missing = unique("missing");
    let mut member = join(&log, &unique("group"), &missing, None);
    let start = Instant::now();
    let error = loop {
        assert!(start.elapsed() < Duration::from_secs(10), "not told");
        if let Err(error) = member.poll(SHORT) {
            break error;
        }
    };
    assert_eq!(error, LogError::TopicMissing { topic: missing });
}

#[test]
fn a_commit_of_a_hundred_records_with_offsets_is_quick() {
    let Some(log) = connect() else { return };
    let (tasks, data, group) = (create(&log, "tasks", 1), create(&log, "data", 4), unique("group"));
    let mut member = join(&log, &group, &tasks, None);
    first_tasks(&mut *member);
    let stamp = member.member().stamp().unwrap();
    let mut append = transactional(&log);
    let handle = append.topic(&data, true).unwrap();
    let mut times = vec![];
    for round in 0..200 {
        let start = Instant::now();
        append.begin().unwrap();
        for partition in 0..4 {
            put(&mut *append, handle, partition, &["x".repeat(100).as_str(); 25]);
        }
        append.send_offsets(&[offset(&data, 0, round)], &stamp).unwrap();
        let positions = append.commit().unwrap();
        times.push(start.elapsed());
        // Each round: 25 records and a marker a partition.
        assert_eq!(positions.len(), 4);
        assert!(positions.iter().all(|position| position.next_offset == round * 26 + 25), "{positions:?}");
    }
    times.sort_unstable();
    println!("transaction of 100 records with offsets: median {:?}, p95 {:?}", times[100], times[190]);
    // 4 ms on an idle machine; the safe wrapper's timers would make it 100.
    assert!(times[100] < Duration::from_millis(50), "median {:?}", times[100]);
    member.leave(LONG).unwrap();
}

#[test]
fn a_wrong_address_ends_in_an_error_within_its_deadline_and_drops_at_once() {
    let log = KafkaLog::connect(KafkaSettings::new("127.0.0.1:1")).unwrap();
    let start = Instant::now();
    let mut offsets = log.group_offsets("nobody").unwrap();
    let error = offsets.committed(&[TopicPartition::new("t", 0)], Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry, "{error}");
    let mut append = log.append(options(Some("t"))).unwrap();
    let error = append.init(Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry, "{error}");
    let mut fetch = reader(&log);
    let partition = TopicPartition::new("t", 0);
    fetch.assign(&[Assignment { partition, start: Start::Earliest, token: 0 }]).unwrap();
    assert!(fetch.poll(10, Duration::from_secs(1)).unwrap().batch.is_none());
    let dropping = Instant::now();
    drop((offsets, append, fetch));
    assert!(dropping.elapsed() < Duration::from_millis(500), "{:?}", dropping.elapsed());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Run with `--release --ignored --nocapture`: CPU of an exactly-once copy through the seam.
#[test]
#[ignore = "a measurement"]
fn throughput_of_an_exactly_once_copy() {
    const RECORDS: usize = 2_000_000;
    let Some(log) = connect() else { return };
    let (tasks, group) = (create(&log, "tasks", 1), unique("group"));
    let (input, output) = (create(&log, "in", 4), create(&log, "out", 4));
    let mut append = log.append(options(None)).unwrap();
    let handle = append.topic(&input, false).unwrap();
    let mut batch = AppendBatch::default();
    for record in 0..RECORDS as u64 {
        let value = format!("{{\"user\":\"u{:06}\",\"amount\":{},\"ts\":{record}}}", record % 999_983, record % 1000);
        let value = format!("{value:100}");
        let key = record.to_be_bytes();
        batch.push(handle, (record % 4) as i32, 1, Some(&key), Some(value.as_bytes()), Headers::empty());
        if batch.entries.len() == 10_000 {
            append.append(&batch).unwrap();
            batch.clear();
        }
    }
    append.flush(LONG).unwrap();
    let mut member = join(&log, &group, &tasks, None);
    first_tasks(&mut *member);
    let stamp = member.member().stamp().unwrap();
    let mut append = transactional(&log);
    let handle = append.topic(&output, true).unwrap();
    let mut fetch = reader(&log);
    let (cpu_before, start) = (cpu(), Instant::now());
    let of = |partition| {
        let token = partition as Token;
        Assignment { partition: TopicPartition::new(input.as_str(), partition), start: Start::Earliest, token }
    };
    fetch.assign(&[of(0), of(1), of(2), of(3)]).unwrap();
    let (mut seen, mut next, mut commits) = (0, [0i64; 4], 0);
    let mut positions = vec![];
    while seen < RECORDS {
        append.begin().unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(100) && seen < RECORDS {
            let Some(fetched) = fetch.poll(10_000, SHORT).unwrap().batch else { continue };
            batch.clear();
            for run in fetched.runs() {
                for index in run.start..run.end {
                    let record = fetched.record(index as usize);
                    let partition = run.token as i32;
                    batch.push(handle, partition, record.timestamp_ms, record.key, record.value, Headers::empty());
                    next[run.token as usize] = record.offset + 1;
                }
            }
            seen += fetched.len();
            append.append(&batch).unwrap();
        }
        let offsets: Vec<OffsetCommit> = (0..4).map(|part| offset(&input, part, next[part as usize])).collect();
        append.send_offsets(&offsets, &stamp).unwrap();
        positions = append.commit().unwrap();
        commits += 1;
    }
    let (used, took) = (cpu() - cpu_before, start.elapsed().as_secs_f64());
    println!(
        "{:.3} CPU-s/M, {:.0} k records/s, {commits} commits",
        used / RECORDS as f64 * 1e6,
        RECORDS as f64 / took / 1e3
    );
    assert!(!positions.is_empty());
    member.leave(LONG).unwrap();
}
