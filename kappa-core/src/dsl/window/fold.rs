//! The operator of tumbling, hopping and unlimited windows (Kafka Streams: `KStreamWindowAggregate`).

use super::core::{Core, Final};
use crate::codec::CodecId;
use crate::log::Headers;
use crate::processor::{Cx, Dropped, Receiver, RowKey, Tick, Update};
use crate::record::Record;
use crate::task::ProcessError;
use crate::window::{TimeWindows, Window};
use kappa_state::WindowStore;
use std::ops::ControlFlow;

pub(super) struct TimeFold<K, V, A> {
    pub(super) core: Core<K, V, A, WindowStore<A>>,
    pub(super) windows: TimeWindows,
}

impl<K: 'static, V: 'static, A: Send + 'static> TimeFold<K, V, A> {
    fn fold(&self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let core = &self.core;
        let close_ms = core.observe(record.timestamp_ms, cx).saturating_sub(self.windows.grace_ms);
        core.resume_windows(self.windows.size_ms, cx);
        if core.lacks_value(record) {
            cx.drop_record(Dropped::NullValue)?;
        } else {
            for window in self.windows.containing(record.timestamp_ms) {
                if window.end_ms > close_ms {
                    core.update_window(key, window, record, cx)?;
                } else {
                    cx.drop_record(Dropped::Late)?;
                }
            }
            core.table.settle(cx)?;
        }
        if core.closes(close_ms, cx) {
            // Windows that start no later have ended.
            core.emit_windows(
                close_ms,
                close_ms.saturating_sub(self.windows.size_ms),
                self.windows.size_ms,
                record.headers,
                cx,
            )?;
        }
        Ok(())
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Tick for TimeFold<K, V, A> {
    fn tick(&mut self, time_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        let TimeWindows { size_ms, grace_ms, .. } = self.windows;
        self.core.tick_windows(time_ms, size_ms, (size_ms, grace_ms), cx)
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Receiver<K, V> for TimeFold<K, V, A> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.core.receive(record, cx, |key, cx| self.fold(key, record, cx))
    }

    fn looks(&self, _wire: CodecId) -> bool {
        self.core.aggregation.look.is_some()
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Core<K, V, A, WindowStore<A>> {
    /// Tells the store what has been emitted: it may have been started anew, or gone back to a commit.
    pub(super) fn resume_windows(&self, size_ms: i64, cx: &mut Cx<'_>) {
        if let Some(closed_ms) = self.closed_ms(cx) {
            self.table.rows(cx).hold(closed_ms.saturating_sub(size_ms));
        }
    }

    /// Takes a record into a window.
    pub(super) fn update_window(
        &self,
        key: &[u8],
        window: Window,
        record: &Record<'_, K, V>,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let passes = self.table.passes_updates(cx);
        let (mut update, mut timestamp_ms) = (Update::default(), record.timestamp_ms);
        let (mut failed, mut deleted) = (None, false);
        let rows = self.table.rows(cx);
        let written = rows.update(key, window.start_ms, |row| {
            let old = row.map(|(value, row_ms)| {
                timestamp_ms = timestamp_ms.max(row_ms);
                value
            });
            let new = self.take_in(record, old, passes, &mut update).unwrap_or_else(|error| {
                failed = Some(error);
                None
            });
            deleted = new.is_none();
            new.map(|value| (value, timestamp_ms))
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        if deleted {
            // The tombstone's timestamp is the result's, not the old row's.
            rows.put(key, window.start_ms, None, timestamp_ms)?;
        }
        if !written {
            cx.drop_record(Dropped::Expired)?;
        }
        self.table.updated(RowKey::Window(key, window.start_ms), &update, timestamp_ms, record.headers, cx)
    }

    /// Emits the windows that start no later than `last_start_ms` and have not been emitted: time has come to `close_ms`.
    pub(super) fn emit_windows(
        &self,
        close_ms: i64,
        last_start_ms: i64,
        size_ms: i64,
        headers: &Headers,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        if last_start_ms < 0 {
            return Ok(());
        }
        let finals = self.closed_windows(close_ms, last_start_ms, size_ms, cx)?;
        self.keep_closed(close_ms, cx);
        self.emit_all(&finals, headers, cx)
    }

    /// Emits the windows that time has closed which has come to `time_ms` without a record. Windows close `closing_ms` after
    /// their start, and the grace after that.
    pub(super) fn tick_windows(
        &self,
        time_ms: i64,
        size_ms: i64,
        (closing_ms, grace_ms): (i64, i64),
        cx: &mut Cx<'_>,
    ) -> Result<Option<i64>, ProcessError> {
        let close_ms = time_ms.saturating_sub(grace_ms);
        let last_start_ms = close_ms.saturating_sub(closing_ms);
        if last_start_ms < 0 || !self.closes(close_ms, cx) {
            return Ok(None);
        }
        self.resume_windows(size_ms, cx);
        let finals = self.closed_windows(close_ms, last_start_ms, size_ms, cx)?;
        let Some(last) = finals.last() else { return Ok(None) };
        let close_ms = last.start_ms.saturating_add(closing_ms);
        let due_ms = close_ms.saturating_add(grace_ms);
        self.observe(due_ms, cx);
        self.keep_closed(close_ms, cx);
        self.emit_all(&finals, &Headers::empty(), cx)?;
        Ok(Some(due_ms))
    }

    /// The windows that start no later than `last_start_ms` and have not been emitted, in the order of their starts, then keys.
    fn closed_windows(
        &self,
        close_ms: i64,
        last_start_ms: i64,
        size_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<Vec<Final>, ProcessError> {
        // Where the last emission left off: as far from the time it came to as this one's end is from `close_ms`.
        let behind_ms = close_ms - last_start_ms;
        let first_start_ms = self.closed_ms(cx).map_or(0, |closed_ms| closed_ms.saturating_sub(behind_ms) + 1);
        let mut finals: Vec<Final> = Vec::new();
        let mut failed = None;
        self.table.rows(cx).fetch_held(
            first_start_ms,
            last_start_ms,
            |key, start_ms, value, timestamp_ms| match self.table.encode(value) {
                Ok(new) => {
                    let (key, end_ms) = (key.to_vec(), start_ms.saturating_add(size_ms));
                    let update = Update { new, old: None };
                    finals.push(Final { key, start_ms, end_ms, update, timestamp_ms });
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        if let Some(error) = failed {
            return Err(error);
        }
        finals.sort_by(|a, b| (a.start_ms, &a.key).cmp(&(b.start_ms, &b.key)));
        Ok(finals)
    }

    fn emit_all(&self, finals: &[Final], headers: &Headers, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        for Final { key, start_ms, update, timestamp_ms, .. } in finals {
            self.emit_final(RowKey::Window(key, *start_ms), update, *timestamp_ms, headers, cx)?;
        }
        Ok(())
    }
}
