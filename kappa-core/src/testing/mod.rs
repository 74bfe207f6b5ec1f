//! Testing topologies without a log: [`TestDriver`] (Kafka Streams: `TopologyTestDriver`).

mod driver;
mod error;
mod topics;

pub use driver::{TestDriver, TestOptions};
pub use error::TestError;
pub use topics::{TestInput, TestOutput, TestRecord, TestStore};
