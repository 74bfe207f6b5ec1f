//! An application whose every output record can be checked, and what it takes to disturb it.
//!
//! The application counts and sums payments per account, through a repartition topic. All payments of an account lie in one input
//! partition, so their order is fixed on the whole way, and a total is determined by its count alone: whatever the
//! interleaving, the output may hold for an account only the totals after 1, 2, 3, … of its payments, in this order, each
//! with the timestamp of the last payment in it. A payment lost, doubled or moved shows in the next record of its account.
//!
//! - [`topology`]: what the application computes.
//! - [`workload`]: the input, record by record, and the [`workload::Oracle`].
//! - [`feeder`]: writes the input, at a pace.
//! - [`history`]: reads the output's whole history, live, and judges every record.
//! - [`member`]: one process of the application: killed, started again, its logs kept.
//! - [`restores`]: what the logs say about restored state, and what they may say.
//! - [`standstill`]: what the log says when the application does not get on.
//! - [`run`]: all of it together.

pub mod feeder;
pub mod history;
pub mod member;
pub mod restores;
pub mod run;
pub mod standstill;
pub mod topology;
pub mod workload;

/// Partitions of input, repartition topic and output.
pub const PARTITIONS: i32 = 8;

/// The log on that cluster.
///
/// # Panics
/// Where the address can't be used.
#[cfg(feature = "kafka")]
pub fn connect(brokers: &str) -> kappa_core::log::SharedLog {
    use kappa_core::log::kafka::{KafkaLog, KafkaSettings};
    match KafkaLog::connect(KafkaSettings::new(brokers)) {
        Ok(log) => std::sync::Arc::new(log),
        Err(error) => panic!("{brokers}: {error}"),
    }
}
