//! Reading: assign partitions, poll a batch.

use super::{Headers, Isolation, LogError, TopicPartition};
use std::fmt;
use std::time::Duration;

/// A number the caller gives to a partition it assigns, and finds again in what is polled: no name
/// is looked up per batch.
pub type Token = u32;

/// Where reading a partition begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The first offset that is there.
    Earliest,
    /// The end as it is when the log first answers.
    Latest,
    /// Exactly this offset.
    Offset(i64),
}

/// One partition to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub partition: TopicPartition,
    /// Where to begin.
    pub start: Start,
    /// The caller's number for it; unique among what is assigned.
    pub token: Token,
}

/// How a reader reads.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// A name for logs and broker-side metrics (`client.id`).
    pub client_id: String,
    /// Which records are seen.
    pub isolation: Isolation,
    /// Bytes that may be fetched ahead of `poll`, all partitions together. An aim, kept within one
    /// fetch response per broker.
    pub buffer_bytes: usize,
    /// How long the log may hold an answer back while there is nothing new, and so how late the end of a partition may be
    /// told. Shorter costs the log more requests while it is idle, and nothing under load.
    pub wait_max: Duration,
    /// Records of a partition that are fetched ahead of `poll` before the next answer is asked for, while `buffer_bytes` allows. More
    /// bridges a slower log; each waiting record takes several hundred bytes beside its own.
    pub ahead_records: usize,
    /// Bytes of one partition in one answer, as they lie in the log. See [`PARTITION_BYTES_EVEN`].
    pub partition_bytes: usize,
}

/// So much of each partition in an answer that all come forward evenly, whatever lies in them: it holds the largest batch that
/// Kafka takes unless told otherwise (`max.message.bytes`).
///
/// A batch that is larger than asked for comes only where it is the first of its answer that is not empty. A client takes turns with
/// what it asks for first, and so one that reads several topics, some of them empty or with small batches, favours the partitions
/// that it asks for behind these: the others come forward ten times more slowly, and their records late.
pub const PARTITION_BYTES_EVEN: usize = 1_048_588;

/// For readers of partitions that are alike, or of which it matters only that they are read: a third of the memory.
pub const PARTITION_BYTES_LEAN: usize = 256 << 10;

/// One record of a batch; key and value are slices into the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'b> {
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp, ms since 1970; -1 where it has none.
    pub timestamp_ms: i64,
    /// The key; `None` is Kafka's null.
    pub key: Option<&'b [u8]>,
    /// The value; `None` is Kafka's null.
    pub value: Option<&'b [u8]>,
}

/// Records `start..end` of a batch, all of one partition, offsets ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The partition's token.
    pub token: Token,
    /// Index of the run's first record in the batch.
    pub start: u32,
    /// One past the index of its last.
    pub end: u32,
}

/// A fetched batch: owns its memory and lends its records.
pub trait FetchedBatch: fmt::Debug {
    /// The number of records.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The runs, in delivery order; together they cover `0..len()` without gap or overlap.
    fn runs(&self) -> &[Run];

    /// A record. Panics when `index >= len()`.
    fn record(&self, index: usize) -> RecordView<'_>;

    /// A record's headers, parsed when asked for. Panics when `index >= len()`.
    fn headers(&self, index: usize) -> Headers;
}

/// A partition's end was reached: everything the isolation allows below `offset` has been delivered
/// by this poll or an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionEnd {
    /// The partition.
    pub token: Token,
    /// Where the next record will be at the earliest. Counts control records: it is the high
    /// watermark, or under read_committed the last stable offset, never "last record + 1".
    pub offset: i64,
}

/// A partition that can't be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFailure {
    /// The partition.
    pub token: Token,
    /// Why.
    pub error: LogError,
}

/// What one poll brought.
#[derive(Debug, Default)]
pub struct Polled {
    /// The records, if any.
    pub batch: Option<Box<dyn FetchedBatch>>,
    /// Ends reached.
    pub ends: Vec<PartitionEnd>,
    /// Partitions that failed. They deliver nothing more until unassigned and assigned again.
    pub failures: Vec<PartitionFailure>,
}

/// Reads the partitions it is told to read.
///
/// # Contract
/// - **F1** Records of a partition come in ascending offset order, each exactly once per assignment.
///   Offsets may have gaps (compaction, control records, aborted transactions).
/// - **F2** Under [`Isolation::ReadCommitted`] no record of an aborted or open transaction is ever
///   delivered; a reader stalls at an open transaction (delivering what precedes it) and goes on by
///   itself when the transaction ends.
/// - **F3** Control records are never delivered.
/// - **F4** Reaching the end is reported once, and again whenever it is reached at another offset: after newer
///   records were delivered, and also where nothing was (an aborted transaction, a marker). The offset obeys
///   [`PartitionEnd::offset`]; on a topic whose last entry is a commit marker it lies behind the marker. While a
///   transaction is open under read_committed the end is its first offset.
/// - **F5** An assignment at an offset below the log's start fails with [`LogError::Truncated`], above
///   its end with [`LogError::BeyondEnd`], on a missing topic with [`LogError::TopicMissing`] or
///   [`LogError::PartitionMissing`]: as a failure of that partition in [`Polled::failures`], within
///   10 s; other partitions go on. No silent reset, ever. The same holds when the log is truncated
///   while it is read.
/// - **F6** `poll` returns as soon as there is anything to return, at the latest after `timeout`.
///   It returns at most `max_records` records.
/// - **F7** `assign` adds to what is assigned; `unassign` removes. After `unassign` nothing of that
///   token is delivered, and the token may be used again.
/// - **F8** `pause` is cheap and loses nothing: what was fetched ahead stays fetched. Records of the
///   partition may still be delivered by the next poll, none after it until `resume`.
/// - **F9** A batch stays valid after its reader is polled again, unassigned or closed.
/// - **F10** Transient trouble (broker down, leader moved) is not an error of `poll`: it returns empty
///   and goes on by itself. `poll` fails only where the whole client is of no use (for example
///   [`LogError::Unauthorized`]).
pub trait Fetch: Send + fmt::Debug {
    /// Starts reading these partitions, beside those already assigned.
    fn assign(&mut self, partitions: &[Assignment]) -> Result<(), LogError>;

    /// Stops reading these; unknown tokens are ignored.
    fn unassign(&mut self, tokens: &[Token]) -> Result<(), LogError>;

    /// Stops delivery of these until [`Fetch::resume`].
    fn pause(&mut self, tokens: &[Token]) -> Result<(), LogError>;

    /// Goes on with these.
    fn resume(&mut self, tokens: &[Token]) -> Result<(), LogError>;

    /// The next batch.
    fn poll(&mut self, max_records: usize, timeout: Duration) -> Result<Polled, LogError>;

    /// Closes the client, giving up after `deadline`.
    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError>;
}
