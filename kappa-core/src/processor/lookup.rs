//! How a table's values are looked up, whether it is kept in a store or computed on reading.

use super::Cx;
use crate::record::Lazy;
use crate::task::ProcessError;
use crate::topology::{Assembly, StoreIndex};
use std::sync::Arc;

/// Takes what was found: the value with its timestamp, ms.
pub(crate) type Found<'f, V> = dyn FnMut(Option<(&V, i64)>) -> Result<(), ProcessError> + 'f;

/// Looks values up in a task (Kafka Streams: `KTableValueGetter`).
pub(crate) trait Getter<K, V>: Send {
    /// Calls `with` once, with the latest value of the key. `bytes` is the key as the table's codec writes it.
    fn get(
        &self,
        key: &Lazy<'_, K>,
        bytes: &[u8],
        cx: &mut Cx<'_>,
        with: &mut Found<'_, V>,
    ) -> Result<(), ProcessError>;

    /// As [`get`](Self::get), with the value that was valid at `as_of_ms` where the table keeps versions, else the latest.
    fn get_as_of(
        &self,
        key: &Lazy<'_, K>,
        bytes: &[u8],
        _as_of_ms: i64,
        cx: &mut Cx<'_>,
        with: &mut Found<'_, V>,
    ) -> Result<(), ProcessError> {
        self.get(key, bytes, cx, with)
    }
}

/// The value that was valid at `as_of_ms`, or the latest: one function for getters that are computed of another.
pub(crate) fn get_from<K, V>(
    getter: &dyn Getter<K, V>,
    (key, bytes): (&Lazy<'_, K>, &[u8]),
    as_of_ms: Option<i64>,
    cx: &mut Cx<'_>,
    with: &mut Found<'_, V>,
) -> Result<(), ProcessError> {
    match as_of_ms {
        Some(as_of_ms) => getter.get_as_of(key, bytes, as_of_ms, cx, with),
        None => getter.get(key, bytes, cx, with),
    }
}

/// A key, decoded.
pub(crate) fn decoded<'k, K: 'static>(key: &'k Lazy<'_, K>) -> Result<&'k K, ProcessError> {
    key.get().map_err(|error| ProcessError::Undecodable { part: "key", reason: error.reason })
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
    fn get(
        &self,
        _key: &Lazy<'_, K>,
        bytes: &[u8],
        cx: &mut Cx<'_>,
        with: &mut Found<'_, V>,
    ) -> Result<(), ProcessError> {
        if cx.state.reads_staged {
            let row = cx.store::<V>(self.slot).get_staged(bytes)?;
            return with(row.as_ref().map(|(value, at_ms)| (value, *at_ms)));
        }
        with(cx.store::<V>(self.slot).get(bytes)?)
    }
}
