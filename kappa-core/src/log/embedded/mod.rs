//! The log in this process: partitions, transactions, groups and fencing, in memory.
//!
//! It is the log of first examples, of users' own unit tests and of the simulator, and does what a
//! Kafka broker does as far as the seam can see: control records take offsets, read_committed stops
//! at open transactions, older epochs and generations are refused. It is no broker: nothing outlives
//! the process, and there is no network.
//!
//! **Invariants:**
//! - One lock around one state (`state`); no call holds it while it waits or asks a fault hook.
//! - What was fetched shares memory with the log and is never changed: compaction and deletion make
//!   new segments or drop references.
//! - On a [`ManualClock`] no call blocks and nothing depends on real time, thread or address: the same
//!   calls in the same order give the same answers.

mod append;
mod assignor;
mod batch;
mod clock;
#[cfg(feature = "testing")]
mod faults;
mod fetch;
mod groups;
#[cfg(feature = "testing")]
mod inspect;
mod membership;
mod offsets;
mod operation;
mod partition;
mod segment;
mod shared;
mod state;
mod table;
mod topics;
mod transactions;

use super::{
    Append, AppendOptions, Fetch, FetchOptions, GroupOffsets, Log, LogError, Membership, MembershipOptions, SharedLog,
    Topics,
};
use clock::Clock;
use shared::{Caller, Shared};
use std::sync::Arc;
use std::time::Instant;

pub use clock::ManualClock;
#[cfg(feature = "testing")]
pub use faults::{Call, Fault, FaultHook, FaultPlan};
#[cfg(feature = "testing")]
pub use inspect::{GroupView, InspectedKind, InspectedRecord, SeatView};
pub use operation::Operation;

/// A log in this process. A clone is the same log.
#[derive(Debug, Clone)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
}

impl Default for EmbeddedLog {
    fn default() -> Self {
        Self::new()
    }
}

impl EmbeddedLog {
    /// An empty log on the real clock.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::new(Clock::Real(Instant::now()))) }
    }

    /// An empty log on a clock that a test moves. No call blocks: what would wait returns at once.
    pub fn with_clock(clock: &ManualClock) -> Self {
        Self { shared: Arc::new(Shared::new(Clock::Manual(clock.clone()))) }
    }

    /// This log as the runtime takes it.
    pub fn shared(&self) -> SharedLog {
        Arc::new(self.clone())
    }

    /// Compacts a topic now: of the committed records of each key only the last stays, and the
    /// offsets of the others become gaps.
    pub fn compact(&self, topic: &str) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        state.topics.topic_mut(topic)?.partitions.iter_mut().for_each(partition::PartitionLog::compact);
        Ok(())
    }

    fn caller(&self, client_id: &str) -> Caller {
        Caller::new(&self.shared, client_id)
    }
}

impl Log for EmbeddedLog {
    fn describe(&self) -> String {
        "embedded log (in memory)".to_owned()
    }

    fn topics(&self) -> Result<Box<dyn Topics>, LogError> {
        Ok(Box::new(topics::EmbeddedTopics::new(self.caller("topics"))))
    }

    fn fetch(&self, options: FetchOptions) -> Result<Box<dyn Fetch>, LogError> {
        Ok(Box::new(fetch::EmbeddedFetch::new(self.caller(&options.client_id), &options)))
    }

    fn append(&self, options: AppendOptions) -> Result<Box<dyn Append>, LogError> {
        Ok(Box::new(append::EmbeddedAppend::new(self.caller(&options.client_id), options)))
    }

    fn join(&self, options: MembershipOptions) -> Result<Box<dyn Membership>, LogError> {
        Ok(Box::new(membership::EmbeddedMembership::new(self.caller(&options.client_id), options)))
    }

    fn group_offsets(&self, group: &str) -> Result<Box<dyn GroupOffsets>, LogError> {
        Ok(Box::new(offsets::EmbeddedOffsets::new(self.caller(group), group)))
    }
}
