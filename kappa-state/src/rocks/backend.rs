//! The database of a state directory.
//!
//! **Invariants:** the database is closed before the directory is unlocked; a store is open at most once.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rocksdb::Options;

use super::handle::{Db, Family};
use super::options::{self, MemoryBudget};
use super::rocks_error;
use super::store::RocksStore;
use crate::directory::{StateDirectory, io_error};
use crate::{KeyValueStore, StateBackend, StateError, StoreId};

/// Column family that RocksDB wants and nobody uses.
const DEFAULT_FAMILY: &str = "default";

/// What to open.
#[derive(Debug, Clone)]
pub struct RocksOptions {
    /// The state directory.
    pub path: PathBuf,
    /// Whose state it is, for example `flights-v2`.
    pub application_id: String,
    /// The fingerprint of the topology that reads and writes it.
    pub topology_fingerprint: String,
    /// The memory to share.
    pub memory: MemoryBudget,
}

/// Keeps stores in RocksDB, in a state directory. Clones share it.
#[derive(Debug, Clone)]
pub struct RocksBackend {
    shared: Arc<Shared>,
}

/// Whether somebody has a store open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Open,
    Closed,
}

/// What a backend and its stores share. Fields are dropped in order: the database, then the lock.
pub(super) struct Shared {
    db: Arc<Db>,
    store_options: Options,
    /// Those of the files that layers are written as.
    pub(super) layer_options: Options,
    stores: Mutex<BTreeMap<StoreId, Use>>,
    files: AtomicU64,
    directory: StateDirectory,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<StoreId, Use>> {
        // Only single operations on the map happen under the lock.
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn closed(&self, id: &StoreId) {
        if let Some(store) = self.lock().get_mut(id) {
            *store = Use::Closed;
        }
    }

    /// A name in `sst/` that no other layer of this process has.
    pub(super) fn new_file(&self) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        layers_in(self.directory.path()).join(format!("{number}.sst"))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("directory", &self.directory)
            .field("stores", &*self.lock())
            .finish_non_exhaustive()
    }
}

impl RocksBackend {
    /// Opens a state directory, creating it where it is not there.
    pub fn open(options: &RocksOptions) -> Result<Self, StateError> {
        let directory = StateDirectory::open(&options.path, &options.application_id, &options.topology_fingerprint)?;
        clean(&layers_in(&options.path))?;
        let path = options.path.join("db");
        let failed = |error: &rocksdb::Error| rocks_error(&path.display(), "opening the database", error);
        let database_options = options::database(&options.memory);
        let store_options = options::store(&options.memory);
        let mut names = vec![DEFAULT_FAMILY.to_owned()];
        // RocksDB's file that names the current manifest: without it there is no database yet.
        if path.join("CURRENT").exists() {
            names = Db::list_cf(&database_options, &path).map_err(|error| failed(&error))?;
        }
        let families = names.iter().map(|name| (name.as_str(), store_options.clone()));
        let db = Db::open_cf_with_opts(&database_options, &path, families).map_err(|error| failed(&error))?;
        let stores = names.iter().filter_map(|name| Some((store_id(name)?, Use::Closed))).collect();
        let layer_options = options::layer(&options.memory);
        let (stores, files) = (Mutex::new(stores), AtomicU64::new(0));
        let shared = Shared { db: Arc::new(db), store_options, layer_options, stores, files, directory };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The state directory's random name, which stays as long as it is there.
    pub fn identity(&self) -> &str {
        self.shared.directory.identity()
    }

    /// Waits until the files of all stores are merged as far as they should be: for measurements and tests.
    pub fn settle(&self) -> Result<(), StateError> {
        let options = rocksdb::WaitForCompactOptions::default();
        let outcome = self.shared.db.wait_for_compact(&options);
        outcome.map_err(|error| rocks_error(&self.shared.directory.path().display(), "merging files", &error))
    }

    /// Makes the column family of a store if there is none.
    fn family(&self, id: &StoreId) -> Result<Family, StateError> {
        let (shared, name) = (&self.shared, family_name(id));
        if let Some(family) = Family::of(&shared.db, &name) {
            return Ok(family);
        }
        let created = shared.db.create_cf(&name, &shared.store_options);
        created.map_err(|error| rocks_error(id, "creating the store", &error))?;
        Family::of(&shared.db, &name).ok_or_else(|| StateError::Io {
            store: id.to_string(),
            operation: "creating the store",
            reason: "its column family is not there".into(),
        })
    }
}

impl StateBackend for RocksBackend {
    fn open(&self, id: &StoreId) -> Result<Box<dyn KeyValueStore>, StateError> {
        // Held, so that two threads don't create it both.
        let mut stores = self.shared.lock();
        if stores.get(id) == Some(&Use::Open) {
            return Err(StateError::Misuse { store: id.to_string(), reason: "it is open already".into() });
        }
        let family = self.family(id)?;
        stores.insert(id.clone(), Use::Closed);
        let store = RocksStore::new(id.clone(), family, Arc::clone(&self.shared))?;
        stores.insert(id.clone(), Use::Open);
        Ok(Box::new(store))
    }

    fn stored(&self) -> Result<Vec<StoreId>, StateError> {
        Ok(self.shared.lock().keys().cloned().collect())
    }

    fn remove(&self, id: &StoreId) -> Result<(), StateError> {
        // Held, so that nobody opens it meanwhile.
        let mut stores = self.shared.lock();
        match stores.get(id) {
            None => return Ok(()),
            Some(Use::Closed) => {}
            Some(Use::Open) => {
                return Err(StateError::Misuse {
                    store: id.to_string(),
                    reason: "it is open and can't be removed".into(),
                });
            }
        }
        let dropped = self.shared.db.drop_cf(&family_name(id));
        dropped.map_err(|error| rocks_error(id, "removing the store", &error))?;
        stores.remove(id);
        Ok(())
    }
}

fn layers_in(path: &Path) -> PathBuf {
    path.join("sst")
}

/// What a crash left half-written goes.
fn clean(layers: &Path) -> Result<(), StateError> {
    let failed = |error: &std::io::Error| io_error(layers, "cleaning up", error);
    if layers.exists() {
        fs::remove_dir_all(layers).map_err(|error| failed(&error))?;
    }
    fs::create_dir_all(layers).map_err(|error| failed(&error))
}

/// `<task>/<store>`, each with all but letters, digits, `.`, `_` and `-` as `%` and two digits.
fn family_name(id: &StoreId) -> String {
    let mut name = String::new();
    escape(&id.task, &mut name);
    name.push('/');
    escape(&id.store, &mut name);
    name
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn store_id(family: &str) -> Option<StoreId> {
    let (task, store) = family.split_once('/')?;
    Some(StoreId { task: unescape(task)?, store: unescape(store)? })
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_store_comes_back() {
        for (task, store) in [("delays-3", "delays"), ("a/b", "%2F"), ("", ""), ("żółć", "new\nline")] {
            let id = StoreId { task: task.into(), store: store.into() };
            assert_eq!(store_id(&family_name(&id)), Some(id));
        }
        assert_eq!(family_name(&StoreId { task: "a/b".into(), store: "c".into() }), "a%2Fb/c");
        assert_eq!(store_id(DEFAULT_FAMILY), None);
    }
}
