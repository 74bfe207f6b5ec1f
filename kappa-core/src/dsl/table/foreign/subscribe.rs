//! The left side of a foreign-key join: a row's changes become subscriptions (Kafka Streams:
//! `SubscriptionSendProcessorSupplier`).

use super::murmur3::{Hash, hash};
use super::wire::{Instruction, Subscription, SubscriptionCodec};
use crate::codec::{Codec, SharedCodec};
use crate::processor::{Cx, Dropped, Receiver, unencodable};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::sync::Arc;

pub(super) struct Subscribe<K, V, K2, F> {
    pub(super) name: Arc<str>,
    pub(super) output: usize,
    /// The task's, where answers come back to.
    pub(super) partition: i32,
    pub(super) key: SharedCodec<K>,
    pub(super) foreign_codec: SharedCodec<K2>,
    pub(super) value: SharedCodec<V>,
    pub(super) foreign_key: Arc<F>,
    /// Rows without a partner are in the result.
    pub(super) left: bool,
}

/// A foreign key's bytes and what is to be done there; no key is told that there is nothing.
type Step = (Option<Vec<u8>>, Instruction);

impl<K: 'static, V: 'static, K2: 'static, F> Subscribe<K, V, K2, F>
where
    F: Fn(&K, &V) -> Option<K2> + Send + Sync,
{
    /// The bytes of the foreign key that a value holds.
    fn foreign_key(&self, key: &K, value: Option<&V>) -> Result<Option<Vec<u8>>, ProcessError> {
        let Some(foreign) = value.and_then(|value| (self.foreign_key)(key, value)) else { return Ok(None) };
        let mut bytes = Vec::new();
        let written = Lazy::ready(foreign).write(&self.foreign_codec, &mut bytes);
        let present = written.map_err(|error| unencodable(&self.name, "foreign key", &error))?;
        Ok(present.then_some(bytes))
    }

    fn hash(&self, record: &Record<'_, K, V>) -> Result<Option<Hash>, ProcessError> {
        let Some(value) = record.value else { return Ok(None) };
        let mut bytes = Vec::new();
        value.write(&self.value, &mut bytes).map_err(|error| unencodable(&self.name, "value", &error))?;
        Ok(Some(hash(&bytes)))
    }

    /// What an inner join does about a change.
    fn inner(has_new: bool, old: Option<Vec<u8>>, new: Option<Vec<u8>>) -> Vec<Step> {
        match (has_new, old, new) {
            (true, Some(old), Some(new)) if old != new => {
                vec![(Some(old), Instruction::Delete), (Some(new), Instruction::Propagate)]
            }
            (true, _, Some(new)) => vec![(Some(new), Instruction::PropagateIfThere)],
            (_, Some(old), None) | (false, Some(old), Some(_)) => vec![(Some(old), Instruction::DeleteAndPropagate)],
            (_, None, _) => Vec::new(),
        }
    }

    /// What a left join does about a change.
    fn left(old: Option<Vec<u8>>, new: Option<Vec<u8>>) -> Vec<Step> {
        let moved = old.filter(|old| Some(old) != new.as_ref()).map(|old| (Some(old), Instruction::Delete));
        moved.into_iter().chain([(new, Instruction::Propagate)]).collect()
    }

    fn send(
        &self,
        key: &[u8],
        steps: Vec<Step>,
        record: &Record<'_, K, V>,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        if steps.is_empty() {
            return Ok(());
        }
        let hash = self.hash(record)?;
        for (foreign, instruction) in steps {
            let subscription = Subscription { hash, instruction, key: key.to_vec(), partition: self.partition };
            let write = |bytes: &mut Vec<u8>| SubscriptionCodec.encode(&subscription, bytes).map(|()| true);
            let key = foreign.as_deref();
            let sent = cx.out.send(self.output, record.timestamp_ms, record.headers, (key, key), write);
            sent.map_err(|error| unencodable(&self.name, "value", &error))?;
        }
        Ok(())
    }
}

impl<K: 'static, V: 'static, K2: 'static, F> Receiver<K, V> for Subscribe<K, V, K2, F>
where
    F: Fn(&K, &V) -> Option<K2> + Send + Sync,
{
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        if !record.latest {
            return cx.drop_record(Dropped::OutOfOrder);
        }
        let (value, old) = (record.value()?, record.old()?);
        let key = record.key()?;
        let old_key = self.foreign_key(key, old)?;
        let new_key = self.foreign_key(key, value)?;
        let has_new = value.is_some();
        let steps = match self.left {
            true if value.is_none() && old.is_none() => return Ok(()),
            true => Self::left(old_key, new_key),
            false => {
                if has_new && new_key.is_none() {
                    cx.drop_record(Dropped::NullForeignKey)?;
                }
                Self::inner(has_new, old_key, new_key)
            }
        };
        let sent = cx.with_key(&self.name, record.key, &self.key, |key, cx| self.send(key, steps, record, cx))?;
        if sent.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Any = Subscribe<String, String, String, fn(&String, &String) -> Option<String>>;

    fn key(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    /// The table of instructions in Kafka Streams' `SubscriptionSendProcessorSupplier`.
    #[test]
    fn an_inner_join_sends_kafka_streams_instructions() {
        use Instruction::{Delete, DeleteAndPropagate, Propagate, PropagateIfThere};
        assert_eq!(Any::inner(true, None, key("a")), [(key("a"), PropagateIfThere)]);
        assert_eq!(Any::inner(true, key("a"), key("a")), [(key("a"), PropagateIfThere)]);
        assert_eq!(Any::inner(true, key("a"), key("b")), [(key("a"), Delete), (key("b"), Propagate)]);
        assert_eq!(Any::inner(true, key("a"), None), [(key("a"), DeleteAndPropagate)]);
        assert_eq!(Any::inner(true, None, None), []);
        assert_eq!(Any::inner(false, key("a"), None), [(key("a"), DeleteAndPropagate)]);
        assert_eq!(Any::inner(false, None, None), []);
    }

    #[test]
    fn a_left_join_sends_kafka_streams_instructions() {
        use Instruction::{Delete, Propagate};
        assert_eq!(Any::left(None, key("a")), [(key("a"), Propagate)]);
        assert_eq!(Any::left(key("a"), key("a")), [(key("a"), Propagate)]);
        assert_eq!(Any::left(key("a"), key("b")), [(key("a"), Delete), (key("b"), Propagate)]);
        assert_eq!(Any::left(key("a"), None), [(key("a"), Delete), (None, Propagate)]);
        assert_eq!(Any::left(None, None), [(None, Propagate)]);
    }
}
