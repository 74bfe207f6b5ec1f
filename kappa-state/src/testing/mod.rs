//! Conformance suites for stores, and fault injection.
//!
//! A suite panics at the first rule that is broken, naming the rule, or the seed that shows it. Run them
//! from a test of the implementation: [`check_backend`] for the contract of
//! [`KeyValueStore`](crate::KeyValueStore) and [`StateBackend`], [`check_buffer`] for
//! that of [`ManagedStore`](crate::ManagedStore) over it, [`check_expiring`] for window and session stores.
// Code for tests, that lives here to be used by other crates' tests.
#![allow(clippy::unwrap_used)]

mod backend;
mod buffer;
mod expiring;
mod random;

pub use self::backend::{check_backend, contents};
pub use self::buffer::check_buffer;
pub use self::expiring::check_expiring;
pub use self::random::Random;
#[cfg(feature = "rocksdb")]
pub use crate::fault::{POINTS_PER_APPLY, abort_at_point};

use crate::StateBackend;

/// Opens the same place again and again; what an earlier backend wrote is there. The earlier one is
/// always dropped before.
pub type Place<'p> = dyn FnMut() -> Box<dyn StateBackend> + 'p;
