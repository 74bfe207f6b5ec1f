//! What is parked, from the parking topic's records.

use super::ParkedBytes;
use super::format::{RowCodec, parts};
use super::row::Row;
use crate::codec::{Codec, CodecError};
use serde::Serialize;

/// A parked key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ParkedKey {
    /// The source as the topology names it, without the application id.
    pub topic: String,
    /// The partition it is parked in: its source's, and where a command for it must go in the control topic.
    pub partition: i32,
    /// The key.
    pub key: ParkedBytes,
    /// How many records are parked.
    pub records: u64,
    /// The offset of the first one, in its source.
    pub offset: i64,
    /// The operator it failed in; empty where it never got to one, or has not been tried yet.
    pub operator: String,
    /// Why it failed.
    pub reason: String,
}

/// The keys that are parked in one partition, given the latest value of each key of the parking topic there: by topic and key.
pub fn parked_keys<'r>(rows: impl IntoIterator<Item = (&'r [u8], &'r [u8])>) -> Result<Vec<ParkedKey>, CodecError> {
    let mut keys = Vec::new();
    for (row_key, row) in rows {
        let Some((topic, key, 0)) = parts(row_key) else { continue };
        if let Row::Head(head) = RowCodec.decode(row)? {
            keys.push(ParkedKey {
                topic: topic.to_owned(),
                partition: head.partition,
                key: ParkedBytes(key.to_vec()),
                records: head.next - head.first,
                offset: head.offset,
                operator: head.operator,
                reason: head.reason,
            });
        }
    }
    keys.sort_by(|a, b| (&a.topic, &a.key).cmp(&(&b.topic, &b.key)));
    Ok(keys)
}
