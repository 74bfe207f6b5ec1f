//! Reaches the log, and says what to do where this build can't.

use crate::data::DataError;
use kappa_core::log::SharedLog;

/// Connects to Kafka.
#[cfg(feature = "kafka")]
pub fn kafka(brokers: &str) -> Result<SharedLog, DataError> {
    use kappa_core::log::kafka::{KafkaLog, KafkaSettings};
    Ok(std::sync::Arc::new(KafkaLog::connect(KafkaSettings::new(brokers))?))
}

/// This build has no client for Kafka.
#[cfg(not(feature = "kafka"))]
pub fn kafka(brokers: &str) -> Result<SharedLog, DataError> {
    Err(format!(
        "this build of the demo has no client for Kafka ({brokers}); build it with its default features: \
         cargo run --release --package flights -- demo --brokers {brokers}"
    )
    .into())
}
