//! The operator of sessions (Kafka Streams: `KStreamSessionWindowAggregate`).

use super::core::{Core, Final};
use crate::codec::CodecId;
use crate::log::Headers;
use crate::processor::{Cx, Dropped, Receiver, RowKey, Tick, Update};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::window::SessionWindows;
use kappa_state::{Direction, Session, SessionStore};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Makes one value of what was merged so far and another session's.
pub(super) type Merger<K, A> = Arc<dyn Fn(&Lazy<'_, K>, Option<A>, A) -> Result<Option<A>, ProcessError> + Send + Sync>;

pub(super) struct SessionFold<K, V, A> {
    pub(super) core: Core<K, V, A, SessionStore<A>>,
    pub(super) windows: SessionWindows,
    pub(super) merger: Merger<K, A>,
}

impl<K: 'static, V: 'static, A: Send + 'static> SessionFold<K, V, A> {
    fn fold(&self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let core = &self.core;
        let SessionWindows { gap_ms, grace_ms } = self.windows;
        let close_ms = core.observe(record.timestamp_ms, cx).saturating_sub(grace_ms).saturating_sub(gap_ms);
        self.resume(cx);
        if core.lacks_value(record) {
            cx.drop_record(Dropped::NullValue)?;
        } else {
            self.merge(key, record, close_ms, cx)?;
        }
        core.table.settle(cx)?;
        if !core.closes(close_ms, cx) || close_ms <= self.emitted_ms(cx) {
            return Ok(());
        }
        let finals = self.closed(close_ms, cx)?;
        core.keep_closed(close_ms, cx);
        self.emit(&finals, record.headers, cx)
    }

    /// Tells the store what has been emitted: it may have been started anew, or gone back to a commit.
    fn resume(&self, cx: &mut Cx<'_>) {
        if let Some(closed_ms) = self.core.closed_ms(cx) {
            self.core.table.rows(cx).hold(closed_ms);
        }
    }

    /// Makes one session of the record and those it touches.
    fn merge(&self, key: &[u8], record: &Record<'_, K, V>, close_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (core, t, gap_ms) = (&self.core, record.timestamp_ms, self.windows.gap_ms);
        let mut touched: Vec<Session> = Vec::new();
        let mut merged = Session { start_ms: t, end_ms: t };
        let (earliest_end, latest_start) = (t.saturating_sub(gap_ms), t.saturating_add(gap_ms));
        core.table.rows(cx).find(key, earliest_end, latest_start, Direction::Forward, |session, _, _| {
            touched.push(session);
            merged.start_ms = merged.start_ms.min(session.start_ms);
            merged.end_ms = merged.end_ms.max(session.end_ms);
            ControlFlow::Continue(())
        })?;
        if merged.end_ms < close_ms {
            return cx.drop_record(Dropped::Late);
        }
        let mut value = (core.aggregation.initial)();
        let grows = merged != Session { start_ms: t, end_ms: t };
        for session in touched {
            let taken = self.take(key, session, cx)?;
            if grows {
                let old = if core.table.sends_old && core.table.passes_updates(cx) {
                    taken.as_ref().map(|taken| core.table.encode(taken)).transpose()?.flatten()
                } else {
                    None
                };
                let update = Update { new: None, old };
                core.table.updated(RowKey::Session(key, session), &update, session.end_ms, record.headers, cx)?;
            }
            if let Some(taken) = taken {
                value = (self.merger)(record.key, value, taken)?;
            }
        }
        // A session's first value has no value before, whatever it was made of.
        let passes = core.table.passes_updates(cx);
        let new = (core.aggregation.step)(record, value)?;
        let mut update = Update::default();
        if passes {
            update.new = new.as_ref().map(|new| core.table.encode(new)).transpose()?.flatten();
        }
        if !core.table.rows(cx).put(key, merged, new, merged.end_ms)? {
            cx.drop_record(Dropped::Expired)?;
        }
        core.table.updated(RowKey::Session(key, merged), &update, merged.end_ms, record.headers, cx)
    }

    /// Removes a session from the store.
    fn take(&self, key: &[u8], session: Session, cx: &mut Cx<'_>) -> Result<Option<A>, ProcessError> {
        let mut taken = None;
        self.core.table.rows(cx).update(key, session, |row| {
            taken = row.map(|(value, _)| value);
            None
        })?;
        Ok(taken)
    }

    /// Sessions that ended before this have been emitted.
    fn emitted_ms(&self, cx: &Cx<'_>) -> i64 {
        self.core.closed_ms(cx).map_or(0, |closed_ms| closed_ms.max(0))
    }

    /// The sessions that ended before `close_ms` and have not been emitted, in the order of their ends, keys and starts.
    fn closed(&self, close_ms: i64, cx: &mut Cx<'_>) -> Result<Vec<Final>, ProcessError> {
        let core = &self.core;
        let from_ms = self.emitted_ms(cx);
        let mut finals: Vec<Final> = Vec::new();
        let mut failed = None;
        core.table.rows(cx).ended_held(from_ms, close_ms - 1, |key, session, value, _| {
            match core.table.encode(value) {
                Ok(new) => {
                    let Session { start_ms, end_ms } = session;
                    let update = Update { new, old: None };
                    finals.push(Final { key: key.to_vec(), start_ms, end_ms, update, timestamp_ms: end_ms });
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        finals.sort_by(|a, b| (a.end_ms, &a.key, a.start_ms).cmp(&(b.end_ms, &b.key, b.start_ms)));
        Ok(finals)
    }

    fn emit(&self, finals: &[Final], headers: &Headers, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        for Final { key, start_ms, end_ms, update, timestamp_ms } in finals {
            let session = Session { start_ms: *start_ms, end_ms: *end_ms };
            self.core.emit_final(RowKey::Session(key, session), update, *timestamp_ms, headers, cx)?;
        }
        Ok(())
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Tick for SessionFold<K, V, A> {
    fn tick(&mut self, time_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        let SessionWindows { gap_ms, grace_ms } = self.windows;
        let close_ms = time_ms.saturating_sub(grace_ms).saturating_sub(gap_ms);
        if close_ms <= self.emitted_ms(cx) {
            return Ok(None);
        }
        self.resume(cx);
        let finals = self.closed(close_ms, cx)?;
        let Some(last) = finals.last() else { return Ok(None) };
        // A session has closed only once time is past its end by the gap and the grace.
        let close_ms = last.end_ms.saturating_add(1);
        let due_ms = close_ms.saturating_add(gap_ms).saturating_add(grace_ms);
        self.core.observe(due_ms, cx);
        self.core.keep_closed(close_ms, cx);
        self.emit(&finals, &Headers::empty(), cx)?;
        Ok(Some(due_ms))
    }
}

impl<K: 'static, V: 'static, A: Send + 'static> Receiver<K, V> for SessionFold<K, V, A> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.core.receive(record, cx, |key, cx| self.fold(key, record, cx))
    }

    fn looks(&self, _wire: CodecId) -> bool {
        self.core.aggregation.look.is_some()
    }
}
