//! What other threads see of a view.
//!
//! **Invariants:**
//! - Entries, version and revision are replaced together under one lock: nobody sees a mix of two versions.
//! - A snapshot never changes. While one is held, the next change copies the table once.

use crate::app::ApplicationId;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// A view's content at one moment, all of one version.
pub struct ViewSnapshot<K, V> {
    /// The version that made it.
    pub serving: ApplicationId,
    /// The view map's revision it answers for.
    pub revision: u64,
    /// The content.
    pub entries: Arc<BTreeMap<K, V>>,
}

impl<K, V> Clone for ViewSnapshot<K, V> {
    fn clone(&self) -> Self {
        Self { serving: self.serving.clone(), revision: self.revision, entries: Arc::clone(&self.entries) }
    }
}

impl<K, V> fmt::Debug for ViewSnapshot<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ViewSnapshot")
            .field("serving", &self.serving)
            .field("revision", &self.revision)
            .field("entries", &self.entries.len())
            .finish()
    }
}

/// Reads what a [`ViewReader`](super::ViewReader) holds, from any thread.
pub struct ViewHandle<K, V> {
    shared: Arc<RwLock<Option<ViewSnapshot<K, V>>>>,
}

impl<K, V> Clone for ViewHandle<K, V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> fmt::Debug for ViewHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ViewHandle").field(&self.snapshot()).finish()
    }
}

impl<K, V> ViewHandle<K, V> {
    pub(super) fn empty() -> Self {
        Self { shared: Arc::new(RwLock::new(None)) }
    }

    /// The whole content; `None` until the first version's is complete.
    pub fn snapshot(&self) -> Option<ViewSnapshot<K, V>> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The version that is served.
    pub fn serving(&self) -> Option<ApplicationId> {
        self.read(|snapshot| snapshot.serving.clone())
    }

    /// The view map's revision that is served; 0 before the first.
    pub fn revision(&self) -> u64 {
        self.read(|snapshot| snapshot.revision).unwrap_or(0)
    }

    fn read<T>(&self, read: impl FnOnce(&ViewSnapshot<K, V>) -> T) -> Option<T> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(read)
    }

    pub(super) fn replace(&self, snapshot: Option<ViewSnapshot<K, V>>) -> Option<ViewSnapshot<K, V>> {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *shared, snapshot)
    }

    pub(super) fn revise(&self, revision: u64) {
        if let Some(snapshot) = self.shared.write().unwrap_or_else(PoisonError::into_inner).as_mut() {
            snapshot.revision = revision;
        }
    }
}

impl<K: Ord + Clone, V: Clone> ViewHandle<K, V> {
    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<V> {
        self.read(|snapshot| snapshot.entries.get(key).cloned()).flatten()
    }

    /// Applies changes together; returns what each replaced.
    pub(super) fn apply(&self, changes: &[(K, Option<V>)]) -> Vec<Option<V>> {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let Some(snapshot) = shared.as_mut() else { return vec![None; changes.len()] };
        let entries = Arc::make_mut(&mut snapshot.entries);
        changes.iter().map(|(key, value)| super::table::put(entries, key, value)).collect()
    }
}
