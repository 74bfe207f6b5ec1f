//! The boundary between a topology and what drives it: production threads, the test driver and the
//! simulator all call the same three steps.

use super::{CallRunner, GlobalRow, GlobalTable, Globals, Output, ParkingCounts};
use crate::log::{Headers, RecordView};
use crate::topology::{TopologyDescription, TopologyPlan};
use kappa_state::{ManagedStore, StateBackend, StateError};
use std::fmt;
use std::sync::Arc;

/// A topology as the runtime sees it, without its types.
pub trait Program: Send + Sync + fmt::Debug {
    /// Its names.
    fn plan(&self) -> &TopologyPlan;

    /// Makes one task of a sub-topology (an index into the plan), opening its stores.
    fn instantiate(&self, sub_topology: usize, scope: &TaskScope<'_>) -> Result<Box<dyn TaskProcessor>, StateError>;

    /// What it is made of, for people; `None` where only the plan is known.
    fn description(&self) -> Option<TopologyDescription> {
        None
    }

    /// Whether a global table (an index into the plan's) can hold a record.
    fn check_global(&self, _table: usize, _key: &[u8], _value: Option<&[u8]>) -> Result<(), ProcessError> {
        Ok(())
    }

    /// Runs the function of a global store (an index into the plan's) over a record of its topic: it writes the store. A record
    /// that fails has written nothing. Only of stores whose plan says that they have one.
    fn update_global(
        &self,
        _store: usize,
        _record: &SourceRecord<'_>,
        _partition: i32,
        _rows: &GlobalTable,
    ) -> Result<(), ProcessError> {
        Ok(())
    }
}

/// Rows of a store: key, value, timestamp in ms.
pub type Rows = Vec<(Vec<u8>, Vec<u8>, i64)>;

/// What a task is told when it is made.
#[derive(Debug)]
pub struct TaskScope<'a> {
    /// The task's name, `<sub-topology>-<partition>`; also its stores' [`kappa_state::StoreId::task`].
    pub name: &'a str,
    /// The task's partition.
    pub partition: i32,
    /// Where its stores live.
    pub state: &'a dyn StateBackend,
    /// When its stores write what is committed and still in memory.
    pub tail_bound: kappa_state::TailBound,
    /// Bytes each store may hold in its buffer before dirty values are passed on early; 0 passes every
    /// update on at once (Kafka Streams: `statestore.cache.max.bytes`).
    pub cache_bytes_per_store: usize,
    /// Where its asynchronous calls run.
    pub calls: Arc<dyn CallRunner>,
    /// The process's global tables.
    pub globals: Globals,
    /// What a failed record has done may have to be taken back: see [`TaskProcessor::undo`]. Costs an encoding of each changed
    /// value.
    pub undo_records: bool,
}

/// A record as it comes from a source topic.
#[derive(Debug)]
pub struct SourceRecord<'b> {
    /// Offset, timestamp, key and value. The source decides what becomes of a negative timestamp.
    pub view: RecordView<'b>,
    /// The headers.
    pub headers: Headers,
}

/// Why a record could not be processed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The record's key or value can't be decoded. Nothing has been done for it.
    #[error("{part} can't be decoded: {reason}")]
    Undecodable {
        /// `key` or `value`.
        part: &'static str,
        /// What the codec said.
        reason: String,
    },
    /// An operator's function failed, or a result can't be encoded.
    #[error("operator {operator}: {reason}")]
    Operator {
        /// The operator's name.
        operator: String,
        /// What went wrong.
        reason: String,
    },
    /// A call for an earlier record failed, which is seen only now.
    #[error("operator {operator}: {reason}")]
    Call {
        /// The record's source, an index into the plan's sources.
        source_index: usize,
        /// The record's offset.
        offset: i64,
        /// The operator's name.
        operator: String,
        /// What went wrong.
        reason: String,
    },
    /// An operator's schedule failed, or its beginning: no record's fault.
    #[error("operator {operator}, not called for a record: {reason}")]
    Unprovoked {
        /// The operator's name.
        operator: String,
        /// What went wrong.
        reason: String,
    },
    /// A state store failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl ProcessError {
    /// The error as that of record `offset` of source `source`, where a call for this very record has failed.
    #[must_use]
    pub fn of_record(self, source: usize, offset: i64) -> Self {
        match self {
            Self::Call { source_index, offset: of, operator, reason } if (source_index, of) == (source, offset) => {
                Self::Operator { operator, reason }
            }
            other => other,
        }
    }
}

/// The fused operators and the stores of one task.
///
/// The driver's order within one transaction: `process` any number of times, then `flush`; then the
/// transaction is committed or aborted at the log, and every store is told.
pub trait TaskProcessor: Send {
    /// Runs one record of source `source` (an index into the plan's sources) to the end of every chain.
    /// Writes go to `out` and to the buffers of the stores.
    fn process(&mut self, source: usize, record: &SourceRecord<'_>, out: &mut Output) -> Result<(), ProcessError>;

    /// Takes back what the last `process` did, which has failed, in stores and output; false where that can't be done: then the
    /// transaction must be aborted. Only for tasks made with [`TaskScope::undo_records`]. The stream time stays.
    fn undo(&mut self, _out: &mut Output) -> Result<bool, StateError> {
        Ok(false)
    }

    /// Whether records that fail can be parked: see [`park`](Self::park). Then [`undo`](Self::undo) is there, whatever was asked for.
    fn parks(&self) -> bool {
        false
    }

    /// Parks a record that has failed and been taken back, or can't be decoded (`operator` is empty then); false where that can't
    /// be done: what becomes of it is for the driver to say then.
    fn park(
        &mut self,
        _source: usize,
        _record: &SourceRecord<'_>,
        _operator: &str,
        _reason: &str,
    ) -> Result<bool, StateError> {
        Ok(false)
    }

    /// What was parked and released since the last call, but for what was aborted, and what is parked now; `None` for a task that
    /// does not park.
    fn take_parking(&mut self) -> Option<ParkingCounts> {
        None
    }

    /// Passes on what the stores' buffers hold back (Kafka Streams: cache flush), upstream stores first,
    /// and writes all staged changes to the changelogs.
    fn flush(&mut self, out: &mut Output) -> Result<(), ProcessError>;

    /// The stores, in the plan's order.
    fn store_count(&self) -> usize;

    /// One store. Panics when out of range.
    fn store(&mut self, index: usize) -> &mut dyn ManagedStore;

    /// Whether a record of the topic that a store is restored from is one of its rows: else it could not be used when it
    /// came. Asked only of stores that have no changelog of their own.
    fn is_row(&self, _store: usize, _row: GlobalRow<'_>) -> bool {
        true
    }

    /// All rows of a store that has no changelog of its own: for those who read others' contents there.
    fn rows(&mut self, _store: usize) -> Result<Option<Rows>, StateError> {
        Ok(None)
    }

    /// Records dropped since the last call, by reason (Kafka Streams: `dropped-records`), for the metrics.
    fn take_dropped(&mut self) -> Vec<(&'static str, u64)>;

    /// Bytes of changes that wait in the stores' buffers.
    fn dirty_bytes(&self) -> usize;

    /// The task is aborted: forget anything kept outside the stores since the last commit.
    fn aborted(&mut self);

    /// What the task knows of time, to be kept beside the committed offsets: ms, `i64::MIN` for what has not begun. No entry
    /// ever goes back, so the largest of several reports is the newest.
    fn times(&self) -> Vec<i64> {
        Vec::new()
    }

    /// What [`times`](Self::times) said at the last commit, wherever the task ran then. Called before the first record.
    fn restore_times(&mut self, _times: &[i64]) {}

    /// The wall clock stands at `now_ms`: does what is due by it (Kafka Streams: wall-clock punctuation). Says whether
    /// anything was done that a commit must cover.
    fn advance(&mut self, _now_ms: i64, _out: &mut Output) -> Result<bool, ProcessError> {
        Ok(false)
    }

    /// All that is known of the inputs has been processed, and the wall clock stands at `now_ms`, as `advance` was told: lets time
    /// go on without records, where the topology wants that. Says whether anything was done that a commit must cover.
    fn rest(&mut self, _now_ms: i64, _out: &mut Output) -> Result<bool, ProcessError> {
        Ok(false)
    }

    /// Whether the times of source `source` are extracted.
    fn extracts_time(&self, _source: usize) -> bool {
        false
    }

    /// The time by which a record of source `source` is put in order with those of the others, where it is not the record's own:
    /// where timestamps are extracted.
    fn time_of(&self, _source: usize, _record: &SourceRecord<'_>) -> Option<i64> {
        None
    }

    /// Whether an operator has asked for an early commit since the last call.
    fn take_commit_request(&mut self) -> bool {
        false
    }
}
