//! Where a version goes: in front of all others, between two, or into the past.

use super::row::{History, Row};
use super::{Put, VersionedStore, history_key, latest_key};
use crate::{Held, StateError};

impl<V: Send + 'static> VersionedStore<V> {
    pub(super) fn put_held(
        &mut self,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
    ) -> Result<Put, StateError> {
        if timestamp_ms < self.oldest_ms()? {
            return Ok(Put::TooLate);
        }
        self.advance(timestamp_ms)?;
        let latest_since_ms = self.latest_since(key)?;
        match latest_since_ms {
            Some(since_ms) if since_ms <= timestamp_ms => {
                let replaced = self.replace_latest(key, value, timestamp_ms)?;
                if let Some(replaced) = replaced.filter(|_| since_ms < timestamp_ms) {
                    self.push(key, Some(replaced), since_ms, timestamp_ms)?;
                }
                Ok(Put::Latest)
            }
            _ => self.put_into_history(key, value, timestamp_ms, latest_since_ms),
        }
    }

    /// Puts a version that may not be the latest. `until_ms` is when the next one begins, as far as it is known.
    fn put_into_history(
        &mut self,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
        mut until_ms: Option<i64>,
    ) -> Result<Put, StateError> {
        let first = self.segment_of(timestamp_ms);
        for at in (0..self.known()?.segments.len()).rev() {
            let segment = self.known()?.segments[at];
            if segment < first {
                break;
            }
            let Some(history) = self.history(segment, key)? else { continue };
            let (since_ms, ended_ms) = (history.since_ms(), history.until_ms);
            if ended_ms <= timestamp_ms {
                break;
            }
            if since_ms <= timestamp_ms {
                return self.put_within(segment, key, value, timestamp_ms).map(Put::Until);
            }
            until_ms = Some(since_ms);
        }
        match (until_ms, value) {
            (Some(until_ms), value) => {
                self.put_before(key, value, timestamp_ms, until_ms).map(|()| Put::Until(until_ms))
            }
            (None, Some(value)) => {
                self.replace_latest(key, Some(value), timestamp_ms)?;
                Ok(Put::Latest)
            }
            (None, None) => self.mark_deleted(key, timestamp_ms).map(|()| Put::Latest),
        }
    }

    /// Puts a version where a segment has one of its time. Gives back until when it is valid.
    fn put_within(
        &mut self,
        segment: i64,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
    ) -> Result<i64, StateError> {
        let own_segment = self.segment_of(timestamp_ms);
        let (mut until_ms, mut moved) = (timestamp_ms, None);
        self.change_history(segment, key, |history| {
            let mut history = history?;
            let index = history.find(timestamp_ms);
            until_ms = history.end_ms(index);
            if history.version(index).from_ms == timestamp_ms {
                history.replace(index, value, timestamp_ms);
            } else if own_segment == segment {
                history.insert(index, value, timestamp_ms);
            } else {
                // The older one ends earlier now, in another segment.
                moved = Some(history.replace(index, value, timestamp_ms));
            }
            Some(history)
        })?;
        if let Some(moved) = moved {
            self.push(key, moved.value, moved.from_ms, timestamp_ms)?;
        }
        Ok(until_ms)
    }

    /// Puts a version that is valid until the next one begins, which lies elsewhere.
    fn put_before(
        &mut self,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
        until_ms: i64,
    ) -> Result<(), StateError> {
        self.change_history(self.segment_of(until_ms), key, |history| {
            let Some(mut history) = history else { return Some(History::of(value, timestamp_ms, until_ms)) };
            if history.until_ms <= timestamp_ms {
                history.push(value, timestamp_ms, until_ms);
            } else {
                history.push_oldest(value, timestamp_ms);
            }
            Some(history)
        })
    }

    /// Remembers the deletion of a key that has no latest value.
    fn mark_deleted(&mut self, key: &[u8], timestamp_ms: i64) -> Result<(), StateError> {
        self.change_history(self.segment_of(timestamp_ms), key, |history| {
            let Some(mut history) = history else { return Some(History::of(None, timestamp_ms, timestamp_ms)) };
            let ended_ms = history.until_ms;
            if ended_ms != timestamp_ms {
                history.push(None, ended_ms, timestamp_ms);
            }
            Some(history)
        })
    }

    /// Adds a version that has just ended.
    fn push(&mut self, key: &[u8], value: Option<Held<V>>, since_ms: i64, until_ms: i64) -> Result<(), StateError> {
        self.change_history(self.segment_of(until_ms), key, |history| {
            let Some(mut history) = history else { return Some(History::of(value, since_ms, until_ms)) };
            history.push(value, since_ms, until_ms);
            Some(history)
        })
    }

    fn change_history(
        &mut self,
        segment: i64,
        key: &[u8],
        change: impl FnOnce(Option<History<V>>) -> Option<History<V>>,
    ) -> Result<(), StateError> {
        let known = self.known()?;
        if let Err(at) = known.segments.binary_search(&segment) {
            known.segments.insert(at, segment);
            known.changed = true;
        }
        history_key(segment, key, &mut self.row_key);
        self.rows.update(&self.row_key, |row| {
            let history = match row {
                Some((Row::History(history), _)) => Some(history),
                _ => None,
            };
            change(history).map(|history| {
                let until_ms = history.until_ms;
                (Row::History(history), until_ms)
            })
        })
    }

    /// Gives back the latest value before.
    fn replace_latest(
        &mut self,
        key: &[u8],
        value: Option<Held<V>>,
        timestamp_ms: i64,
    ) -> Result<Option<Held<V>>, StateError> {
        latest_key(key, &mut self.row_key);
        let mut replaced = None;
        self.rows.update(&self.row_key, |row| {
            if let Some((Row::Latest(held), _)) = row {
                replaced = Some(held);
            }
            value.map(|held| (Row::Latest(held), timestamp_ms))
        })?;
        Ok(replaced)
    }

    /// Moves the store's time, and lets go the segments that the history no longer has.
    fn advance(&mut self, timestamp_ms: i64) -> Result<(), StateError> {
        let history_ms = self.options.history_ms;
        let first_kept = self.segment_of(timestamp_ms.saturating_sub(history_ms));
        let known = self.known()?;
        if timestamp_ms > known.time_ms {
            (known.time_ms, known.changed) = (timestamp_ms, true);
            known.segments.retain(|segment| *segment >= first_kept);
        }
        Ok(())
    }
}
