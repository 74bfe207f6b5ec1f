//! Quiet inputs: where that was chosen, a task's time goes on by the clock once no record has come for a while.
//!
//! **Invariants:**
//! - An operator's time goes only as far as what has come out of it required: how often the clock is looked at changes no
//!   result, and where nothing waits nothing changes, so nothing is committed.
//! - An operator is not told the task's time but what it was before all that operators upstream may still hold back: their
//!   results are not late for those behind them.
//! - What caches hold back goes on before an operator is told the time, else its last result would not be the last.

use super::Cx;
use crate::task::ProcessError;

/// An operator that waits for time to pass.
pub(crate) trait Tick: Send {
    /// Lets out what is due at `time_ms`, and moves the operator's time to when the last of it was due, which is given back;
    /// `None` where nothing was.
    fn tick(&mut self, time_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError>;
}

/// A [`Tick`] in its task.
pub(crate) struct Ticking {
    /// For how long operators upstream may hold a record back, ms.
    pub(crate) behind_ms: i64,
    pub(crate) tick: Box<dyn Tick>,
}

/// What a task knows of how quiet it is.
pub(crate) struct Quiet {
    timeout_ms: i64,
    /// Upstream first.
    pub(crate) ticking: Vec<Ticking>,
    /// The wall clock at the last record, or when the task began; ms.
    since_ms: Option<i64>,
    /// Stream time then, once that was looked at.
    from_ms: Option<i64>,
    /// Something was done that caches may hold back.
    pub(crate) stirred: bool,
}

impl Quiet {
    pub(crate) fn new(timeout_ms: i64, ticking: Vec<Ticking>) -> Self {
        Self { timeout_ms, ticking, since_ms: None, from_ms: None, stirred: true }
    }

    /// The task has begun.
    pub(crate) fn begin(&mut self, now_ms: i64) {
        self.since_ms.get_or_insert(now_ms);
    }

    /// A record has come, or the task has gone back to its last commit.
    pub(crate) fn stir(&mut self, now_ms: i64) {
        (self.since_ms, self.from_ms, self.stirred) = (Some(now_ms), None, true);
    }

    /// To where time has gone on by the clock since the last record; `None` while that is not long ago, or there was none ever.
    pub(crate) fn time_ms(&mut self, now_ms: i64, stream_time_ms: i64) -> Option<i64> {
        let passed_ms = now_ms.saturating_sub(self.since_ms?);
        if stream_time_ms == i64::MIN || passed_ms < self.timeout_ms {
            return None;
        }
        Some(self.from_ms.get_or_insert(stream_time_ms).saturating_add(passed_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_the_last_record_once_the_timeout_has_passed() {
        let mut quiet = Quiet::new(100, Vec::new());
        assert_eq!(quiet.time_ms(5_000, 7), None, "it has not begun");
        quiet.begin(5_000);
        quiet.begin(5_090);
        assert_eq!(quiet.time_ms(5_100, i64::MIN), None, "there was no record ever");
        assert_eq!(quiet.time_ms(5_099, 7), None);
        assert_eq!(quiet.time_ms(5_100, 7), Some(107));
        assert_eq!(quiet.time_ms(5_150, 120), Some(157), "what it brought about does not count twice");
        quiet.stir(5_160);
        assert_eq!(quiet.time_ms(5_259, 120), None);
        assert_eq!(quiet.time_ms(5_260, 120), Some(220));
        assert_eq!(quiet.time_ms(4_000, 120), None, "a clock that is set back");
    }
}
