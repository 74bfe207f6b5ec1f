//! Testing topologies without a log: [`TestDriver`] (Kafka Streams: `TopologyTestDriver`).

mod driver;
mod error;
mod queues;
mod store;
mod topics;
mod windows;
mod world;
mod written;

pub use driver::{TestDriver, TestOptions};
pub use error::TestError;
pub use store::TestStore;
pub use topics::{TestInput, TestOutput, TestRecord};
pub use windows::TestWindows;
pub use written::WrittenRecord;
