//! A versioned store as a test reads it.

use super::TestError;
use super::world::World;
use crate::codec::SharedCodec;
use crate::topology::StoreKind;
use kappa_state::{
    BufferOptions, ManagedStore, MemoryBackend, StateBackend, StoreId, VersionedOptions, VersionedStore,
};
use std::fmt;
use std::sync::Arc;

/// A versioned store's committed contents, made of its changelogs.
pub struct TestVersionedStore<K, V: Send + 'static> {
    name: String,
    key: SharedCodec<K>,
    /// One a partition.
    stores: Vec<VersionedStore<V>>,
}

impl<K: 'static, V: Clone + Send + 'static> TestVersionedStore<K, V> {
    pub(super) fn new(
        world: &World,
        name: &str,
        key: SharedCodec<K>,
        value: &SharedCodec<V>,
    ) -> Result<Self, TestError> {
        let plans = world.topology.plan().sub_topologies.iter().flat_map(|sub| &sub.stores);
        let kinds = || {
            plans.clone().filter_map(|store| match store.kind {
                StoreKind::Versioned { history_ms } => Some((store.name.as_str(), history_ms)),
                _ => None,
            })
        };
        let Some((_, history_ms)) = kinds().find(|(candidate, _)| *candidate == name) else {
            let has: Vec<&str> = kinds().map(|(name, _)| name).collect();
            return Err(TestError::Unknown { what: "versioned store", name: name.to_owned(), has: has.join(", ") });
        };
        let options = VersionedOptions::of_history(history_ms, BufferOptions::default());
        let mut stores = Vec::new();
        for log in world.changelogs.get(name).into_iter().flat_map(|logs| logs.values()) {
            let id = StoreId { task: "test".to_owned(), store: name.to_owned() };
            let behind = MemoryBackend::new().open(&id)?;
            let mut store = VersionedStore::open(id, behind, Arc::clone(&value.codec), options)?;
            let mut records = log.iter().map(|row| (&*row.key, row.value.as_deref(), row.timestamp_ms));
            store.restore(&mut records, log.len() as i64)?;
            store.restored(log.len() as i64, &[])?;
            stores.push(store);
        }
        Ok(Self { name: name.to_owned(), key, stores })
    }

    /// The latest value of a key, and since when it is valid.
    pub fn get(&mut self, key: &K) -> Result<Option<(V, i64)>, TestError> {
        self.get_as_of(key, i64::MAX)
    }

    /// The value of a key that was valid at a time, and since when.
    pub fn get_as_of(&mut self, key: &K, as_of_ms: i64) -> Result<Option<(V, i64)>, TestError> {
        let mut bytes = Vec::new();
        self.key.codec.encode(key, &mut bytes).map_err(|error| TestError::codec(&self.name, error))?;
        for store in &mut self.stores {
            if let Some((value, since_ms)) = store.get_as_of(&bytes, as_of_ms)? {
                return Ok(Some((value.clone(), since_ms)));
            }
        }
        Ok(None)
    }
}

impl<K, V: Send + 'static> fmt::Debug for TestVersionedStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestVersionedStore").field(&self.name).finish()
    }
}
