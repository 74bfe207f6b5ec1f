//! The graph that the builder makes: operators, topics and stores, and how to make each one's chain.
//!
//! **Invariants:**
//! - A node's parents have smaller ids: ids are a topological order.
//! - Nodes hold no task: making a chain from them changes nothing, so a topology is shared by all threads.

use super::assembly::Assembly;
use super::{StoreKind, TopicRef, TopologyError};
use crate::codec::Form;
use crate::processor::{ConnectedStore, ProcessorWrapper, Slot, Wrap};
use crate::task::{GlobalRow, GlobalTable, ProcessError, Rows, SourceRecord, TaskScope};
use kappa_state::{StateError, StoreId};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// Index of a node.
pub(crate) type NodeId = usize;
/// Index of a store.
pub(crate) type StoreIndex = usize;
/// The graph as handles share it while it is built.
pub(crate) type SharedGraph = Rc<RefCell<Graph>>;
/// A chain, or a source's entry, without its type.
pub(crate) type Erased = Box<dyn Any>;
type Make = Arc<dyn Fn(&mut Assembly<'_>, NodeId) -> Erased + Send + Sync>;
type Open = Arc<dyn Fn(&TaskScope<'_>, StoreId, OpenAs) -> Result<Box<dyn Slot>, StateError> + Send + Sync>;
type MakeFlush = Arc<dyn Fn(&mut Assembly<'_>, StoreIndex) + Send + Sync>;

/// What a task asks of a store when it opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenAs {
    /// Changes carry the value before.
    pub(crate) keep_old: bool,
}

/// Where an operator's old values come from (Kafka Streams: `enableSendingOldValues`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldValues {
    /// There are none: the output is a stream.
    None,
    /// From its own store, which is needed then.
    Store(StoreIndex),
    /// It makes them of its inputs' old values.
    Inputs,
    /// As `Inputs`, and it always can: its inputs are kept in stores for its own sake (a join of tables).
    Joined,
    /// From its own store, or, where changes are passed on at once, from its inputs (a join of tables that is kept).
    KeptJoin(StoreIndex),
}

/// What a node does with topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads a topic.
    Source { topic: TopicRef, partitions: Option<i32>, key: Form, value: Form },
    /// Neither reads nor writes one.
    Operator,
    /// Writes a topic.
    Sink { topic: TopicRef, key: Form, value: Form },
}

/// One operator.
#[derive(Clone)]
pub(crate) struct Node {
    /// `<base>.<operator>`, unique.
    pub(crate) name: String,
    /// The nearest topic, store or processor upstream that has a name.
    pub(crate) base: String,
    pub(crate) kind: Kind,
    pub(crate) parents: Vec<NodeId>,
    pub(crate) children: Vec<NodeId>,
    /// Stores it reads or writes.
    pub(crate) stores: Vec<StoreIndex>,
    /// Its inputs must be co-partitioned.
    pub(crate) copartitioned: bool,
    /// Nothing needs to follow it.
    pub(crate) terminal: bool,
    /// Where its old values come from, and whether anybody has asked for them.
    pub(crate) old_values: OldValues,
    pub(crate) sends_old: bool,
    /// Its changes are all passed on at once, whatever the cache.
    pub(crate) every_change: bool,
    /// It has results for records whose key is null.
    pub(crate) joins_null_keys: bool,
    /// It leaves rows out (a table's filter): a change from nothing to nothing is no change then.
    pub(crate) leaves_out: bool,
    pub(crate) make: Make,
}

/// One store.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) name: String,
    /// What kind of operator keeps it, with its codecs: part of the fingerprint.
    pub(crate) shape: String,
    /// The operator that writes it and passes its changes on; `None` for a processor's.
    pub(crate) owner: Option<NodeId>,
    /// The source whose table it holds: a topic read as a table in several places is one table. Of a table made of a
    /// stream, the operator that makes it. Either is kept only where something needs it, and can be given another name.
    pub(crate) table_of: Option<NodeId>,
    /// Whether anything needs it.
    pub(crate) needed: bool,
    /// What its changelog topic must be like.
    pub(crate) kind: StoreKind,
    pub(crate) open: Open,
    /// For a store without owner: adds its flush.
    pub(crate) flush: Option<MakeFlush>,
    /// The topic that it is made of and restored from, where it has no changelog of its own.
    pub(crate) from_topic: Option<FromTopic>,
}

type IsRow = Arc<dyn Fn(GlobalRow<'_>) -> bool + Send + Sync>;
type ReadRows = Arc<dyn Fn(&mut dyn Slot) -> Result<Rows, StateError> + Send + Sync>;

/// The topic that a read-only store is made of.
#[derive(Clone)]
pub(crate) struct FromTopic {
    pub(crate) source: NodeId,
    /// Whether a record of it can be a row, so that a restore puts it.
    pub(crate) is_row: IsRow,
    /// All rows of the store.
    pub(crate) rows: ReadRows,
}

/// Whether a record's key and value can be decoded; if not, which of them and why.
type CheckRow = Arc<dyn Fn(&[u8], Option<&[u8]>) -> Result<(), (&'static str, String)> + Send + Sync>;

/// One global table.
#[derive(Clone)]
pub(crate) struct Global {
    /// Of its store.
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) key: Form,
    pub(crate) value: Form,
    pub(crate) check: CheckRow,
    /// What writes its store, where the records themselves are not the rows.
    pub(crate) update: Option<GlobalUpdate>,
}

type TakeGlobal = Arc<dyn Fn(&SourceRecord<'_>, i32, &GlobalTable) -> Result<(), ProcessError> + Send + Sync>;

/// The function that writes a global store.
#[derive(Clone)]
pub(crate) struct GlobalUpdate {
    /// How keys and values of the store's rows are written.
    pub(crate) rows: (Form, Form),
    /// Runs it over a record of a partition.
    pub(crate) take: TakeGlobal,
}

/// Everything the builder has been told.
#[derive(Clone, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) stores: Vec<Store>,
    pub(crate) globals: Vec<Global>,
    /// How sources give records their times, where that was said: [`Timestamps`](crate::dsl::Timestamps) of the source's types.
    pub(crate) timestamps: Vec<(NodeId, Arc<dyn Any + Send + Sync>)>,
    /// Sources whose values are decoded when something looks at them.
    pub(crate) lazy_values: Vec<NodeId>,
    /// Repartition topics whose records mean the same in any order to whoever reads them beside others.
    pub(crate) unaligned: BTreeSet<TopicRef>,
    /// How long after their end windows take late records, ms, by the operator that makes them; for sessions with the gap.
    pub(crate) graces: Vec<(NodeId, i64)>,
    /// Operators that take records into windows, and whether those take records until time is past their end (sliding ones and
    /// sessions), not only until it is there.
    pub(crate) folds: Vec<(NodeId, bool)>,
    /// How long after a record's time a window that has it closes at most, ms, by the operator that makes the windows.
    pub(crate) closings: Vec<(NodeId, i64)>,
    /// For how long operators may hold results back, ms.
    pub(crate) holds: Vec<(NodeId, i64)>,
    /// After how long without a record time goes on by the clock, ms.
    pub(crate) idle_timeout_ms: Option<i64>,
    /// Failed records are parked.
    pub(crate) parks: bool,
    /// Children of processors by the names that processors know them by.
    pub(crate) child_names: Vec<(NodeId, String)>,
    /// What wraps operators.
    pub(crate) wrapper: Option<Arc<dyn ProcessorWrapper>>,
    /// What it said of them.
    pub(crate) wraps: Vec<Wrap>,
    /// What is wrong, in the order it was found.
    pub(crate) errors: Vec<TopologyError>,
}

impl Graph {
    /// Adds a node below `parents`; its name is `<base>.<operator>`, with a number where that is taken.
    pub(crate) fn add(&mut self, base: &str, operator: &str, parents: &[NodeId], kind: Kind, make: Make) -> NodeId {
        let id = self.nodes.len();
        for parent in parents {
            self.nodes[*parent].children.push(id);
        }
        self.nodes.push(Node {
            name: self.free_name(base, operator),
            base: base.to_owned(),
            kind,
            parents: parents.to_vec(),
            children: Vec::new(),
            stores: Vec::new(),
            copartitioned: false,
            terminal: false,
            old_values: OldValues::None,
            sends_old: false,
            every_change: false,
            joins_null_keys: false,
            leaves_out: false,
            make,
        });
        id
    }

    /// Names are for people: in `describe()` and in messages. Nothing is keyed by them.
    fn free_name(&self, base: &str, operator: &str) -> String {
        let plain = format!("{base}.{operator}");
        let taken = |name: &str| self.nodes.iter().any(|node| node.name == name);
        if !taken(&plain) {
            return plain;
        }
        (2..).map(|n| format!("{plain}-{n}")).find(|name| !taken(name)).unwrap_or(plain)
    }

    /// Adds a store.
    pub(crate) fn add_store(&mut self, store: Store) -> StoreIndex {
        self.check_name("store", &store.name);
        // A topic's table has a store of the topic's name only where something needs it: whether it does is known at the end.
        let may_not_be = |store: &Store| store.table_of.is_some() && !store.needed;
        if !may_not_be(&store) && self.stores.iter().any(|other| other.name == store.name && !may_not_be(other)) {
            self.errors.push(TopologyError::DuplicateName { what: "store", name: store.name.clone() });
        }
        self.stores.push(store);
        self.stores.len() - 1
    }

    /// Asks a table's operator to send old values along.
    pub(crate) fn request_old(&mut self, node: NodeId) {
        if std::mem::replace(&mut self.nodes[node].sends_old, true) {
            return;
        }
        match self.nodes[node].old_values {
            OldValues::None => {}
            OldValues::Store(store) => self.stores[store].needed = true,
            OldValues::Inputs | OldValues::Joined | OldValues::KeptJoin(_) => {
                self.nodes[node].parents.clone().into_iter().for_each(|parent| self.request_old(parent))
            }
        }
    }

    /// Asks a table's operator, and the tables it is made of, to pass every change on: somebody keeps them all.
    pub(crate) fn request_every_change(&mut self, node: NodeId) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut self.nodes[node].every_change, true)
                && self.nodes[node].old_values == OldValues::Inputs
            {
                open.extend(&self.nodes[node].parents);
            }
        }
    }

    /// Takes old values from a table's operator where that needs no store that is not needed anyway (Kafka Streams:
    /// `enableSendingOldValues(false)`). Says whether there are any.
    pub(crate) fn accept_old(&mut self, node: NodeId) -> bool {
        let has = self.nodes[node].sends_old
            || match self.nodes[node].old_values {
                OldValues::None => false,
                OldValues::Store(store) => self.stores[store].needed,
                OldValues::Inputs => self.nodes[node].parents.clone().into_iter().all(|parent| self.accept_old(parent)),
                OldValues::Joined | OldValues::KeptJoin(_) => true,
            };
        if has {
            self.request_old(node);
        }
        has
    }

    /// Notes that `node` looks into the table that comes out of `table`, which is kept in `stores`.
    pub(crate) fn look_into(&mut self, node: NodeId, table: NodeId, stores: &[StoreIndex]) {
        self.connect(node, stores);
        // To be looked into is to be used.
        self.nodes[table].terminal = true;
    }

    /// The longest grace of the windows that `node`'s records come from, ms; `None` where they come from none.
    pub(crate) fn grace_ms(&self, node: NodeId) -> Option<i64> {
        let upstream = self.upstream(node);
        self.graces.iter().filter(|(maker, _)| upstream.contains(maker)).map(|(_, grace_ms)| *grace_ms).max()
    }

    /// How long after a record's time the windows that `node`'s records come from close at most, ms.
    pub(crate) fn closing_ms(&self, node: NodeId) -> i64 {
        let upstream = self.upstream(node);
        self.closings.iter().filter(|(maker, _)| upstream.contains(maker)).map(|(_, ms)| *ms).max().unwrap_or(0)
    }

    /// Notes that `node` holds results back, for `ms` at most.
    pub(crate) fn holds_back(&mut self, node: NodeId, ms: i64) {
        self.holds.push((node, ms));
    }

    /// Connects `node`, which `operator` has added, to the store of a handle.
    pub(crate) fn connect_by(&mut self, node: NodeId, handle: &dyn ConnectedStore, operator: &str) {
        let (index, operator) = (handle.index(), operator.to_owned());
        let Some(store) = self.stores.get(index).filter(|store| store.name == handle.name()) else {
            return self.errors.push(TopologyError::Foreign { operator });
        };
        if store.from_topic.is_some() {
            if !handle.is_read_only() {
                let store = store.name.clone();
                self.errors.push(TopologyError::ReadOnlyStore { operator, store });
            }
            self.nodes[node].copartitioned = true;
        }
        self.connect(node, &[index]);
    }

    /// Notes that `node` looks into stores.
    pub(crate) fn connect(&mut self, node: NodeId, stores: &[StoreIndex]) {
        for index in stores {
            if let Some(store) = self.stores.get_mut(*index) {
                store.needed = true;
                self.nodes[node].stores.push(*index);
            }
        }
    }

    /// The source node of a topic, if it is read already.
    pub(crate) fn source_of(&self, wanted: &TopicRef) -> Option<NodeId> {
        self.nodes.iter().position(|node| matches!(&node.kind, Kind::Source { topic, .. } if topic == wanted))
    }

    /// Notes an error where a name can't be a topic's or a directory's.
    pub(crate) fn check_name(&mut self, what: &'static str, name: &str) {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 180 || matches!(name, "." | "..") || !name.chars().all(legal) {
            self.errors.push(TopologyError::BadName { what, name: name.to_owned() });
        }
    }

    /// Whether records without a key mean something to anything that a topic of this topology's own feeds, directly or through
    /// further ones.
    pub(crate) fn joins_null_keys(&self, topic: &TopicRef) -> bool {
        let behind = self.source_of(topic).map(|source| self.downstream(source)).unwrap_or_default();
        behind.into_iter().any(|node| match &self.nodes[node].kind {
            Kind::Sink { topic: next @ TopicRef::Repartition(_), .. } if next != topic => self.joins_null_keys(next),
            _ => self.nodes[node].joins_null_keys,
        })
    }

    /// All nodes from which `node` is reached without going through a topic, itself included.
    pub(crate) fn upstream(&self, node: NodeId) -> Vec<NodeId> {
        self.reach(node, |node| &node.parents)
    }

    /// All nodes that are reached from `node` without going through a topic, itself included.
    pub(crate) fn downstream(&self, node: NodeId) -> Vec<NodeId> {
        self.reach(node, |node| &node.children)
    }

    fn reach(&self, from: NodeId, next: impl Fn(&Node) -> &Vec<NodeId>) -> Vec<NodeId> {
        let mut reached = vec![from];
        let mut index = 0;
        while index < reached.len() {
            for id in next(&self.nodes[reached[index]]) {
                if !reached.contains(id) {
                    reached.push(*id);
                }
            }
            index += 1;
        }
        reached.sort_unstable();
        reached
    }
}
