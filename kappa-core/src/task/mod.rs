//! Tasks: one partition of one sub-topology.

mod calls;
mod output;
mod processor;

pub use calls::{CallPool, CallRunner, InlineCalls, RunningCall};
pub use output::{Output, OutputTopic};
pub use processor::{ProcessError, Program, SourceRecord, TaskProcessor, TaskScope};
