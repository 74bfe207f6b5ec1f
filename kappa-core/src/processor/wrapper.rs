//! Middleware: what runs around every operator of a topology.
//!
//! **Invariants:**
//! - Wrappers are asked once for each operator, when the topology is built; a task is made with what they said. Without one, chains
//!   are what they are: nothing is looked up for a record.
//! - What a wrapper keeps beside its stores is made anew after an abort.

use super::chain::{Next, Receiver};
use super::user::Links;
use super::{Cx, ProcessorStore, RecordMetadata, StoreHandle};
use crate::codec::{Codec, SharedCodec};
use crate::log::Headers;
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::{NodeId, SharedGraph, StoreIndex};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Wraps the operators of a topology, built-in ones and sinks too (Kafka Streams: `ProcessorWrapper`, KIP-1112): for tracing,
/// auditing, metering, guarding. Given to
/// [`TopologyBuilder::wrap_processors`](crate::topology::TopologyBuilder::wrap_processors).
pub trait ProcessorWrapper: Send + Sync + 'static {
    /// Asked once for each operator, when the topology is built: what makes its middleware, task by task; `None` leaves the operator
    /// as it is.
    fn wrap(&self, operator: &mut WrappedOperator<'_>) -> Option<AroundSupplier>;
}

/// Makes the middleware of one operator, once for each task.
pub type AroundSupplier = Arc<dyn Fn() -> Box<dyn Around> + Send + Sync>;

/// Runs around one operator of one task.
///
/// What it keeps in itself is lost when a transaction is aborted, as with processors: what must last belongs in a store.
pub trait Around: Send {
    /// Called with each record in the operator's place. The operator runs when [`WrapperContext::pass_on`] is called; all that
    /// follows from the record, down to the ends of the chains, is done when that returns. A record that is not passed on ends here.
    fn process(&mut self, record: &WrappedRecord<'_>, cx: &mut WrapperContext<'_, '_>) -> Result<(), ProcessError>;
}

impl<F> Around for F
where
    F: FnMut(&WrappedRecord<'_>, &mut WrapperContext<'_, '_>) -> Result<(), ProcessError> + Send,
{
    fn process(&mut self, record: &WrappedRecord<'_>, cx: &mut WrapperContext<'_, '_>) -> Result<(), ProcessError> {
        self(record, cx)
    }
}

/// An operator that may be wrapped.
pub struct WrappedOperator<'a> {
    pub(crate) graph: &'a SharedGraph,
    pub(crate) name: String,
    pub(crate) is_sink: bool,
    pub(crate) stores: Vec<StoreIndex>,
}

impl WrappedOperator<'_> {
    /// Its name, as [`describe`](crate::topology::Topology::describe) has it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it writes a topic.
    pub fn is_sink(&self) -> bool {
        self.is_sink
    }

    /// Adds a store to it, for its middleware. Stores are known by their names: derive this one's from a name that you have given
    /// yourself, or it goes with every change of the topology.
    pub fn store<K: 'static, V: Send + 'static>(
        &mut self,
        name: &str,
        key: impl Codec<K>,
        value: impl Codec<V>,
    ) -> StoreHandle<K, V> {
        let handle = crate::dsl::processor_store(self.graph, name, SharedCodec::new(key), SharedCodec::new(value));
        self.stores.push(handle.index);
        handle
    }
}

impl fmt::Debug for WrappedOperator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WrappedOperator").field(&self.name).finish()
    }
}

/// A record without its types.
pub struct WrappedRecord<'r> {
    parts: &'r dyn Parts,
    /// The timestamp, ms since 1970.
    pub timestamp_ms: i64,
    /// The headers.
    pub headers: &'r Headers,
}

impl WrappedRecord<'_> {
    /// The key; `None` where keys are of another type here.
    pub fn key<K: 'static>(&self) -> Result<Option<&K>, ProcessError> {
        Ok(self.parts.key()?.downcast_ref())
    }

    /// The value; `None` where it is null, or values are of another type here.
    pub fn value<V: 'static>(&self) -> Result<Option<&V>, ProcessError> {
        Ok(self.parts.value()?.and_then(|value| value.downcast_ref()))
    }

    /// Whether the value is null.
    pub fn is_tombstone(&self) -> bool {
        self.parts.is_tombstone()
    }
}

impl fmt::Debug for WrappedRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedRecord").field("timestamp_ms", &self.timestamp_ms).finish_non_exhaustive()
    }
}

trait Parts {
    fn key(&self) -> Result<&dyn Any, ProcessError>;
    fn value(&self) -> Result<Option<&dyn Any>, ProcessError>;
    fn is_tombstone(&self) -> bool;
}

impl<K: 'static, V: 'static> Parts for Record<'_, K, V> {
    fn key(&self) -> Result<&dyn Any, ProcessError> {
        Ok(Record::key(self)?)
    }

    fn value(&self) -> Result<Option<&dyn Any>, ProcessError> {
        Ok(Record::value(self)?.map(|value| value as &dyn Any))
    }

    fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }
}

/// Runs the operator: time and headers may be others than the record's.
type Inner<'a> = &'a mut dyn FnMut(i64, &Headers, &mut Cx<'_>) -> Result<(), ProcessError>;

/// What middleware can do.
pub struct WrapperContext<'a, 'c> {
    cx: &'a mut Cx<'c>,
    links: &'a Links,
    inner: Inner<'a>,
    timestamp_ms: i64,
    headers: &'a Headers,
}

impl WrapperContext<'_, '_> {
    /// Runs the operator on the record, and all that follows from it.
    pub fn pass_on(&mut self) -> Result<(), ProcessError> {
        (self.inner)(self.timestamp_ms, self.headers, self.cx)
    }

    /// As [`pass_on`](Self::pass_on), with another timestamp and other headers.
    pub fn pass_on_with(&mut self, timestamp_ms: i64, headers: &Headers) -> Result<(), ProcessError> {
        (self.inner)(timestamp_ms, headers, self.cx)
    }

    /// A store that was added to the operator.
    pub fn store<'s, K: 'static, V: Send + 'static>(
        &'s mut self,
        handle: &'s StoreHandle<K, V>,
    ) -> Result<ProcessorStore<'s, K, V>, ProcessError> {
        match self.links.stores.iter().find(|(index, _)| *index == handle.index) {
            Some((_, slot)) => Ok(ProcessorStore::new(self.cx.store(*slot), handle)),
            None => Err(self.error(format_args!("store {} was not added to it", handle.name))),
        }
    }

    /// The operator's name.
    pub fn operator(&self) -> &str {
        &self.links.name
    }

    /// The task's partition.
    pub fn partition(&self) -> i32 {
        self.links.partition
    }

    /// The largest timestamp that the task has seen, ms.
    pub fn stream_time_ms(&self) -> i64 {
        self.cx.state.stream_time_ms
    }

    /// The wall clock, as the task was told last, ms since 1970.
    pub fn wall_clock_ms(&self) -> i64 {
        self.cx.state.now_ms
    }

    /// Where the record comes from; `None` where it comes from a schedule, or from a table upstream that is being flushed.
    pub fn metadata(&self) -> Option<RecordMetadata<'_>> {
        let origin = self.cx.origin?;
        let topic = self.links.sources.get(origin.source)?;
        Some(RecordMetadata { topic, partition: self.links.partition, offset: origin.offset })
    }

    /// An error of the operator's, with a reason in words.
    pub fn error(&self, reason: impl fmt::Display) -> ProcessError {
        ProcessError::Operator { operator: self.links.name.to_string(), reason: reason.to_string() }
    }
}

impl fmt::Debug for WrapperContext<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrapperContext").field("operator", &self.links.name).finish_non_exhaustive()
    }
}

/// What a wrapper said of an operator.
#[derive(Clone)]
pub(crate) struct Wrap {
    pub(crate) node: NodeId,
    pub(crate) supplier: AroundSupplier,
    pub(crate) stores: Vec<StoreIndex>,
}

/// An operator with its middleware.
pub(crate) struct Wrapped<K, V> {
    pub(crate) next: Next<K, V>,
    pub(crate) around: Box<dyn Around>,
    pub(crate) supplier: AroundSupplier,
    pub(crate) links: Links,
    /// As many aborts as there had been when it was made.
    pub(crate) aborts: u32,
}

impl<K: 'static, V: 'static> Receiver<K, V> for Wrapped<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if cx.state.aborts != self.aborts {
            self.aborts = cx.state.aborts;
            self.around = (self.supplier)();
        }
        let Record { timestamp_ms, headers, .. } = *record;
        let next = &mut self.next;
        let mut inner = |timestamp_ms, headers: &Headers, cx: &mut Cx<'_>| {
            next.receive(&Record { timestamp_ms, headers, ..*record }, cx)
        };
        let mut context = WrapperContext { cx, links: &self.links, inner: &mut inner, timestamp_ms, headers };
        self.around.process(&WrappedRecord { parts: record, timestamp_ms, headers }, &mut context)
    }
}
