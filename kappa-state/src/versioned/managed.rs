//! What the runtime sees of a versioned store.

use super::{Before, VersionedStore, history_key};
use crate::{Held, ManagedStore, Mark, RestoringBytes, StateError, StoreId};

impl<V: Send + 'static> VersionedStore<V> {
    /// A commit has come: what the history has not any more may leave the store behind, once nothing of it waits to be written.
    fn settle(&mut self) -> Result<(), StateError> {
        let oldest_ms = self.oldest_ms()?;
        self.expired = self.segment_of(oldest_ms);
        Ok(())
    }

    fn drop_expired(&mut self) -> Result<(), StateError> {
        if self.dropped >= self.expired || self.rows.tail_records() > 0 {
            return Ok(());
        }
        // From the very first: a crash may have come between writing and dropping.
        let (mut from, mut to) = (Vec::new(), Vec::new());
        history_key(0, &[], &mut from);
        history_key(self.expired, &[], &mut to);
        self.rows.drop_range(&from, &to)?;
        self.dropped = self.expired;
        Ok(())
    }

    fn misuse(&self, reason: &str) -> StateError {
        StateError::Misuse { store: self.id.to_string(), reason: reason.into() }
    }
}

impl<V: Send + 'static> ManagedStore for VersionedStore<V> {
    fn id(&self) -> &StoreId {
        &self.id
    }

    fn mark(&self) -> Option<Mark> {
        self.rows.mark()
    }

    /// Versions are put again, one by one, in the order of the changelog, as they were put at first.
    fn restore(
        &mut self,
        records: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>, i64)>,
        next_offset: i64,
    ) -> Result<(), StateError> {
        if !self.restoring && (self.dirty_bytes() > 0 || self.rows.tail_records() > 0) {
            return Err(self.misuse("a restore needs a buffer without changes"));
        }
        self.restoring = true;
        for (key, value, timestamp_ms) in records {
            self.put_held(key, value.map(Held::of), timestamp_ms)?;
        }
        self.keep_known()?;
        self.rows.stage(|_| Ok::<(), StateError>(()))?;
        let operator_time = self.rows.mark().map(|mark| mark.operator_time).unwrap_or_default();
        self.rows.committed(Some(next_offset), &operator_time, 0)?;
        self.rows.flush(0, false)
    }

    fn restoring_bytes(&self) -> RestoringBytes {
        self.rows.restoring_bytes()
    }

    fn begin_write_restored(&mut self) -> Result<(), StateError> {
        self.rows.begin_write_restored()
    }

    fn end_write_restored(&mut self) -> Result<(), StateError> {
        self.rows.end_write_restored()
    }

    fn is_writing_restored(&self) -> bool {
        self.rows.is_writing_restored()
    }

    fn restored(&mut self, next_offset: i64, operator_time: &[u8]) -> Result<(), StateError> {
        self.rows.flush(0, true)?;
        self.rows.restored(next_offset, operator_time)?;
        self.restoring = false;
        self.settle()?;
        self.drop_expired()
    }

    fn committed(
        &mut self,
        changelog_offset: Option<i64>,
        operator_time: &[u8],
        now_ms: i64,
    ) -> Result<(), StateError> {
        if self.restoring {
            return Err(self.misuse("a commit before the restore has ended"));
        }
        self.rows.committed(changelog_offset, operator_time, now_ms)?;
        self.settle()
    }

    fn aborted(&mut self) {
        self.waiting.clear();
        self.arena.clear();
        self.known = None;
        self.rows.aborted();
    }

    fn begin_record(&mut self) {
        self.before = Before { known: self.known.clone(), waiting: self.waiting.len(), arena: self.arena.len() };
        self.rows.begin_record();
    }

    fn undo_record(&mut self) -> Result<bool, StateError> {
        let undone = self.rows.undo_record()?;
        if undone {
            self.known = self.before.known.take();
            self.waiting.truncate(self.before.waiting);
            self.arena.truncate(self.before.arena);
        }
        Ok(undone)
    }

    fn flush(&mut self, now_ms: i64, force: bool) -> Result<(), StateError> {
        self.rows.flush(now_ms, force)?;
        self.drop_expired()
    }

    fn dirty_bytes(&self) -> usize {
        self.rows.dirty_bytes() + self.arena.len()
    }

    fn tail_records(&self) -> u64 {
        self.rows.tail_records()
    }

    fn tail_bytes(&self) -> u64 {
        self.rows.tail_bytes()
    }

    fn size_bytes(&self) -> u64 {
        self.rows.size_bytes()
    }
}
