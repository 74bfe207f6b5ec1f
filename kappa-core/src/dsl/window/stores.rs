//! Window and session stores for processors.

use super::table::RowStore;
use crate::codec::SharedCodec;
use crate::dsl::store;
use crate::processor::{LogChanges, SessionHandle, Slot, StoredWindows, WindowHandle};
use crate::task::TaskScope;
use crate::topology::{Assembly, OpenAs, SharedGraph, Store, StoreIndex, StoreKind, TopologyError};
use kappa_state::{SessionOptions, SessionStore, StateError, StoreId, WindowOptions, WindowStore};
use std::sync::Arc;

/// A window store that only processors write.
pub(crate) fn window_processor_store<K: 'static, V: Send + 'static>(
    graph: &SharedGraph,
    name: &str,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    windows: StoredWindows,
) -> WindowHandle<K, V> {
    let StoredWindows { size_ms, retention_ms, retain_duplicates } = windows;
    if size_ms < 1 || retention_ms < size_ms {
        refuse(graph, "window", name, "windows are 1 ms or longer, and kept for as long as they are at least");
    }
    let codec = Arc::clone(&value.codec);
    let open = move |scope: &TaskScope<'_>, id: StoreId, _: OpenAs| -> Result<Box<dyn Slot>, StateError> {
        let (buffer, segment_ms) = (RowStore::buffer(scope, false), RowStore::segment_ms(retention_ms));
        let options = WindowOptions { buffer, retention_ms, segment_ms, retain_duplicates, held: false };
        let behind = scope.state.open(&id)?;
        Ok(Box::new(WindowStore::open(id, behind, Arc::clone(&codec), options)?))
    };
    let plain = store(name, "windows", None, &key, &value);
    let duplicates = if retain_duplicates { " duplicates" } else { "" };
    let shape = format!("{} of {size_ms} ms kept {retention_ms} ms{duplicates}", plain.shape);
    let kind = StoreKind::Windowed { retention_ms, duplicates: retain_duplicates };
    let store = Store { shape, kind, open: Arc::new(open), ..plain };
    WindowHandle::new(add::<WindowStore<V>>(graph, store), name, key, windows)
}

/// A session store that only processors write.
pub(crate) fn session_processor_store<K: 'static, V: Send + 'static>(
    graph: &SharedGraph,
    name: &str,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    retention_ms: i64,
) -> SessionHandle<K, V> {
    if retention_ms < 0 {
        refuse(graph, "session", name, "sessions are kept for 0 ms or longer");
    }
    let codec = Arc::clone(&value.codec);
    let open = move |scope: &TaskScope<'_>, id: StoreId, _: OpenAs| -> Result<Box<dyn Slot>, StateError> {
        let (buffer, segment_ms) = (RowStore::buffer(scope, false), RowStore::segment_ms(retention_ms));
        let options = SessionOptions { buffer, retention_ms, segment_ms, held: false };
        let behind = scope.state.open(&id)?;
        Ok(Box::new(SessionStore::open(id, behind, Arc::clone(&codec), options)?))
    };
    let plain = store(name, "sessions", None, &key, &value);
    let shape = format!("{} kept {retention_ms} ms", plain.shape);
    let kind = StoreKind::Windowed { retention_ms, duplicates: false };
    let store = Store { shape, kind, open: Arc::new(open), ..plain };
    SessionHandle::new(add::<SessionStore<V>>(graph, store), name, key)
}

/// Adds a store that is logged after all tables, where something needs it.
fn add<S: LogChanges + 'static>(graph: &SharedGraph, store: Store) -> StoreIndex {
    let flush = Arc::new(|assembly: &mut Assembly<'_>, index| {
        let order = assembly.after_all(index);
        assembly.log_changes::<S>(order, index);
    });
    graph.borrow_mut().add_store(Store { needed: false, flush: Some(flush), ..store })
}

fn refuse(graph: &SharedGraph, kind: &str, name: &str, reason: &str) {
    let operator = format!("{kind}_store({name})");
    graph.borrow_mut().errors.push(TopologyError::BadTime { operator, reason: reason.to_owned() });
}
