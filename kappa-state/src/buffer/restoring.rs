//! Changelog records on their way into the store behind: gathered in one arena, sorted, and written in large steps, each
//! on a thread of its own where the store can be written so, while reading goes on.
//!
//! **Invariants:**
//! - Of equal keys the last one counts.
//! - At most one step is being written; it is taken in before the next one is begun, so steps are there in their order.
//! - What could not be written is kept, and written before anything else.

use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::rows::Rows;
use crate::{KeyValueStore, Mark, PrepareLayer, PreparedLayer, RestoringBytes, StateError};

/// What was read of a changelog and is not yet in the store behind.
#[derive(Debug)]
pub(super) struct Restoring {
    rows: Rows,
    pub(super) next_offset: i64,
    step: Option<Step>,
}

/// A step: what is to be written, and who writes it; nobody where it could not be.
#[derive(Debug)]
struct Step {
    rows: Arc<Rows>,
    mark: Mark,
    writer: Option<JoinHandle<Result<PreparedLayer, StateError>>>,
}

impl Restoring {
    pub(super) fn from(next_offset: i64) -> Self {
        Self { rows: Rows::default(), next_offset, step: None }
    }

    /// Takes a record in; `None` deletes.
    pub(super) fn put(&mut self, key: &[u8], value: Option<&[u8]>, timestamp_ms: i64) {
        let timestamp = timestamp_ms.to_be_bytes();
        self.rows.push(key, value.map(|value| [timestamp.as_slice(), value]));
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> RestoringBytes {
        let writing = self.step.as_ref().map_or(0, |step| step.rows.memory_bytes());
        RestoringBytes { gathered: self.rows.memory_bytes(), writing }
    }

    /// Whether a step's thread has not ended.
    pub(super) fn is_writing(&self) -> bool {
        let writer = self.step.as_ref().and_then(|step| step.writer.as_ref());
        writer.is_some_and(|writer| !writer.is_finished())
    }

    /// Begins to write what was gathered, with a mark of this operator time.
    pub(super) fn begin_step(&mut self, store: &mut dyn KeyValueStore, operator_time: &[u8]) -> Result<(), StateError> {
        self.end_step(store)?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let mark = Mark { changelog_offset: self.next_offset, operator_time: operator_time.to_vec() };
        let rows = Arc::new(mem::take(&mut self.rows));
        let writer = store.preparer().and_then(|preparer| {
            let (rows, mark) = (Arc::clone(&rows), mark.clone());
            let prepare = move || write_beside(&*preparer, &rows, &mark);
            // Without a thread it is written below.
            std::thread::Builder::new().name("kappa-layer".into()).spawn(prepare).ok()
        });
        let beside = writer.is_some();
        self.step = Some(Step { rows, mark, writer });
        if beside { Ok(()) } else { self.end_step(store) }
    }

    /// Waits until the step under way is in the store.
    pub(super) fn end_step(&mut self, store: &mut dyn KeyValueStore) -> Result<(), StateError> {
        let Some(mut step) = self.step.take() else { return Ok(()) };
        let outcome = match step.writer.take() {
            Some(writer) => match writer.join() {
                Ok(prepared) => prepared.and_then(|layer| store.take_in(layer)),
                Err(panic) => std::panic::resume_unwind(panic),
            },
            None => store.apply_sorted(&mut step.rows.sorted(&step.rows.order()), &step.mark),
        };
        if outcome.is_err() {
            self.step = Some(step);
        }
        outcome
    }
}

/// What a step's thread does. Has a name of its own, by which `benchmarks/src/guard` counts it.
#[inline(never)]
fn write_beside(preparer: &dyn PrepareLayer, rows: &Rows, mark: &Mark) -> Result<PreparedLayer, StateError> {
    preparer.prepare(&mut rows.sorted(&rows.order()), mark)
}

impl Drop for Restoring {
    fn drop(&mut self) {
        // The thread has the store's directory open.
        if let Some(writer) = self.step.as_mut().and_then(|step| step.writer.take()) {
            drop(writer.join());
        }
    }
}
