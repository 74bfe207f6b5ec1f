//! The join of a stream with itself over one store (Kafka Streams: `KStreamKStreamSelfJoin`).

use super::Kept;
use crate::codec::SharedCodec;
use crate::dsl::JoinWindows;
use crate::processor::{Cx, Dropped, Next, Receiver, TimeSlot, unencodable};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::{Assembly, NodeId};
use std::sync::Arc;

/// Joins each record with the kept ones, those with it, and it with itself, as two sides of one stream would.
pub(crate) struct SelfJoin<K, V, R, F> {
    name: Arc<str>,
    key: SharedCodec<K>,
    windows: JoinWindows,
    kept: Kept<V>,
    /// The largest timestamp seen.
    time: TimeSlot,
    joiner: Arc<F>,
    next: Next<K, R>,
    bytes: Vec<u8>,
}

impl<K: 'static, V: Send + 'static, R: 'static, F: Fn(&V, &V) -> R> SelfJoin<K, V, R, F> {
    pub(crate) fn new(
        kept: Kept<V>,
        assembly: &mut Assembly<'_>,
        node: NodeId,
        key: &SharedCodec<K>,
        windows: JoinWindows,
        joiner: Arc<F>,
    ) -> Self {
        let (name, time) = (assembly.name(node), assembly.time(node, "stream"));
        Self { name, key: key.clone(), windows, kept, time, joiner, next: assembly.next(node), bytes: Vec::new() }
    }

    fn take(&mut self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.bytes.clear();
        let written = record.value.map(|value| value.write(&self.kept.value, &mut self.bytes)).transpose();
        let present = written.map_err(|error| unencodable(&self.name, "value", &error))? == Some(true);
        let Some(value) = record.value()?.filter(|_| present) else {
            cx.drop_record(Dropped::NullValue)?;
            return self.kept.put(key, None, record.timestamp_ms, cx);
        };
        self.join(key, value, record, cx)?;
        self.kept.put(key, Some(&self.bytes), record.timestamp_ms, cx)
    }

    fn join(&mut self, key: &[u8], value: &V, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let now_ms = record.timestamp_ms;
        let seen_ms = cx.state.times.advance(self.time, now_ms);
        let JoinWindows { before_ms, after_ms, .. } = self.windows;
        let (joiner, next) = (&self.joiner, &mut self.next);
        let mut send = |one: &V, other: &V, time_ms: i64, cx: &mut Cx<'_>| {
            let Record { key, headers, .. } = *record;
            let result = Lazy::ready(joiner(one, other));
            next.receive(&Record::new(key, Some(&result), now_ms.max(time_ms), headers), cx)
        };
        let range = |before_ms: i64, after_ms: i64| {
            (now_ms.saturating_sub(before_ms).max(0), now_ms.saturating_add(after_ms).max(0))
        };
        self.kept.visit(key, range(before_ms, after_ms), cx, |time_ms, other, cx| send(value, other, time_ms, cx))?;
        // With itself before the first later one, unless its time is about to go.
        let mut with_itself = now_ms > seen_ms.saturating_sub(self.windows.retention_ms()).saturating_add(1);
        self.kept.visit(key, range(after_ms, before_ms), cx, |time_ms, other, cx| {
            if now_ms < time_ms && std::mem::take(&mut with_itself) {
                send(value, value, now_ms, cx)?;
            }
            send(other, value, time_ms, cx)
        })?;
        if with_itself { send(value, value, now_ms, cx) } else { Ok(()) }
    }
}

impl<K: 'static, V: Send + 'static, R: 'static, F> Receiver<K, V> for SelfJoin<K, V, R, F>
where
    F: Fn(&V, &V) -> R + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (name, codec) = (Arc::clone(&self.name), self.key.clone());
        let taken = cx.with_key(&name, record.key, &codec, |key, cx| self.take(key, record, cx))?;
        if taken.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }
}
