//! The seams of this crate: a store of bytes, the place where stores live, and what the runtime sees
//! of a buffered store.

use std::fmt;
use std::ops::Bound;

/// Which store of which task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId {
    /// The task, for example `delays-3`.
    pub task: String,
    /// The store's name, unique in the topology.
    pub store: String,
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.task, self.store)
    }
}

/// Up to where a store has come, written in the same atomic step as its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// The changelog offset from which a restore goes on: everything below is in the store. A lower
    /// bound is safe (replaying a record twice changes nothing), a higher one never is.
    pub changelog_offset: i64,
    /// The task's operator time as of that commit (stream time, last emitted window), opaque here.
    pub operator_time: Vec<u8>,
}

/// A key and its new value; `None` deletes.
pub type Entry<'l> = (&'l [u8], Option<&'l [u8]>);

/// Sorted entries to write in one step: keys strictly ascending; `None` deletes.
///
/// A layer lends what lies elsewhere: nothing is copied on its way into a store's file.
#[derive(Debug, Default)]
pub struct Layer<'l> {
    /// The entries.
    pub entries: Vec<Entry<'l>>,
}

impl<'l> Layer<'l> {
    /// A layer of entries that somebody holds.
    pub fn of<K: AsRef<[u8]>, V: AsRef<[u8]>>(entries: &'l [(K, Option<V>)]) -> Self {
        Self { entries: entries.iter().map(|(key, value)| (key.as_ref(), value.as_ref().map(AsRef::as_ref))).collect() }
    }
}

/// Which way a scan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Ascending by key bytes.
    Forward,
    /// Descending by key bytes.
    Backward,
}

/// A position in a scan. Borrows its store, so it can't outlive it, and the store can't be written
/// while it lives.
pub trait StoreCursor {
    /// The next entry; slices are valid until the next call.
    #[allow(clippy::type_complexity)]
    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>, StateError>;
}

/// A layer that is ready to be taken in by the store it was made for ([`KeyValueStore::take_in`]). Dropped, it is as if it had
/// never been.
#[derive(Debug)]
pub struct PreparedLayer {
    pub(crate) file: std::path::PathBuf,
    pub(crate) mark: Mark,
}

impl PreparedLayer {
    /// The mark that is written with it.
    pub fn mark(&self) -> &Mark {
        &self.mark
    }
}

impl Drop for PreparedLayer {
    fn drop(&mut self) {
        // A file that was taken in has been moved away. What can't be removed now goes at the next start.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Makes layers of one store ready, on any thread: the part of [`KeyValueStore::apply`] that takes long.
pub trait PrepareLayer: Send + fmt::Debug {
    /// Makes a layer of sorted entries, keys strictly ascending.
    fn prepare(&self, entries: &mut Entries<'_, '_>, mark: &Mark) -> Result<PreparedLayer, StateError>;
}

/// Entries one by one, keys strictly ascending.
pub type Entries<'e, 'l> = dyn Iterator<Item = Entry<'l>> + 'e;

/// One store of one task, bytes to bytes.
///
/// # Contract
/// - **S1** `apply` is atomic: after a crash at any moment, reopening finds all of it (entries and mark)
///   or nothing of it, and then an earlier `apply` in the same way.
/// - **S2** `mark` is the mark of the last `apply` that survived; `None` for a store never applied to.
/// - **S3** Keys are ordered by their bytes, unsigned.
/// - **S4** An empty key and an empty value are legal and differ from absence.
/// - **S5** `drop_range` removes all keys from the first up to but without the second, and leaves the mark alone. After a crash
///   at any moment all of them are there, or none.
pub trait KeyValueStore: Send + fmt::Debug {
    /// Appends the value to `into` and returns true; false where there is none.
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, StateError>;

    /// Walks a range of keys.
    fn scan<'s>(
        &'s self,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        direction: Direction,
    ) -> Result<Box<dyn StoreCursor + 's>, StateError>;

    /// Writes entries and mark in one atomic step.
    fn apply(&mut self, layer: &Layer<'_>, mark: &Mark) -> Result<(), StateError> {
        self.apply_sorted(&mut layer.entries.iter().copied(), mark)
    }

    /// As [`Self::apply`], of entries that come one by one: keys strictly ascending.
    fn apply_sorted(&mut self, entries: &mut Entries<'_, '_>, mark: &Mark) -> Result<(), StateError>;

    /// What makes layers of this store ready on another thread; `None` where writing them takes no longer than that would.
    fn preparer(&self) -> Option<Box<dyn PrepareLayer>> {
        None
    }

    /// Writes what a preparer of this store has made ready, in one atomic step. Layers must be taken in in the order of their
    /// marks.
    fn take_in(&mut self, layer: PreparedLayer) -> Result<(), StateError> {
        let reason = format!("{} was prepared for a store that prepares nothing", layer.file.display());
        Err(StateError::Misuse { store: format!("{self:?}"), reason })
    }

    /// Removes a range of keys, cheaply however many there are.
    fn drop_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), StateError>;

    /// The mark of the last step.
    fn mark(&self) -> Option<&Mark>;

    /// About how many bytes the store takes where it lives.
    fn size_bytes(&self) -> u64;
}

/// The place where a process keeps its stores: a state directory, or memory.
pub trait StateBackend: Send + Sync + fmt::Debug {
    /// Opens a store, creating it where it is not there. Opening one that is open is an error.
    fn open(&self, id: &StoreId) -> Result<Box<dyn KeyValueStore>, StateError>;

    /// The stores that are there, open or not, sorted.
    fn stored(&self) -> Result<Vec<StoreId>, StateError>;

    /// Removes a store that is not open.
    fn remove(&self, id: &StoreId) -> Result<(), StateError>;
}

/// A bound on what is committed but only in memory, and so on what a restart after a crash must
/// restore from the changelog. Whichever is reached first makes the store write its layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailBound {
    /// Changelog records.
    pub records: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Age of the oldest, ms.
    pub age_ms: i64,
}

impl Default for TailBound {
    fn default() -> Self {
        Self { records: 100_000, bytes: 16 * 1024 * 1024, age_ms: 30_000 }
    }
}

/// One staged change, on its way to the changelog and downstream.
#[derive(Debug)]
pub struct Change<'s, V> {
    /// The encoded key.
    pub key: &'s [u8],
    /// The encoded value as the changelog has it (without timestamp); `None` deletes.
    pub value_bytes: Option<&'s [u8]>,
    /// The value; `None` deletes.
    pub value: Option<&'s V>,
    /// The value as it was last staged (Kafka Streams: `oldValue`); kept only where asked for.
    pub old: Option<&'s V>,
    /// The row's timestamp, ms.
    pub timestamp_ms: i64,
}

/// How far a store whose rows expire has come. After opening it is a lower bound, since rows that moved it may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The largest time put, ms; `i64::MIN` before the first.
    pub observed_ms: i64,
    /// The number that tells rows of one key and time apart, as it was used last.
    pub sequence: i64,
}

/// What the runtime sees of a store with its buffer, whatever the value's type.
///
/// The life of a transaction: the task's step puts values into the buffer (dirty) → before the commit,
/// the task stages them: dirty values are encoded once, for changelog and store → `committed` moves them to
/// the committed layer, or `aborted` forgets dirty and staged ones → `flush` writes the layer when its
/// bound is reached.
///
/// # Contract
/// - **B1** Reads see dirty, staged, committed and stored values, newest first.
/// - **B2** Nothing dirty or staged ever reaches the store behind.
/// - **B3** After `aborted`, reads see exactly what the last `committed` left.
/// - **B4** `restore` is allowed only while nothing is dirty, staged or committed in memory; it writes in
///   large sorted steps and may be cut off by a crash between any two.
/// - **B5** After `undo_record` that says true, reads and staging are as if the record had not been.
pub trait ManagedStore: fmt::Debug + Send {
    /// Which store this is.
    fn id(&self) -> &StoreId;

    /// The mark from which a restore goes on; `None` for a store that has nothing.
    fn mark(&self) -> Option<Mark>;

    /// Puts changelog records (key, value or `None`, timestamp) into the store. `next_offset` is one past
    /// the last of them.
    fn restore(
        &mut self,
        records: &mut dyn Iterator<Item = (&[u8], Option<&[u8]>, i64)>,
        next_offset: i64,
    ) -> Result<(), StateError>;

    /// What a restore keeps in memory.
    fn restoring_bytes(&self) -> RestoringBytes;

    /// Begins to write what a restore has read so far, beside further reading where the store can. Waits for the step before.
    fn begin_write_restored(&mut self) -> Result<(), StateError>;

    /// Whether what a restore has begun to write is still on its way.
    fn is_writing_restored(&self) -> bool;

    /// Waits until what a restore has begun to write is in the store.
    fn end_write_restored(&mut self) -> Result<(), StateError>;

    /// Ends the restore: everything is written; the mark is `next_offset`.
    fn restored(&mut self, next_offset: i64, operator_time: &[u8]) -> Result<(), StateError>;

    /// The transaction that held the staged changes is committed. `changelog_offset` is one past the last
    /// changelog record of this store, `None` where none was written.
    fn committed(&mut self, changelog_offset: Option<i64>, operator_time: &[u8], now_ms: i64)
    -> Result<(), StateError>;

    /// The transaction is aborted.
    fn aborted(&mut self);

    /// A record begins whose changes may have to be taken back. Until the next begin, commit or abort, changes are noted, which
    /// costs an encoding of each changed value.
    fn begin_record(&mut self);

    /// Takes back what was changed since the record began; false where that can't be done because something was staged since:
    /// then the transaction must be aborted.
    fn undo_record(&mut self) -> Result<bool, StateError>;

    /// Writes the committed layer if its bound is reached at `now_ms`, or whatever there is when `force`.
    fn flush(&mut self, now_ms: i64, force: bool) -> Result<(), StateError>;

    /// How far the store has come in time, where its rows expire by it: for the owner to keep with its offsets.
    fn reached(&self) -> Option<Reached> {
        None
    }

    /// Goes on from where the last commit was, as the owner kept it: before or after the restore, and before anything is changed.
    fn resume_from(&mut self, _reached: Reached) {}

    /// Where rows expire: rows of times up to this one have, and no reader sees them.
    fn expired_until_ms(&self) -> Option<i64> {
        None
    }

    /// Changes waiting in the buffer: the runtime commits early when they take too much.
    fn dirty_bytes(&self) -> usize;

    /// Committed changelog records not yet in the store behind.
    fn tail_records(&self) -> u64;

    /// Bytes of committed rows not yet in the store behind.
    fn tail_bytes(&self) -> u64;

    /// About how many bytes the store takes where it lives.
    fn size_bytes(&self) -> u64;
}

/// What a restore keeps in memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RestoringBytes {
    /// Read, to be written with the next step.
    pub gathered: usize,
    /// Of the step that is being written.
    pub writing: usize,
}

/// What can go wrong with state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The disk, or the file system, refused.
    #[error("state store {store}: {operation}: {reason}")]
    Io {
        /// The store or file.
        store: String,
        /// What was being done.
        operation: &'static str,
        /// What the system said.
        reason: String,
    },
    /// There is no room left. Nothing committed is lost: the changelog has it.
    #[error("state store {store}: no space left on the device; free some, then start again: nothing is lost")]
    DiskFull {
        /// The store or file.
        store: String,
    },
    /// Another process holds the directory.
    #[error(
        "state directory {path} is in use by another process ({holder}); give each process its own KAPPA_STATE_DIR"
    )]
    Locked {
        /// The directory.
        path: String,
        /// What is known about the holder.
        holder: String,
    },
    /// The directory belongs to something else, or to another format.
    #[error("state directory {path}: {reason}")]
    Manifest {
        /// The directory.
        path: String,
        /// What does not fit and what to do.
        reason: String,
    },
    /// Stored bytes could not be read.
    #[error(
        "state store {store}: a stored value can't be decoded ({reason}); has its type changed without a new version?"
    )]
    Decode {
        /// The store.
        store: String,
        /// What the codec said.
        reason: String,
    },
    /// A value could not be encoded.
    #[error("state store {store}: a value can't be encoded ({reason})")]
    Encode {
        /// The store.
        store: String,
        /// What the codec said.
        reason: String,
    },
    /// The call does not fit the store's state: a bug in the caller.
    #[error("state store {store}: {reason}")]
    Misuse {
        /// The store.
        store: String,
        /// The rule that was broken.
        reason: String,
    },
}
