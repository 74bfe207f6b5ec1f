//! The right side of a foreign-key join: subscriptions are kept and answered.

use super::murmur3::Hash;
use super::wire::{Instruction, Response, Subscription, prefix};
use crate::codec::SharedCodec;
use crate::log::Headers;
use crate::processor::{Cx, Dropped, Getter, Receiver, Wanted, unencodable};
use crate::record::{Lazy, Record};
use crate::task::{Output, ProcessError};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A subscription comes: it is kept or forgotten, and answered as it says (Kafka Streams:
/// `SubscriptionReceiveProcessorSupplier` and `SubscriptionJoinProcessorSupplier`).
pub(super) struct Receive<K, V> {
    pub(super) name: Arc<str>,
    pub(super) slot: usize,
    pub(super) output: usize,
    pub(super) right: Box<dyn Getter<K, V>>,
    pub(super) key: SharedCodec<K>,
    pub(super) value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> Receive<K, V> {
    fn keep(
        &self,
        foreign: &[u8],
        subscription: &Subscription,
        timestamp_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let mut key = prefix(foreign);
        key.extend_from_slice(&subscription.key);
        let kept = match subscription.instruction {
            Instruction::Delete | Instruction::DeleteAndPropagate => None,
            Instruction::Propagate | Instruction::PropagateIfThere => Some(subscription.clone()),
        };
        Ok(cx.store::<Subscription>(self.slot).put(&key, kept, timestamp_ms)?)
    }

    /// The right row's bytes and timestamp.
    fn right(&self, foreign: &[u8], cx: &mut Cx<'_>) -> Result<Option<(Vec<u8>, i64)>, ProcessError> {
        let Some(key) = Lazy::encoded(&self.key, Some(foreign)) else { return Ok(None) };
        let mut row = None;
        self.right.get(Wanted::latest(&key, foreign), cx, &mut |found| {
            if let Some((value, at_ms)) = found {
                let mut bytes = Vec::new();
                let written = self.value.codec.encode(value, &mut bytes);
                written.map_err(|error| unencodable(&self.name, "value", &error))?;
                row = Some((bytes, at_ms));
            }
            Ok(())
        })?;
        Ok(row)
    }
}

impl<K: 'static, V: 'static> Receiver<Option<Vec<u8>>, Subscription> for Receive<K, V> {
    fn receive(
        &mut self,
        record: &Record<'_, Option<Vec<u8>>, Subscription>,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let Some(subscription) = record.value()? else { return cx.drop_record(Dropped::NullValue) };
        let mut row = None;
        match record.key()? {
            Some(foreign) => {
                self.keep(foreign, subscription, record.timestamp_ms, cx)?;
                row = self.right(foreign, cx)?;
            }
            None if subscription.instruction != Instruction::Propagate => {
                return cx.drop_record(Dropped::NullForeignKey);
            }
            None => {}
        }
        let timestamp_ms = row.as_ref().map_or(record.timestamp_ms, |(_, at_ms)| record.timestamp_ms.max(*at_ms));
        let value = match (subscription.instruction, &row) {
            (Instruction::Delete, _) | (Instruction::PropagateIfThere, None) => return Ok(()),
            (Instruction::DeleteAndPropagate, _) | (Instruction::Propagate, None) => None,
            (Instruction::Propagate | Instruction::PropagateIfThere, Some((bytes, _))) => Some(bytes.as_slice()),
        };
        let Subscription { hash, key, partition, .. } = subscription;
        answer(cx.out, (self.output, *partition), (timestamp_ms, record.headers), key, hash.as_ref(), value);
        Ok(())
    }
}

/// A right row has changed: all who hold its key are told (Kafka Streams: `ForeignTableJoinProcessorSupplier`).
pub(super) struct RightChange<K, V> {
    pub(super) name: Arc<str>,
    pub(super) slot: usize,
    pub(super) output: usize,
    pub(super) key: SharedCodec<K>,
    pub(super) value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> RightChange<K, V> {
    fn tell(&self, foreign: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let mut bytes = Vec::new();
        let present = match record.value {
            Some(value) => value.write(&self.value, &mut bytes),
            None => Ok(false),
        };
        let value = present.map_err(|error| unencodable(&self.name, "value", &error))?.then_some(bytes.as_slice());
        let prefix = prefix(foreign);
        let (store, out) = cx.store_and_output::<Subscription>(self.slot);
        let at = (record.timestamp_ms, record.headers);
        store.scan_prefix(&prefix, &mut |_, subscription, _| {
            let Subscription { hash, key, partition, .. } = subscription;
            answer(out, (self.output, *partition), at, key, hash.as_ref(), value);
            ControlFlow::Continue(())
        })?;
        Ok(())
    }
}

impl<K: 'static, V: 'static> Receiver<K, V> for RightChange<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if !record.latest {
            return cx.drop_record(Dropped::OutOfOrder);
        }
        let told = cx.with_key(&self.name, record.key, &self.key, |key, cx| self.tell(key, record, cx))?;
        if told.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }
}

/// Writes an answer to the partition that the subscription came from.
fn answer(
    out: &mut Output,
    to: (usize, i32),
    (timestamp_ms, headers): (i64, &Headers),
    key: &[u8],
    hash: Option<&Hash>,
    value: Option<&[u8]>,
) {
    let write = |bytes: &mut Vec<u8>| -> Result<bool, Infallible> {
        Response::write(hash, value, bytes);
        Ok(true)
    };
    let Ok(()) = out.send_to(to.0, to.1, timestamp_ms, headers, Some(key), write);
}
