//! What the runtime sees of rows that expire: restored and committed with their times.

use super::{Segmented, TIME_BYTES};
use crate::{ManagedStore, Mark, Reached, RestoringBytes, StateError, StoreId};

impl<V: Send + 'static> ManagedStore for Segmented<V> {
    fn id(&self) -> &StoreId {
        self.store.id()
    }

    fn mark(&self) -> Option<Mark> {
        self.store.mark()
    }

    fn restore(
        &mut self,
        records: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>, i64)>,
        next_offset: i64,
    ) -> Result<(), StateError> {
        if let Some(keys) = &mut self.keys {
            keys.forget();
        }
        let mut keys = Vec::new();
        let mut rows = Vec::new();
        for (key, value, timestamp_ms) in records {
            let Some(at) = key.len().checked_sub(self.layout.suffix) else {
                let reason = format!("a changelog key of {} bytes has no time", key.len());
                return Err(StateError::Decode { store: self.store.id().to_string(), reason });
            };
            let time_ms = key[at..].first_chunk::<TIME_BYTES>().map_or(0, |time| i64::from_be_bytes(*time));
            self.observe(time_ms);
            if time_ms < 0 || (self.is_expired(time_ms) && !self.layout.held) {
                continue;
            }
            let segment = time_ms.div_euclid(self.layout.segment_ms);
            if value.is_some() {
                self.segments.insert(segment);
            }
            let start = keys.len();
            keys.extend_from_slice(&segment.to_be_bytes());
            keys.extend_from_slice(key);
            rows.push((start..keys.len(), value, timestamp_ms));
        }
        let mut rows = rows.into_iter().map(|(key, value, timestamp_ms)| (&keys[key], value, timestamp_ms));
        self.store.restore(&mut rows, next_offset)
    }

    fn restoring_bytes(&self) -> RestoringBytes {
        self.store.restoring_bytes()
    }

    fn begin_write_restored(&mut self) -> Result<(), StateError> {
        self.store.begin_write_restored()
    }

    fn end_write_restored(&mut self) -> Result<(), StateError> {
        self.store.end_write_restored()
    }

    fn is_writing_restored(&self) -> bool {
        self.store.is_writing_restored()
    }

    fn restored(&mut self, next_offset: i64, operator_time: &[u8]) -> Result<(), StateError> {
        self.store.restored(next_offset, operator_time)?;
        self.committed = self.now;
        self.drop_expired()
    }

    fn committed(
        &mut self,
        changelog_offset: Option<i64>,
        operator_time: &[u8],
        now_ms: i64,
    ) -> Result<(), StateError> {
        self.store.committed(changelog_offset, operator_time, now_ms)?;
        self.committed = self.now;
        Ok(())
    }

    fn aborted(&mut self) {
        self.store.aborted();
        self.now = self.committed;
    }

    fn begin_record(&mut self) {
        self.store.begin_record();
        self.before_record = self.now;
    }

    fn undo_record(&mut self) -> Result<bool, StateError> {
        let undone = self.store.undo_record()?;
        if undone {
            self.now = self.before_record;
        }
        Ok(undone)
    }

    fn flush(&mut self, now_ms: i64, force: bool) -> Result<(), StateError> {
        let flushed = self.store.flush(now_ms, force);
        // Where it failed, the layer may have been written nevertheless.
        if let Some(keys) = self.keys.as_mut().filter(|_| flushed.is_err() || self.store.tail_records() == 0) {
            keys.written();
        }
        flushed?;
        self.drop_expired()
    }

    fn reached(&self) -> Option<Reached> {
        Some(Reached { observed_ms: self.now.observed_ms, sequence: self.now.sequence })
    }

    fn resume_from(&mut self, Reached { observed_ms, sequence }: Reached) {
        self.observe(observed_ms);
        self.resume(sequence);
        self.committed = self.now;
    }

    fn expired_until_ms(&self) -> Option<i64> {
        Some(self.now.observed_ms.saturating_sub(self.layout.retention_ms))
    }

    fn dirty_bytes(&self) -> usize {
        self.store.dirty_bytes()
    }

    fn tail_records(&self) -> u64 {
        self.store.tail_records()
    }

    fn tail_bytes(&self) -> u64 {
        self.store.tail_bytes()
    }

    fn size_bytes(&self) -> u64 {
        self.store.size_bytes()
    }
}
