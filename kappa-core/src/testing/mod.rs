//! Testing topologies without a log: [`TestDriver`] (Kafka Streams: `TopologyTestDriver`).

mod driver;
mod error;
mod globals;
mod parking;
mod queues;
mod recording;
mod store;
mod stored;
mod topics;
mod versioned;
mod windows;
mod world;
mod written;

pub use driver::{ChangelogRecord, TestDriver, TestOptions};
pub use error::TestError;
pub use recording::{Recorded, RecordedHeader, Recording};
pub use store::TestStore;
pub use topics::{TestInput, TestOutput, TestRecord};
pub use versioned::TestVersionedStore;
pub use windows::TestWindows;
pub use written::WrittenRecord;
