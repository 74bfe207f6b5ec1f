//! Who says what must hold.

use kappa_core::log::embedded::EmbeddedLog;
use kappa_core::log::{Start, TopicPartition};
use kappa_state::MemoryBackend;

/// Judges one seed's application.
pub(crate) trait Judge {
    /// A process has committed changelog records and knows it.
    fn has_committed(&mut self, identity: &str, changelog: &str, partition: i32, position: i64, records: u64);

    /// A restore begins.
    fn check_restore(&mut self, identity: &str, changelog: &TopicPartition, start: Start) -> Result<(), String>;

    /// A process is down: its stores can be looked into.
    fn take_snapshots(&mut self, identity: &str, backend: &MemoryBackend) -> Result<(), String>;

    /// Everything that must hold now.
    fn check(&mut self, log: &EmbeddedLog, group: &str) -> Result<(), String>;

    /// Records of the application's own topics are about to be deleted: the last moment to look at them.
    fn before_purge(&mut self, _: &EmbeddedLog) {}

    /// Whether all of the input has been processed.
    fn is_through(&mut self, log: &EmbeddedLog, group: &str) -> bool;
}
