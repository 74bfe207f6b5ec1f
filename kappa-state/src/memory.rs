//! Stores in memory: for tests, the test driver, the simulator and state that need not outlive a process.
//!
//! A [`MemoryBackend`] is a handle; its clones share the stores. A store takes its data out of the backend
//! while it is open and puts it back when it is dropped, so that reading and writing take no lock.
//!
//! **Invariants:** what a store was applied with is there when it is opened again from any clone of the
//! backend; a store is open at most once.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::range::is_empty_range;
use crate::store::Entries;
use crate::{Direction, KeyValueStore, Mark, StateBackend, StateError, StoreCursor, StoreId};

type Range<'s> = btree_map::Range<'s, Box<[u8]>, Box<[u8]>>;

/// Keeps stores in memory.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    stores: Arc<Mutex<BTreeMap<StoreId, Kept>>>,
}

/// What the backend has of a store.
enum Kept {
    /// Somebody has it open, with the data.
    Open,
    Closed(Contents),
}

#[derive(Default)]
struct Contents {
    entries: BTreeMap<Box<[u8]>, Box<[u8]>>,
    mark: Option<Mark>,
    bytes: u64,
}

impl MemoryBackend {
    /// A backend without stores.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StoreId, Kept>> {
        // Every change under the lock is a single map operation: a panic can't leave half of one.
        self.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBackend").field("stores", &self.lock().len()).finish()
    }
}

impl StateBackend for MemoryBackend {
    fn open(&self, id: &StoreId) -> Result<Box<dyn KeyValueStore>, StateError> {
        let mut stores = self.lock();
        let kept = stores.entry(id.clone()).or_insert_with(|| Kept::Closed(Contents::default()));
        match mem::replace(kept, Kept::Open) {
            Kept::Open => Err(StateError::Misuse { store: id.to_string(), reason: "it is open already".into() }),
            Kept::Closed(contents) => {
                Ok(Box::new(MemoryStore { id: id.clone(), contents, home: Arc::clone(&self.stores) }))
            }
        }
    }

    fn stored(&self) -> Result<Vec<StoreId>, StateError> {
        Ok(self.lock().keys().cloned().collect())
    }

    fn remove(&self, id: &StoreId) -> Result<(), StateError> {
        let mut stores = self.lock();
        if let Some(Kept::Open) = stores.get(id) {
            return Err(StateError::Misuse { store: id.to_string(), reason: "it is open and can't be removed".into() });
        }
        stores.remove(id);
        Ok(())
    }
}

struct MemoryStore {
    id: StoreId,
    contents: Contents,
    home: Arc<Mutex<BTreeMap<StoreId, Kept>>>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("id", &self.id)
            .field("entries", &self.contents.entries.len())
            .field("mark", &self.contents.mark)
            .finish()
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        let contents = mem::take(&mut self.contents);
        let mut stores = self.home.lock().unwrap_or_else(PoisonError::into_inner);
        stores.insert(self.id.clone(), Kept::Closed(contents));
    }
}

impl KeyValueStore for MemoryStore {
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, StateError> {
        let Some(value) = self.contents.entries.get(key) else { return Ok(false) };
        into.extend_from_slice(value);
        Ok(true)
    }

    fn scan<'s>(
        &'s self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Box<dyn StoreCursor + 's>, StateError> {
        let range = (!is_empty_range(from, to)).then(|| self.contents.entries.range::<[u8], _>((from, to)));
        Ok(Box::new(MemoryCursor { range, direction }))
    }

    fn apply_sorted(&mut self, entries: &mut Entries<'_, '_>, mark: &Mark) -> Result<(), StateError> {
        let contents = &mut self.contents;
        for (key, value) in entries {
            let removed = match value {
                Some(value) => {
                    contents.bytes += (key.len() + value.len()) as u64;
                    contents.entries.insert(key.into(), value.into())
                }
                None => contents.entries.remove(key),
            };
            if let Some(removed) = removed {
                contents.bytes -= (key.len() + removed.len()) as u64;
            }
        }
        contents.mark = Some(mark.clone());
        Ok(())
    }

    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError> {
        if from >= to {
            return Ok(());
        }
        let contents = &mut self.contents;
        let mut dropped = contents.entries.split_off(from);
        contents.entries.append(&mut dropped.split_off(to));
        contents.bytes -= dropped.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum::<u64>();
        Ok(())
    }

    fn mark(&self) -> Option<&Mark> {
        self.contents.mark.as_ref()
    }

    fn size_bytes(&self) -> u64 {
        self.contents.bytes
    }
}

struct MemoryCursor<'s> {
    range: Option<Range<'s>>,
    direction: Direction,
}

impl StoreCursor for MemoryCursor<'_> {
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>, StateError> {
        let Some(range) = &mut self.range else { return Ok(None) };
        let next = match self.direction {
            Direction::Forward => range.next(),
            Direction::Backward => range.next_back(),
        };
        Ok(next.map(|(key, value)| (&**key, &**value)))
    }
}
