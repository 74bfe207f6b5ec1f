//! State stores for kappa.
//!
//! A store belongs to one task. In front stands a write-back buffer of typed values
//! ([`BufferedStore`]); behind it a [`KeyValueStore`] of bytes, in memory or in RocksDB, that is written
//! in atomic steps of {data, changelog offset, operator time}. Nothing uncommitted ever reaches the
//! store behind: after a crash it is merely older, at a commit boundary, and the changelog's tail mends it.
//!
//! This crate knows no Kafka client.

mod buffer;
mod codec;
mod memory;
mod row;
mod store;

pub use buffer::{BufferOptions, BufferedStore, Visit};
pub use codec::{Codec, CodecError, CodecId};
pub use memory::MemoryBackend;
pub use store::{
    Change, Direction, Entry, KeyValueStore, Layer, ManagedStore, Mark, StateBackend, StateError, StoreCursor, StoreId,
    TailBound,
};
