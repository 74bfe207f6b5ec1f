//! Tasks: one partition of one sub-topology.

mod calls;
mod global_scan;
mod globals;
mod output;
mod parking;
mod processor;

pub use calls::{CallPool, CallRunner, InlineCalls, RunningCall};
pub use globals::{GlobalRow, GlobalTable, Globals};
pub use output::{Output, OutputMark, OutputTopic};
pub use parking::ParkingCounts;
pub use processor::{ProcessError, Program, Rows, SourceRecord, TaskProcessor, TaskScope};
