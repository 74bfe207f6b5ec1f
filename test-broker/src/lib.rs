//! Real Kafka brokers for tests, benchmarks and the demo, without Docker: the jars are fetched with Maven, the broker runs
//! on Java 17 or newer, one node is ready in a few seconds.
//!
//! - [`Broker`] starts a cluster of its own and can kill, pause and restart its nodes.
//! - [`harness`] hands a test the cluster that `cargo xtask test` has brought up, or says loudly why the test is skipped.
//! - [`jvm`] fetches Kafka Streams and compiles small Java programs, for tests that compare with it.
//! - [`probe`] asks a broker for its metadata in a few hand-made bytes, no client library involved.
//!
//! Plain std: `cargo xtask` is built on this crate and must itself build within seconds.

mod broker;
mod cache;
mod config;
mod error;
pub mod harness;
pub mod jvm;
mod node;
pub mod ports;
pub mod probe;
pub mod signal;
pub mod wait;

pub use broker::{Broker, Options};
pub use cache::{cache_dir, java_major, maven_present};
pub use config::{SASL_PASSWORD, SASL_USER};
pub use error::Error;

/// The Kafka version taken where none is named.
pub const DEFAULT_VERSION: &str = "4.3.0";

/// The older generation that the tests also pass on.
pub const OLDER_VERSION: &str = "3.9.1";
