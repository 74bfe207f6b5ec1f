//! What the rows of a parking store hold.

use super::ParkingCommand;
use crate::log::Headers;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    Totals(Totals),
    Command(Pending),
    Head(Head),
    Record(Record),
}

/// What is there, so that nothing has to be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) keys: u64,
    pub(super) records: u64,
    pub(super) first_command: u64,
    pub(super) next_command: u64,
}

/// A command that is not done yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// The key of the head up to which it is done; empty at first.
    pub(super) done_until: Vec<u8>,
    pub(super) command: ParkingCommand,
}

/// A parked key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// Number of its first record.
    pub(super) first: u64,
    /// Number of the record that is parked next.
    pub(super) next: u64,
    /// Where the first record comes from.
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// The operator it failed in; empty where it never got to one.
    pub(super) operator: String,
    pub(super) reason: String,
}

/// A parked record, without its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) headers: Headers,
    pub(super) value: Option<Vec<u8>>,
}

/// Why a record could not be processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) operator: String,
    pub(super) reason: String,
}
