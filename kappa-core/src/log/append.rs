//! Writing: append a batch, in transactions with offsets.

use super::{Headers, LogError, MemberStamp, OffsetCommit};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// A topic as an appender knows it: looked up once, by [`Append::topic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicHandle(pub u32);

/// How an appender writes.
#[derive(Debug, Clone)]
pub struct AppendOptions {
    /// A name for logs and broker-side metrics (`client.id`).
    pub client_id: String,
    /// The transactional id; without one there are no transactions, only an idempotent producer.
    pub transactional_id: Option<String>,
    /// The broker ends a transaction older than this by itself (`transaction.timeout.ms`).
    pub transaction_timeout: Duration,
    /// How long a batch may wait to be filled (`linger.ms`); a commit or flush cuts it short.
    pub linger: Duration,
    /// Bytes that may wait to be sent before `append` blocks.
    pub buffer_bytes: usize,
}

/// One record of an [`AppendBatch`]; ranges point into its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendEntry {
    /// The topic.
    pub topic: TopicHandle,
    /// The partition; the caller computes it.
    pub partition: i32,
    /// The record's timestamp, ms since 1970.
    pub timestamp_ms: i64,
    /// The key; `None` is Kafka's null.
    pub key: Option<Range<u32>>,
    /// The value; `None` is Kafka's null.
    pub value: Option<Range<u32>>,
    /// The headers.
    pub headers: Headers,
}

/// Records on their way out, in one arena that is used again and again.
///
/// Writers encode straight into [`AppendBatch::bytes`] and push an entry that points at what they wrote.
#[derive(Debug, Default)]
pub struct AppendBatch {
    /// Keys and values, back to back. At most 4 GiB; the runtime sends long before that.
    pub bytes: Vec<u8>,
    /// The records, in the order of appending.
    pub entries: Vec<AppendEntry>,
}

impl AppendBatch {
    /// Copies a record in. For writers that have the bytes at hand.
    pub fn push(
        &mut self,
        topic: TopicHandle,
        partition: i32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers,
    ) {
        let key = key.map(|bytes| self.copy(bytes));
        let value = value.map(|bytes| self.copy(bytes));
        self.entries.push(AppendEntry { topic, partition, timestamp_ms, key, value, headers });
    }

    /// Copies bytes into the arena and says where they are.
    pub fn copy(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start as u32..self.bytes.len() as u32
    }

    /// The bytes of a range of this batch.
    pub fn slice(&self, range: &Range<u32>) -> &[u8] {
        &self.bytes[range.start as usize..range.end as usize]
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// How far an appender's own records reach in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The topic.
    pub topic: TopicHandle,
    /// The partition.
    pub partition: i32,
    /// One past the offset of the last record that this appender appended there and the log took.
    pub next_offset: i64,
}

/// Appends records.
///
/// # Contract
/// - **A1** `append` copies: the batch may be cleared when it returns. It blocks while the buffer is
///   full, up to a deadline of its own, and then fails with [`LogError::Timeout`].
/// - **A2** Records of one partition keep the order in which they were appended.
/// - **A3** With a transactional id, [`Append::init`] must come first. It ends any transaction an
///   earlier client with that id left open (by aborting it, or by waiting for a decided one) and
///   fences that client: everything it tries afterwards fails with [`LogError::ProducerFenced`].
/// - **A4** Records and offsets between `begin` and `commit` become visible together, to read_committed
///   readers and in the group's offsets, or not at all. After `abort` none ever does.
/// - **A5** `send_offsets` is refused with [`LogError::StaleMember`] when the group is not in the stamp's
///   generation, or does not know its member; the transaction can then only be aborted, `commit`
///   refuses too, and after `abort` the client goes on.
/// - **A6** `commit` returns only when every record of the transaction has been acknowledged by the log
///   and the commit decided. A record the log refused makes `commit` fail and nothing visible.
/// - **A7** A `commit` or `abort` without an answer is [`LogError::OutcomeUnknown`]: the client is dead.
///   The truth is found by a new client with the same id: `init`, then the group's committed offsets.
/// - **A8** `commit` and `flush` return [`Position`]s of all partitions appended to since the last
///   `commit`, `abort` or `flush`, for topics whose handle was got with `report_position`.
/// - **A9** An empty transaction commits, at no cost to the log.
/// - **A10** Without a transactional id, `flush` returns when everything appended is acknowledged, or
///   fails with the first refusal; the transaction calls are [`LogError::Misuse`].
/// - **A11** `commit` does not wait for `linger`, nor on any timer: it takes as long as the log takes.
/// - **A12** A transaction left open longer than `transaction_timeout` is aborted by the log, and the client
///   is fenced.
pub trait Append: Send + fmt::Debug {
    /// Looks a topic up and keeps it. `report_position` asks for its partitions in what `commit` and
    /// `flush` return.
    fn topic(&mut self, name: &str, report_position: bool) -> Result<TopicHandle, LogError>;

    /// Takes the transactional id over.
    fn init(&mut self, deadline: Duration) -> Result<(), LogError>;

    /// Begins a transaction.
    fn begin(&mut self) -> Result<(), LogError>;

    /// Appends the batch's records.
    fn append(&mut self, batch: &AppendBatch) -> Result<(), LogError>;

    /// Makes offsets of a group part of the transaction.
    fn send_offsets(&mut self, offsets: &[OffsetCommit], member: &MemberStamp) -> Result<(), LogError>;

    /// Commits the transaction.
    fn commit(&mut self) -> Result<Vec<Position>, LogError>;

    /// Aborts the transaction; allowed after any error that asks for it, and when none is open.
    fn abort(&mut self) -> Result<(), LogError>;

    /// Waits until what was appended is acknowledged. For appenders without a transactional id.
    fn flush(&mut self, deadline: Duration) -> Result<Vec<Position>, LogError>;

    /// Closes the client, giving up after `deadline`. An open transaction is aborted.
    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError>;
}
