//! What an operator that holds changes back knows of them in memory.

use std::collections::BTreeSet;

/// The changes one operator holds back, in the order in which they go on. It is in the task's state because two hold it: the
/// operator, and its [`Tick`](super::Tick).
#[derive(Debug, Default)]
pub(crate) struct HeldBack {
    /// The task's generation for which the rest is known.
    pub(crate) known: Option<(u32, u32)>,
    /// By when they began to wait, then by key.
    pub(crate) held: BTreeSet<(i64, Vec<u8>)>,
    /// What they take.
    pub(crate) bytes: u64,
}
