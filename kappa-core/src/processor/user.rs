//! Processors of the user's own (Kafka Streams: Processor API).

use super::chain::Next;
use super::punctuation::next_after;
use super::{
    ConnectedStore, Cx, GlobalHandle, GlobalLink, ProcessorGlobalStore, ProcessorReadOnlyStore, ProcessorSessionStore,
    ProcessorStore, ProcessorVersionedStore, ProcessorWindowStore, PunctuationType, ReadOnlyHandle, Schedule,
    SessionHandle, StoreHandle, VersionedHandle, WindowHandle,
};
use crate::log::Headers;
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::TopicRef;
use std::fmt;
use std::sync::Arc;

/// An operator of the user's own: takes records, looks into stores, forwards records (Kafka Streams:
/// `Processor`). See [`KStream::process`](crate::dsl::KStream::process).
///
/// One lives in each task and is called by one thread at a time. What it must not lose it keeps in stores;
/// fields of its own are fine for what can be made anew: after an aborted transaction a new one is made.
pub trait Processor<K, V>: Send + 'static {
    /// The keys it forwards.
    type Key: 'static;
    /// The values it forwards.
    type Value: 'static;

    /// Comes first, when the stores are restored: the place to make schedules. By default nothing happens.
    fn init(&mut self, _cx: &mut ProcessorContext<'_, '_, Self::Key, Self::Value>) -> Result<(), ProcessError> {
        Ok(())
    }

    /// Takes one record.
    fn process(
        &mut self,
        record: &Record<'_, K, V>,
        cx: &mut ProcessorContext<'_, '_, Self::Key, Self::Value>,
    ) -> Result<(), ProcessError>;

    /// A schedule is due (Kafka Streams: `Punctuator`): `time_ms` is the stream time or the wall clock, whichever the
    /// schedule goes by. By default nothing happens.
    fn punctuate(
        &mut self,
        _schedule: Schedule,
        _time_ms: i64,
        _cx: &mut ProcessorContext<'_, '_, Self::Key, Self::Value>,
    ) -> Result<(), ProcessError> {
        Ok(())
    }
}

/// Makes processors, one for each task, and says which stores they need (Kafka Streams: `ProcessorSupplier` with
/// `ConnectedStoreProvider`). A closure that gives a processor is one.
pub trait ProcessorSupplier<K, V>: Send + Sync + 'static {
    /// What it makes.
    type Processor: Processor<K, V>;

    /// Makes one.
    fn get(&self) -> Self::Processor;

    /// Stores to be connected, besides those named where the supplier is used.
    fn stores(&self) -> Vec<&dyn ConnectedStore> {
        Vec::new()
    }
}

impl<K, V, P: Processor<K, V>, F: Fn() -> P + Send + Sync + 'static> ProcessorSupplier<K, V> for F {
    type Processor = P;

    fn get(&self) -> P {
        self()
    }
}

/// One of a processor's named children: see [`ProcessorContext::child`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child(usize);

/// What follows a processor: some children have names.
pub(crate) struct Children<K, V> {
    pub(crate) all: Vec<Next<K, V>>,
    pub(crate) names: Vec<Option<String>>,
}

/// What a processor's place in a task is connected to.
pub(crate) struct Links {
    pub(crate) name: Arc<str>,
    /// Its place among the task's processors.
    pub(crate) place: usize,
    /// Indices of stores in the topology, with their slots in the task.
    pub(crate) stores: Vec<(usize, usize)>,
    /// The topology's global tables, which need no connecting.
    pub(crate) globals: Arc<[GlobalLink]>,
    pub(crate) sources: Vec<TopicRef>,
    pub(crate) partition: i32,
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMetadata<'a> {
    /// The topic.
    pub topic: &'a TopicRef,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// What a processor can do (Kafka Streams: `ProcessorContext`).
pub struct ProcessorContext<'a, 'c, K, V> {
    cx: &'a mut Cx<'c>,
    children: &'a mut Children<K, V>,
    links: &'a Links,
    timestamp_ms: i64,
    headers: &'a Headers,
    /// The processor is being made, not called for a record or a time.
    pub(crate) initialising: bool,
}

impl<'a, 'c, K: 'static, V: 'static> ProcessorContext<'a, 'c, K, V> {
    pub(crate) fn new(
        cx: &'a mut Cx<'c>,
        children: &'a mut Children<K, V>,
        links: &'a Links,
        timestamp_ms: i64,
        headers: &'a Headers,
    ) -> Self {
        Self { cx, children, links, timestamp_ms, headers, initialising: false }
    }

    /// Forwards a new record with the timestamp and headers of the one being processed.
    pub fn forward(&mut self, key: K, value: V) -> Result<(), ProcessError> {
        let headers = self.headers;
        self.forward_with(key, Some(value), self.timestamp_ms, headers)
    }

    /// Forwards a new record; `None` is a null value.
    pub fn forward_with(
        &mut self,
        key: K,
        value: Option<V>,
        timestamp_ms: i64,
        headers: &Headers,
    ) -> Result<(), ProcessError> {
        let (key, value) = (Lazy::ready(key), value.map(Lazy::ready));
        self.pass_on(&Record::new(&key, value.as_ref(), timestamp_ms, headers))
    }

    /// Forwards a record as it is, with the bytes it came in.
    pub fn pass_on(&mut self, record: &Record<'_, K, V>) -> Result<(), ProcessError> {
        self.children.all.iter_mut().try_for_each(|child| child.receive(record, self.cx))
    }

    /// One of the children by its name, made with [`KStream::child`](crate::dsl::KStream::child): look it up in
    /// [`Processor::init`].
    pub fn child(&self, name: &str) -> Result<Child, ProcessError> {
        let named = |child: &Option<String>| child.as_deref() == Some(name);
        self.children.names.iter().position(named).map(Child).ok_or_else(|| {
            let names: Vec<&str> = self.children.names.iter().flatten().map(String::as_str).collect();
            self.error(format_args!("it has no child {name}; it has [{}]", names.join(", ")))
        })
    }

    /// Forwards a new record to one child only; `None` is a null value.
    pub fn forward_to(
        &mut self,
        child: Child,
        key: K,
        value: Option<V>,
        timestamp_ms: i64,
        headers: &Headers,
    ) -> Result<(), ProcessError> {
        let (key, value) = (Lazy::ready(key), value.map(Lazy::ready));
        self.pass_on_to(child, &Record::new(&key, value.as_ref(), timestamp_ms, headers))
    }

    /// Forwards a record as it is to one child only.
    pub fn pass_on_to(&mut self, child: Child, record: &Record<'_, K, V>) -> Result<(), ProcessError> {
        self.children.all[child.0].receive(record, self.cx)
    }

    /// Has [`Processor::punctuate`] called every `interval_ms` (Kafka Streams: `schedule`): by stream time as soon as there
    /// is one and then whenever a multiple of the interval has passed, by the wall clock first after one interval.
    /// Several that were missed are one call.
    pub fn schedule(&mut self, interval_ms: i64, kind: PunctuationType) -> Result<Schedule, ProcessError> {
        if interval_ms < 1 {
            return Err(self.error(format_args!("a schedule of {interval_ms} ms; it takes 1 ms or more")));
        }
        let state = &mut *self.cx.state;
        let first_ms = match kind {
            PunctuationType::WallClockTime => state.now_ms + interval_ms,
            PunctuationType::StreamTime if self.initialising && state.stream_time_ms >= 0 => {
                next_after(0, interval_ms, state.stream_time_ms)
            }
            PunctuationType::StreamTime => 0,
        };
        Ok(state.schedules.add(self.links.place, kind, interval_ms, first_ms))
    }

    /// Ends a schedule.
    pub fn cancel(&mut self, schedule: Schedule) {
        self.cx.state.schedules.cancel(schedule);
    }

    /// Asks for a commit as soon as the record is done with, instead of at the next interval (Kafka Streams: `commit`).
    pub fn commit(&mut self) {
        self.cx.state.commit_requested = true;
    }

    /// A store that the processor is connected to.
    pub fn store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s StoreHandle<SK, SV>,
    ) -> Result<ProcessorStore<'s, SK, SV>, ProcessError> {
        let slot = self.slot(handle)?;
        Ok(ProcessorStore::new(self.cx.store(slot), handle))
    }

    /// A versioned store that the processor is connected to.
    pub fn versioned_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s VersionedHandle<SK, SV>,
    ) -> Result<ProcessorVersionedStore<'s, SK, SV>, ProcessError> {
        let slot = self.slot(handle)?;
        let (store, too_late) = self.cx.typed_and_expired(slot);
        Ok(ProcessorVersionedStore::new(store, handle, too_late))
    }

    /// A window store that the processor is connected to.
    pub fn window_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s WindowHandle<SK, SV>,
    ) -> Result<ProcessorWindowStore<'s, SK, SV>, ProcessError> {
        let slot = self.slot(handle)?;
        let (store, expired) = self.cx.typed_and_expired(slot);
        Ok(ProcessorWindowStore::new(store, handle, expired))
    }

    /// A session store that the processor is connected to.
    pub fn session_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s SessionHandle<SK, SV>,
    ) -> Result<ProcessorSessionStore<'s, SK, SV>, ProcessError> {
        let slot = self.slot(handle)?;
        let (store, expired) = self.cx.typed_and_expired(slot);
        Ok(ProcessorSessionStore::new(store, handle, expired))
    }

    /// A read-only store that the processor is connected to.
    pub fn read_only_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s ReadOnlyHandle<SK, SV>,
    ) -> Result<ProcessorReadOnlyStore<'s, SK, SV>, ProcessError> {
        Ok(ProcessorReadOnlyStore::new(self.store(&handle.0)?))
    }

    /// A global table or global store, to be read. It needs no connecting.
    pub fn global_store<'s, SK: 'static, SV: 'static>(
        &'s self,
        handle: &'s GlobalHandle<SK, SV>,
    ) -> Result<ProcessorGlobalStore<'s, SK, SV>, ProcessError> {
        self.links.global_store(handle)
    }

    fn slot(&self, handle: &dyn ConnectedStore) -> Result<usize, ProcessError> {
        let slot = self.links.stores.iter().find(|(index, _)| *index == handle.index()).map(|(_, slot)| *slot);
        slot.ok_or_else(|| {
            let name = handle.name();
            self.error(format_args!("it is not connected to store {name}: name the store where process() is called"))
        })
    }

    /// The largest timestamp that the task has seen, ms (Kafka Streams: `currentStreamTimeMs`).
    pub fn stream_time_ms(&self) -> i64 {
        self.cx.state.stream_time_ms
    }

    /// The wall clock, as the task was told last, ms since 1970 (Kafka Streams: `currentSystemTimeMs`).
    pub fn wall_clock_ms(&self) -> i64 {
        self.cx.state.now_ms
    }

    /// The task's partition.
    pub fn partition(&self) -> i32 {
        self.links.partition
    }

    /// Where the record comes from; `None` for what a schedule does, and where it comes from a table upstream that is being
    /// flushed.
    pub fn metadata(&self) -> Option<RecordMetadata<'_>> {
        let origin = self.cx.origin?;
        let topic = self.links.sources.get(origin.source)?;
        Some(RecordMetadata { topic, partition: self.links.partition, offset: origin.offset })
    }

    /// An error of this processor's, with a reason in words.
    pub fn error(&self, reason: impl fmt::Display) -> ProcessError {
        ProcessError::Operator { operator: self.links.name.to_string(), reason: reason.to_string() }
    }
}

impl<K, V> fmt::Debug for ProcessorContext<'_, '_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessorContext").field("processor", &self.links.name).finish_non_exhaustive()
    }
}
