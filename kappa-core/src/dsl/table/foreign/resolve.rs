//! The left side of a foreign-key join again: answers become results (Kafka Streams: `ResponseJoinProcessorSupplier`).

use super::murmur3::hash;
use super::wire::Response;
use crate::codec::SharedCodec;
use crate::processor::{Cx, Dropped, Getter, Next, Receiver, Wanted, unencodable};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use std::sync::Arc;

pub(super) struct Resolve<K, V, V2, R, F> {
    pub(super) name: Arc<str>,
    pub(super) key: SharedCodec<K>,
    pub(super) table: Box<dyn Getter<K, V>>,
    pub(super) value: SharedCodec<V>,
    pub(super) right_value: SharedCodec<V2>,
    pub(super) joiner: Arc<F>,
    pub(super) left: bool,
    pub(super) next: Next<K, R>,
}

/// What an answer comes to.
enum Outcome<R> {
    /// The row that asked is another by now.
    Stale,
    /// This result; `None` deletes.
    Result(Option<R>),
}

impl<K: 'static, V: 'static, V2: 'static, R: 'static, F> Resolve<K, V, V2, R, F>
where
    F: Fn(&V, Option<&V2>) -> Option<R> + Send + Sync,
{
    fn resolve(
        &self,
        key: (&Lazy<'_, K>, &[u8]),
        response: &Response,
        cx: &mut Cx<'_>,
    ) -> Result<Outcome<R>, ProcessError> {
        let right = match &response.value {
            Some(bytes) => Some(
                self.right_value
                    .codec
                    .decode(bytes)
                    .map_err(|error| ProcessError::Undecodable { part: "value", reason: error.reason })?,
            ),
            None => None,
        };
        let mut outcome = Outcome::Stale;
        self.table.get(Wanted::latest(key.0, key.1), cx, &mut |found| {
            let now = match found {
                Some((value, _)) => {
                    let mut bytes = Vec::new();
                    let written = self.value.codec.encode(value, &mut bytes);
                    written.map_err(|error| unencodable(&self.name, "value", &error))?;
                    Some(hash(&bytes))
                }
                None => None,
            };
            if now == response.hash {
                let row = found.filter(|_| right.is_some() || self.left);
                outcome = Outcome::Result(row.and_then(|(value, _)| (self.joiner)(value, right.as_ref())));
            }
            Ok(())
        })?;
        Ok(outcome)
    }
}

impl<K: 'static, V: 'static, V2: 'static, R: 'static, F> Receiver<K, Response> for Resolve<K, V, V2, R, F>
where
    F: Fn(&V, Option<&V2>) -> Option<R> + Send + Sync,
    V: Send,
    V2: Send,
{
    fn receive(&mut self, record: &Record<'_, K, Response>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(response) = record.value()? else { return cx.drop_record(Dropped::NullValue) };
        let outcome = cx
            .with_key(&self.name, record.key, &self.key, |bytes, cx| self.resolve((record.key, bytes), response, cx))?;
        let value = match outcome {
            Some(Outcome::Result(value)) => value.map(Lazy::ready),
            Some(Outcome::Stale) => return cx.drop_record(Dropped::Stale),
            None => return cx.drop_record(Dropped::NullKey),
        };
        let Record { key, timestamp_ms, headers, .. } = *record;
        self.next.receive(&Record::new(key, value.as_ref(), timestamp_ms, headers), cx)
    }
}
