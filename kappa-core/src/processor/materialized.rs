//! A store with a table's results behind it: what is written to the store goes on downstream, at once or
//! when the store is flushed, and to the changelog at every flush.

use super::chain::Joint;
use super::{Cx, Slot, unencodable};
use crate::codec::SharedCodec;
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use kappa_state::{BufferedStore, Change};
use std::marker::PhantomData;
use std::sync::Arc;

/// Stages a store's changes.
pub(crate) trait Flush: Send {
    /// Writes the changes to the changelog and passes on what was held back.
    fn flush(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError>;
}

/// One materialised table of a task.
pub(crate) struct Materialized<K, V> {
    /// The operator's name.
    pub(crate) name: Arc<str>,
    pub(crate) slot: usize,
    /// Index of the changelog among the outputs.
    pub(crate) changelog: usize,
    pub(crate) key: SharedCodec<K>,
    pub(crate) value: SharedCodec<V>,
    /// What follows; `None` where nothing does.
    pub(crate) next: Option<Joint<K, V>>,
    /// An operator downstream reads this very store, so it must be in its place while results are passed on.
    pub(crate) read_downstream: bool,
    /// Changes carry the value before.
    pub(crate) sends_old: bool,
    /// Changes are passed on at once, whatever the cache.
    pub(crate) every_change: bool,
}

impl<K, V> Clone for Materialized<K, V> {
    fn clone(&self) -> Self {
        Self {
            name: Arc::clone(&self.name),
            key: self.key.clone(),
            value: self.value.clone(),
            next: self.next.clone(),
            ..*self
        }
    }
}

impl<K: 'static, V: Send + 'static> Materialized<K, V> {
    /// Tells what is downstream that `key` has changed because of `record`, now or at the next flush.
    #[inline]
    pub(crate) fn changed<W>(
        &self,
        key: &[u8],
        record: &Record<'_, K, W>,
        timestamp_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        if !cx.state.at_once && !self.every_change {
            cx.state.hold_headers(self.slot, key, record.headers);
            let overdue = cx.store::<V>(self.slot).over_cache() && cx.state.may_flush();
            return if overdue { self.flush(cx) } else { Ok(()) };
        }
        self.changed_now(key, record, timestamp_ms, cx)
    }

    /// As `changed`, at once.
    #[inline(never)]
    fn changed_now<W>(
        &self,
        key: &[u8],
        record: &Record<'_, K, W>,
        timestamp_ms: i64,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let Some(next) = &self.next else { return Ok(()) };
        if self.sends_old {
            return self.changed_from(key, record, timestamp_ms, next, cx);
        }
        let forward = |value: Option<Lazy<'_, V>>, cx: &mut Cx<'_>| {
            let Record { key, headers, .. } = *record;
            next.send(&Record::new(key, value.as_ref(), timestamp_ms, headers), cx)
        };
        if !self.read_downstream {
            return self
                .taken(cx, |store, cx| forward(store.get(key)?.map(|(value, _)| Lazy::borrowed(value, None)), cx));
        }
        let mut bytes = Vec::new();
        let present = match cx.store::<V>(self.slot).get(key)? {
            Some((value, _)) => Lazy::borrowed(value, None)
                .write(&self.value, &mut bytes)
                .map_err(|error| unencodable(&self.name, "value", &error))?,
            None => false,
        };
        forward(present.then(|| Lazy::encoded(&self.value, Some(&bytes))).flatten(), cx)
    }

    /// As `changed`, at once, with the value before: the change is staged, which finds that value.
    fn changed_from<W>(
        &self,
        key: &[u8],
        record: &Record<'_, K, W>,
        timestamp_ms: i64,
        next: &Joint<K, V>,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        let (mut value, mut old) = (None, None);
        let (store, out) = cx.store_and_output::<V>(self.slot);
        store.stage(|change| {
            out.log(self.changelog, change.timestamp_ms, change.key, change.value_bytes);
            if change.key == key {
                value = change.value_bytes.map(<[u8]>::to_vec);
                old = self.encode(change.old)?;
            }
            Ok::<(), ProcessError>(())
        })?;
        let value = value.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
        let old = old.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
        let Record { key, headers, .. } = *record;
        next.send(&Record { old: old.as_ref(), ..Record::new(key, value.as_ref(), timestamp_ms, headers) }, cx)
    }

    fn encode(&self, value: Option<&V>) -> Result<Option<Vec<u8>>, ProcessError> {
        let Some(value) = value else { return Ok(None) };
        let mut bytes = Vec::new();
        let encoded = self.value.codec.encode(value, &mut bytes);
        encoded.map_err(|error| unencodable(&self.name, "value", &error))?;
        Ok(Some(bytes))
    }

    /// Runs `with` over the store, which is out of its place meanwhile.
    fn taken<R>(
        &self,
        cx: &mut Cx<'_>,
        with: impl FnOnce(&mut BufferedStore<V>, &mut Cx<'_>) -> Result<R, ProcessError>,
    ) -> Result<R, ProcessError> {
        let mut taken: Option<Box<dyn Slot>> = cx.state.stores[self.slot].take();
        let result = match taken.as_mut().and_then(|slot| slot.any().downcast_mut()) {
            Some(store) => with(store, cx),
            None => unreachable!("slots are typed by the builder, and only one operator takes a store"),
        };
        cx.state.stores[self.slot] = taken;
        result
    }

    fn pass_on(&self, change: &Change<'_, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(next) = self.next.as_ref().filter(|_| !cx.state.at_once && !self.every_change) else { return Ok(()) };
        let bytes = change.value_bytes.map(|bytes| (self.value.id, bytes));
        let value = match change.value {
            Some(value) => Some(Lazy::borrowed(value, bytes)),
            None => change.value_bytes.and_then(|bytes| Lazy::encoded(&self.value, Some(bytes))),
        };
        let Some(key) = Lazy::encoded(&self.key, Some(change.key)) else { return Ok(()) };
        let headers = &cx.state.release_headers(self.slot, change.key);
        let old = change.old.map(|old| Lazy::borrowed(old, None));
        let record = Record::new(&key, value.as_ref(), change.timestamp_ms, headers);
        next.send(&Record { old: old.as_ref(), ..record }, cx)
    }
}

impl<K: 'static, V: Send + 'static> Flush for Materialized<K, V> {
    fn flush(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let mut copies = Vec::new();
        self.taken(cx, |store, cx| {
            store.stage(|change| {
                cx.out.log(self.changelog, change.timestamp_ms, change.key, change.value_bytes);
                if self.read_downstream {
                    copies.push(Copied {
                        key: change.key.to_vec(),
                        value: change.value_bytes.map(<[u8]>::to_vec),
                        old: self.encode(change.old)?,
                        timestamp_ms: change.timestamp_ms,
                    });
                    return Ok(());
                }
                self.pass_on(&change, cx)
            })
        })?;
        for Copied { key, value, old, timestamp_ms } in &copies {
            let value_bytes = value.as_deref();
            let old = old.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
            let old =
                old.as_ref().map(Lazy::get).transpose().map_err(|error| unencodable(&self.name, "value", &error))?;
            self.pass_on(&Change { key, value_bytes, value: None, old, timestamp_ms: *timestamp_ms }, cx)?;
        }
        Ok(())
    }
}

/// A change that waits until its store is back in its place.
struct Copied {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    old: Option<Vec<u8>>,
    timestamp_ms: i64,
}

/// A store that only processors write: its changes go to the changelog.
pub(crate) struct LogOnly<V> {
    slot: usize,
    changelog: usize,
    types: PhantomData<fn(V)>,
}

impl<V> LogOnly<V> {
    pub(crate) fn new(slot: usize, changelog: usize) -> Self {
        Self { slot, changelog, types: PhantomData }
    }
}

impl<V: Send + 'static> Flush for LogOnly<V> {
    fn flush(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let (store, out) = cx.store_and_output::<V>(self.slot);
        store.stage(|change| {
            out.log(self.changelog, change.timestamp_ms, change.key, change.value_bytes);
            Ok(())
        })
    }
}
