//! What waits for a match in a left or outer join of two streams.
//!
//! Rows: `[8 byte time][1 byte side, 1 left][key]`, as Kafka Streams has them, with a list of values, each `[4 byte length][value]`;
//! and one row, with the empty key, of what the join remembers: the oldest time that may wait, and when to look again.
//!
//! **Invariants:**
//! - The join's time is the largest timestamp of both sides, dropped records included; it travels with the committed offsets.
//! - The oldest time is `i64::MAX` only where nothing waits. Otherwise it is Kafka Streams': that of the entry looked at last, or
//!   of an older one that has come since. So an entry may come out later than it could, never earlier.

use crate::dsl::JoinWindows;
use crate::processor::{Cx, TimeSlot};
use crate::task::ProcessError;
use crate::topology::{Assembly, NodeId, StoreIndex};
use kappa_state::{BufferedStore, Direction, StateError};
use std::ops::{Bound, ControlFlow};

type Rows = BufferedStore<Vec<u8>>;
/// A row's key, and its value.
type Row = (Vec<u8>, Vec<u8>);

/// How many entries are taken out at once.
const BATCH: usize = 256;

/// One side's view of what waits.
pub(crate) struct OuterSide {
    slot: usize,
    changelog: usize,
    time: TimeSlot,
    /// Whether records of this side wait.
    pub(crate) waits: bool,
    left: bool,
}

/// A value that has waited in vain.
pub(crate) struct Entry<'e> {
    pub(crate) key: &'e [u8],
    pub(crate) value: &'e [u8],
    pub(crate) timestamp_ms: i64,
    /// It is of this side.
    pub(crate) own: bool,
}

/// What the join remembers.
#[derive(Clone, Copy, PartialEq)]
struct Memory {
    oldest_ms: i64,
    look_again_ms: i64,
}

impl OuterSide {
    pub(crate) fn new(
        assembly: &mut Assembly<'_>,
        meeting: NodeId,
        store: StoreIndex,
        waits: bool,
        left: bool,
    ) -> Self {
        let slot = assembly.slot(store).unwrap_or(usize::MAX);
        let (changelog, time) = (assembly.changelog(store), assembly.time(meeting, "stream"));
        Self { slot, changelog, time, waits, left }
    }

    pub(crate) fn advance(&self, timestamp_ms: i64, cx: &mut Cx<'_>) {
        cx.state.times.advance(self.time, timestamp_ms);
    }

    pub(crate) fn stream_time_ms(&self, cx: &Cx<'_>) -> i64 {
        cx.state.times.get(self.time)
    }

    /// A record of this side waits.
    pub(crate) fn wait(&self, key: &[u8], value: &[u8], time_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let memory = self.memory(cx)?;
        if time_ms < memory.oldest_ms {
            self.remember(Memory { oldest_ms: time_ms, ..memory }, cx)?;
        }
        let (rows, out) = cx.typed::<Rows>(self.slot);
        rows.update(&row_key(time_ms, self.left, key), |values| {
            let mut values = values.map(|(values, _)| values).unwrap_or_default();
            values.extend_from_slice(&(value.len() as u32).to_be_bytes());
            values.extend_from_slice(value);
            Some((values, time_ms))
        })?;
        if rows.over_cache() {
            rows.stage(|change| {
                out.log(self.changelog, change.timestamp_ms, change.key, change.value_bytes);
                Ok::<_, ProcessError>(())
            })?;
        }
        Ok(())
    }

    /// A record of the other side has found a match: it waits no longer, and neither do others of its key and time.
    pub(crate) fn found(&self, key: &[u8], time_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (rows, _) = cx.typed::<Rows>(self.slot);
        let key = row_key(time_ms, !self.left, key);
        if rows.get(&key)?.is_some() {
            rows.put(&key, None, time_ms)?;
        }
        Ok(())
    }

    /// Takes out what has waited until its window and the grace were over, oldest first.
    pub(crate) fn give_up(
        &self,
        windows: &JoinWindows,
        after_ms: i64,
        cx: &mut Cx<'_>,
        mut each: impl FnMut(&Entry<'_>, &mut Cx<'_>) -> Result<(), ProcessError>,
    ) -> Result<(), ProcessError> {
        let memory = self.memory(cx)?;
        let now_ms = self.stream_time_ms(cx);
        // The sum overflows where nothing waits, and the test passes, which takes the slot: as Kafka Streams does.
        if memory.oldest_ms.wrapping_add(after_ms).wrapping_add(windows.grace_ms) >= now_ms {
            return Ok(());
        }
        let (clock_ms, interval_ms) = (cx.state.now_ms, windows.emit_interval_ms);
        if interval_ms > 0 && clock_ms < memory.look_again_ms {
            return Ok(());
        }
        let look_again_ms = if interval_ms > 0 { clock_ms.saturating_add(interval_ms) } else { memory.look_again_ms };
        let mut walk = Walk { windows: *windows, now_ms, oldest_ms: i64::MAX, open: [false, false], done: false };
        let mut from = Vec::new();
        while memory.oldest_ms < i64::MAX && !walk.done {
            let closed = walk.closed(cx.typed::<Rows>(self.slot).0, &mut from)?;
            for (row, values) in &closed {
                let Some((time_ms, left, key)) = split_key(row) else { continue };
                cx.typed::<Rows>(self.slot).0.put(row, None, time_ms)?;
                for value in values_of(values) {
                    each(&Entry { key, value, timestamp_ms: time_ms, own: left == self.left }, cx)?;
                }
            }
        }
        self.remember(Memory { oldest_ms: walk.oldest_ms, look_again_ms }, cx)
    }

    /// As [`give_up`](Self::give_up), where time has come to `time_ms` without a record. The join's time goes to when the last of
    /// it was due, which is given back.
    pub(crate) fn give_up_by(
        &self,
        windows: &JoinWindows,
        time_ms: i64,
        cx: &mut Cx<'_>,
        mut each: impl FnMut(&Entry<'_>, &mut Cx<'_>) -> Result<(), ProcessError>,
    ) -> Result<Option<i64>, ProcessError> {
        if self.memory(cx)?.oldest_ms == i64::MAX {
            return Ok(None);
        }
        let (mut from, mut last_ms) = (Vec::new(), None);
        loop {
            let due = due(cx.typed::<Rows>(self.slot).0, windows, time_ms, &mut from)?;
            for (row, values) in &due {
                let Some((time_ms, left, key)) = split_key(row) else { continue };
                last_ms = last_ms.max(Some(due_ms(windows, time_ms, left)));
                cx.typed::<Rows>(self.slot).0.put(row, None, time_ms)?;
                for value in values_of(values) {
                    each(&Entry { key, value, timestamp_ms: time_ms, own: left == self.left }, cx)?;
                }
            }
            if due.len() < BATCH {
                break;
            }
        }
        if let Some(last_ms) = last_ms {
            self.advance(last_ms, cx);
        }
        Ok(last_ms)
    }

    fn memory(&self, cx: &mut Cx<'_>) -> Result<Memory, ProcessError> {
        let row = cx.typed::<Rows>(self.slot).0.get(&[])?;
        let number =
            |at: usize| row.and_then(|(row, _)| row[at..].first_chunk()).map(|bytes| i64::from_be_bytes(*bytes));
        Ok(Memory { oldest_ms: number(0).unwrap_or(i64::MAX), look_again_ms: number(8).unwrap_or(0) })
    }

    fn remember(&self, memory: Memory, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if self.memory(cx)? == memory {
            return Ok(());
        }
        let row = [memory.oldest_ms.to_be_bytes(), memory.look_again_ms.to_be_bytes()].concat();
        Ok(cx.typed::<Rows>(self.slot).0.put(&[], Some(row), 0)?)
    }
}

/// A walk over what waits, from the oldest.
struct Walk {
    windows: JoinWindows,
    now_ms: i64,
    oldest_ms: i64,
    /// An entry of the right side, of the left side, has been met whose window is open.
    open: [bool; 2],
    done: bool,
}

impl Walk {
    /// The next entries whose windows are over, up to a batch of them. `from` is the row met last, and empty at first: that is
    /// the key of the row that is no entry.
    fn closed(&mut self, rows: &mut Rows, from: &mut Vec<u8>) -> Result<Vec<Row>, StateError> {
        let mut closed = Vec::new();
        let start = from.clone();
        rows.scan(Bound::Excluded(&start), Bound::Unbounded, Direction::Forward, &mut |row, values, _| {
            let Some((time_ms, left, _)) = split_key(row) else { return ControlFlow::Continue(()) };
            self.oldest_ms = time_ms;
            if self.open == [true, true] || closed.len() == BATCH {
                self.done = self.open == [true, true];
                return ControlFlow::Break(());
            }
            from.clear();
            from.extend_from_slice(row);
            let ahead_ms = if left { self.windows.after_ms } else { self.windows.before_ms };
            if time_ms.saturating_add(ahead_ms).saturating_add(self.windows.grace_ms) >= self.now_ms {
                self.open[usize::from(left)] = true;
                // Kafka Streams goes from value to value, and stops at the next one, also of the same row.
                if self.open == [true, true] && values_of(values).nth(1).is_some() {
                    self.done = true;
                    return ControlFlow::Break(());
                }
            } else {
                closed.push((row.to_vec(), values.clone()));
            }
            ControlFlow::Continue(())
        })?;
        // Less than a batch: that was the end.
        self.done |= closed.len() < BATCH;
        Ok(closed)
    }
}

/// When an entry has waited long enough: its window and the grace are over, both ends included.
fn due_ms(windows: &JoinWindows, time_ms: i64, left: bool) -> i64 {
    let ahead_ms = if left { windows.after_ms } else { windows.before_ms };
    time_ms.saturating_add(ahead_ms).saturating_add(windows.grace_ms).saturating_add(1)
}

/// The next entries behind the row `from` that are due at `now_ms`, up to a batch of them.
fn due(rows: &mut Rows, windows: &JoinWindows, now_ms: i64, from: &mut Vec<u8>) -> Result<Vec<Row>, StateError> {
    let mut due = Vec::new();
    let start = from.clone();
    rows.scan(Bound::Excluded(&start), Bound::Unbounded, Direction::Forward, &mut |row, values, _| {
        let Some((time_ms, left, _)) = split_key(row) else { return ControlFlow::Continue(()) };
        if due.len() == BATCH || [false, true].iter().all(|left| due_ms(windows, time_ms, *left) > now_ms) {
            return ControlFlow::Break(());
        }
        from.clear();
        from.extend_from_slice(row);
        if due_ms(windows, time_ms, left) <= now_ms {
            due.push((row.to_vec(), values.clone()));
        }
        ControlFlow::Continue(())
    })?;
    Ok(due)
}

fn row_key(time_ms: i64, left: bool, key: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(9 + key.len());
    row.extend_from_slice(&time_ms.to_be_bytes());
    row.push(u8::from(left));
    row.extend_from_slice(key);
    row
}

fn split_key(row: &[u8]) -> Option<(i64, bool, &[u8])> {
    let (time, rest) = row.split_first_chunk()?;
    let (side, key) = rest.split_first()?;
    Some((i64::from_be_bytes(*time), *side == 1, key))
}

fn values_of(mut row: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = row.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
        row = rest;
        Some(value)
    })
}
