//! Parking: a record that fails, and every later one of its key, waits aside until it is released, so that the order of each key
//! survives. Declared by [`TopologyBuilder::park_failed_keys`](crate::topology::TopologyBuilder::park_failed_keys).
//!
//! Each sub-topology has a store of parked records, whose changelog is the parking topic, and a control topic of as many
//! partitions as it has tasks, from which it takes [commands](ParkingCommand). A task wrapped around the operators' one looks
//! after both, so that operators know nothing of it, and parking is as exact as any other state: rows, results and offsets are
//! in one transaction.
//!
//! **Invariants:**
//! - While any record of a key of a source is parked, every further one is parked behind it. Released ones leave in order, and the
//!   key is free only when none is left.
//! - A record that is parked has done nothing else: what it did before it failed was taken back.
//! - All that is known of parked records and of commands being worked on is in the store: a crash, move or restart changes nothing.
//! - Where a topology does not park, nothing of this is there.

mod command;
mod format;
mod list;
mod lot;
mod release;
mod remote;
mod row;
mod task;

pub use crate::task::ParkingCounts;
pub use command::{ParkedBytes, ParkingCommand};
pub use list::{ParkedKey, parked_keys};
pub use remote::{read_parked, send_commands};
pub(crate) use task::{Parking, wrap};
