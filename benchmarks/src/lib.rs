//! The bench's parts: Nexmark's events, what the queries must give, and the runs themselves.
//!
//! With the feature `kafka` (the default) everything that talks to a broker; without it what needs none.

pub mod digest;
pub mod expected;
pub mod nexmark;

#[cfg(feature = "kafka")]
pub mod cluster;
#[cfg(feature = "kafka")]
pub mod harness;
#[cfg(feature = "kafka")]
pub mod loader;
#[cfg(feature = "kafka")]
pub mod pipe;
#[cfg(feature = "kafka")]
pub mod raw;
#[cfg(feature = "kafka")]
pub mod reading;
pub mod stats;
