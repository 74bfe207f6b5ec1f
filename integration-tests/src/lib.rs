//! What the tests against real brokers share.
//!
//! - [`harness`]: the cluster a test runs on, names of its own, a loud word when there is no cluster.
//! - [`wait`]: waiting on a condition with a deadline.
//! - [`process`]: a program under test as a process of its own: killed, frozen, continued, its log kept.
//! - [`random`]: seeded choices, the seed printed.
//! - [`exactly_once`]: an application, its input, and an oracle that knows every record the output may hold.
//! - [`oracle`]: kappa against Kafka Streams itself, scenario by scenario (no broker).
//! - [`partitions`]: operators through the whole runtime, on three partitions (no broker).
//! - [`pausing`]: a log whose user freezes itself at a chosen call.
//! - [`records`]: topics made, fed and read through the seam.
//! - [`totals`]: an application with a repartition and a store, what its results must be, and how it is started.
//!
//! A test begins like this:
//! ```no_run
//! use kappa_integration_tests::harness;
//!
//! # fn test() {
//! let Some(brokers) = harness::brokers() else { return };
//! let topic = harness::unique("orders");
//! # }
//! ```

pub mod exactly_once;
pub mod oracle;
pub mod partitions;
pub mod pausing;
pub mod process;
pub mod random;
pub mod records;
pub mod totals;

pub use kappa_test_broker::{Broker, Options, SASL_PASSWORD, SASL_USER, harness, probe, wait};
