//! The stores of a join of two streams.

use super::JoinWindows;
use crate::codec::{SharedCodec, bytes};
use crate::dsl::store;
use crate::processor::{Kept, Slot};
use crate::task::TaskScope;
use crate::topology::{Assembly, OpenAs, SharedGraph, Store, StoreIndex, StoreKind};
use kappa_state::{BufferOptions, BufferedStore, Held, HeldCodec, StateError, StoreId, WindowOptions, WindowStore};
use std::sync::Arc;

/// The store of one side: all its records, for as long as they may find a match.
pub(super) fn window_store<K: 'static, V: Send + 'static>(
    graph: &SharedGraph,
    name: &str,
    windows: JoinWindows,
    key: &SharedCodec<K>,
    value: &SharedCodec<V>,
) -> StoreIndex {
    let retention_ms = windows.retention_ms();
    let open = move |scope: &TaskScope<'_>, id: StoreId, _: OpenAs| -> Result<Box<dyn Slot>, StateError> {
        let options = WindowOptions {
            buffer: buffer(scope),
            retention_ms,
            segment_ms: windows.segment_ms(),
            retain_duplicates: true,
            held: false,
        };
        let behind = scope.state.open(&id)?;
        Ok(Box::new(WindowStore::<Held<V>>::open(id, behind, Arc::new(HeldCodec), options)?))
    };
    let plain = store(name, "join-window", None, key, value);
    let shape = format!("{} {retention_ms} {}", plain.shape, windows.segment_ms());
    let kind = StoreKind::Windowed { retention_ms, duplicates: true };
    graph.borrow_mut().add_store(Store { shape, kind, open: Arc::new(open), ..plain })
}

/// A store of bytes for records that wait; `of` says what they are.
pub(super) fn waiting_store<K: 'static>(
    graph: &SharedGraph,
    name: &str,
    key: &SharedCodec<K>,
    of: (&str, &str),
) -> StoreIndex {
    let open = |scope: &TaskScope<'_>, id: StoreId, _: OpenAs| -> Result<Box<dyn Slot>, StateError> {
        let behind = scope.state.open(&id)?;
        Ok(Box::new(BufferedStore::<Vec<u8>>::open(id, behind, Arc::new(bytes()), buffer(scope))?))
    };
    let plain = store(name, "join-waiting", None, key, &SharedCodec::new(bytes()));
    let shape = format!("{} {} {}", plain.shape, of.0, of.1);
    graph.borrow_mut().add_store(Store { shape, open: Arc::new(open), ..plain })
}

/// A side's store as the operators use it.
pub(super) fn kept<V>(assembly: &mut Assembly<'_>, store: StoreIndex, value: &SharedCodec<V>) -> Kept<V> {
    Kept {
        slot: assembly.slot(store).unwrap_or(usize::MAX),
        changelog: assembly.changelog(store),
        value: value.clone(),
    }
}

fn buffer(scope: &TaskScope<'_>) -> BufferOptions {
    BufferOptions { tail_bound: scope.tail_bound, cache_bytes: scope.cache_bytes_per_store, keep_old: false }
}
