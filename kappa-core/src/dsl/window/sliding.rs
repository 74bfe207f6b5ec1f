//! The operator of sliding windows (Kafka Streams: `KStreamSlidingWindowAggregate`).
//!
//! For a record at `t` and difference `d` there are: the windows that contain it already; its left window `[t-d, t]`; its right
//! window `[t+1, t+1+d]`, where later records lie in it; and the right window of the record before it, which it is the first to
//! lie in. Records before `d` share one window `[0, d]`, since none starts before 1970.
//!
//! **Invariants:** the timestamp of a row is that of the latest record in its window: from it the algorithm knows whether a
//! window to the right would be empty, and which record came before.

use super::core::Core;
use crate::codec::CodecId;
use crate::processor::{Cx, Dropped, Receiver, RowKey, Tick, Update};
use crate::record::Record;
use crate::task::ProcessError;
use crate::window::{SlidingWindows, Window};
use kappa_state::{Direction, WindowStore};
use std::ops::ControlFlow;

pub(super) struct SlidingFold<K, V, A> {
    pub(super) core: Core<K, V, A, WindowStore<A>>,
    pub(super) windows: SlidingWindows,
}

/// A row that was there before the record.
#[derive(Debug, Clone, Copy)]
struct Row {
    start_ms: i64,
    /// The timestamp of the latest record in it.
    latest_ms: i64,
}

/// A value to begin another window with, as bytes, and the timestamp of its latest record.
struct Copied {
    value: Option<Vec<u8>>,
    latest_ms: i64,
}

/// What a window begins with before the record is taken in.
enum Begin {
    /// What the row holds.
    Row,
    /// The initial value, also where the row of the record before has just been made.
    Anew,
    /// The value of another window.
    From(Copied),
}

impl<K: 'static, V: 'static, A: Send + 'static> SlidingFold<K, V, A> {
    fn fold(&self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if record.value.is_none() {
            return cx.drop_record(Dropped::NullValue);
        }
        let (core, difference_ms) = (&self.core, self.windows.difference_ms);
        let close_ms = core.observe(record.timestamp_ms, cx).saturating_sub(self.windows.grace_ms);
        core.resume_windows(difference_ms, cx);
        if record.timestamp_ms.saturating_add(difference_ms) < close_ms {
            return cx.drop_record(Dropped::Late);
        }
        if record.timestamp_ms < difference_ms {
            self.early(key, record, close_ms, cx)?;
            return core.table.settle(cx);
        }
        self.slide(key, record, close_ms, cx)?;
        core.table.settle(cx)?;
        if core.closes(close_ms, cx) {
            // Its end belongs to a sliding window: it has closed only once time is past it.
            let last_start_ms = close_ms.saturating_sub(difference_ms).saturating_sub(1);
            core.emit_windows(close_ms, last_start_ms, difference_ms, record.headers, cx)?;
        }
        Ok(())
    }

    /// A record whose left window starts in 1970 or later.
    fn slide(&self, key: &[u8], record: &Record<'_, K, V>, close_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (t, d) = (record.timestamp_ms, self.windows.difference_ms);
        let rows = self.rows(key, t.saturating_sub(d.saturating_mul(2)).max(0), t, Direction::Backward, cx)?;
        let (mut left, mut right) = (None, None);
        let (mut left_is_there, mut right_is_there) = (false, false);
        let mut previous_ms = None;
        for row in &rows {
            let end_ms = row.start_ms + d;
            if row.start_ms == t + 1 {
                right_is_there = true;
            } else if end_ms > t {
                if right.is_none() {
                    right = Some(self.copy(key, row, cx)?);
                }
                self.update(key, row.start_ms, Begin::Row, record, close_ms, cx)?;
            } else if end_ms == t {
                left_is_there = true;
                self.update(key, row.start_ms, Begin::Row, record, close_ms, cx)?;
                if row.latest_ms >= t {
                    // Another record of this time has been here, and made all there is to make.
                    return Ok(());
                }
                previous_ms = Some(row.latest_ms);
            } else {
                // Now: making other windows may let it expire.
                left = Some(self.copy(key, row, cx)?);
                previous_ms = Some(row.latest_ms);
                break;
            }
        }
        if let Some(previous_ms) = previous_ms {
            let start_ms = previous_ms + 1;
            if start_ms + d >= t && rows.iter().all(|row| row.start_ms != start_ms) {
                self.update(key, start_ms, Begin::Anew, record, close_ms, cx)?;
            }
        }
        if !left_is_there {
            let begin = match (previous_ms, left) {
                (Some(previous_ms), Some(left)) if t - d <= previous_ms => Begin::From(left),
                _ => Begin::Anew,
            };
            self.update(key, t - d, begin, record, close_ms, cx)?;
        }
        if !right_is_there {
            self.begin_right(key, right, record, cx)?;
        }
        Ok(())
    }

    /// A record before `d`.
    fn early(&self, key: &[u8], record: &Record<'_, K, V>, close_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let t = record.timestamp_ms;
        let rows = self.rows(key, 0, t, Direction::Forward, cx)?;
        let (mut combined, mut right) = (None, None);
        let (mut right_is_there, mut previous_ms) = (false, None);
        for row in &rows {
            if row.start_ms == 0 {
                combined = Some(row);
                if row.latest_ms < t {
                    previous_ms = Some(row.latest_ms);
                }
            } else if row.start_ms <= t {
                right = Some(self.copy(key, row, cx)?);
                self.update(key, row.start_ms, Begin::Row, record, close_ms, cx)?;
            } else {
                right_is_there = true;
            }
        }
        // All that the combined window has is later, else a window between would have been found.
        if let (None, Some(combined)) = (&right, combined)
            && combined.latest_ms > t
        {
            right = Some(self.copy(key, combined, cx)?);
        }
        if !right_is_there {
            self.begin_right(key, right, record, cx)?;
        }
        if let Some(previous_ms) = previous_ms
            && rows.iter().all(|row| row.start_ms != previous_ms + 1)
        {
            self.update(key, previous_ms + 1, Begin::Anew, record, close_ms, cx)?;
        }
        let begin = if combined.is_some() { Begin::Row } else { Begin::Anew };
        self.update(key, 0, begin, record, close_ms, cx)
    }

    /// The rows that can matter to a record at `t`; backward no further than the first that ended before it.
    fn rows(
        &self,
        key: &[u8],
        from_ms: i64,
        t: i64,
        direction: Direction,
        cx: &mut Cx<'_>,
    ) -> Result<Vec<Row>, ProcessError> {
        let mut rows = Vec::new();
        let difference_ms = self.windows.difference_ms;
        self.core.table.rows(cx).fetch(key, from_ms, t.saturating_add(1), direction, |start_ms, _, latest_ms| {
            rows.push(Row { start_ms, latest_ms });
            match direction {
                Direction::Backward if start_ms + difference_ms < t => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })?;
        Ok(rows)
    }

    fn copy(&self, key: &[u8], row: &Row, cx: &mut Cx<'_>) -> Result<Copied, ProcessError> {
        let table = &self.core.table;
        let value = match table.rows(cx).get(key, row.start_ms)? {
            Some((value, _)) => table.encode(value)?,
            None => None,
        };
        Ok(Copied { value, latest_ms: row.latest_ms })
    }

    /// The record's right window begins with what is later than the record, where anything is.
    fn begin_right(
        &self,
        key: &[u8],
        right: Option<Copied>,
        record: &Record<'_, K, V>,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let Some(Copied { value, latest_ms }) = right.filter(|right| right.latest_ms > record.timestamp_ms) else {
            return Ok(());
        };
        let (table, start_ms) = (&self.core.table, record.timestamp_ms + 1);
        let decoded = table.decode(value.as_deref())?;
        if !table.rows(cx).put(key, start_ms, decoded, latest_ms)? {
            cx.drop_record(Dropped::Expired)?;
        }
        let update = Update { new: value, old: None };
        table.updated(RowKey::Window(key, start_ms), &update, latest_ms, record.headers, cx)
    }

    /// Takes the record into a window, unless that has closed.
    fn update(
        &self,
        key: &[u8],
        start_ms: i64,
        begin: Begin,
        record: &Record<'_, K, V>,
        close_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let window = Window { start_ms, end_ms: start_ms + self.windows.difference_ms };
        if window.end_ms < close_ms {
            return cx.drop_record(Dropped::Late);
        }
        let (core, table) = (&self.core, &self.core.table);
        let old = match begin {
            Begin::Row => return core.update_window(key, window, record, cx),
            Begin::Anew => None,
            Begin::From(Copied { value, .. }) => table.decode(value.as_deref())?,
        };
        let (passes, mut update) = (table.passes_updates(cx), Update::default());
        let new = core.take_in(record, old, passes, &mut update)?;
        if !table.rows(cx).put(key, start_ms, new, record.timestamp_ms)? {
            cx.drop_record(Dropped::Expired)?;
        }
        table.updated(RowKey::Window(key, start_ms), &update, record.timestamp_ms, record.headers, cx)
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Tick for SlidingFold<K, V, A> {
    fn tick(&mut self, time_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        let SlidingWindows { difference_ms, grace_ms } = self.windows;
        self.core.tick_windows(time_ms, difference_ms, (difference_ms.saturating_add(1), grace_ms), cx)
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Receiver<K, V> for SlidingFold<K, V, A> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.core.receive(record, cx, |key, cx| self.fold(key, record, cx))
    }

    fn looks(&self, _wire: CodecId) -> bool {
        self.core.aggregation.look.is_some()
    }
}
