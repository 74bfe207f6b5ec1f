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
mod directory;
#[cfg(feature = "rocksdb")]
mod fault;
mod held;
mod memory;
mod range;
#[cfg(feature = "rocksdb")]
mod rocks;
mod row;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod versioned;
mod window;

pub use buffer::{BufferOptions, BufferedStore, PrefixLen, Visit};
pub use codec::{Codec, CodecError, CodecId};
pub use directory::StateDirectory;
pub use held::{Held, HeldCodec};
pub use memory::MemoryBackend;
pub use range::{is_empty_range, prefix_end};
#[cfg(feature = "rocksdb")]
pub use rocks::{MemoryBudget, RocksBackend, RocksOptions};
pub use store::{
    Change, Direction, Entries, Entry, KeyValueStore, Layer, ManagedStore, Mark, PrepareLayer, PreparedLayer, Reached,
    RestoringBytes, StateBackend, StateError, StoreCursor, StoreId, TailBound,
};
pub use versioned::{Deleted, Put, VersionedOptions, VersionedStore};
pub use window::{Session, SessionOptions, SessionStore, WindowOptions, WindowStore};
