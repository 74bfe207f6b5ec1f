//! How a table's values are looked up, whether it is kept in a store or computed on reading.

use super::Cx;
use crate::record::Lazy;
use crate::task::ProcessError;
use crate::topology::{Assembly, StoreIndex};
use std::sync::Arc;

/// Takes what was found: the value with its timestamp, ms.
pub(crate) type Found<'f, V> = dyn FnMut(Option<(&V, i64)>) -> Result<(), ProcessError> + 'f;

/// What is looked up in a table.
pub(crate) struct Wanted<'w, 'r, K> {
    /// The key, decoded when first looked at.
    pub(crate) key: &'w Lazy<'r, K>,
    /// The key as the table's codec writes it.
    pub(crate) bytes: &'w [u8],
    /// The time at which the value was valid, ms, where the table keeps versions; `None` for the latest.
    pub(crate) as_of_ms: Option<i64>,
}

impl<K> Clone for Wanted<'_, '_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Wanted<'_, '_, K> {}

impl<'w, 'r, K: 'static> Wanted<'w, 'r, K> {
    /// The latest value of a key.
    pub(crate) fn latest(key: &'w Lazy<'r, K>, bytes: &'w [u8]) -> Self {
        Self { key, bytes, as_of_ms: None }
    }

    /// The key, decoded.
    pub(crate) fn key(&self) -> Result<&'w K, ProcessError> {
        self.key.get().map_err(|error| ProcessError::Undecodable { part: "key", reason: error.reason })
    }
}

/// Looks values up in a task (Kafka Streams: `KTableValueGetter`).
pub(crate) trait Getter<K, V>: Send {
    /// Calls `with` once, with the value that is wanted. A table that keeps no versions gives the latest, whatever the time.
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, V>) -> Result<(), ProcessError>;
}

type Make<K, V> = Arc<dyn Fn(&Assembly<'_>) -> Box<dyn Getter<K, V>> + Send + Sync>;

/// How a table's values are looked up: the stores it takes, and how to make the getter in a task.
pub(crate) struct Lookup<K, V> {
    /// The stores that must be there for it.
    pub(crate) stores: Vec<StoreIndex>,
    /// How long versions are kept, ms; `None` for a table that keeps only the latest.
    pub(crate) history_ms: Option<i64>,
    pub(crate) make: Make<K, V>,
}

impl<K, V> Clone for Lookup<K, V> {
    fn clone(&self) -> Self {
        Self { stores: self.stores.clone(), history_ms: self.history_ms, make: Arc::clone(&self.make) }
    }
}

impl<K: 'static, V: 'static> Lookup<K, V> {
    /// Computed on reading, of what this finds.
    pub(crate) fn computed<V2, G: Getter<K, V2> + 'static>(
        &self,
        wrap: impl Fn(Box<dyn Getter<K, V>>, &Assembly<'_>) -> G + Send + Sync + 'static,
    ) -> Lookup<K, V2> {
        let make = Arc::clone(&self.make);
        let make =
            move |assembly: &Assembly<'_>| -> Box<dyn Getter<K, V2>> { Box::new(wrap(make(assembly), assembly)) };
        Lookup { stores: self.stores.clone(), history_ms: self.history_ms, make: Arc::new(make) }
    }
}

impl<K: 'static, V: Send + 'static> Lookup<K, V> {
    /// In a store of the table's own.
    pub(crate) fn in_store(store: StoreIndex) -> Self {
        let make = move |assembly: &Assembly<'_>| -> Box<dyn Getter<K, V>> {
            Box::new(StoreGetter { slot: assembly.slot(store).unwrap_or(usize::MAX) })
        };
        Self { stores: vec![store], history_ms: None, make: Arc::new(make) }
    }
}

struct StoreGetter {
    slot: usize,
}

impl<K, V: Send + 'static> Getter<K, V> for StoreGetter {
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, V>) -> Result<(), ProcessError> {
        let bytes = wanted.bytes;
        if cx.state.reads_staged {
            let row = cx.store::<V>(self.slot).get_staged(bytes)?;
            return with(row.as_ref().map(|(value, at_ms)| (value, *at_ms)));
        }
        with(cx.store::<V>(self.slot).get(bytes)?)
    }
}
