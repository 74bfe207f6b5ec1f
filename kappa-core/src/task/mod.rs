//! Tasks: one partition of one sub-topology.

mod calls;
mod output;
mod processor;

pub use calls::{CallPool, CallRunner, InlineCalls, RunningCall};
pub use output::{Output, OutputMark, OutputTopic};
pub use processor::{ProcessError, Program, SourceRecord, TaskProcessor, TaskScope};
