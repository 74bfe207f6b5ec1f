//! One task: the fused chains of a sub-topology over the stores of one partition.
//!
//! **Invariants:**
//! - Stores are in the plan's order, and each is in its place whenever no call is running.
//! - A flush goes from upstream to downstream: what a store passes on reaches the stores behind it before
//!   those are flushed themselves.

use super::PunctuationType;
use super::context::{Cx, Origin, TaskState};
use super::materialized::Flush;
use super::quiet::{Quiet, Ticking};
use super::times::ReachedTimes;
use crate::task::{GlobalRow, Output, OutputMark, ProcessError, Rows, SourceRecord, TaskProcessor};
use crate::topology::{Entry, FromTopic};
use kappa_state::{ManagedStore, StateError};

/// The task of one partition.
pub(crate) struct FusedTask {
    /// In the order of the plan's sources.
    pub(crate) entries: Vec<Box<dyn Entry>>,
    /// Upstream first.
    pub(crate) flushes: Vec<Box<dyn Flush>>,
    /// Where it is kept how far stores have come.
    reached: Vec<ReachedTimes>,
    /// Where time goes on without records.
    quiet: Option<Quiet>,
    pub(crate) state: TaskState,
    /// Each record can be taken back.
    undo_records: bool,
    /// There is nothing to be done before and after a record: it can't be taken back, nobody can have made a
    /// schedule, and time goes on with records only.
    is_plain: bool,
    /// Where the output and the times stood before the last record.
    before: (OutputMark, Vec<i64>),
    /// The times as of the last flush; empty once that is known to be committed.
    flushed: Vec<i64>,
    /// The times as of the last flush that is known to be committed.
    committed: Vec<i64>,
    /// The processors' `init` has been called.
    initialised: bool,
    /// For each store, the topic it is made of where it has no changelog of its own.
    from_topic: Vec<Option<FromTopic>>,
}

impl FusedTask {
    pub(crate) fn new(
        entries: Vec<Box<dyn Entry>>,
        flushes: Vec<Box<dyn Flush>>,
        reached: Vec<ReachedTimes>,
        quiet: Option<Quiet>,
        state: TaskState,
        undo_records: bool,
    ) -> Self {
        let committed = state.save_times();
        let before = (OutputMark::default(), Vec::new());
        let is_plain = !undo_records && state.processors.is_empty() && quiet.is_none();
        let (flushed, initialised) = (Vec::new(), false);
        Self {
            entries,
            flushes,
            reached,
            quiet,
            state,
            undo_records,
            is_plain,
            before,
            flushed,
            committed,
            initialised,
            from_topic: Vec::new(),
        }
    }

    /// Tells it which of its stores are made of topics.
    pub(crate) fn made_of(self, from_topic: Vec<Option<FromTopic>>) -> Self {
        Self { from_topic, ..self }
    }

    fn begin_record(&mut self, out: &Output) {
        self.before = (out.mark(), self.state.save_times());
        self.state.begin_record();
    }

    /// What could not be passed on while the record could still fail.
    fn end_record(&mut self, out: &mut Output) -> Result<(), ProcessError> {
        if self.state.end_record() {
            let cx = &mut Cx { out, state: &mut self.state, origin: None };
            self.flushes.iter().try_for_each(|flush| flush.flush(cx))?;
        }
        Ok(())
    }

    /// Work goes on, so what was flushed is committed: else the task would have been told of an abort.
    fn go_on(&mut self) {
        if !self.flushed.is_empty() {
            self.is_committed();
        }
    }

    #[cold]
    fn is_committed(&mut self) {
        self.committed.clear();
        self.committed.append(&mut self.flushed);
    }

    /// Initialises the processors.
    #[cold]
    fn init(&mut self, out: &mut Output) -> Result<(), ProcessError> {
        self.initialised = true;
        let places = self.state.processors.len();
        let cx = &mut Cx { out, state: &mut self.state, origin: None };
        let mut init = |place| cx.with_hosted(place, |hosted, cx| hosted.init(cx));
        (0..places).try_for_each(&mut init).map_err(unprovoked)
    }

    /// Does what is due at `time_ms`, which is stream time gone on by the clock; says whether anything was.
    fn go_on_without_records(
        &mut self,
        quiet: &mut Quiet,
        time_ms: i64,
        out: &mut Output,
    ) -> Result<bool, ProcessError> {
        self.go_on();
        let before = out.mark();
        let mut any = false;
        for Ticking { behind_ms, tick } in &mut quiet.ticking {
            let cx = &mut Cx { out, state: &mut self.state, origin: None };
            if std::mem::take(&mut quiet.stirred) {
                self.flushes.iter().try_for_each(|flush| flush.flush(cx))?;
            }
            if let Some(due_ms) = tick.tick(time_ms.saturating_sub(*behind_ms), cx).map_err(unprovoked)? {
                self.state.stream_time_ms = self.state.stream_time_ms.max(due_ms.saturating_add(*behind_ms));
                (any, quiet.stirred) = (true, true);
            }
        }
        if self.state.schedules.is_due(PunctuationType::StreamTime, time_ms) {
            self.state.stream_time_ms = self.state.stream_time_ms.max(time_ms);
            (any, quiet.stirred) = (true, true);
            self.punctuate(PunctuationType::StreamTime, time_ms, out)?;
        }
        Ok(any || out.mark() != before)
    }

    /// Calls what is due by `time_ms`; says whether anything was.
    fn punctuate(&mut self, kind: PunctuationType, time_ms: i64, out: &mut Output) -> Result<bool, ProcessError> {
        let cx = &mut Cx { out, state: &mut self.state, origin: None };
        let mut any = false;
        while let Some((schedule, place)) = cx.state.schedules.take_due(kind, time_ms) {
            any = true;
            cx.with_hosted(place, |hosted, cx| hosted.punctuate(schedule, time_ms, cx)).map_err(unprovoked)?;
        }
        Ok(any)
    }
}

impl TaskProcessor for FusedTask {
    fn process(&mut self, source: usize, record: &SourceRecord<'_>, out: &mut Output) -> Result<(), ProcessError> {
        self.go_on();
        let origin = Some(Origin { source, offset: record.view.offset });
        if self.is_plain {
            return self.entries[source].enter(record, &mut Cx { out, state: &mut self.state, origin });
        }
        if let Some(quiet) = &mut self.quiet {
            quiet.stir(self.state.now_ms);
        }
        if !self.initialised {
            self.init(out)?;
        }
        if self.undo_records {
            self.begin_record(out);
        }
        self.entries[source].enter(record, &mut Cx { out, state: &mut self.state, origin })?;
        if self.undo_records {
            self.end_record(out)?;
        }
        if !self.state.schedules.is_empty() {
            self.punctuate(PunctuationType::StreamTime, self.state.stream_time_ms, out)?;
        }
        Ok(())
    }

    fn undo(&mut self, out: &mut Output) -> Result<bool, StateError> {
        let (mark, times) = std::mem::take(&mut self.before);
        if times.is_empty() || !self.state.undo_record()? {
            return Ok(false);
        }
        out.rewind(mark);
        let stream_time_ms = self.state.stream_time_ms;
        self.state.load_times(&times);
        self.state.stream_time_ms = stream_time_ms;
        Ok(true)
    }

    fn flush(&mut self, out: &mut Output) -> Result<(), ProcessError> {
        let cx = &mut Cx { out, state: &mut self.state, origin: None };
        self.flushes.iter().try_for_each(|flush| flush.flush(cx))?;
        self.reached.iter().for_each(|reached| reached.keep(&mut self.state));
        self.flushed = self.state.save_times();
        Ok(())
    }

    fn store_count(&self) -> usize {
        self.state.stores.len()
    }

    fn store(&mut self, index: usize) -> &mut dyn ManagedStore {
        match &mut self.state.stores[index] {
            Some(slot) => slot.managed(),
            None => unreachable!("every store is in its place between calls"),
        }
    }

    fn is_row(&self, store: usize, row: GlobalRow<'_>) -> bool {
        let from_topic = self.from_topic.get(store).and_then(Option::as_ref);
        from_topic.is_none_or(|from| (from.is_row)(row))
    }

    fn rows(&mut self, store: usize) -> Result<Option<Rows>, StateError> {
        let (Some(Some(from)), Some(slot)) = (self.from_topic.get(store), &mut self.state.stores[store]) else {
            return Ok(None);
        };
        (from.rows)(&mut **slot).map(Some)
    }

    fn take_dropped(&mut self) -> Vec<(&'static str, u64)> {
        self.state.take_dropped()
    }

    fn dirty_bytes(&self) -> usize {
        self.state.stores.iter().flatten().map(|slot| slot.managed_ref().dirty_bytes()).sum()
    }

    fn aborted(&mut self) {
        self.flushed.clear();
        self.state.load_times(&self.committed);
        self.state.forget_held();
        self.state.aborts = self.state.aborts.wrapping_add(1);
        self.state.schedules.clear();
        self.state.commit_requested = false;
        self.state.processors.iter_mut().flatten().for_each(|hosted| hosted.renew());
        if let Some(quiet) = &mut self.quiet {
            quiet.stir(self.state.now_ms);
        }
        self.initialised = false;
    }

    fn times(&self) -> Vec<i64> {
        self.state.save_times()
    }

    fn restore_times(&mut self, times: &[i64]) {
        self.state.load_times(times);
        self.reached.iter().for_each(|reached| reached.resume(&mut self.state));
        self.committed = self.state.save_times();
    }

    fn advance(&mut self, now_ms: i64, out: &mut Output) -> Result<bool, ProcessError> {
        self.state.now_ms = now_ms;
        if let Some(quiet) = &mut self.quiet {
            quiet.begin(now_ms);
        }
        if self.state.processors.is_empty() {
            return Ok(false);
        }
        self.go_on();
        if !self.initialised {
            self.init(out)?;
        }
        let called = self.punctuate(PunctuationType::WallClockTime, now_ms, out)?;
        if let Some(quiet) = &mut self.quiet {
            quiet.stirred |= called;
        }
        Ok(called)
    }

    fn rest(&mut self, now_ms: i64, out: &mut Output) -> Result<bool, ProcessError> {
        let Some(mut quiet) = self.quiet.take() else { return Ok(false) };
        let time_ms = quiet.time_ms(now_ms, self.state.stream_time_ms);
        let done = time_ms.map_or(Ok(false), |time_ms| self.go_on_without_records(&mut quiet, time_ms, out));
        self.quiet = Some(quiet);
        done
    }

    fn extracts_time(&self, source: usize) -> bool {
        self.entries[source].extracts_time()
    }

    fn time_of(&self, source: usize, record: &SourceRecord<'_>) -> Option<i64> {
        self.entries[source].time_of(record, &self.state)
    }

    fn take_commit_request(&mut self) -> bool {
        std::mem::take(&mut self.state.commit_requested)
    }
}

/// What fails without a record is no record's fault.
fn unprovoked(error: ProcessError) -> ProcessError {
    match error {
        ProcessError::Operator { operator, reason } => ProcessError::Unprovoked { operator, reason },
        other => other,
    }
}
