//! Membership: which tasks are this process's, and the group's offsets.

use super::{LogError, TopicPartition};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a process joins its group.
#[derive(Debug, Clone)]
pub struct MembershipOptions {
    /// The group (the application id).
    pub group: String,
    /// The task topic: its partitions are what is shared out. Nothing is ever read from it.
    pub task_topic: String,
    /// A name for logs and broker-side metrics (`client.id`); unique in the group.
    pub client_id: String,
    /// Static membership: the seat that is kept over a restart (`group.instance.id`).
    pub instance_id: Option<String>,
    /// A member not heard of for this long loses its tasks (`session.timeout.ms`).
    pub session_timeout: Duration,
    /// How often a member is heard of (`heartbeat.interval.ms`); below 1 s gains nothing.
    pub heartbeat_interval: Duration,
}

/// What a member must prove to commit: the group, and its place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberStamp {
    /// The group.
    pub group: String,
    /// The group's generation; never negative.
    pub generation: i32,
    /// The member's id; never empty.
    pub member_id: String,
    /// The static seat, if any.
    pub instance_id: Option<String>,
}

/// One offset to commit: the next record to process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommit {
    /// The partition.
    pub partition: TopicPartition,
    /// The offset of the next record to process.
    pub offset: i64,
    /// A short text kept beside it.
    pub metadata: String,
}

/// An offset as committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the next record to process.
    pub offset: i64,
    /// The text kept beside it.
    pub metadata: String,
}

/// A change of what is this member's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipEvent {
    /// These tasks (partitions of the task topic) are added to this member's. May be empty: the
    /// generation has changed and nothing has moved.
    Assigned {
        /// The tasks added.
        tasks: Vec<i32>,
    },
    /// These tasks are taken away. They stay this member's until [`Membership::acknowledge`].
    Revoked {
        /// The tasks taken.
        tasks: Vec<i32>,
        /// They are another's already (the session ran out): nothing done for them may be committed.
        lost: bool,
    },
}

/// The part of a membership that other threads use.
pub trait Member: Send + Sync + fmt::Debug {
    /// The member's place in the group as it is now; `None` while it has none (before the first
    /// join, between leaving and rejoining). Never a stamp with a negative generation or an empty id.
    fn stamp(&self) -> Option<MemberStamp>;

    /// Commits offsets outside a transaction, in the name of this member as the stamp has it.
    fn commit_offsets(&self, offsets: &[OffsetCommit], stamp: &MemberStamp, deadline: Duration)
    -> Result<(), LogError>;
}

/// One member of a group.
///
/// # Contract
/// - **M1** Every partition of the task topic is assigned to exactly one member of a stable group.
///   A rebalance moves as few as possible (cooperative, sticky).
/// - **M2** `poll` returns at most one event; until it is acknowledged, no further event is returned,
///   the member stays able to heartbeat, and no task of a `Revoked` event is given to another
///   (unless `lost`). The caller must acknowledge within the session's time-out of the last poll,
///   or risks losing everything.
/// - **M3** *The caller invalidates revoked tasks before acknowledging.* No stamp of a later
///   generation is handed out before the acknowledgement of a `lost` revocation: a process that was
///   stopped past its session can't obtain a stamp that is accepted before it has been told.
/// - **M4** A stamp of an older generation, or of a member the group has dropped, is refused at
///   `send_offsets`, at `commit` and by `commit_offsets` with [`LogError::StaleMember`].
/// - **M5** `leave` hands the tasks to others at once; a static member (`instance_id`) keeps its seat
///   instead until its session runs out, and gets the same tasks back when it joins again in time.
/// - **M6** A second member with the same `instance_id` fences the first, whose calls fail with
///   [`LogError::InstanceFenced`].
/// - **M7** A missing task topic is [`LogError::TopicMissing`] within 10 s.
/// - **M8** `poll` must be called at least every `session_timeout`; it does not need to be called for heartbeats.
pub trait Membership: Send + fmt::Debug {
    /// The next change, if one comes within `timeout`.
    fn poll(&mut self, timeout: Duration) -> Result<Option<MembershipEvent>, LogError>;

    /// Accepts the event last returned by `poll`.
    fn acknowledge(&mut self) -> Result<(), LogError>;

    /// The part for other threads.
    fn member(&self) -> Arc<dyn Member>;

    /// Leaves the group, giving up after `deadline`.
    fn leave(self: Box<Self>, deadline: Duration) -> Result<(), LogError>;
}

/// Reads what a group has committed.
///
/// # Contract
/// - **G1** What `committed` returns is decided: offsets that are part of an open transaction are
///   waited for up to `deadline`, and then [`LogError::OffsetsUnstable`], never the old ones.
/// - **G2** A partition without a committed offset is `None`; the answers are in the order asked.
/// - **G3** Reading does not join the group.
pub trait GroupOffsets: Send + fmt::Debug {
    /// The committed offsets of these partitions.
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        deadline: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, LogError>;

    /// What is committed as far as it is decided, not waiting for open transactions. Never to be read from:
    /// the metadata tells who the last owner was (**G4**).
    fn peek(
        &mut self,
        partitions: &[TopicPartition],
        deadline: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, LogError>;
}
