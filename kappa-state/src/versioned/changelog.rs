//! Records on their way to the changelog.

use super::row::Row;
use super::{Logged, VersionedStore, latest_key};
use crate::StateError;

impl<V: Send + 'static> VersionedStore<V> {
    /// Adds a record for the changelog and gives back where it begins.
    pub(super) fn log(&mut self, key: &[u8], value: Option<&[u8]>, timestamp_ms: i64) -> usize {
        let start = self.arena.len();
        self.arena.extend_from_slice(key);
        let key_end = self.arena.len();
        let value_end = value.map(|value| {
            self.arena.extend_from_slice(value);
            self.arena.len()
        });
        self.waiting.push(Logged { start, key_end, value_end, timestamp_ms });
        start
    }

    pub(super) fn unlog(&mut self, start: usize) {
        self.waiting.pop();
        self.arena.truncate(start);
    }

    /// Logs the latest version of a key again, behind one that came late.
    pub(super) fn log_latest(&mut self, key: &[u8]) -> Result<(), StateError> {
        latest_key(key, &mut self.row_key);
        if let Some((Row::Latest(held), since_ms)) = self.rows.get(&self.row_key)? {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            bytes.extend_from_slice(held.bytes());
            self.log(key, Some(&bytes), since_ms);
            self.bytes = bytes;
            return Ok(());
        }
        for at in (0..self.known()?.segments.len()).rev() {
            let segment = self.known()?.segments[at];
            if let Some(deleted_ms) = self.history(segment, key)?.map(|history| history.until_ms) {
                self.log(key, None, deleted_ms);
                break;
            }
        }
        Ok(())
    }
}
