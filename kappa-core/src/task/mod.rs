//! Tasks: one partition of one sub-topology.

mod output;
mod processor;

pub use output::{Output, OutputTopic};
pub use processor::{ProcessError, Program, SourceRecord, TaskProcessor, TaskScope};
