//! The parked records of a task and the commands that wait, in their store.
//!
//! **Invariants:**
//! - The totals are what the other rows add up to, and there is a head for every key that has records, numbered without gap.
//! - `totals` is what the store says, or not known: after an abort it is looked up again.

use super::format::{PARKED, TOTALS_KEY, command_key, parts, row_key};
use super::row::{Cause, Head, Pending, Record, Row, Totals};
use kappa_state::{BufferedStore, Direction, ManagedStore, StateError};
use std::ops::{Bound, ControlFlow};

pub(super) struct Lot {
    pub(super) store: BufferedStore<Row>,
    totals: Option<Totals>,
}

impl Lot {
    pub(super) fn new(store: BufferedStore<Row>) -> Self {
        Self { store, totals: None }
    }

    /// The store is as of the last commit again.
    pub(super) fn forget(&mut self) {
        self.totals = None;
    }

    /// The totals as they were last looked up.
    pub(super) fn known_totals(&self) -> Option<Totals> {
        self.totals
    }

    pub(super) fn totals(&mut self) -> Result<Totals, StateError> {
        if let Some(totals) = self.totals {
            return Ok(totals);
        }
        let totals = match self.store.get(TOTALS_KEY)? {
            None => Totals::default(),
            Some((Row::Totals(totals), _)) => *totals,
            Some(_) => return Err(self.wrong("the totals")),
        };
        self.totals = Some(totals);
        Ok(totals)
    }

    fn change_totals(&mut self, change: impl FnOnce(&mut Totals)) -> Result<(), StateError> {
        let mut totals = self.totals()?;
        change(&mut totals);
        self.totals = Some(totals);
        self.store.put(TOTALS_KEY, Some(Row::Totals(totals)), 0)
    }

    /// Whether the key whose rows begin with `prefix` is parked.
    pub(super) fn is_parked(&mut self, prefix: &[u8]) -> Result<bool, StateError> {
        Ok(self.store.get(&row_key(prefix, 0))?.is_some())
    }

    fn head(&mut self, prefix: &[u8]) -> Result<Option<Head>, StateError> {
        match self.store.get(&row_key(prefix, 0))? {
            None => Ok(None),
            Some((Row::Head(head), _)) => Ok(Some(head.clone())),
            Some(_) => Err(self.wrong("a head")),
        }
    }

    /// Parks a record behind those of its key, or as the first one, for which `cause` says why. Says whether it is the first.
    pub(super) fn park(
        &mut self,
        prefix: &[u8],
        record: Record,
        cause: impl FnOnce() -> Cause,
    ) -> Result<bool, StateError> {
        let (timestamp_ms, partition, offset) = (record.timestamp_ms.max(0), record.partition, record.offset);
        let known = self.head(prefix)?;
        let is_first = known.is_none();
        let mut head = known.unwrap_or_else(|| {
            let Cause { operator, reason } = cause();
            Head { first: 1, next: 1, partition, offset, operator, reason }
        });
        self.store.put(&row_key(prefix, head.next), Some(Row::Record(record)), timestamp_ms)?;
        head.next += 1;
        self.store.put(&row_key(prefix, 0), Some(Row::Head(head)), timestamp_ms)?;
        self.change_totals(|totals| {
            totals.keys += u64::from(is_first);
            totals.records += 1;
        })?;
        Ok(is_first)
    }

    /// The first record of a parked key.
    pub(super) fn first(&mut self, prefix: &[u8]) -> Result<Option<Record>, StateError> {
        let Some(head) = self.head(prefix)? else { return Ok(None) };
        self.record(prefix, head.first).map(Some)
    }

    fn record(&mut self, prefix: &[u8], number: u64) -> Result<Record, StateError> {
        match self.store.get(&row_key(prefix, number))? {
            Some((Row::Record(record), _)) => Ok(record.clone()),
            _ => Err(self.wrong("a record")),
        }
    }

    /// The first record of a parked key is no longer parked.
    pub(super) fn remove_first(&mut self, prefix: &[u8]) -> Result<(), StateError> {
        let Some(mut head) = self.head(prefix)? else { return Ok(()) };
        self.store.put(&row_key(prefix, head.first), None, 0)?;
        head.first += 1;
        let is_last = head.first == head.next;
        let head = match is_last {
            true => None,
            false => {
                let Record { partition, offset, .. } = self.record(prefix, head.first)?;
                let (operator, reason) =
                    (String::new(), "the record before it is gone; it waits for its release".to_owned());
                Some(Row::Head(Head { partition, offset, operator, reason, ..head }))
            }
        };
        self.store.put(&row_key(prefix, 0), head, 0)?;
        self.change_totals(|totals| {
            totals.keys -= u64::from(is_last);
            totals.records -= 1;
        })
    }

    /// The first record of a parked key stays, for another reason.
    pub(super) fn fails_again(&mut self, prefix: &[u8], cause: Cause) -> Result<(), StateError> {
        let Some(head) = self.head(prefix)? else { return Ok(()) };
        let Cause { operator, reason } = cause;
        self.store.put(&row_key(prefix, 0), Some(Row::Head(Head { operator, reason, ..head })), 0)
    }

    /// What the rows of the first parked key behind `done_until` (a prefix; empty: of the first of all) begin with.
    pub(super) fn next_key(&mut self, done_until: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        let mut found = None;
        let behind = row_key(done_until, u64::MAX);
        let from = if done_until.is_empty() { Bound::Included(&[PARKED][..]) } else { Bound::Excluded(&behind[..]) };
        self.store.scan(from, Bound::Unbounded, Direction::Forward, &mut |key, _, _| {
            found = parts(key).map(|_| key[..key.len() - 8].to_vec());
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    /// A command comes in.
    pub(super) fn add(&mut self, pending: Pending) -> Result<(), StateError> {
        let number = self.totals()?.next_command;
        self.keep(number, pending)?;
        self.change_totals(|totals| totals.next_command += 1)
    }

    /// The oldest command, with its number.
    pub(super) fn command(&mut self) -> Result<Option<(u64, Pending)>, StateError> {
        let Totals { first_command, next_command, .. } = self.totals()?;
        if first_command == next_command {
            return Ok(None);
        }
        match self.store.get(&command_key(first_command))? {
            Some((Row::Command(pending), _)) => Ok(Some((first_command, pending.clone()))),
            _ => Err(self.wrong("a command")),
        }
    }

    /// A command has come so far.
    pub(super) fn keep(&mut self, number: u64, pending: Pending) -> Result<(), StateError> {
        self.store.put(&command_key(number), Some(Row::Command(pending)), 0)
    }

    /// The oldest command is done.
    pub(super) fn done(&mut self, number: u64) -> Result<(), StateError> {
        self.store.put(&command_key(number), None, 0)?;
        self.change_totals(|totals| totals.first_command = number + 1)
    }

    fn wrong(&self, what: &str) -> StateError {
        let reason = format!("where {what} should be there is none");
        StateError::Decode { store: self.store.id().to_string(), reason }
    }
}
