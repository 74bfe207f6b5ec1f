//! An appender's configuration.

use super::deliveries::EVENTS;
use crate::log::kafka::settings::KafkaSettings;
use crate::log::kafka::sys::Conf;
use crate::log::{AppendOptions, LogError};

/// The configuration of an appender with these options.
pub(super) fn conf_of(settings: &KafkaSettings, options: &AppendOptions) -> Result<Conf, LogError> {
    let timeout_ms = options.transaction_timeout.as_millis().clamp(1000, 2_147_483_647).to_string();
    let linger_ms = options.linger.as_millis().min(options.transaction_timeout.as_millis() / 2).min(900_000);
    let linger_ms = linger_ms.to_string();
    let kib = (options.buffer_bytes / 1024).clamp(1024, 2_147_483_647).to_string();
    // A record costs librdkafka more than its bytes: the number is bounded too.
    let records = (options.buffer_bytes / 128).clamp(10_000, 10_000_000).to_string();
    let suggested = [
        ("compression.type", "lz4"),
        ("message.max.bytes", "16777216"),
        // A commit right behind another's markers is told to try again: at once, not in 100 ms.
        ("retry.backoff.ms", "1"),
        ("retry.backoff.max.ms", "250"),
    ];
    let mut owned = vec![
        ("enable.idempotence", "true"),
        ("delivery.report.only.error", "true"),
        ("linger.ms", linger_ms.as_str()),
        ("queue.buffering.max.kbytes", kib.as_str()),
        ("queue.buffering.max.messages", records.as_str()),
    ];
    match &options.transactional_id {
        Some(id) => owned.extend([("transactional.id", id.as_str()), ("transaction.timeout.ms", timeout_ms.as_str())]),
        None => owned.push(("message.timeout.ms", "120000")),
    }
    let mut conf = settings.conf(&options.client_id, &suggested, &owned)?;
    conf.set_events(EVENTS);
    conf.intercept();
    Ok(conf)
}
