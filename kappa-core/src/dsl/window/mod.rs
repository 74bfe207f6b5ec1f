//! Aggregates over windows.

mod cogrouped;
mod core;
mod fold;
mod session_fold;
mod sessions;
mod sliding;
mod stores;
mod table;
mod time;
mod windowed_by;

pub(crate) use cogrouped::{Over, Target, attach_rows, rows_result};
pub use cogrouped::{SessionWindowedCogroupedKStream, TimeWindowedCogroupedKStream};
pub use sessions::SessionWindowedKStream;
pub(crate) use stores::{session_processor_store, window_processor_store};
pub use time::TimeWindowedKStream;
pub use windowed_by::Windows;
