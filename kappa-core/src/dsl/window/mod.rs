//! Aggregates over windows.

mod core;
mod fold;
mod session_fold;
mod sessions;
mod sliding;
mod table;
mod time;
mod windowed_by;

pub use sessions::SessionWindowedKStream;
pub use time::TimeWindowedKStream;
pub use windowed_by::Windows;
