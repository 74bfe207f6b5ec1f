//! One side of a join of two streams (Kafka Streams: `KStreamKStreamJoin` with its `KStreamJoinWindow`).

use super::outer::Entry;
use super::{Kept, OuterSide};
use crate::codec::SharedCodec;
use crate::dsl::JoinWindows;
use crate::log::Headers;
use crate::processor::{Cx, Dropped, Joint, Receiver, Tick, unencodable};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::{Assembly, NodeId};
use std::sync::Arc;

/// Joins the records of its own side with those that the other side has kept, then keeps them itself.
pub(crate) struct JoinSide<K, V, W, R, F> {
    name: Arc<str>,
    key: SharedCodec<K>,
    windows: JoinWindows,
    /// How much earlier and later the other side's records may be.
    before_ms: i64,
    after_ms: i64,
    own: Kept<V>,
    other: Kept<W>,
    outer: Option<OuterSide>,
    joiner: Arc<F>,
    next: Joint<K, R>,
    /// The value's bytes.
    bytes: Vec<u8>,
}

impl<K: 'static, V: Send + 'static, W: Send + 'static, R: 'static, F> JoinSide<K, V, W, R, F>
where
    F: Fn(Option<&V>, Option<&W>) -> Option<R> + Send + Sync,
{
    /// A side in `node`, that comes together with the other in `meeting`. `outer` is there where any side waits for matches.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        assembly: &mut Assembly<'_>,
        (node, meeting): (NodeId, NodeId),
        key: &SharedCodec<K>,
        windows: JoinWindows,
        left: bool,
        (own, other): (Kept<V>, Kept<W>),
        outer: Option<OuterSide>,
        joiner: Arc<F>,
    ) -> Self {
        let JoinWindows { before_ms, after_ms, .. } = windows;
        let (before_ms, after_ms) = if left { (before_ms, after_ms) } else { (after_ms, before_ms) };
        let (name, next) = (assembly.name(node), assembly.joint(meeting));
        let (key, bytes) = (key.clone(), Vec::new());
        Self { name, key, windows, before_ms, after_ms, own, other, outer, joiner, next, bytes }
    }

    fn send(
        &self,
        record: &Record<'_, K, V>,
        result: Option<R>,
        timestamp_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let Some(result) = result else { return Ok(()) };
        let Record { key, headers, .. } = *record;
        self.next.send(&Record::new(key, Some(&Lazy::ready(result)), timestamp_ms, headers), cx)
    }

    fn join(&self, key: &[u8], value: &V, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let now_ms = record.timestamp_ms;
        let from_ms = now_ms.saturating_sub(self.before_ms).max(0);
        let to_ms = now_ms.saturating_add(self.after_ms).max(0);
        let mut matched = false;
        self.other.visit(key, (from_ms, to_ms), cx, |time_ms, other, cx| {
            matched = true;
            if let Some(outer) = &self.outer {
                outer.found(key, time_ms, cx)?;
            }
            self.send(record, (self.joiner)(Some(value), Some(other)), now_ms.max(time_ms), cx)
        })?;
        match &self.outer {
            Some(outer) if !matched && outer.waits => {
                if to_ms < outer.stream_time_ms(cx) {
                    return self.send(record, (self.joiner)(Some(value), None), now_ms, cx);
                }
                outer.wait(key, &self.bytes, now_ms, cx)
            }
            _ => Ok(()),
        }
    }

    /// What has waited until its window was over is joined with nothing. The record is the one that moved time on.
    fn give_up(&self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(outer) = &self.outer else { return Ok(()) };
        if record.timestamp_ms != outer.stream_time_ms(cx) {
            return Ok(());
        }
        outer.give_up(&self.windows, self.after_ms, cx, |entry, cx| self.send_alone(entry, record.headers, cx))
    }

    fn send_alone(&self, entry: &Entry<'_>, headers: &Headers, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(key) = Lazy::encoded(&self.key, Some(entry.key)) else { return Ok(()) };
        let undecodable = |error: crate::codec::CodecError| ProcessError::Operator {
            operator: self.name.to_string(),
            reason: format!("a value that waits can't be decoded: {error}"),
        };
        let result = if entry.own {
            let value = self.own.value.codec.decode(entry.value).map_err(undecodable)?;
            (self.joiner)(Some(&value), None)
        } else {
            let value = self.other.value.codec.decode(entry.value).map_err(undecodable)?;
            (self.joiner)(None, Some(&value))
        };
        let Some(result) = result else { return Ok(()) };
        let result = Lazy::ready(result);
        self.next.send(&Record::new(&key, Some(&result), entry.timestamp_ms, headers), cx)
    }

    fn take(&mut self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.bytes.clear();
        let written = record.value.map(|value| value.write(&self.own.value, &mut self.bytes)).transpose();
        let present = written.map_err(|error| unencodable(&self.name, "value", &error))? == Some(true);
        match record.value()?.filter(|_| present) {
            Some(value) => {
                self.give_up(record, cx)?;
                self.join(key, value, record, cx)?;
                self.own.put(key, Some(&self.bytes), record.timestamp_ms, cx)
            }
            None => {
                cx.drop_record(Dropped::NullValue)?;
                self.own.put(key, None, record.timestamp_ms, cx)
            }
        }
    }
}

impl<K: 'static, V: Send + 'static, W: Send + 'static, R: 'static, F> Tick for JoinSide<K, V, W, R, F>
where
    F: Fn(Option<&V>, Option<&W>) -> Option<R> + Send + Sync,
{
    fn tick(&mut self, time_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        let Some(outer) = &self.outer else { return Ok(None) };
        outer.give_up_by(&self.windows, time_ms, cx, |entry, cx| self.send_alone(entry, &Headers::empty(), cx))
    }
}

impl<K: 'static, V: Send + 'static, W: Send + 'static, R: 'static, F> Receiver<K, V> for JoinSide<K, V, W, R, F>
where
    F: Fn(Option<&V>, Option<&W>) -> Option<R> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if let Some(outer) = &self.outer {
            outer.advance(record.timestamp_ms, cx);
        }
        let (name, codec) = (Arc::clone(&self.name), self.key.clone());
        if cx.with_key(&name, record.key, &codec, |key, cx| self.take(key, record, cx))?.is_some() {
            return Ok(());
        }
        match record.value()? {
            Some(value) if self.outer.as_ref().is_some_and(|outer| outer.waits) => {
                self.send(record, (self.joiner)(Some(value), None), record.timestamp_ms, cx)
            }
            _ => cx.drop_record(Dropped::NullKey),
        }
    }
}
