//! What writes a global store: a function of the user's, run over every record of its topic.
//!
//! **Invariants:**
//! - What a record writes is in the store all at once, once its function has ended well; of a record that failed nothing is.
//! - One thread of a process runs these functions, record by record.

use super::RecordMetadata;
use super::store::encode_key;
use crate::codec::SharedCodec;
use crate::task::{GlobalTable, ProcessError};
use kappa_state::StateError;
use std::fmt;

/// A write that waits until its record is done: key, value (`None` deletes), timestamp in ms.
type Write = (Vec<u8>, Option<Vec<u8>>, i64);

/// A global store, as the function sees it that keeps it: see
/// [`TopologyBuilder::global_store`](crate::topology::TopologyBuilder::global_store). There is nothing to forward to.
pub struct GlobalStoreWriter<'w, K, V> {
    table: &'w GlobalTable,
    key: &'w SharedCodec<K>,
    value: &'w SharedCodec<V>,
    metadata: RecordMetadata<'w>,
    writes: Vec<Write>,
}

impl<'w, K: 'static, V: 'static> GlobalStoreWriter<'w, K, V> {
    pub(crate) fn new(
        table: &'w GlobalTable,
        key: &'w SharedCodec<K>,
        value: &'w SharedCodec<V>,
        metadata: RecordMetadata<'w>,
    ) -> Self {
        Self { table, key, value, metadata, writes: Vec::new() }
    }

    /// The value of a key, as of now: with what this record has written.
    pub fn get(&self, key: &K) -> Result<Option<V>, ProcessError> {
        Ok(self.get_with_timestamp(key)?.map(|(value, _)| value))
    }

    /// The value of a key with its timestamp, ms.
    pub fn get_with_timestamp(&self, key: &K) -> Result<Option<(V, i64)>, ProcessError> {
        let (key, mut behind) = (self.key_bytes(key)?, Vec::new());
        let (value, timestamp_ms) = match self.writes.iter().rev().find(|(written, ..)| *written == key) {
            Some((_, None, _)) => return Ok(None),
            Some((_, Some(value), timestamp_ms)) => (value, *timestamp_ms),
            None => match self.table.get(&key, &mut behind)? {
                Some(timestamp_ms) => (&behind, timestamp_ms),
                None => return Ok(None),
            },
        };
        let undecodable = |reason| StateError::Decode { store: self.table.name().to_owned(), reason };
        let value = self.value.codec.decode(value).map_err(|error| undecodable(error.reason))?;
        Ok(Some((value, timestamp_ms)))
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: &K, value: &V, timestamp_ms: i64) -> Result<(), ProcessError> {
        if self.value.codec.is_null(value) {
            return self.delete(key);
        }
        let (key, mut bytes) = (self.key_bytes(key)?, Vec::new());
        let failed = |reason| StateError::Encode { store: self.table.name().to_owned(), reason };
        self.value.codec.encode(value, &mut bytes).map_err(|error| failed(error.reason))?;
        self.writes.push((key, Some(bytes), timestamp_ms));
        Ok(())
    }

    /// Removes a key.
    pub fn delete(&mut self, key: &K) -> Result<(), ProcessError> {
        let key = self.key_bytes(key)?;
        self.writes.push((key, None, 0));
        Ok(())
    }

    /// Where the record comes from.
    pub fn metadata(&self) -> RecordMetadata<'_> {
        self.metadata
    }

    /// An error of this store's function, with a reason in words: the record is left out, or the application stops, as is chosen
    /// for records that fail.
    pub fn error(&self, reason: impl fmt::Display) -> ProcessError {
        ProcessError::Operator { operator: operator(self.table), reason: reason.to_string() }
    }

    /// The record is done: its writes take effect.
    pub(crate) fn finish(self) -> Result<(), StateError> {
        if self.writes.is_empty() {
            return Ok(());
        }
        self.table.apply(self.writes.iter().map(|(key, value, at_ms)| (key.as_slice(), value.as_deref(), *at_ms)))
    }

    fn key_bytes(&self, key: &K) -> Result<Vec<u8>, ProcessError> {
        let mut bytes = Vec::new();
        encode_key(self.key, self.table.name(), key, &mut bytes)?;
        Ok(bytes)
    }
}

/// The function's name, for messages.
pub(crate) fn operator(table: &GlobalTable) -> String {
    format!("{}.global", table.name())
}

impl<K, V> fmt::Debug for GlobalStoreWriter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GlobalStoreWriter").field(&self.table.name()).finish()
    }
}
