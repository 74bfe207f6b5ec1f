//! How a row is stored: `[8 byte big-endian timestamp][value]` (Kafka Streams' timestamped value). The
//! changelog has the plain value and carries the timestamp in its record.

use crate::{Codec, StateError, StoreId};

/// Bytes of the timestamp in front of a stored value.
pub(crate) const TIMESTAMP_BYTES: usize = 8;

/// Splits a row into timestamp and value.
pub(crate) fn split_row<'r>(id: &StoreId, row: &'r [u8]) -> Result<(i64, &'r [u8]), StateError> {
    match row.split_first_chunk::<TIMESTAMP_BYTES>() {
        Some((timestamp, value)) => Ok((i64::from_be_bytes(*timestamp), value)),
        None => Err(StateError::Decode {
            store: id.to_string(),
            reason: format!("a row of {} bytes has no timestamp", row.len()),
        }),
    }
}

/// Decodes a row.
pub(crate) fn decode_row<V: 'static>(id: &StoreId, codec: &dyn Codec<V>, row: &[u8]) -> Result<(V, i64), StateError> {
    let (timestamp_ms, value) = split_row(id, row)?;
    match codec.decode(value) {
        Ok(value) => Ok((value, timestamp_ms)),
        Err(error) => Err(StateError::Decode { store: id.to_string(), reason: error.reason }),
    }
}
