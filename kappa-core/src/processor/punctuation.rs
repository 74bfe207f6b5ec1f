//! When processors are called by time instead of by a record.
//!
//! **Invariants:**
//! - A schedule is called once for all the times it has missed; the next one is the first multiple that lies ahead.
//! - Stream-time schedules count from 0, so they do not depend on when the task began. One that is made while the task
//!   is made anew (after a restart, a move or an abort) is due only beyond the stream time that is known already: what was due
//!   before has been called for.

/// What a schedule goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PunctuationType {
    /// The largest timestamp the task has seen: moves with records, and by the clock only where
    /// [`idle_timeout_ms`](crate::topology::TopologyBuilder::idle_timeout_ms) was chosen.
    StreamTime,
    /// The clock on the wall: moves without records too.
    WallClockTime,
}

/// A schedule of a processor's: made by [`ProcessorContext::schedule`](super::ProcessorContext::schedule), told apart by
/// comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule(usize);

#[derive(Debug)]
struct Scheduled {
    schedule: Schedule,
    /// The processor's place.
    place: usize,
    kind: PunctuationType,
    interval_ms: i64,
    next_ms: i64,
}

/// All schedules of a task.
#[derive(Debug, Default)]
pub(crate) struct Schedules {
    all: Vec<Scheduled>,
    made: usize,
}

impl Schedules {
    /// Adds one that is due at `first_ms`.
    pub(crate) fn add(&mut self, place: usize, kind: PunctuationType, interval_ms: i64, first_ms: i64) -> Schedule {
        let schedule = Schedule(self.made);
        self.made += 1;
        self.all.push(Scheduled { schedule, place, kind, interval_ms, next_ms: first_ms });
        schedule
    }

    pub(crate) fn cancel(&mut self, schedule: Schedule) {
        self.all.retain(|scheduled| scheduled.schedule != schedule);
    }

    pub(crate) fn clear(&mut self) {
        self.all.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one is due.
    pub(crate) fn is_due(&self, kind: PunctuationType, now_ms: i64) -> bool {
        self.all.iter().any(|scheduled| scheduled.kind == kind && scheduled.next_ms <= now_ms)
    }

    /// The one that has been due for longest, which is then due again; with its processor's place.
    pub(crate) fn take_due(&mut self, kind: PunctuationType, now_ms: i64) -> Option<(Schedule, usize)> {
        let due = self.all.iter_mut().filter(|scheduled| scheduled.kind == kind && scheduled.next_ms <= now_ms);
        let first = due.min_by_key(|scheduled| scheduled.next_ms)?;
        first.next_ms = next_after(first.next_ms, first.interval_ms, now_ms);
        Some((first.schedule, first.place))
    }
}

/// The first of `from`, `from + interval`, … that lies behind `now_ms`.
pub(crate) fn next_after(from_ms: i64, interval_ms: i64, now_ms: i64) -> i64 {
    let passed = now_ms.saturating_sub(from_ms).max(0) / interval_ms;
    from_ms.saturating_add((passed + 1).saturating_mul(interval_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_times_are_one_call_and_the_next_lies_ahead() {
        let mut schedules = Schedules::default();
        let ten = schedules.add(3, PunctuationType::StreamTime, 10, 0);
        schedules.add(4, PunctuationType::WallClockTime, 10, 10);
        let mut due = |now_ms| schedules.take_due(PunctuationType::StreamTime, now_ms);
        assert_eq!(due(4), Some((ten, 3)), "first as soon as there is a time");
        assert_eq!(due(9), None);
        assert_eq!(due(10), Some((ten, 3)));
        assert_eq!(due(47), Some((ten, 3)));
        assert_eq!(due(47), None);
        assert_eq!(due(49), None);
        assert_eq!(due(50), Some((ten, 3)));
        schedules.cancel(ten);
        assert_eq!(schedules.take_due(PunctuationType::StreamTime, 1000), None);
        assert!(!schedules.is_empty());
    }
}
