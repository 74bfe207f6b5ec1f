//! Stream processing on Kafka where a new version of an application is a replay of the log.

pub mod app;
pub mod codec;
pub mod deploy;
pub mod dsl;
mod error;
pub mod log;
pub mod parking;
pub mod partitioner;
pub mod processor;
pub mod record;
pub mod registry;
pub mod runtime;
mod tail;
pub mod task;
pub mod testing;
pub mod topology;
pub mod view;
pub mod window;

pub use app::{App, Version};
pub use error::Error;
pub use runtime::{Runtime, Settings};
pub use topology::{Topology, TopologyError};

/// The README's program is compiled with the documentation's examples.
#[cfg(all(doctest, feature = "kafka"))]
#[doc = include_str!("../../README.md")]
mod readme {}

/// So is the one for those who know Kafka Streams.
#[cfg(doctest)]
#[doc = include_str!("../../docs/operators.md")]
mod operators {}
