//! Running an application: threads, group, transactions, restore.
//!
//! Three state machines, each driven by calls of `turn` with the time as an argument, do all the work:
//! [`Coordinator`] (which tasks are this process's), [`Worker`] (a stream thread) and [`Restorer`]. Production threads loop
//! over them; the simulator calls them one at a time over an embedded log. What they share is [`Shared`].

pub(crate) mod bad_record;
mod clock;
mod commit;
mod coordinator;
mod epochs;
mod feeders;
mod global;
mod http;
mod layout;
#[cfg(feature = "testing")]
pub mod machines;
mod metadata;
mod metrics;
mod prepare;
mod purge;
mod queue;
mod restore;
mod rules;
mod running;
mod settings;
mod shared;
mod state_home;
mod steward;
mod task;
mod threads;
mod worker;

pub use clock::Clock;
pub use coordinator::Coordinator;
pub use epochs::{Epochs, TaskEpoch};
pub use global::GlobalReader;
pub use layout::{AppLayout, SubTopologyLayout, TaskId, TopicLayout};
pub use metadata::OffsetMetadata;
pub use metrics::RuntimeMetrics;
pub use prepare::{ensure, prepare};
pub use purge::Purger;
pub use restore::{LocalState, Restorer};
#[doc(hidden)]
pub use rules::{Rule, Rules};
pub use running::{AppStatus, RunningApp, Runtime};
pub use settings::{BadRecords, Guarantee, Settings};
pub use shared::{Holder, Shared};
pub use worker::{Turn, Worker};
