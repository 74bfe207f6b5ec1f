//! Processors that leave keys alone (Kafka Streams: `FixedKeyProcessor`).

use super::{
    GlobalHandle, Processor, ProcessorContext, ProcessorGlobalStore, ProcessorReadOnlyStore, ProcessorSessionStore,
    ProcessorStore, ProcessorVersionedStore, ProcessorWindowStore, PunctuationType, ReadOnlyHandle, RecordMetadata,
    Schedule, SessionHandle, StoreHandle, VersionedHandle, WindowHandle,
};
use crate::log::Headers;
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::fmt;

/// An operator of the user's own that makes new values and leaves keys alone, so nothing is repartitioned behind it
/// (Kafka Streams: `FixedKeyProcessor`). See [`KStream::process_values`](crate::dsl::KStream::process_values).
pub trait ValueProcessor<K, V>: Send + 'static {
    /// The values it forwards.
    type Value: 'static;

    /// Comes first, when the stores are restored. By default nothing happens.
    fn init(&mut self, _cx: &mut ValueContext<'_, '_, '_, K, Self::Value>) -> Result<(), ProcessError> {
        Ok(())
    }

    /// Takes one record.
    fn process(
        &mut self,
        record: &Record<'_, K, V>,
        cx: &mut ValueContext<'_, '_, '_, K, Self::Value>,
    ) -> Result<(), ProcessError>;

    /// A schedule is due. There is no key, so nothing can be forwarded. By default nothing happens.
    fn punctuate(
        &mut self,
        _schedule: Schedule,
        _time_ms: i64,
        _cx: &mut ValueContext<'_, '_, '_, K, Self::Value>,
    ) -> Result<(), ProcessError> {
        Ok(())
    }
}

/// What a [`ValueProcessor`] can do (Kafka Streams: `FixedKeyProcessorContext`).
pub struct ValueContext<'v, 'a, 'c, K, V> {
    cx: &'v mut ProcessorContext<'a, 'c, K, V>,
    /// The key of the record being processed, with its time and headers.
    record: Option<(&'v Lazy<'v, K>, i64, &'v Headers)>,
}

impl<K: 'static, V: 'static> ValueContext<'_, '_, '_, K, V> {
    /// Forwards a value with the key, timestamp and headers of the record being processed.
    pub fn forward(&mut self, value: V) -> Result<(), ProcessError> {
        self.forward_option(Some(value))
    }

    /// Forwards a value, or null, with the key, timestamp and headers of the record being processed.
    pub fn forward_option(&mut self, value: Option<V>) -> Result<(), ProcessError> {
        let Some((_, timestamp_ms, headers)) = self.record else { return Err(self.keyless()) };
        self.forward_with(value, timestamp_ms, headers)
    }

    /// Forwards a value, or null, with the key of the record being processed.
    pub fn forward_with(&mut self, value: Option<V>, timestamp_ms: i64, headers: &Headers) -> Result<(), ProcessError> {
        let Some((key, ..)) = self.record else { return Err(self.keyless()) };
        let value = value.map(Lazy::ready);
        self.cx.pass_on(&Record::new(key, value.as_ref(), timestamp_ms, headers))
    }

    fn keyless(&self) -> ProcessError {
        self.cx.error("nothing can be forwarded without a record: its key is what forwarded values get")
    }

    /// As [`ProcessorContext::store`].
    pub fn store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s StoreHandle<SK, SV>,
    ) -> Result<ProcessorStore<'s, SK, SV>, ProcessError> {
        self.cx.store(handle)
    }

    /// As [`ProcessorContext::versioned_store`].
    pub fn versioned_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s VersionedHandle<SK, SV>,
    ) -> Result<ProcessorVersionedStore<'s, SK, SV>, ProcessError> {
        self.cx.versioned_store(handle)
    }

    /// As [`ProcessorContext::window_store`].
    pub fn window_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s WindowHandle<SK, SV>,
    ) -> Result<ProcessorWindowStore<'s, SK, SV>, ProcessError> {
        self.cx.window_store(handle)
    }

    /// As [`ProcessorContext::session_store`].
    pub fn session_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s SessionHandle<SK, SV>,
    ) -> Result<ProcessorSessionStore<'s, SK, SV>, ProcessError> {
        self.cx.session_store(handle)
    }

    /// As [`ProcessorContext::read_only_store`].
    pub fn read_only_store<'s, SK: 'static, SV: Send + 'static>(
        &'s mut self,
        handle: &'s ReadOnlyHandle<SK, SV>,
    ) -> Result<ProcessorReadOnlyStore<'s, SK, SV>, ProcessError> {
        self.cx.read_only_store(handle)
    }

    /// As [`ProcessorContext::global_store`].
    pub fn global_store<'s, SK: 'static, SV: 'static>(
        &'s self,
        handle: &'s GlobalHandle<SK, SV>,
    ) -> Result<ProcessorGlobalStore<'s, SK, SV>, ProcessError> {
        self.cx.global_store(handle)
    }

    /// As [`ProcessorContext::schedule`].
    pub fn schedule(&mut self, interval_ms: i64, kind: PunctuationType) -> Result<Schedule, ProcessError> {
        self.cx.schedule(interval_ms, kind)
    }

    /// As [`ProcessorContext::cancel`].
    pub fn cancel(&mut self, schedule: Schedule) {
        self.cx.cancel(schedule);
    }

    /// As [`ProcessorContext::commit`].
    pub fn commit(&mut self) {
        self.cx.commit();
    }

    /// As [`ProcessorContext::stream_time_ms`].
    pub fn stream_time_ms(&self) -> i64 {
        self.cx.stream_time_ms()
    }

    /// As [`ProcessorContext::wall_clock_ms`].
    pub fn wall_clock_ms(&self) -> i64 {
        self.cx.wall_clock_ms()
    }

    /// As [`ProcessorContext::metadata`].
    pub fn metadata(&self) -> Option<RecordMetadata<'_>> {
        self.cx.metadata()
    }

    /// As [`ProcessorContext::error`].
    pub fn error(&self, reason: impl fmt::Display) -> ProcessError {
        self.cx.error(reason)
    }
}

impl<K, V> fmt::Debug for ValueContext<'_, '_, '_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ValueContext").field(&self.cx).finish()
    }
}

/// A value processor as a processor.
pub(crate) struct FixedKey<P>(pub(crate) P);

impl<K: 'static, V: 'static, P: ValueProcessor<K, V>> Processor<K, V> for FixedKey<P> {
    type Key = K;
    type Value = P::Value;

    fn init(&mut self, cx: &mut ProcessorContext<'_, '_, K, P::Value>) -> Result<(), ProcessError> {
        self.0.init(&mut ValueContext { cx, record: None })
    }

    fn process(
        &mut self,
        record: &Record<'_, K, V>,
        cx: &mut ProcessorContext<'_, '_, K, P::Value>,
    ) -> Result<(), ProcessError> {
        let known = Some((record.key, record.timestamp_ms, record.headers));
        self.0.process(record, &mut ValueContext { cx, record: known })
    }

    fn punctuate(
        &mut self,
        schedule: Schedule,
        time_ms: i64,
        cx: &mut ProcessorContext<'_, '_, K, P::Value>,
    ) -> Result<(), ProcessError> {
        self.0.punctuate(schedule, time_ms, &mut ValueContext { cx, record: None })
    }
}
