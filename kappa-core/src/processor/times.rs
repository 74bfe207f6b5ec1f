//! What operators know of time beyond their records: the largest timestamp seen, the last window closed.
//!
//! **Invariants:**
//! - A time never goes back. So where several commits tell of it, the largest is the newest.
//! - Times travel with the committed offsets (Kafka Streams keeps only the partition's time there): after a restart, or on an
//!   instance that has none of the state, they are what they were at the commit.
//! - The order of times is that of their operators' names, not of building: every process of a version counts alike.

use super::context::TaskState;
use kappa_state::Reached;

/// Where an operator's time is kept; made by [`Assembly::time`](crate::topology::Assembly::time).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeSlot(usize);

impl TimeSlot {
    pub(crate) fn new(index: usize) -> Self {
        Self(index)
    }
}

/// The times of a task's operators, ms; `i64::MIN` before the first.
#[derive(Debug, Clone, Default)]
pub(crate) struct OperatorTimes {
    times: Vec<i64>,
    /// Slots in the order of names.
    order: Vec<usize>,
}

impl OperatorTimes {
    /// For operators of these names, by slot.
    pub(crate) fn new(names: Vec<String>) -> Self {
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by(|a, b| names[*a].cmp(&names[*b]));
        Self { times: vec![i64::MIN; names.len()], order }
    }

    /// The time in a slot, ms; `i64::MIN` before the first.
    pub(crate) fn get(&self, slot: TimeSlot) -> i64 {
        self.times[slot.0]
    }

    /// Moves the time in a slot forward to `time_ms`, if that is forward, and gives back where it is now.
    pub(crate) fn advance(&mut self, slot: TimeSlot, time_ms: i64) -> i64 {
        let time = &mut self.times[slot.0];
        *time = (*time).max(time_ms);
        *time
    }

    /// All of them in the order of names.
    pub(crate) fn save(&self) -> impl Iterator<Item = i64> {
        self.order.iter().map(|slot| self.times[*slot])
    }

    /// What [`save`](Self::save) gave; times that are missing stay where they are.
    pub(crate) fn load(&mut self, saved: &[i64]) {
        for (slot, time_ms) in self.order.iter().zip(saved) {
            self.times[*slot] = *time_ms;
        }
    }
}

/// Where it is kept how far a store has come whose rows expire: taken from it at every flush, given back at the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReachedTimes {
    /// The store's place in the task.
    pub(crate) slot: usize,
    pub(crate) observed: TimeSlot,
    pub(crate) sequence: TimeSlot,
}

impl ReachedTimes {
    /// Takes it from the store.
    pub(crate) fn keep(&self, state: &mut TaskState) {
        let store = state.stores[self.slot].as_ref();
        if let Some(Reached { observed_ms, sequence }) = store.and_then(|store| store.managed_ref().reached()) {
            state.times.advance(self.observed, observed_ms);
            state.times.advance(self.sequence, sequence);
        }
    }

    /// Gives it back to the store.
    pub(crate) fn resume(&self, state: &mut TaskState) {
        let reached =
            Reached { observed_ms: state.times.get(self.observed), sequence: state.times.get(self.sequence).max(0) };
        if let Some(store) = &mut state.stores[self.slot] {
            store.managed().resume_from(reached);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_saved_in_the_order_of_names_and_never_go_back() {
        let mut times = OperatorTimes::new(vec!["b".into(), "a".into()]);
        assert_eq!(times.advance(TimeSlot::new(0), 7), 7);
        assert_eq!(times.advance(TimeSlot::new(0), 3), 7);
        assert_eq!(times.save().collect::<Vec<_>>(), [i64::MIN, 7], "a, b");

        let mut other = OperatorTimes::new(vec!["a".into(), "b".into()]);
        other.load(&times.save().collect::<Vec<_>>());
        assert_eq!((other.get(TimeSlot::new(0)), other.get(TimeSlot::new(1))), (i64::MIN, 7));
    }
}
