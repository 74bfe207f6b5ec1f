//! The log on a real Kafka or Redpanda, over librdkafka.
//!
//! librdkafka's fast calls are made through `sys`, the one module with `unsafe`: records come in by
//! batch consume, go out through cached topic handles, and a commit takes as long as the broker takes.
//! What a code of Kafka's means to the caller is decided in `classify` alone.
//!
//! What librdkafka can't do: write the timestamp 0 (1970-01-01T00:00:00.000Z), which is written as 1 ms.
//!
//! **Invariants:**
//! - Every call has a deadline; librdkafka's "for ever" is never used.
//! - A client is closed and destroyed on a thread of its own, never on the thread that drops it.
//! - Properties that the seam's contract depends on can't be set by the user ([`KafkaSettings`]).

mod append;
mod classify;
mod close;
mod describe;
mod env;
mod fetch;
mod fetched;
mod group_offsets;
mod hooks;
mod membership;
mod settings;
mod shared;
mod sys;
mod topics;

use super::{
    Append, AppendOptions, Fetch, FetchOptions, GroupOffsets, Log, LogError, Membership, MembershipOptions, Topics,
};
pub use settings::KafkaSettings;
use shared::SharedClients;
use std::fmt;
use std::sync::Arc;

/// A Kafka cluster.
#[derive(Clone)]
pub struct KafkaLog {
    settings: KafkaSettings,
    shared: Arc<SharedClients>,
}

impl KafkaLog {
    /// Checks the settings and keeps them. Does not wait for the network: a wrong address shows at the first
    /// call that needs an answer.
    ///
    /// # Errors
    /// [`LogError::Setting`] for a property that is unknown, out of range or protected.
    pub fn connect(settings: KafkaSettings) -> Result<Self, LogError> {
        settings.check()?;
        let shared = Arc::new(SharedClients::new(settings.clone()));
        Ok(Self { settings, shared })
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("settings", &self.settings).finish()
    }
}

impl Log for KafkaLog {
    fn describe(&self) -> String {
        format!("kafka at {}", self.settings.brokers)
    }

    fn topics(&self) -> Result<Box<dyn Topics>, LogError> {
        Ok(Box::new(topics::KafkaTopics::new(&self.shared)?))
    }

    fn fetch(&self, options: FetchOptions) -> Result<Box<dyn Fetch>, LogError> {
        Ok(Box::new(fetch::KafkaFetch::new(&self.settings, &options)?))
    }

    fn append(&self, options: AppendOptions) -> Result<Box<dyn Append>, LogError> {
        Ok(Box::new(append::KafkaAppend::new(&self.settings, options)?))
    }

    fn join(&self, options: MembershipOptions) -> Result<Box<dyn Membership>, LogError> {
        Ok(Box::new(membership::KafkaMembership::join(&self.settings, options)?))
    }

    fn group_offsets(&self, group: &str) -> Result<Box<dyn GroupOffsets>, LogError> {
        Ok(Box::new(group_offsets::KafkaGroupOffsets::new(&self.shared, group)?))
    }
}
