//! The rules that make results exact, by name, so that a test can switch one off and see the simulator notice.
//!
//! Outside tests (without the feature `testing`) every rule holds and nothing is asked at run time.

/// A rule of the commit protocol or of restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A commit demands that no epoch of its tasks has moved.
    FenceByEpoch,
    /// Epochs move before the loss of tasks is acknowledged to the group.
    EpochBeforeAcknowledge,
    /// Stores are told of a commit only when the log has confirmed it.
    StoresAfterCommit,
    /// A restore ends only when the position has reached the high watermark, not at the first end.
    RestoreToHighWatermark,
    /// What is not committed stays in the buffers of the stores.
    BufferUntilCommit,
    /// Offsets are part of the transaction.
    OffsetsInTransaction,
    /// Committed offsets are waited for until they are decided.
    WaitForDecidedOffsets,
    /// Records of repartition topics are deleted only below offsets whose commit the log has confirmed.
    PurgeAfterCommit,
}

/// Which rules hold: all of them, except where a test has switched one off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rules {
    #[cfg(feature = "testing")]
    off: Option<Rule>,
}

impl Rules {
    /// All rules but one. For tests of tests only: results are wrong without it.
    #[cfg(feature = "testing")]
    pub fn without(rule: Rule) -> Self {
        Self { off: Some(rule) }
    }

    /// Whether the rule holds.
    #[cfg(feature = "testing")]
    pub(crate) fn hold(self, rule: Rule) -> bool {
        self.off != Some(rule)
    }

    /// Whether the rule holds.
    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "without the feature no rule can be switched off")]
    pub(crate) fn hold(self, _: Rule) -> bool {
        true
    }
}
