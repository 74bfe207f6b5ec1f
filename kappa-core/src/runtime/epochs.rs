//! Which incarnation of a task is the right one.
//!
//! Invariants:
//! - A task's epoch moves whenever it is given to or taken from this process; it never goes back.
//! - On revocation the epoch moves *before* the membership acknowledges: a commit that captured its member
//!   stamp and then finds all epochs unmoved is a commit of this process's own tasks. (A stamp taken after
//!   rejoining would be accepted by the broker for work done before: the epoch is what refuses it.)

use std::sync::atomic::{AtomicU64, Ordering};

/// The epochs of all tasks of an application, shared by a process's threads.
#[derive(Debug)]
pub struct Epochs(Vec<AtomicU64>);

/// One incarnation of one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskEpoch {
    /// The task's number (its partition of the task topic).
    pub task: usize,
    /// Its epoch when this incarnation began.
    pub epoch: u64,
}

impl Epochs {
    /// Epochs for that many tasks.
    pub fn new(tasks: usize) -> Self {
        Self((0..tasks).map(|_| AtomicU64::new(0)).collect())
    }

    /// Begins a new incarnation, or ends the current one.
    pub fn advance(&self, task: usize) -> TaskEpoch {
        TaskEpoch { task, epoch: self.0[task].fetch_add(1, Ordering::SeqCst) + 1 }
    }

    /// Whether this incarnation is still the right one.
    pub fn is_current(&self, incarnation: TaskEpoch) -> bool {
        self.0[incarnation.task].load(Ordering::SeqCst) == incarnation.epoch
    }
}
