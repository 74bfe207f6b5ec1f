//! Making a task: from the graph's nodes to typed chains, once, when the task is instantiated.

use super::TopicRef;
use super::graph::{Graph, NodeId, OpenAs, StoreIndex};
use super::planner::SubTopology;
use crate::codec::SharedCodec;
use crate::dsl::Timestamps;
use crate::processor::{
    CallSet, Children, Cx, Discard, DrainCalls, ErasedChain, Fan, Flush, FusedTask, HeldBack, Hosted, Joint, Links,
    LogChanges, LogOnly, LogStore, Materialized, Next, OperatorTimes, Quiet, ReachedTimes, Receiver, Slot, StageOnly,
    TaskState, Tick, Ticking, TimeSlot, Wrapped,
};
use crate::task::{CallRunner, GlobalTable, Globals, ProcessError, SourceRecord, TaskScope};
use kappa_state::{StateError, StoreId};
use std::any::Any;
use std::sync::Arc;

/// Where records of a source enter a task.
pub(crate) trait Entry: Send {
    /// Runs one record to the end of every chain.
    fn enter(&mut self, record: &SourceRecord<'_>, cx: &mut Cx<'_>) -> Result<(), ProcessError>;

    /// Whether records' times are extracted.
    fn extracts_time(&self) -> bool;

    /// The time by which a record is put in order with those of other sources, where that is not its own.
    fn time_of(&self, record: &SourceRecord<'_>, state: &TaskState) -> Option<i64>;
}

/// The time of a fold into windows: the largest timestamp of its records.
pub(crate) const OBSERVED: &str = "observed";

/// A task being made.
pub(crate) struct Assembly<'a> {
    graph: &'a Graph,
    sub: &'a SubTopology,
    partition: i32,
    joints: Vec<Option<ErasedChain>>,
    /// Which joint a node's children are behind, where they are.
    joint_of: Vec<(NodeId, usize)>,
    /// With the node or store they belong to: sorted, they go upstream first.
    flushes: Vec<(usize, Box<dyn Flush>)>,
    /// Operators that wait for time to pass.
    ticks: Vec<(NodeId, Box<dyn Tick>)>,
    /// Operators that hold changes back.
    holders: Vec<NodeId>,
    /// Names of operators that keep time.
    times: Vec<String>,
    calls: Vec<Option<Box<dyn CallSet>>>,
    processors: Vec<Option<Box<dyn Hosted>>>,
    runner: Arc<dyn CallRunner>,
    globals: Globals,
}

impl<'a> Assembly<'a> {
    /// Makes the task of one partition.
    pub(crate) fn task(graph: &'a Graph, sub: &'a SubTopology, scope: &TaskScope<'_>) -> Result<FusedTask, StateError> {
        let open = |index: &StoreIndex| {
            let store = &graph.stores[*index];
            let id = StoreId { task: scope.name.to_owned(), store: store.name.clone() };
            let keep_old = store.owner.is_some_and(|owner| graph.nodes[owner].sends_old);
            (store.open)(scope, id, OpenAs { keep_old }).map(Some)
        };
        let stores = sub.stores.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let (joints, joint_of, flushes, times) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (calls, processors, runner) = (Vec::new(), Vec::new(), Arc::clone(&scope.calls));
        let (ticks, holders) = (Vec::new(), Vec::new());
        let (partition, globals) = (scope.partition, scope.globals.clone());
        if !graph.globals.is_empty() && globals.table(graph.globals.len() - 1).is_none() {
            let reason = "the topology's global tables are not open".to_owned();
            return Err(StateError::Misuse { store: scope.name.to_owned(), reason });
        }
        let mut assembly = Assembly {
            graph,
            sub,
            partition,
            joints,
            joint_of,
            flushes,
            ticks,
            holders,
            times,
            calls,
            processors,
            runner,
            globals,
        };
        let entries = sub.sources.iter().map(|source| assembly.entry(*source)).collect();
        for index in &sub.stores {
            if let Some(flush) = &graph.stores[*index].flush {
                flush(&mut assembly, *index);
            }
        }
        let reached = assembly.reached(&stores);
        assembly.flushes.sort_by_key(|(order, _)| *order);
        let flushes = assembly.flushes.into_iter().map(|(_, flush)| flush).collect();
        let quiet = graph.idle_timeout_ms.map(|timeout_ms| {
            assembly.ticks.sort_by_key(|(node, _)| *node);
            let behind = graph.held_back_ms();
            let ticking = assembly.ticks.into_iter().map(|(node, tick)| Ticking { behind_ms: behind[node], tick });
            Quiet::new(timeout_ms, ticking.collect())
        });
        let times = OperatorTimes::new(assembly.times);
        let mut state = TaskState::new(
            stores,
            assembly.joints,
            assembly.calls,
            assembly.processors,
            times,
            scope.cache_bytes_per_store == 0,
        );
        state.held_back = assembly.holders.iter().map(|_| HeldBack::default()).collect();
        let from_topic = sub.stores.iter().map(|index| graph.stores[*index].from_topic.clone()).collect();
        Ok(FusedTask::new(entries, flushes, reached, quiet, state, scope.undo_records).made_of(from_topic))
    }

    /// Where it is kept how far stores have come whose rows expire.
    fn reached(&mut self, stores: &[Option<Box<dyn Slot>>]) -> Vec<ReachedTimes> {
        let mut reached = Vec::new();
        for (slot, store) in stores.iter().enumerate() {
            if store.as_ref().is_some_and(|store| store.managed_ref().reached().is_some()) {
                let name = &self.graph.stores[self.sub.stores[slot]].name;
                let (observed, sequence) = (format!("store {name} observed"), format!("store {name} sequence"));
                let (observed, sequence) = (self.time_named(observed), self.time_named(sequence));
                reached.push(ReachedTimes { slot, observed, sequence });
            }
        }
        reached
    }

    fn entry(&mut self, source: NodeId) -> Box<dyn Entry> {
        self.make(source)
    }

    fn make<T: 'static>(&mut self, node: NodeId) -> T {
        let graph = self.graph;
        match (graph.nodes[node].make)(self, node).downcast::<T>() {
            Ok(made) => *made,
            Err(_) => unreachable!("operators are connected by the typed builder only"),
        }
    }

    /// An operator with what follows it, and with what wraps it.
    fn chain<K: 'static, V: 'static>(&mut self, node: NodeId) -> Next<K, V> {
        let next: Next<K, V> = self.make(node);
        match self.graph.wraps.iter().find(|wrap| wrap.node == node) {
            None => next,
            Some(wrap) => {
                let (around, supplier) = ((wrap.supplier)(), Arc::clone(&wrap.supplier));
                Box::new(Wrapped { next, around, supplier, links: self.links(node, &wrap.stores), aborts: 0 })
            }
        }
    }

    /// What follows a node.
    pub(crate) fn next<K: 'static, V: 'static>(&mut self, node: NodeId) -> Next<K, V> {
        let graph = self.graph;
        let mut children: Vec<Next<K, V>> = graph.nodes[node].children.iter().map(|child| self.chain(*child)).collect();
        match children.len() {
            0 => Box::new(Discard),
            1 => children.remove(0),
            _ => Box::new(Fan(children)),
        }
    }

    /// A way into what follows a node, for nodes that are entered from several places.
    pub(crate) fn joint<K: 'static, V: 'static>(&mut self, node: NodeId) -> Joint<K, V> {
        if let Some((_, index)) = self.joint_of.iter().find(|(id, _)| *id == node) {
            return Joint::new(*index);
        }
        let next: Next<K, V> = self.next(node);
        let index = self.joints.len();
        self.joints.push(Some(Box::new(next)));
        self.joint_of.push((node, index));
        Joint::new(index)
    }

    /// The place of a store in the task; `None` where nothing needs the store.
    pub(crate) fn slot(&self, store: StoreIndex) -> Option<usize> {
        self.sub.stores.iter().position(|index| *index == store)
    }

    /// The index of an output topic.
    pub(crate) fn output(&self, topic: &TopicRef) -> usize {
        match self.sub.plan.outputs.iter().position(|output| output == topic) {
            Some(index) => index,
            None => unreachable!("the planner lists the topics of all sinks and changelogs"),
        }
    }

    /// The materialised table of `node` in `store`, flushed with the task.
    pub(crate) fn materialize<K: 'static, V: Send + 'static>(
        &mut self,
        node: NodeId,
        store: StoreIndex,
        key: &SharedCodec<K>,
        value: &SharedCodec<V>,
    ) -> Option<Materialized<K, V>> {
        let slot = self.slot(store)?;
        let graph = self.graph;
        let next = (!graph.nodes[node].children.is_empty()).then(|| self.joint(node));
        let reads = |id: &NodeId| *id != node && graph.nodes[*id].stores.contains(&store);
        let materialized = Materialized {
            name: self.name(node),
            slot,
            changelog: self.output(&TopicRef::Changelog(graph.stores[store].name.clone())),
            key: key.clone(),
            value: value.clone(),
            next,
            read_downstream: graph.downstream(node).iter().any(reads),
            sends_old: graph.nodes[node].sends_old,
            every_change: graph.nodes[node].every_change,
        };
        self.flushes.push((node, Box::new(materialized.clone())));
        Some(materialized)
    }

    /// The flush of a store that only processors write: after all tables.
    pub(crate) fn log_only<V: Send + 'static>(&mut self, store: StoreIndex) {
        let Some(slot) = self.slot(store) else { return };
        let changelog = self.output(&TopicRef::Changelog(self.graph.stores[store].name.clone()));
        let flush = LogOnly::<V>::new(slot, changelog);
        self.flushes.push((self.after_all(store), Box::new(flush)));
    }

    /// The flush of a store that is made of a topic: nothing is logged.
    pub(crate) fn stage_only<V: Send + 'static>(&mut self, store: StoreIndex) {
        let Some(slot) = self.slot(store) else { return };
        self.flushes.push((self.after_all(store), Box::new(StageOnly::<V>::new(slot))));
    }

    /// The turn, at a flush, of a store that only processors write: after all nodes.
    pub(crate) fn after_all(&self, store: StoreIndex) -> usize {
        self.graph.nodes.len() + store
    }

    /// What follows a table that keeps no store.
    pub(crate) fn next_unless_stored<K: 'static, V: 'static>(&mut self, node: NodeId, store: StoreIndex) -> Next<K, V> {
        if self.slot(store).is_some() { Box::new(Discard) } else { self.next(node) }
    }

    /// What a user's processor is connected to.
    pub(crate) fn links(&self, node: NodeId, stores: &[StoreIndex]) -> Links {
        let stores = stores.iter().filter_map(|index| Some((*index, self.slot(*index)?))).collect();
        let (place, sources) = (usize::MAX, self.sources());
        let globals = (self.graph.globals.iter().enumerate())
            .map(|(index, global)| (Arc::from(global.topic.as_str()), self.global(index)))
            .collect();
        Links { name: self.name(node), place, stores, globals, sources, partition: self.partition }
    }

    /// What follows a user's processor, child by child.
    pub(crate) fn children<K: 'static, V: 'static>(&mut self, node: NodeId) -> Children<K, V> {
        let ids = self.graph.nodes[node].children.clone();
        let named = |child: &NodeId| self.graph.child_names.iter().find(|(id, _)| id == child);
        let names = ids.iter().map(|child| named(child).map(|(_, name)| name.clone())).collect();
        Children { all: ids.iter().map(|child| self.chain(*child)).collect(), names }
    }

    /// Whether a source's values are decoded only when something looks at them.
    pub(crate) fn has_lazy_values(&self, source: NodeId) -> bool {
        self.graph.lazy_values.contains(&source)
    }

    /// How a source gives records their times, where that was said.
    pub(crate) fn timestamps<K: 'static, V: 'static>(&self, source: NodeId) -> Option<Timestamps<K, V>> {
        let (_, said) = self.graph.timestamps.iter().find(|(node, _)| *node == source)?;
        said.downcast_ref::<Timestamps<K, V>>().cloned()
    }

    /// A place for a user's processor, which `make` is told.
    pub(crate) fn host(&mut self, make: impl FnOnce(&mut Self, usize) -> Box<dyn Hosted>) -> usize {
        let place = self.processors.len();
        // Processors behind it take their places meanwhile.
        self.processors.push(None);
        let hosted = make(self, place);
        self.processors[place] = Some(hosted);
        place
    }

    /// A time that `node` keeps and that survives restarts: see [`OperatorTimes`]. `what` tells several of a node apart.
    /// The same node and word give the same time: operators may share one.
    pub(crate) fn time(&mut self, node: NodeId, what: &str) -> TimeSlot {
        self.time_named(format!("{} {what}", self.graph.nodes[node].name))
    }

    fn time_named(&mut self, name: String) -> TimeSlot {
        let known = self.times.iter().position(|known| *known == name);
        TimeSlot::new(known.unwrap_or_else(|| {
            self.times.push(name);
            self.times.len() - 1
        }))
    }

    /// See [`Graph::joins_null_keys`].
    pub(crate) fn joins_null_keys(&self, topic: &TopicRef) -> bool {
        self.graph.joins_null_keys(topic)
    }

    /// The changelog of a store, among the outputs.
    pub(crate) fn changelog(&self, store: StoreIndex) -> usize {
        self.output(&TopicRef::Changelog(self.graph.stores[store].name.clone()))
    }

    /// Has a store of any kind staged and logged at every flush, in the turn of `node`.
    pub(crate) fn log_changes<S: LogChanges + 'static>(&mut self, node: NodeId, store: StoreIndex) {
        let Some(slot) = self.slot(store) else { return };
        self.flushes.push((node, Box::new(LogStore::<S>::new(slot, self.changelog(store)))));
    }

    /// A way into what follows a node; `None` where nothing does.
    pub(crate) fn joint_of_children<K: 'static, V: 'static>(&mut self, node: NodeId) -> Option<Joint<K, V>> {
        (!self.graph.nodes[node].children.is_empty()).then(|| self.joint(node))
    }

    /// Flushes `flush` in its place with `node`, once however many operators of it ask.
    pub(crate) fn flush_once(&mut self, node: NodeId, flush: impl Flush + 'static) {
        if !self.flushes.iter().any(|(order, _)| *order == node) {
            self.flushes.push((node, Box::new(flush)));
        }
    }

    /// Has what `make` makes told of time that passes without a record, where that was chosen.
    pub(crate) fn tick<T: Tick + 'static>(&mut self, node: NodeId, make: impl FnOnce(&mut Self) -> T) {
        if self.graph.idle_timeout_ms.is_some() {
            let tick = make(self);
            self.ticks.push((node, Box::new(tick)));
        }
    }

    /// Where the operators keep their times whose windows `node` gets, each with how far past a window's end the window closes;
    /// none where time does not pass without records.
    pub(crate) fn times_of_folds(&mut self, node: NodeId) -> Vec<(TimeSlot, i64)> {
        let graph = self.graph;
        let upstream = graph.idle_timeout_ms.map(|_| graph.upstream(node)).unwrap_or_default();
        let folds = graph.folds.iter().filter(|(fold, _)| upstream.contains(fold));
        folds.map(|(fold, past)| (self.time(*fold, OBSERVED), i64::from(*past))).collect()
    }

    /// What follows an operator that has a [`Tick`] beside it.
    pub(crate) fn next_of_ticking<K: 'static, V: 'static>(&mut self, node: NodeId) -> Next<K, V> {
        if self.graph.idle_timeout_ms.is_some() { Box::new(self.joint(node)) } else { self.next(node) }
    }

    /// The place in the task's state of what `node` holds back.
    pub(crate) fn holder(&mut self, node: NodeId) -> usize {
        self.holders.iter().position(|holder| *holder == node).unwrap_or_else(|| {
            self.holders.push(node);
            self.holders.len() - 1
        })
    }

    /// Whether an operator behind `node` looks into `store`.
    pub(crate) fn is_read_downstream(&self, node: NodeId, store: StoreIndex) -> bool {
        let reads = |id: &NodeId| *id != node && self.graph.nodes[*id].stores.contains(&store);
        self.graph.downstream(node).iter().any(reads)
    }

    /// Whether `node` is to send old values along.
    pub(crate) fn sends_old(&self, node: NodeId) -> bool {
        self.graph.nodes[node].sends_old
    }

    /// A place for the calls of `node`, drained before each commit.
    pub(crate) fn calls(&mut self, node: NodeId, calls: Box<dyn CallSet>) -> usize {
        let slot = self.calls.len();
        self.calls.push(Some(calls));
        self.flushes.push((node, Box::new(DrainCalls { slot })));
        slot
    }

    /// Where calls run.
    pub(crate) fn call_runner(&self) -> Arc<dyn CallRunner> {
        Arc::clone(&self.runner)
    }

    /// The task's source topics, in the plan's order.
    pub(crate) fn sources(&self) -> Vec<TopicRef> {
        self.sub.plan.sources.iter().map(|source| source.topic.clone()).collect()
    }

    /// The task's partition.
    pub(crate) fn partition(&self) -> i32 {
        self.partition
    }

    /// A global table of the process, by its index in the graph.
    pub(crate) fn global(&self, index: usize) -> Arc<GlobalTable> {
        // The plan sorts them by topic.
        let topic = &self.graph.globals[index].topic;
        let place = self.graph.globals.iter().filter(|other| other.topic < *topic).count();
        match self.globals.table(place) {
            Some(table) => Arc::clone(table),
            None => unreachable!("a task is made only where all global tables are open"),
        }
    }

    /// The name of a node, for messages.
    pub(crate) fn name(&self, node: NodeId) -> Arc<str> {
        Arc::from(self.graph.nodes[node].name.as_str())
    }
}

/// A receiver as the graph keeps it.
pub(crate) fn erase<K: 'static, V: 'static>(receiver: impl Receiver<K, V> + 'static) -> Box<dyn Any> {
    let next: Next<K, V> = Box::new(receiver);
    Box::new(next)
}
