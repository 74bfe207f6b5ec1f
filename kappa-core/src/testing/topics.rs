//! Typed ends of a [`TestDriver`](super::TestDriver): inputs and outputs.

use super::TestError;
use super::stored::Stored;
use super::world::World;
use crate::codec::{CodecError, SharedCodec};
use crate::log::Headers;
use crate::partitioner;
use crate::record::Lazy;
use crate::topology::{TopicRef, display};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// A topic to pipe records into.
pub struct TestInput<K, V> {
    world: Rc<RefCell<World>>,
    topic: TopicRef,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> TestInput<K, V> {
    pub(super) fn new(world: Rc<RefCell<World>>, topic: TopicRef, key: SharedCodec<K>, value: SharedCodec<V>) -> Self {
        Self { world, topic, key, value }
    }

    /// Pipes a record in and runs all that follows from it.
    pub fn pipe(&self, key: impl Into<K>, value: impl Into<V>, timestamp_ms: i64) -> Result<(), TestError> {
        self.pipe_with(key, Some(value.into()), timestamp_ms, Headers::empty())
    }

    /// Pipes a record with a null value in.
    pub fn pipe_null(&self, key: impl Into<K>, timestamp_ms: i64) -> Result<(), TestError> {
        self.pipe_with(key, None, timestamp_ms, Headers::empty())
    }

    /// Pipes a record with headers in.
    pub fn pipe_with(
        &self,
        key: impl Into<K>,
        value: Option<V>,
        timestamp_ms: i64,
        headers: Headers,
    ) -> Result<(), TestError> {
        let key = encode(&self.key, &Lazy::ready(key.into()), &self.topic)?;
        let value = match value {
            Some(value) => encode(&self.value, &Lazy::ready(value), &self.topic)?,
            None => None,
        };
        self.put(key, value, timestamp_ms, headers)
    }

    /// Pipes a record of any bytes in, to see what becomes of a bad one.
    pub fn pipe_bytes(&self, key: Option<&[u8]>, value: Option<&[u8]>, timestamp_ms: i64) -> Result<(), TestError> {
        self.pipe_bytes_with(key, value, timestamp_ms, Headers::empty())
    }

    /// Pipes a record of any bytes in, with headers.
    pub fn pipe_bytes_with(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp_ms: i64,
        headers: Headers,
    ) -> Result<(), TestError> {
        self.put(key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec), timestamp_ms, headers)
    }

    fn put(
        &self,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
        timestamp_ms: i64,
        headers: Headers,
    ) -> Result<(), TestError> {
        let mut world = self.world.borrow_mut();
        world.reads(&self.topic)?;
        let partition = key.as_ref().map_or(0, |key| partitioner::partition(key, world.options.partitions));
        let (step, sequence) = (world.step, 0);
        world.pipe(&self.topic, Stored { partition, timestamp_ms, key, value, headers, step, sequence })
    }
}

fn encode<T: 'static>(
    codec: &SharedCodec<T>,
    value: &Lazy<'_, T>,
    topic: &TopicRef,
) -> Result<Option<Vec<u8>>, TestError> {
    let mut bytes = Vec::new();
    match value.write(codec, &mut bytes) {
        Ok(present) => Ok(present.then_some(bytes)),
        Err(error) => Err(TestError::codec(&display(topic), error)),
    }
}

/// A topic to read results from. Reading takes them away; reading with another handle goes on from there.
pub struct TestOutput<K, V> {
    world: Rc<RefCell<World>>,
    topic: TopicRef,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
}

/// A record read from an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestRecord<K, V> {
    /// The key.
    pub key: K,
    /// The value; `None` for null.
    pub value: Option<V>,
    /// The timestamp, ms.
    pub timestamp_ms: i64,
    /// The headers.
    pub headers: Headers,
    /// The partition it was written to.
    pub partition: i32,
    /// The step of the test that it follows from, counted from 1: see [`TestDriver::steps`](super::TestDriver::steps).
    pub step: usize,
}

impl<K: 'static, V: 'static> TestOutput<K, V> {
    pub(super) fn new(world: Rc<RefCell<World>>, topic: TopicRef, key: SharedCodec<K>, value: SharedCodec<V>) -> Self {
        Self { world, topic, key, value }
    }

    /// All records not read yet, in the order in which they were written.
    pub fn read_records(&self) -> Result<Vec<TestRecord<K, V>>, TestError> {
        let mut world = self.world.borrow_mut();
        let Some(written) = world.written.get_mut(&self.topic) else {
            let has: Vec<String> = world.written.keys().map(display).collect();
            return Err(TestError::Unknown { what: "output", name: display(&self.topic), has: has.join(", ") });
        };
        written.drain(..).map(|stored| self.decode(stored)).collect()
    }

    /// All records not read yet, as key, value and timestamp.
    pub fn read_all(&self) -> Result<Vec<(K, Option<V>, i64)>, TestError> {
        let records = self.read_records()?;
        Ok(records.into_iter().map(|record| (record.key, record.value, record.timestamp_ms)).collect())
    }

    /// All records not read yet, their values only.
    pub fn read_values(&self) -> Result<Vec<Option<V>>, TestError> {
        Ok(self.read_records()?.into_iter().map(|record| record.value).collect())
    }

    /// The last value of each key among the records not read yet; deleted keys are left out.
    pub fn read_latest(&self) -> Result<BTreeMap<K, V>, TestError>
    where
        K: Ord,
    {
        let mut latest = BTreeMap::new();
        for record in self.read_records()? {
            match record.value {
                Some(value) => drop(latest.insert(record.key, value)),
                None => drop(latest.remove(&record.key)),
            }
        }
        Ok(latest)
    }

    fn decode(&self, stored: Stored) -> Result<TestRecord<K, V>, TestError> {
        let failed = |error| TestError::codec(&display(&self.topic), error);
        let key = decode(&self.key, stored.key.as_deref()).map_err(failed)?;
        let Some(key) = key else { return Err(failed(CodecError::new("the key is null"))) };
        let value = decode(&self.value, stored.value.as_deref()).map_err(failed)?;
        let Stored { partition, timestamp_ms, headers, step, .. } = stored;
        Ok(TestRecord { key, value, timestamp_ms, headers, partition, step })
    }
}

fn decode<T: 'static>(codec: &SharedCodec<T>, bytes: Option<&[u8]>) -> Result<Option<T>, CodecError> {
    match bytes {
        Some(bytes) => codec.codec.decode(bytes).map(Some),
        None => Ok(codec.codec.null()),
    }
}

macro_rules! debug {
    ($name:ident, $field:ident) => {
        impl<K, V> fmt::Debug for $name<K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field(stringify!($field), &self.$field).finish_non_exhaustive()
            }
        }
    };
}

debug!(TestInput, topic);
debug!(TestOutput, topic);
