//! What all windowed aggregates have in common: the function, the times, the emission of closed windows.
//!
//! **Invariants:**
//! - All that an operator knows of time is in the task's times: it is as at the last commit after an abort, a restart or a move.
//! - A window that has closed is emitted once: rows that were not stay in the store (`hold`), however long ago they expired.

use crate::codec::SharedCodec;
use crate::dsl::aggregate::Look;
use crate::log::Headers;
use crate::processor::{Cx, Dropped, Emit, RowKey, TimeSlot, Update, WindowRows, WindowTable};
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{Assembly, NodeId, OBSERVED};
use std::sync::Arc;

type Initial<A> = Arc<dyn Fn() -> Option<A> + Send + Sync>;
type Step<K, V, A> = Arc<dyn Fn(&Record<'_, K, V>, Option<A>) -> Result<Option<A>, ProcessError> + Send + Sync>;

/// How records become a value.
pub(crate) struct Aggregation<K, V, A> {
    /// What a window begins with; `None` where the first record makes it.
    pub(crate) initial: Initial<A>,
    pub(crate) step: Step<K, V, A>,
    /// Decodes what `step` will look at; `None` where it looks at no value, and takes records without one.
    pub(crate) look: Option<Look<K, V>>,
}

impl<K, V, A> Clone for Aggregation<K, V, A> {
    fn clone(&self) -> Self {
        Self { initial: Arc::clone(&self.initial), step: Arc::clone(&self.step), look: self.look }
    }
}

/// The parts that every windowed operator of a task has.
pub(crate) struct Core<K, V, A, S> {
    pub(crate) table: WindowTable<K, A, S>,
    pub(crate) key: SharedCodec<K>,
    pub(crate) aggregation: Aggregation<K, V, A>,
    /// The largest timestamp of its records.
    observed: TimeSlot,
    /// Up to where windows have been emitted.
    closed: TimeSlot,
}

impl<K: 'static, V: 'static, A: Send + 'static, S: WindowRows<A>> Core<K, V, A, S> {
    /// `node` is the operator, `owner` the one whose table it writes: itself, as a rule.
    pub(crate) fn new(
        assembly: &mut Assembly<'_>,
        node: NodeId,
        owner: NodeId,
        table: WindowTable<K, A, S>,
        key: SharedCodec<K>,
        aggregation: Aggregation<K, V, A>,
    ) -> Self {
        let observed = assembly.time(node, OBSERVED);
        let closed = assembly.time(owner, "closed");
        Self { table, key, aggregation, observed, closed }
    }

    /// Moves the operator's time; gives back where it is now.
    pub(crate) fn observe(&self, timestamp_ms: i64, cx: &mut Cx<'_>) -> i64 {
        cx.state.times.advance(self.observed, timestamp_ms)
    }

    /// Up to where windows have been emitted; `None` before the first.
    pub(crate) fn closed_ms(&self, cx: &Cx<'_>) -> Option<i64> {
        Some(cx.state.times.get(self.closed)).filter(|closed_ms| *closed_ms != i64::MIN)
    }

    /// Windows up to `close_ms` are emitted.
    pub(crate) fn keep_closed(&self, close_ms: i64, cx: &mut Cx<'_>) {
        cx.state.times.advance(self.closed, close_ms);
    }

    /// Whether windows are to be emitted because time has come to `close_ms`.
    pub(crate) fn closes(&self, close_ms: i64, cx: &Cx<'_>) -> bool {
        self.table.emit == Emit::OnClose && self.closed_ms(cx).is_none_or(|closed_ms| closed_ms < close_ms)
    }

    /// Takes a record into a value: `old` is what the row holds. The value, encoded where it goes on, is left in `update`.
    pub(crate) fn take_in(
        &self,
        record: &Record<'_, K, V>,
        old: Option<A>,
        passes: bool,
        update: &mut Update,
    ) -> Result<Option<A>, ProcessError> {
        let old = old.or_else(|| (self.aggregation.initial)());
        if passes && self.table.sends_old {
            update.old = old.as_ref().map(|old| self.table.encode(old)).transpose()?.flatten();
        }
        let new = (self.aggregation.step)(record, old)?;
        if passes {
            update.new = new.as_ref().map(|new| self.table.encode(new)).transpose()?.flatten();
        }
        Ok(new)
    }
}

impl<K: 'static, V: 'static, A: Send + 'static, S: WindowRows<A>> Core<K, V, A, S> {
    /// Whether the function needs a value and the record has none.
    pub(crate) fn lacks_value(&self, record: &Record<'_, K, V>) -> bool {
        record.value.is_none() && self.aggregation.look.is_some()
    }

    /// Runs `fold` with the record's key as bytes, once its parts are known to be sound.
    pub(crate) fn receive(
        &self,
        record: &Record<'_, K, V>,
        cx: &mut Cx<'_>,
        fold: impl FnOnce(&[u8], &mut Cx<'_>) -> Result<(), ProcessError>,
    ) -> Result<(), ProcessError> {
        if let Some(look) = self.aggregation.look {
            look(record)?;
        }
        let folded = cx.with_key(&self.table.name, record.key, &self.key, fold)?;
        if folded.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }

    /// Passes on the value of a closed window.
    pub(crate) fn emit_final(
        &self,
        at: RowKey<'_>,
        update: &Update,
        timestamp_ms: i64,
        headers: &Headers,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let mut key = cx.state.take_scratch();
        at.write(&mut key);
        let done = self.table.pass_on(&key, update, timestamp_ms, headers, cx);
        cx.state.give_scratch(key);
        done
    }
}

/// A closed window on its way out.
#[derive(Debug)]
pub(crate) struct Final {
    pub(crate) key: Vec<u8>,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) update: Update,
    pub(crate) timestamp_ms: i64,
}
