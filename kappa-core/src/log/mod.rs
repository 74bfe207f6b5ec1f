//! The one seam to the log.
//!
//! Everything kappa asks of Kafka goes through the traits of this module, in the shape of the work:
//! in batches, never record by record. Two implementations exist: `embedded`, an in-process log for
//! first looks, unit tests and the simulator, and `kafka` (feature `kafka`), over librdkafka. One
//! conformance suite (`conformance`, feature `testing`) holds both to the clauses written at the
//! traits; the clauses are numbered (`F1`, `A3`, …) and the suite's cases name them.
//!
//! Rules that hold for every trait here:
//!
//! - Calls block, each with a deadline, and never run on an async executor's thread.
//! - A call that fails says what it was doing, to which topic, partition and offset, and what to do
//!   next: [`LogError::recovery`].
//! - Closing is explicit and bounded. Dropping a client without closing it is allowed, and leaves the
//!   group or the transaction to its time-out, as a crash would.

mod append;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod embedded;
mod error;
mod fetch;
#[cfg(feature = "kafka")]
pub mod kafka;
mod membership;
mod topics;
mod types;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use append::{Append, AppendBatch, AppendEntry, AppendOptions, Position, TopicHandle};
pub use error::{LogError, Recovery};
pub use fetch::{
    Assignment, Fetch, FetchOptions, FetchedBatch, PARTITION_BYTES_EVEN, PARTITION_BYTES_LEAN, PartitionEnd,
    PartitionFailure, Polled, RecordView, Run, Start, Token,
};
pub use membership::{
    CommittedOffset, GroupOffsets, Member, MemberStamp, Membership, MembershipEvent, MembershipOptions, OffsetCommit,
};
pub use topics::{CleanupPolicy, OffsetSpec, TopicInfo, TopicSpec, Topics};
pub use types::{Header, Headers, Isolation, TopicPartition};

/// A log shared by everything in a process that talks to it.
pub type SharedLog = Arc<dyn Log>;

/// A way to reach one log (a Kafka cluster, or an embedded one): makes the clients that do the work.
///
/// Each client is owned by one thread at a time. Making a client does not wait for the network
/// unless its options say so; a wrong address shows at the first call that needs an answer.
pub trait Log: Send + Sync + fmt::Debug {
    /// What a person should read to know which log this is, for example `kafka at 127.0.0.1:9092`.
    fn describe(&self) -> String;

    /// A client for topics: create, describe, delete, offsets.
    fn topics(&self) -> Result<Box<dyn Topics>, LogError>;

    /// A client that reads partitions it is told to read.
    fn fetch(&self, options: FetchOptions) -> Result<Box<dyn Fetch>, LogError>;

    /// A client that appends records, in transactions where the options name a transactional id.
    fn append(&self, options: AppendOptions) -> Result<Box<dyn Append>, LogError>;

    /// Joins a group as one member of it.
    fn join(&self, options: MembershipOptions) -> Result<Box<dyn Membership>, LogError>;

    /// A client that reads what a group has committed.
    fn group_offsets(&self, group: &str) -> Result<Box<dyn GroupOffsets>, LogError>;
}

/// The default bound on a single request to the log.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
