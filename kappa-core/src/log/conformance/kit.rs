//! What the cases are made of: topics with names of their own, writers, readers, members.

use super::Harness;
use super::members::GroupMember;
use crate::log::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long one poll of a case waits.
pub(super) const SLICE: Duration = Duration::from_millis(100);
/// A deadline for single requests that are to succeed.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);
/// How long a case waits for a condition before it fails.
const PATIENCE_MS: i64 = 45_000;

/// One case's surroundings.
pub(super) struct Kit<'h> {
    pub(super) harness: &'h dyn Harness,
    pub(super) log: SharedLog,
}

impl<'h> Kit<'h> {
    pub(super) fn new(harness: &'h dyn Harness) -> Self {
        Self { harness, log: harness.log() }
    }

    /// A name that no other case and no earlier run has used.
    pub(super) fn unique(&self, base: &str) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        format!("conformance-{base}-{since:x}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn topic(&self, base: &str, partitions: i32) -> String {
        let spec = spec(&self.unique(base), partitions);
        self.topics().create(&spec).unwrap();
        spec.name
    }

    pub(super) fn topics(&self) -> Box<dyn Topics> {
        self.log.topics().unwrap()
    }

    pub(super) fn offset(&self, topic: &str, partition: i32, spec: OffsetSpec) -> i64 {
        self.topics().offsets(&[(TopicPartition::new(topic, partition), spec)]).unwrap()[0]
    }

    /// An appender outside transactions.
    pub(super) fn plain(&self) -> Writer {
        self.writer(None, Duration::from_secs(60), Duration::from_millis(5))
    }

    /// An appender whose transactional id is its own already.
    pub(super) fn transactional(&self, id: &str) -> Writer {
        let mut writer = self.uninitialised(id);
        writer.append.init(DEADLINE).unwrap();
        writer
    }

    pub(super) fn uninitialised(&self, id: &str) -> Writer {
        self.writer(Some(id), Duration::from_secs(60), Duration::from_millis(5))
    }

    pub(super) fn writer(&self, id: Option<&str>, transaction_timeout: Duration, linger: Duration) -> Writer {
        let options = AppendOptions {
            client_id: self.unique("writer"),
            transactional_id: id.map(str::to_owned),
            transaction_timeout,
            linger,
            buffer_bytes: 32 << 20,
        };
        Writer { append: self.log.append(options).unwrap(), batch: AppendBatch::default() }
    }

    pub(super) fn reader(&self, isolation: Isolation) -> Reader<'h> {
        let options = FetchOptions {
            client_id: self.unique("reader"),
            isolation,
            buffer_bytes: 8 << 20,
            wait_max: Duration::from_millis(20),
            ahead_records: 10_000,
            partition_bytes: PARTITION_BYTES_LEAN,
        };
        Reader {
            harness: self.harness,
            fetch: self.log.fetch(options).unwrap(),
            seen: Vec::new(),
            ends: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// A reader of partition 0 from its beginning, under token 0.
    pub(super) fn reader_of(&self, topic: &str, isolation: Isolation) -> Reader<'h> {
        let mut reader = self.reader(isolation);
        reader.assign(topic, 0, Start::Earliest, 0);
        reader
    }

    /// All values of partition 0 that a read_committed reader finds below its present end.
    pub(super) fn committed_values(&self, topic: &str) -> Vec<String> {
        let end = self.offset(topic, 0, OffsetSpec::Latest(Isolation::ReadUncommitted));
        let mut reader = self.reader_of(topic, Isolation::ReadCommitted);
        reader.until_end_beyond(0, end);
        reader.values()
    }

    pub(super) fn member(&self, group: &str, task_topic: &str, instance_id: Option<&str>) -> GroupMember {
        let options = MembershipOptions {
            group: group.to_owned(),
            task_topic: task_topic.to_owned(),
            client_id: self.unique("member"),
            instance_id: instance_id.map(str::to_owned),
            session_timeout: self.harness.smallest_session(),
            heartbeat_interval: self.harness.smallest_session() / 6,
        };
        let membership = self.log.join(options).unwrap();
        GroupMember::new(membership)
    }

    /// A group of its own with a task topic and one member that has all the tasks.
    pub(super) fn lone_member(&self, tasks: i32) -> (String, String, GroupMember) {
        let (group, task_topic) = (self.unique("group"), self.topic("tasks", tasks));
        let mut member = self.member(&group, &task_topic, None);
        self.until("the only member has all tasks", || {
            member.pump();
            member.tasks.len() == tasks as usize
        });
        (group, task_topic, member)
    }

    pub(super) fn committed(&self, group: &str, partitions: &[TopicPartition]) -> Vec<Option<CommittedOffset>> {
        self.log.group_offsets(group).unwrap().committed(partitions, DEADLINE).unwrap()
    }

    /// The committed offset of one partition.
    pub(super) fn committed_offset(&self, group: &str, partition: &TopicPartition) -> Option<i64> {
        self.committed(group, std::slice::from_ref(partition)).remove(0).map(|committed| committed.offset)
    }

    /// Makes a condition true by trying, or fails the case.
    pub(super) fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let deadline_ms = self.harness.now_ms() + PATIENCE_MS;
        while !condition() {
            assert!(self.harness.now_ms() < deadline_ms, "waited too long: {what}");
            self.harness.pause(Duration::from_millis(10));
        }
    }

    /// Watches for a while that something stays true.
    pub(super) fn always(&self, what: &str, time: Duration, mut condition: impl FnMut() -> bool) {
        let deadline_ms = self.harness.now_ms() + time.as_millis() as i64;
        while self.harness.now_ms() < deadline_ms {
            assert!(condition(), "must stay true: {what}");
            self.harness.pause(Duration::from_millis(50));
        }
    }
}

pub(super) fn spec(name: &str, partitions: i32) -> TopicSpec {
    TopicSpec {
        name: name.to_owned(),
        partitions,
        replication_factor: None,
        cleanup: CleanupPolicy::Delete,
        // The cases' timestamps are long past: a broker's retention would take the records away.
        settings: vec![("retention.ms".to_owned(), "-1".to_owned())],
    }
}

pub(super) fn at(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition::new(topic, partition)
}

pub(super) fn commit_of(partition: &TopicPartition, offset: i64, metadata: &str) -> OffsetCommit {
    OffsetCommit { partition: partition.clone(), offset, metadata: metadata.to_owned() }
}

/// An appender with short words for what cases do.
pub(super) struct Writer {
    pub(super) append: Box<dyn Append>,
    pub(super) batch: AppendBatch,
}

impl Writer {
    pub(super) fn handle(&mut self, topic: &str) -> TopicHandle {
        self.append.topic(topic, true).unwrap()
    }

    /// Appends values to one partition, in one batch, with timestamps 1000, 1001, …
    pub(super) fn try_put(&mut self, topic: &str, partition: i32, values: &[&str]) -> Result<(), LogError> {
        let handle = self.append.topic(topic, true)?;
        self.batch.clear();
        for (index, value) in values.iter().enumerate() {
            let (timestamp_ms, key) = (1000 + index as i64, Some(&b"key"[..]));
            self.batch.push(handle, partition, timestamp_ms, key, Some(value.as_bytes()), Headers::empty());
        }
        self.append.append(&self.batch)
    }

    pub(super) fn put(&mut self, topic: &str, partition: i32, values: &[&str]) {
        self.try_put(topic, partition, values).unwrap();
    }

    /// A transaction in partition 0 that is aborted when its records are in the log: a client may drop
    /// what it has not sent yet.
    pub(super) fn abort_in_log(&mut self, kit: &Kit<'_>, topic: &str, values: &[&str]) {
        let end = |isolation| kit.offset(topic, 0, OffsetSpec::Latest(isolation));
        let (before, count) = (end(Isolation::ReadUncommitted), values.len() as i64);
        self.append.begin().unwrap();
        self.put(topic, 0, values);
        // The marker of the transaction before may come late: the open records are those behind the stable end.
        kit.until("the records to abort are in the log", || {
            let (stable, high) = (end(Isolation::ReadCommitted), end(Isolation::ReadUncommitted));
            high >= before + count && stable == high - count
        });
        self.append.abort().unwrap();
    }

    /// A whole transaction in partition 0.
    pub(super) fn transact(&mut self, topic: &str, values: &[&str], commit: bool) {
        self.append.begin().unwrap();
        self.put(topic, 0, values);
        if commit {
            self.append.commit().unwrap();
        } else {
            self.append.abort().unwrap();
        }
    }

    /// Appends to one partition outside transactions and waits for the acknowledgement.
    pub(super) fn put_now(&mut self, topic: &str, partition: i32, values: &[&str]) -> Vec<Position> {
        self.put(topic, partition, values);
        self.append.flush(DEADLINE).unwrap()
    }
}

/// Text that no codec makes much smaller: six random bits a byte.
pub(super) fn incompressible(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + (state >> 58) as u8)
    };
    (0..bytes).map(|_| next()).collect()
}

/// A record as a reader saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) token: Token,
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Headers,
}

/// A reader that keeps what it saw.
pub(super) struct Reader<'h> {
    harness: &'h dyn Harness,
    pub(super) fetch: Box<dyn Fetch>,
    pub(super) seen: Vec<Seen>,
    pub(super) ends: Vec<PartitionEnd>,
    pub(super) failures: Vec<PartitionFailure>,
}

impl Reader<'_> {
    pub(super) fn assign(&mut self, topic: &str, partition: i32, start: Start, token: Token) {
        self.fetch.assign(&[Assignment { partition: at(topic, partition), start, token }]).unwrap();
    }

    /// One poll; says how many records came.
    pub(super) fn poll(&mut self, max_records: usize, timeout: Duration) -> usize {
        let polled = self.fetch.poll(max_records, timeout).unwrap();
        let mut count = 0;
        if let Some(batch) = &polled.batch {
            count = batch.len();
            assert!(count <= max_records, "{count} records where {max_records} were asked for");
            let mut next = 0;
            for run in batch.runs() {
                assert_eq!(run.start, next, "runs without gap or overlap");
                assert!(run.end > run.start, "a run has records");
                next = run.end;
                let see = |index: u32| see(batch.as_ref(), run.token, index as usize);
                self.seen.extend((run.start..run.end).map(see));
            }
            assert_eq!(next as usize, count, "the runs cover the batch");
        }
        self.ends.extend(polled.ends);
        self.failures.extend(polled.failures);
        count
    }

    pub(super) fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline_ms = self.harness.now_ms() + PATIENCE_MS;
        while !condition(self) {
            let so_far = (self.seen.len(), &self.ends, &self.failures);
            assert!(self.harness.now_ms() < deadline_ms, "waited too long: {what}; so far {so_far:?}");
            self.poll(10_000, SLICE);
            self.harness.pause(Duration::from_millis(1));
        }
    }

    /// Reads until the end of that token is reported at `offset` or behind it (a marker may be late).
    pub(super) fn until_end_beyond(&mut self, token: Token, offset: i64) {
        self.until(&format!("the end of token {token} at {offset}"), |reader| {
            reader.ends.iter().any(|end| end.token == token && end.offset >= offset) || !reader.failures.is_empty()
        });
        assert!(self.failures.is_empty(), "{:?}", self.failures);
    }

    /// Reads until the end of that token is reported at `offset`.
    pub(super) fn until_end(&mut self, token: Token, offset: i64) {
        self.until_end_beyond(token, offset);
        assert_eq!(self.last_end(token), Some(offset));
    }

    pub(super) fn until_count(&mut self, count: usize) {
        self.until(&format!("{count} records"), |reader| reader.seen.len() >= count);
        assert_eq!(self.seen.len(), count);
    }

    pub(super) fn until_failure(&mut self) -> PartitionFailure {
        self.until("a failure", |reader| !reader.failures.is_empty());
        self.failures.remove(0)
    }

    /// Reads on for a while.
    pub(super) fn linger(&mut self, time: Duration) {
        let deadline_ms = self.harness.now_ms() + time.as_millis() as i64;
        while self.harness.now_ms() < deadline_ms {
            self.poll(10_000, SLICE);
            self.harness.pause(Duration::from_millis(20));
        }
    }

    pub(super) fn last_end(&self, token: Token) -> Option<i64> {
        self.ends.iter().rev().find(|end| end.token == token).map(|end| end.offset)
    }

    pub(super) fn values(&self) -> Vec<String> {
        self.values_of(|_| true)
    }

    pub(super) fn values_of(&self, which: impl Fn(&Seen) -> bool) -> Vec<String> {
        let text = |seen: &Seen| String::from_utf8_lossy(seen.value.as_deref().unwrap_or(b"<null>")).into_owned();
        self.seen.iter().filter(|seen| which(seen)).map(text).collect()
    }

    pub(super) fn offsets(&self) -> Vec<i64> {
        self.seen.iter().map(|seen| seen.offset).collect()
    }
}

fn see(batch: &dyn FetchedBatch, token: Token, index: usize) -> Seen {
    let record = batch.record(index);
    Seen {
        token,
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: batch.headers(index),
    }
}
