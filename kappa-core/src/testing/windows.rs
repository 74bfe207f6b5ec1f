//! A window or session store as a test reads it.

use super::TestError;
use super::world::{Logged, World};
use crate::codec::{CodecError, SharedCodec};
use crate::window::Windowed;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// The committed rows of a window or session store that a reader sees: those that have not expired.
pub struct TestWindows<K, V> {
    world: Rc<RefCell<World>>,
    name: String,
    /// `None` for sessions.
    size_ms: Option<i64>,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: 'static> TestWindows<K, V> {
    pub(super) fn new(
        world: Rc<RefCell<World>>,
        name: String,
        size_ms: Option<i64>,
        key: SharedCodec<K>,
        value: SharedCodec<V>,
    ) -> Self {
        Self { world, name, size_ms, key, value }
    }

    /// All rows with their timestamps, by partition, then by the bytes of key and window.
    pub fn rows(&self) -> Result<Vec<(Windowed<K>, V, i64)>, TestError> {
        let mut world = self.world.borrow_mut();
        let partitions: Vec<i32> = match world.changelogs.get(&self.name) {
            Some(logs) => logs.keys().copied().collect(),
            None => {
                let has: Vec<&str> = world.changelogs.keys().map(String::as_str).collect();
                return Err(TestError::Unknown { what: "store", name: self.name.clone(), has: has.join(", ") });
            }
        };
        let failed = |error| TestError::codec(&self.name, error);
        let mut rows = Vec::new();
        for partition in partitions {
            let expired_until_ms = world.expired_until_ms(&self.name, partition).unwrap_or(i64::MIN);
            let log = world.changelogs.get(&self.name).and_then(|logs| logs.get(&partition));
            let latest: BTreeMap<&[u8], &Logged> = log.into_iter().flatten().map(|row| (&*row.key, row)).collect();
            for (key, row) in latest {
                let Some(value) = &row.value else { continue };
                let (key, start_ms, end_ms) = self.split(key).map_err(failed)?;
                // Windows expire by their start, sessions by their end.
                if self.size_ms.map_or(end_ms, |_| start_ms) <= expired_until_ms {
                    continue;
                }
                let key = self.key.codec.decode(key).map_err(failed)?;
                let value = self.value.codec.decode(value).map_err(failed)?;
                rows.push((Windowed::new(key, start_ms, end_ms), value, row.timestamp_ms));
            }
        }
        Ok(rows)
    }

    /// Key, start and end of a changelog's key.
    fn split<'k>(&self, key: &'k [u8]) -> Result<(&'k [u8], i64, i64), CodecError> {
        let time = |bytes: &[u8]| bytes.first_chunk().map_or(0, |time| i64::from_be_bytes(*time));
        let suffix = if self.size_ms.is_some() { 12 } else { 16 };
        let Some((key, window)) = key.len().checked_sub(suffix).map(|at| key.split_at(at)) else {
            return Err(CodecError::new(format_args!("a row's key of {} bytes has no window", key.len())));
        };
        Ok(match self.size_ms {
            Some(size_ms) => (key, time(window), time(window).saturating_add(size_ms)),
            None => (key, time(&window[8..]), time(window)),
        })
    }
}

impl<K, V> fmt::Debug for TestWindows<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestWindows").field(&self.name).finish()
    }
}
