//! The bench's parts: what the queries must give, and the runs themselves.
//!
//! With the feature `kafka` (the default) everything that talks to a broker; without it what needs none.

#[cfg(feature = "kafka")]
pub mod cluster;
#[cfg(feature = "kafka")]
pub mod drain;
pub mod expected;
#[cfg(feature = "rocksdb")]
pub mod guard;
#[cfg(feature = "kafka")]
pub mod harness;
#[cfg(feature = "kafka")]
pub mod live;
#[cfg(feature = "kafka")]
pub mod loader;
#[cfg(feature = "kafka")]
pub mod pieces;
#[cfg(feature = "kafka")]
pub mod pipe;
pub mod queries;
#[cfg(feature = "kafka")]
pub mod raw;
#[cfg(feature = "kafka")]
pub mod reading;
#[cfg(feature = "kafka")]
pub mod run;
#[cfg(feature = "kafka")]
pub mod state_keys;
pub mod stats;
pub mod synthetic;

pub use ::nexmark::{self, digest};
