//! Stores that processors read and only their own update writes.

use super::store::sealed::Sealed;
use super::{ConnectedStore, ProcessorStore, StoreHandle};
use crate::task::ProcessError;
use kappa_state::Direction;
use std::fmt;
use std::ops::ControlFlow;

/// Names a read-only store to processors: made by
/// [`TopologyBuilder::read_only_store`](crate::topology::TopologyBuilder::read_only_store), connected and resolved
/// ([`ProcessorContext::read_only_store`](super::ProcessorContext::read_only_store)) as other stores are. It can't be written by it.
pub struct ReadOnlyHandle<K, V>(pub(crate) StoreHandle<K, V>);

impl<K, V> Clone for ReadOnlyHandle<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> fmt::Debug for ReadOnlyHandle<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReadOnlyHandle").field(&self.0.name).finish()
    }
}

impl<K, V> Sealed for ReadOnlyHandle<K, V> {}

impl<K, V> ConnectedStore for ReadOnlyHandle<K, V> {
    fn index(&self) -> usize {
        self.0.index()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn is_read_only(&self) -> bool {
        true
    }
}

/// A read-only store, borrowed by a processor while it handles a record.
pub struct ProcessorReadOnlyStore<'s, K, V>(ProcessorStore<'s, K, V>);

impl<'s, K: 'static, V: Send + 'static> ProcessorReadOnlyStore<'s, K, V> {
    pub(crate) fn new(store: ProcessorStore<'s, K, V>) -> Self {
        Self(store)
    }

    /// The value of a key.
    pub fn get(&mut self, key: &K) -> Result<Option<&V>, ProcessError> {
        self.0.get(key)
    }

    /// The value of a key with its timestamp, ms.
    pub fn get_with_timestamp(&mut self, key: &K) -> Result<Option<(&V, i64)>, ProcessError> {
        self.0.get_with_timestamp(key)
    }

    /// As [`ProcessorStore::scan`].
    pub fn scan(
        &mut self,
        from: Option<&K>,
        to: Option<&K>,
        direction: Direction,
        visit: impl FnMut(K, &V, i64) -> ControlFlow<()>,
    ) -> Result<(), ProcessError> {
        self.0.scan(from, to, direction, visit)
    }
}

impl<K: 'static, V: Clone + Send + 'static> ProcessorReadOnlyStore<'_, K, V> {
    /// The entries of a range of keys, both ends included, in the order of the keys' bytes.
    pub fn range(&mut self, from: &K, to: &K) -> Result<Vec<(K, V)>, ProcessError> {
        self.0.range(from, to)
    }

    /// As [`range`](Self::range), from the last to the first.
    pub fn reverse_range(&mut self, from: &K, to: &K) -> Result<Vec<(K, V)>, ProcessError> {
        self.0.reverse_range(from, to)
    }

    /// All entries of the task's partition, in the order of the keys' bytes.
    pub fn all(&mut self) -> Result<Vec<(K, V)>, ProcessError> {
        self.0.all()
    }

    /// As [`all`](Self::all), from the last to the first.
    pub fn reverse_all(&mut self) -> Result<Vec<(K, V)>, ProcessError> {
        self.0.reverse_all()
    }

    /// The entries whose keys' bytes begin with `prefix`, in the order of the keys' bytes.
    pub fn prefix(&mut self, prefix: impl AsRef<[u8]>) -> Result<Vec<(K, V)>, ProcessError> {
        self.0.prefix(prefix)
    }
}

impl<K, V> fmt::Debug for ProcessorReadOnlyStore<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessorReadOnlyStore").field(&self.0).finish()
    }
}
