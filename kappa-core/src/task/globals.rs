//! Global tables: rows that every process has all of, and that all its tasks read.
//!
//! **Invariants:**
//! - One thread of a process writes (the runtime's reader of global topics, or the test driver); tasks only read.
//! - The version grows with each write and after it: who finds the version unchanged has not missed a row.
//! - A global table is read anew from its topic at each start: nothing of an earlier run is in it.

use super::global_scan::scan;
use kappa_state::{Direction, KeyValueStore, Layer, Mark, StateBackend, StateError, StoreId};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rows that are kept in memory before they are written to the store behind, bytes.
const RECENT_BYTES: usize = 4 * 1024 * 1024;
/// What stands in for a task in the ids of global stores.
const TASK: &str = "global";
const TIMESTAMP_BYTES: usize = 8;

/// The global tables of a process, in the plan's order.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    tables: Arc<[Arc<GlobalTable>]>,
    ready: Arc<AtomicBool>,
}

impl Globals {
    /// Opens empty tables of these names.
    pub fn open<'n>(names: impl IntoIterator<Item = &'n str>, state: &dyn StateBackend) -> Result<Self, StateError> {
        let stored = state.stored()?;
        let open = |name: &str| {
            let id = StoreId { task: TASK.to_owned(), store: name.to_owned() };
            if stored.contains(&id) {
                state.remove(&id)?;
            }
            Ok(Arc::new(GlobalTable::new(name, state.open(&id)?)))
        };
        let tables = names.into_iter().map(open).collect::<Result<Vec<_>, StateError>>()?;
        let ready = Arc::new(AtomicBool::new(tables.is_empty()));
        Ok(Self { tables: tables.into(), ready })
    }

    /// One of them.
    pub fn table(&self, index: usize) -> Option<&Arc<GlobalTable>> {
        self.tables.get(index)
    }

    /// Whether everything is there that was in their topics at the start. No task runs before.
    pub fn is_ready(&self) -> bool {
        self.tables.is_empty() || self.ready.load(Ordering::Acquire)
    }

    /// Everything is there.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }
}

/// A record of a global table's topic: key, value (null deletes), timestamp in ms.
pub type GlobalRow<'r> = (&'r [u8], Option<&'r [u8]>, i64);
/// A row as it is found: key, value, timestamp in ms.
pub(super) type Row = (Vec<u8>, Vec<u8>, i64);

/// One global table.
pub struct GlobalTable {
    name: String,
    rows: Mutex<Rows>,
    version: AtomicU64,
}

pub(super) struct Rows {
    /// Not in the store behind yet; `None` deletes.
    pub(super) recent: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    recent_bytes: usize,
    pub(super) behind: Box<dyn KeyValueStore>,
}

impl GlobalTable {
    fn new(name: &str, behind: Box<dyn KeyValueStore>) -> Self {
        let rows = Mutex::new(Rows { recent: BTreeMap::new(), recent_bytes: 0, behind });
        Self { name: name.to_owned(), rows, version: AtomicU64::new(0) }
    }

    /// Its store's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A number that changes whenever a row does.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Appends the value to `into` and gives back its timestamp, ms; `None` where there is no such row.
    pub fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<Option<i64>, StateError> {
        let rows = self.lock();
        let start = into.len();
        match rows.recent.get(key) {
            Some(Some(row)) => into.extend_from_slice(row),
            Some(None) => return Ok(None),
            None => {
                if !rows.behind.get(key, into)? {
                    return Ok(None);
                }
            }
        }
        let (at_ms, _) = parts(&self.name, into.get(start..).unwrap_or_default())?;
        into.drain(start..start + TIMESTAMP_BYTES);
        Ok(Some(at_ms))
    }

    /// The rows of a range as of one moment, in the order of their keys' bytes.
    pub(crate) fn range(
        &self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Vec<Row>, StateError> {
        scan(&self.lock(), &self.name, (from, to), direction)
    }

    /// Takes records in, in their order.
    pub fn apply<'r>(&self, records: impl IntoIterator<Item = GlobalRow<'r>>) -> Result<(), StateError> {
        let mut rows = self.lock();
        for (key, value, timestamp_ms) in records {
            let row = value.map(|value| [&timestamp_ms.to_be_bytes()[..], value].concat());
            rows.recent_bytes += key.len() + row.as_ref().map_or(0, Vec::len);
            rows.recent.insert(key.to_vec(), row);
        }
        if rows.recent_bytes > RECENT_BYTES {
            rows.write()?;
        }
        drop(rows);
        self.version.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// What it holds is valid at every moment, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A row as it is kept: its timestamp, then its value.
fn parts<'b>(store: &str, bytes: &'b [u8]) -> Result<(i64, &'b [u8]), StateError> {
    match bytes.split_first_chunk::<TIMESTAMP_BYTES>() {
        Some((at_ms, value)) => Ok((i64::from_be_bytes(*at_ms), value)),
        None => Err(StateError::Decode { store: store.to_owned(), reason: "a row without a timestamp".to_owned() }),
    }
}

/// A row of its own, of what is kept.
pub(super) fn row(store: &str, key: &[u8], bytes: &[u8]) -> Result<Row, StateError> {
    let (at_ms, value) = parts(store, bytes)?;
    Ok((key.to_vec(), value.to_vec(), at_ms))
}

impl Rows {
    fn write(&mut self) -> Result<(), StateError> {
        let entries = self.recent.iter().map(|(key, row)| (key.as_slice(), row.as_deref())).collect();
        self.behind.apply(&Layer { entries }, &Mark::default())?;
        self.recent.clear();
        self.recent_bytes = 0;
        Ok(())
    }
}

impl fmt::Debug for GlobalTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GlobalTable")
            .field("name", &self.name)
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kappa_state::MemoryBackend;

    fn value(table: &GlobalTable, key: &str) -> Option<(Vec<u8>, i64)> {
        let mut bytes = vec![9];
        let at_ms = table.get(key.as_bytes(), &mut bytes).unwrap()?;
        Some((bytes[1..].to_vec(), at_ms))
    }

    #[test]
    fn the_last_record_counts_wherever_it_lies() {
        let state = MemoryBackend::new();
        let globals = Globals::open(["g"], &state).unwrap();
        let table = globals.table(0).unwrap();
        assert!(!globals.is_ready());
        table.apply([(&b"a"[..], Some(&b"1"[..]), 5), (b"b", Some(&b""[..]), 6)]).unwrap();
        table.lock().write().unwrap();
        let version = table.version();
        table.apply([(&b"a"[..], None, 7), (b"c", Some(&b"3"[..]), 8)]).unwrap();
        assert!(table.version() > version);
        assert_eq!(value(table, "a"), None, "deleted in memory, there behind");
        assert_eq!(value(table, "b"), Some((b"".to_vec(), 6)));
        assert_eq!(value(table, "c"), Some((b"3".to_vec(), 8)));
        table.lock().write().unwrap();
        assert_eq!((value(table, "a"), value(table, "c")), (None, Some((b"3".to_vec(), 8))));
    }

    #[test]
    fn a_range_has_what_is_in_memory_over_what_lies_behind() {
        let state = MemoryBackend::new();
        let globals = Globals::open(["g"], &state).unwrap();
        let table = globals.table(0).unwrap();
        let put = |key: &'static str| (key.as_bytes(), Some(key.as_bytes()), 5);
        table.apply([put("b"), put("d"), put("f"), put("h")]).unwrap();
        table.lock().write().unwrap();
        // Before all, between, over one, instead of one, behind all; deletions of what is there and of what is not.
        table.apply([put("a"), put("c"), put("i"), (b"d", Some(b"new"), 6), (b"f", None, 7), (b"g", None, 8)]).unwrap();
        let keys = |from: Bound<&str>, to: Bound<&str>, direction| -> String {
            let rows = table.range(from.map(str::as_bytes), to.map(str::as_bytes), direction).unwrap();
            rows.iter().map(|(key, ..)| String::from_utf8(key.clone()).unwrap()).collect()
        };
        let (forward, backward) = (Direction::Forward, Direction::Backward);
        assert_eq!(keys(Bound::Unbounded, Bound::Unbounded, forward), "abcdhi");
        assert_eq!(keys(Bound::Unbounded, Bound::Unbounded, backward), "ihdcba");
        assert_eq!(keys(Bound::Included("b"), Bound::Included("h"), forward), "bcdh");
        assert_eq!(keys(Bound::Excluded("b"), Bound::Excluded("h"), backward), "dc");
        assert_eq!(keys(Bound::Included("h"), Bound::Included("b"), forward), "", "the wrong way round");
        assert_eq!(keys(Bound::Excluded("b"), Bound::Excluded("b"), forward), "");
        let changed = table.range(Bound::Included(b"d"), Bound::Included(b"d"), forward).unwrap();
        assert_eq!(changed, [(b"d".to_vec(), b"new".to_vec(), 6)]);
    }

    #[test]
    fn nothing_of_an_earlier_run_is_left() {
        let state = MemoryBackend::new();
        let globals = Globals::open(["g"], &state).unwrap();
        globals.table(0).unwrap().apply([(&b"a"[..], Some(&b"1"[..]), 5)]).unwrap();
        globals.table(0).unwrap().lock().write().unwrap();
        drop(globals);
        let globals = Globals::open(["g"], &state).unwrap();
        assert_eq!(value(globals.table(0).unwrap(), "a"), None);
    }

    #[test]
    fn without_tables_all_is_ready() {
        assert!(Globals::default().is_ready());
        assert!(Globals::open([], &MemoryBackend::new()).unwrap().is_ready());
    }
}
