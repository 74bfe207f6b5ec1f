//! Stores on disk, in RocksDB.
//!
//! One database a state directory, one column family a store. Nothing is put into RocksDB's memtables:
//! a layer is written as one sorted file, the mark among its entries, and handed over ("ingested") by a
//! single step of RocksDB's manifest. No write-ahead log: what is committed and not yet in a file is in
//! the changelog. `FORMAT.md` has the layout.
//!
//! **Invariants:** a layer and its mark are in the same file; a file belongs to the database only after
//! it is whole and synced; `sst/` holds nothing anybody needs once a process is gone.

mod backend;
mod cursor;
mod handle;
mod options;
mod store;

pub use self::backend::{RocksBackend, RocksOptions};
pub use self::options::MemoryBudget;

use crate::StateError;

/// In front of every key of data.
const DATA: u8 = 1;
/// The key of the mark: before all data.
const MARK_KEY: &[u8] = &[0];

/// Sorts an error of RocksDB, which says most things in words.
fn rocks_error(store: &impl std::fmt::Display, operation: &'static str, error: &rocksdb::Error) -> StateError {
    let reason = error.to_string();
    let full = ["No space left", "Disk quota exceeded", "Max allowed space was reached"];
    if full.iter().any(|words| reason.contains(words)) {
        return StateError::DiskFull { store: store.to_string() };
    }
    StateError::Io { store: store.to_string(), operation, reason }
}
