//! Read-only stores: their changelog is the topic they are made of.
//!
//! **Invariants:**
//! - Nothing but its own update writes such a store, so what the topic holds up to a committed offset is what a restore needs.
//! - A restore puts the topic's records as they are, those left out that could not be used where they entered.

use super::{KStream, store};
use crate::codec::SharedCodec;
use crate::processor::{Cx, Dropped, Processor, ProcessorSupplier, ReadOnlyHandle, Receiver, Slot, StoreHandle};
use crate::record::Record;
use crate::task::{GlobalRow, ProcessError, Rows};
use crate::topology::{FromTopic, Store, StoreIndex};
use kappa_state::{BufferedStore, Direction, StateError};
use std::convert::Infallible;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

impl<K: 'static, V: Send + 'static> KStream<K, V> {
    /// The read-only store `name` of a source's records, each put as it is.
    pub(crate) fn read_only_store(&self, name: &str) -> ReadOnlyHandle<K, V>
    where
        V: Clone,
    {
        let (index, handle, value) = self.store_of(name);
        let (node_name, key) = (Arc::<str>::from(name), self.need_key(name));
        let node = self.operator_of(name, "update", move |assembly, _| PutRows {
            name: Arc::clone(&node_name),
            // Only where nothing needs a store it has no slot, and this one is always needed.
            slot: assembly.slot(index).unwrap_or(usize::MAX),
            key: key.clone(),
            value: value.clone(),
        });
        self.graph.borrow_mut().connect(node, &[index]);
        self.made_of_topic(index);
        ReadOnlyHandle(handle)
    }

    /// The read-only store `name` that a processor makes of a source's records.
    pub(crate) fn read_only_store_with<S: ProcessorSupplier<K, V>>(
        &self,
        name: &str,
        update: impl FnOnce(StoreHandle<K, V>) -> S,
    ) -> ReadOnlyHandle<K, V>
    where
        S::Processor: Processor<K, V, Key = Infallible, Value = Infallible>,
    {
        let (index, handle, _) = self.store_of(name);
        let supplier = update(handle.clone());
        self.hosted(name, "update", &[&handle], move || supplier.get());
        self.made_of_topic(index);
        ReadOnlyHandle(handle)
    }

    fn store_of(&self, name: &str) -> (StoreIndex, StoreHandle<K, V>, SharedCodec<V>) {
        let (key, value) = (self.need_key(name), self.need_value(name));
        let store = store(name, "read-only", None, &key, &value);
        let flush = Arc::new(|assembly: &mut crate::topology::Assembly<'_>, index| assembly.stage_only::<V>(index));
        let index = self.graph.borrow_mut().add_store(Store { flush: Some(flush), ..store });
        (index, StoreHandle::new(index, name, key), value)
    }

    /// From here on nobody else can be connected to the store as to one that can be written.
    fn made_of_topic(&self, index: StoreIndex) {
        let (key, value) = (self.need_key("read_only_store"), self.need_value("read_only_store"));
        let rows = value.clone();
        let from_topic = FromTopic {
            source: self.node,
            is_row: Arc::new(move |(key_bytes, value_bytes, timestamp_ms): GlobalRow<'_>| {
                let usable = || value_bytes.is_none_or(|bytes| value.codec.check(bytes).is_ok());
                timestamp_ms >= 0 && key.codec.check(key_bytes).is_ok() && usable()
            }),
            rows: Arc::new(move |slot| rows_of(slot, &rows)),
        };
        self.graph.borrow_mut().stores[index].from_topic = Some(from_topic);
    }
}

/// All rows of a store: key, value and timestamp.
fn rows_of<V: Send + 'static>(slot: &mut dyn Slot, codec: &SharedCodec<V>) -> Result<Rows, StateError> {
    let Some(store) = slot.any().downcast_mut::<BufferedStore<V>>() else {
        unreachable!("a store has the type it was made with")
    };
    let (mut rows, mut failed) = (Vec::new(), None);
    store.scan(Bound::Unbounded, Bound::Unbounded, Direction::Forward, &mut |key, value, timestamp_ms| {
        let mut bytes = Vec::new();
        match codec.codec.encode(value, &mut bytes) {
            Ok(()) => rows.push((key.to_vec(), bytes, timestamp_ms)),
            Err(error) => failed = Some(error.reason),
        }
        ControlFlow::Continue(())
    })?;
    match failed {
        Some(reason) => Err(StateError::Encode { store: slot.managed_ref().id().store.clone(), reason }),
        None => Ok(rows),
    }
}

/// Keeps the latest value of each key.
struct PutRows<K, V> {
    name: Arc<str>,
    slot: usize,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: Clone + Send + 'static> Receiver<K, V> for PutRows<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        // What is written as null deletes.
        let value = record.value()?.filter(|value| !self.value.codec.is_null(value));
        let put = cx.with_key(&self.name, record.key, &self.key, |key, cx| {
            Ok(cx.store::<V>(self.slot).put(key, value.cloned(), record.timestamp_ms)?)
        })?;
        if put.is_none() { cx.drop_record(Dropped::NullKey) } else { Ok(()) }
    }
}
