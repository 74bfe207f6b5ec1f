//! Several streams folded into one table of windows.

use super::core::{Aggregation, Core};
use super::fold::TimeFold;
use super::session_fold::{Merger, SessionFold};
use super::sessions::{in_sessions, merging};
use super::sliding::SlidingFold;
use super::table::{add_rows, result, window_table};
use super::time::TimeKind;
use crate::codec::{Codec, SharedCodec, shared_session_windowed, shared_time_windowed};
use crate::dsl::aggregate::look;
use crate::dsl::cogroup::CogroupAggregator;
use crate::dsl::{CogroupedKStream, KStream, KTable};
use crate::processor::Emit;
use crate::record::Record;
use crate::topology::{Assembly, Kind, NodeId, SharedGraph, StoreIndex, erase};
use crate::window::{SessionWindows, Windowed};
use kappa_state::{SessionStore, WindowStore};
use std::fmt;
use std::sync::Arc;

/// What the streams' records are folded over.
pub(crate) enum Over<K, A> {
    /// Their keys.
    Keys,
    /// Windows of time.
    Time(TimeKind, SharedCodec<Windowed<K>>),
    /// Sessions.
    Sessions(SessionWindows, SharedCodec<Windowed<K>>, Merger<K, A>),
}

impl<K, A> Clone for Over<K, A> {
    fn clone(&self) -> Self {
        match self {
            Self::Keys => Self::Keys,
            Self::Time(kind, key) => Self::Time(*kind, key.clone()),
            Self::Sessions(windows, key, merger) => Self::Sessions(*windows, key.clone(), Arc::clone(merger)),
        }
    }
}

/// The table that the streams' operators write.
pub(crate) struct Target<K, A> {
    pub(crate) index: StoreIndex,
    pub(crate) key: SharedCodec<K>,
    pub(crate) value: SharedCodec<A>,
    pub(crate) initial: Arc<dyn Fn() -> A + Send + Sync>,
    pub(crate) over: Over<K, A>,
}

impl<K, A> Clone for Target<K, A> {
    fn clone(&self) -> Self {
        Self {
            index: self.index,
            key: self.key.clone(),
            value: self.value.clone(),
            initial: Arc::clone(&self.initial),
            over: self.over.clone(),
        }
    }
}

/// Adds the operator that takes a stream's records into the windowed table of node `merged`.
pub(crate) fn attach_rows<K: 'static, V: 'static, A: Send + 'static>(
    stream: &KStream<K, V>,
    name: &str,
    merged: NodeId,
    target: &Target<K, A>,
    aggregator: CogroupAggregator<K, V, A>,
) -> NodeId {
    let Target { index, key, value, initial, over } = target.clone();
    let step = move |record: &Record<'_, K, V>, old: Option<A>| {
        let (Some(value), Some(old)) = (record.value()?, old) else { return Ok(None) };
        Ok(aggregator(record.key()?, value, old))
    };
    let aggregation =
        Aggregation { initial: Arc::new(move || Some(initial())), step: Arc::new(step), look: Some(look) };
    let past_end = !matches!(over, Over::Time(TimeKind::Time(_), _));
    let make = move |assembly: &mut Assembly<'_>, node| {
        let (key, aggregation) = (key.clone(), aggregation.clone());
        match &over {
            Over::Keys => unreachable!("without windows the operator is another"),
            Over::Time(kind, windowed) => {
                let table =
                    window_table::<K, A, WindowStore<A>>(assembly, merged, index, windowed, &value, Emit::OnUpdate);
                let core = Core::new(assembly, node, merged, table, key, aggregation);
                match *kind {
                    TimeKind::Time(windows) => erase::<K, V>(TimeFold { core, windows }),
                    TimeKind::Sliding(windows) => erase::<K, V>(SlidingFold { core, windows }),
                }
            }
            Over::Sessions(windows, windowed, merger) => {
                let table =
                    window_table::<K, A, SessionStore<A>>(assembly, merged, index, windowed, &value, Emit::OnUpdate);
                let core = Core::new(assembly, node, merged, table, key, aggregation);
                erase::<K, V>(SessionFold { core, windows: *windows, merger: Arc::clone(merger) })
            }
        }
    };
    let mut graph = stream.graph.borrow_mut();
    let node = graph.add(name, "cogroup", &[stream.node], Kind::Operator, Arc::new(make));
    graph.folds.push((node, past_end));
    node
}

/// Adds the store of the windowed table of node `merged`, and gives back its handle.
pub(crate) fn rows_result<K: 'static, A: Send + 'static>(
    graph: &SharedGraph,
    name: &str,
    merged: NodeId,
    index: StoreIndex,
    over: &Over<K, A>,
    value: SharedCodec<A>,
) -> KTable<Windowed<K>, A> {
    match over {
        Over::Keys => unreachable!("without windows the table is another"),
        Over::Time(kind, windowed) => {
            let store = kind.store(Emit::OnUpdate, kind.least_retention_ms());
            add_rows::<K, A, WindowStore<A>>(graph, name, "cogroup", merged, windowed, &value, store);
            result::<K, A, WindowStore<A>>(graph, merged, index, windowed.clone(), value)
        }
        Over::Sessions(windows, windowed, _) => {
            let retention_ms = windows.gap_ms.saturating_add(windows.grace_ms);
            let store = in_sessions(*windows, Emit::OnUpdate, retention_ms);
            add_rows::<K, A, SessionStore<A>>(graph, name, "cogroup", merged, windowed, &value, store);
            result::<K, A, SessionStore<A>>(graph, merged, index, windowed.clone(), value)
        }
    }
}

/// Cogrouped streams in windows of time (Kafka Streams: `TimeWindowedCogroupedKStream`).
#[must_use = "windows alone do nothing: aggregate"]
pub struct TimeWindowedCogroupedKStream<K, A> {
    pub(super) cogrouped: CogroupedKStream<K, A>,
    pub(super) kind: TimeKind,
}

impl<K: 'static, A: Send + 'static> TimeWindowedCogroupedKStream<K, A> {
    /// The table of what the streams' records of each key make together in each window, kept in store `name`: see
    /// [`CogroupedKStream::aggregate`].
    pub fn aggregate(
        &self,
        name: &str,
        codec: impl Codec<A>,
        initializer: impl Fn() -> A + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        let kind = self.kind;
        let over = move |key: &SharedCodec<K>| Over::Time(kind, shared_time_windowed(key, kind.size_ms()));
        self.cogrouped.windowed(name, SharedCodec::new(codec), Arc::new(initializer), over)
    }
}

/// Cogrouped streams in sessions (Kafka Streams: `SessionWindowedCogroupedKStream`).
#[must_use = "sessions alone do nothing: aggregate"]
pub struct SessionWindowedCogroupedKStream<K, A> {
    pub(super) cogrouped: CogroupedKStream<K, A>,
    pub(super) windows: SessionWindows,
}

impl<K: 'static, A: Send + 'static> SessionWindowedCogroupedKStream<K, A> {
    /// The table of what the streams' records of each key make together in each session, kept in store `name`; `merger` makes
    /// one value of two sessions': see [`CogroupedKStream::aggregate`].
    pub fn aggregate(
        &self,
        name: &str,
        codec: impl Codec<A>,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> A + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        let (windows, merger) = (self.windows, merging(merger));
        let over =
            move |key: &SharedCodec<K>| Over::Sessions(windows, shared_session_windowed(key), Arc::clone(&merger));
        self.cogrouped.windowed(name, SharedCodec::new(codec), Arc::new(initializer), over)
    }
}

impl<K, A> fmt::Debug for TimeWindowedCogroupedKStream<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeWindowedCogroupedKStream").field("windows", &self.kind).finish_non_exhaustive()
    }
}

impl<K, A> fmt::Debug for SessionWindowedCogroupedKStream<K, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionWindowedCogroupedKStream").field("windows", &self.windows).finish_non_exhaustive()
    }
}
