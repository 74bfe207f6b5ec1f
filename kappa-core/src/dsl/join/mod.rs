//! Joins: of a stream with a table, of two streams.

mod grace;
mod sides;
mod stream;
mod table;
mod windows;

pub use windows::JoinWindows;
