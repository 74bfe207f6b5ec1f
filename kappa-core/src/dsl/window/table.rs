//! The table that a windowed aggregate makes, with its store.

use super::core::{Aggregation, Core};
use crate::codec::SharedCodec;
use crate::dsl::{KStream, KTable, Known};
use crate::processor::{Cx, Emit, Found, Getter, Lookup, Receiver, Slot, Tick, Wanted, WindowRows, WindowTable};
use crate::task::{ProcessError, TaskScope};
use crate::topology::{Assembly, Kind, NodeId, OldValues, OpenAs, SharedGraph, Store, StoreIndex, StoreKind, erase};
use crate::window::Windowed;
use kappa_state::{
    BufferOptions, Session, SessionOptions, SessionStore, StateError, StoreId, WindowOptions, WindowStore,
};
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

/// A store of windows or sessions, as the builder makes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowStore {
    pub(crate) retention_ms: i64,
    pub(crate) segment_ms: i64,
    pub(crate) emit: Emit,
    /// How long after their end windows take late records; for sessions with the gap.
    pub(crate) grace_ms: i64,
    /// How long after a record's time the last window that has it closes, ms.
    pub(crate) closing_ms: i64,
    /// Windows close only when time is past their end, not when it is there.
    pub(crate) past_end: bool,
    /// How much longer rows stay where there is a cache, ms. Kafka Streams' operators see in theirs what has expired behind it; how
    /// long depends on what else is cached there, here it is as far back as an operator looks for a record that is not late.
    pub(crate) reach_ms: i64,
}

impl RowStore {
    /// Segments that suit scans by key: as long as Kafka Streams' are.
    pub(crate) fn segment_ms(retention_ms: i64) -> i64 {
        (retention_ms / 2).max(60_000)
    }

    /// How long rows are there for readers.
    fn shown_ms(&self, scope: &TaskScope<'_>) -> i64 {
        let reach_ms = if scope.cache_bytes_per_store > 0 { self.reach_ms } else { 0 };
        self.retention_ms.saturating_add(reach_ms)
    }

    pub(super) fn buffer(scope: &TaskScope<'_>, keep_old: bool) -> BufferOptions {
        BufferOptions { tail_bound: scope.tail_bound, cache_bytes: scope.cache_bytes_per_store, keep_old }
    }
}

/// Rows that can be opened and looked up: windows or sessions.
pub(crate) trait Rows<A>: WindowRows<A> {
    /// Bytes of the window in a result's key.
    const WINDOW: usize;

    /// Opens the store.
    fn open_rows(
        store: RowStore,
        codec: &SharedCodec<A>,
        scope: &TaskScope<'_>,
        id: StoreId,
        keep_old: bool,
    ) -> Result<Self, StateError>
    where
        Self: Sized;

    /// Looks up a row by the bytes of a result's key.
    fn row(&mut self, key: &[u8], window: &[u8]) -> Result<Option<(&A, i64)>, StateError>;
}

impl<A: Send + 'static> Rows<A> for WindowStore<A> {
    const WINDOW: usize = 8;

    fn open_rows(
        store: RowStore,
        codec: &SharedCodec<A>,
        scope: &TaskScope<'_>,
        id: StoreId,
        keep_old: bool,
    ) -> Result<Self, StateError> {
        let RowStore { segment_ms, emit, .. } = store;
        let retention_ms = store.shown_ms(scope);
        let buffer = RowStore::buffer(scope, keep_old);
        let held = emit == Emit::OnClose;
        let options = WindowOptions { buffer, retention_ms, segment_ms, held, retain_duplicates: false };
        let behind = scope.state.open(&id)?;
        Self::open(id, behind, Arc::clone(&codec.codec), options)
    }

    fn row(&mut self, key: &[u8], window: &[u8]) -> Result<Option<(&A, i64)>, StateError> {
        self.get(key, time(window))
    }
}

impl<A: Send + 'static> Rows<A> for SessionStore<A> {
    const WINDOW: usize = 16;

    fn open_rows(
        store: RowStore,
        codec: &SharedCodec<A>,
        scope: &TaskScope<'_>,
        id: StoreId,
        keep_old: bool,
    ) -> Result<Self, StateError> {
        let RowStore { segment_ms, emit, .. } = store;
        let retention_ms = store.shown_ms(scope);
        let buffer = RowStore::buffer(scope, keep_old);
        let options = SessionOptions { buffer, retention_ms, segment_ms, held: emit == Emit::OnClose };
        let behind = scope.state.open(&id)?;
        Self::open(id, behind, Arc::clone(&codec.codec), options)
    }

    fn row(&mut self, key: &[u8], window: &[u8]) -> Result<Option<(&A, i64)>, StateError> {
        self.get(key, Session { end_ms: time(window), start_ms: time(&window[8..]) })
    }
}

fn time(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |time| i64::from_be_bytes(*time))
}

/// A table being defined: name, operator, codecs and store.
pub(crate) struct Definition<K, A> {
    pub(crate) name: String,
    pub(crate) operator: String,
    pub(crate) key: SharedCodec<K>,
    pub(crate) windowed: SharedCodec<Windowed<K>>,
    pub(crate) value: SharedCodec<A>,
    pub(crate) store: RowStore,
}

/// Makes the table of an aggregate; `receiver` makes its operator from the parts all have.
pub(crate) fn windowed_table<
    K: 'static,
    V: 'static,
    A: Send + 'static,
    S: Rows<A>,
    R: Receiver<K, V> + Tick + 'static,
>(
    input: &KStream<K, V>,
    definition: Definition<K, A>,
    aggregation: Aggregation<K, V, A>,
    receiver: impl Fn(Core<K, V, A, S>) -> R + Send + Sync + 'static,
) -> KTable<Windowed<K>, A> {
    let graph = Rc::clone(&input.graph);
    let index = graph.borrow().stores.len();
    let Definition { name, operator, key, windowed, value, store } = definition;
    let (node_key, node_windowed, node_value) = (key.clone(), windowed.clone(), value.clone());
    let make = move |assembly: &mut Assembly<'_>, node| {
        let operator = |assembly: &mut Assembly<'_>| {
            let table = window_table::<K, A, S>(assembly, node, index, &node_windowed, &node_value, store.emit);
            receiver(Core::new(assembly, node, node, table, node_key.clone(), aggregation.clone()))
        };
        if store.emit == Emit::OnClose {
            assembly.tick(node, operator);
        }
        erase::<K, V>(operator(assembly))
    };
    let node = graph.borrow_mut().add(&name, &operator, &[input.node], Kind::Operator, Arc::new(make));
    graph.borrow_mut().folds.push((node, store.past_end));
    add_rows::<K, A, S>(&graph, &name, &operator, node, &windowed, &value, store);
    result::<K, A, S>(&graph, node, index, windowed, value)
}

/// Adds the store of a windowed table.
pub(crate) fn add_rows<K: 'static, A: Send + 'static, S: Rows<A>>(
    graph: &SharedGraph,
    name: &str,
    operator: &str,
    owner: NodeId,
    windowed: &SharedCodec<Windowed<K>>,
    value: &SharedCodec<A>,
    rows: RowStore,
) {
    let codec = value.clone();
    let open = move |scope: &TaskScope<'_>, id: StoreId, open_as: OpenAs| -> Result<Box<dyn Slot>, StateError> {
        Ok(Box::new(S::open_rows(rows, &codec, scope, id, open_as.keep_old)?))
    };
    let store = Store {
        from_topic: None,
        name: name.to_owned(),
        shape: format!("{operator} {} {} kept {} ms", windowed.name, value.name, rows.retention_ms),
        owner: Some(owner),
        needed: true,
        table_of: None,
        kind: StoreKind::Windowed { retention_ms: rows.retention_ms, duplicates: false },
        open: Arc::new(open),
        flush: None,
    };
    let mut graph = graph.borrow_mut();
    let index = graph.add_store(store);
    graph.graces.push((owner, rows.grace_ms));
    graph.closings.push((owner, rows.closing_ms));
    if rows.emit == Emit::OnClose {
        graph.holds_back(owner, rows.closing_ms);
    }
    graph.nodes[owner].stores.push(index);
    graph.nodes[owner].old_values = OldValues::Store(index);
}

/// The handle of the table that `node` makes.
pub(crate) fn result<K: 'static, A: Send + 'static, S: Rows<A>>(
    graph: &SharedGraph,
    node: NodeId,
    store: StoreIndex,
    windowed: SharedCodec<Windowed<K>>,
    value: SharedCodec<A>,
) -> KTable<Windowed<K>, A> {
    let graph = Rc::clone(graph);
    let key = Known::Codec(windowed.clone());
    let stream = KStream { graph, node, key, value: Known::Codec(value), rekeyed: false };
    KTable { stream, lookup: in_rows::<K, A, S>(store), key: windowed }
}

/// The table in a task, flushed with it.
pub(crate) fn window_table<K: 'static, A: Send + 'static, S: WindowRows<A>>(
    assembly: &mut Assembly<'_>,
    node: NodeId,
    store: StoreIndex,
    key: &SharedCodec<Windowed<K>>,
    value: &SharedCodec<A>,
    emit: Emit,
) -> WindowTable<K, A, S> {
    let Some(slot) = assembly.slot(store) else { unreachable!("the store of an aggregate is always needed") };
    let table = WindowTable {
        name: assembly.name(node),
        slot,
        changelog: assembly.changelog(store),
        key: key.clone(),
        value: value.clone(),
        next: assembly.joint_of_children(node),
        read_downstream: assembly.is_read_downstream(node, store),
        sends_old: assembly.sends_old(node),
        emit,
        store: PhantomData,
    };
    assembly.flush_once(node, table.clone());
    table
}

/// Values are looked up in the store of rows itself.
fn in_rows<K: 'static, A: Send + 'static, S: Rows<A>>(store: StoreIndex) -> Lookup<Windowed<K>, A> {
    let make = move |assembly: &Assembly<'_>| -> Box<dyn Getter<Windowed<K>, A>> {
        Box::new(RowGetter { slot: assembly.slot(store).unwrap_or(usize::MAX), store: PhantomData::<fn(S)> })
    };
    Lookup { stores: vec![store], history_ms: None, make: Arc::new(make) }
}

struct RowGetter<S> {
    slot: usize,
    store: PhantomData<fn(S)>,
}

impl<K, A: Send + 'static, S: Rows<A>> Getter<K, A> for RowGetter<S> {
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, A>) -> Result<(), ProcessError> {
        let (key, window) = wanted.bytes.split_at(wanted.bytes.len().saturating_sub(S::WINDOW));
        with(cx.typed::<S>(self.slot).0.row(key, window)?)
    }
}
