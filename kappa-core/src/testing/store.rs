//! A store as a test reads it.

use super::TestError;
use super::world::{Logged, World};
use crate::codec::SharedCodec;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// A store's committed contents.
pub struct TestStore<K, V> {
    world: Rc<RefCell<World>>,
    name: String,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> TestStore<K, V> {
    pub(super) fn new(world: Rc<RefCell<World>>, name: String, key: SharedCodec<K>, value: SharedCodec<V>) -> Self {
        Self { world, name, key, value }
    }

    /// The value of a key.
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>, TestError>
    where
        K: std::borrow::Borrow<Q>,
        Q: PartialEq + ?Sized,
    {
        Ok(self.all()?.into_iter().find(|(candidate, _)| candidate.borrow() == key).map(|(_, value)| value))
    }

    /// All entries, by partition and key bytes.
    pub fn all(&self) -> Result<Vec<(K, V)>, TestError> {
        Ok(self.rows()?.into_iter().map(|(key, value, _)| (key, value)).collect())
    }

    /// All entries with their timestamps, by partition and key bytes.
    pub fn rows(&self) -> Result<Vec<(K, V, i64)>, TestError> {
        let failed = |error| TestError::codec(&self.name, error);
        let decoded = |(key, value, at_ms): (Vec<u8>, Vec<u8>, i64)| -> Result<(K, V, i64), TestError> {
            let (key, value) = (self.key.codec.decode(&key), self.value.codec.decode(&value));
            Ok((key.map_err(failed)?, value.map_err(failed)?, at_ms))
        };
        if let Some(rows) = self.world.borrow_mut().rows_of_input(&self.name)? {
            return rows.into_iter().map(decoded).collect();
        }
        let world = self.world.borrow();
        if let Some(rows) = world.rows_of_global(&self.name)? {
            return rows.into_iter().map(decoded).collect();
        }
        let Some(logs) = world.changelogs.get(&self.name) else {
            let has: Vec<&str> = world.changelogs.keys().map(String::as_str).collect();
            return Err(TestError::Unknown { what: "store", name: self.name.clone(), has: has.join(", ") });
        };
        let mut rows = Vec::new();
        for log in logs.values() {
            let latest: BTreeMap<&[u8], &Logged> = log.iter().map(|row| (&*row.key, row)).collect();
            for (key, row) in latest {
                let Some(value) = &row.value else { continue };
                rows.push(decoded((key.to_vec(), value.clone(), row.timestamp_ms))?);
            }
        }
        Ok(rows)
    }
}

impl<K, V> fmt::Debug for TestStore<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestStore").field(&self.name).finish()
    }
}
