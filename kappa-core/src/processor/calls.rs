//! Asynchronous calls of one operator that are under way in one task.
//!
//! **Invariants:**
//! - At most `concurrency` calls are waiting: where there are as many, the step waits for one to end.
//! - In order of keys, a result goes on only when it is the oldest of its key; in order of the stream, when it is the oldest of all.
//! - A commit finds nothing under way: [`Calls::drain`] runs before it. So what is committed as processed has gone on.
//! - After an abort everything under way is cancelled, and a report that still comes is of another generation and ignored.

use super::chain::Joint;
use super::context::Origin;
use super::{Cx, Flush};
use crate::log::Headers;
use crate::record::{Lazy, Record};
use crate::task::{ProcessError, RunningCall};
use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// In which order results go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallOrder {
    /// As the records came.
    Stream,
    /// As the records of each key came.
    Key,
    /// As the calls end.
    None,
}

/// What came of a call: results, or why there are none.
pub(crate) type Outcome<O> = Result<O, String>;

/// What a call reports when it ends.
pub(crate) struct Report<O> {
    generation: u32,
    call: u64,
    outcome: Outcome<O>,
}

/// Where a call reports to.
pub(crate) struct Reporter<O> {
    generation: u32,
    call: u64,
    to: Sender<Report<O>>,
}

impl<O> Reporter<O> {
    /// The call has ended. Nobody listens any more where its task was closed meanwhile.
    pub(crate) fn report(self, outcome: Outcome<O>) {
        let _ = self.to.send(Report { generation: self.generation, call: self.call, outcome });
    }
}

/// A record that waits for its call.
struct Waiting<K, O> {
    key: K,
    timestamp_ms: i64,
    headers: Headers,
    origin: Option<Origin>,
    /// The record, for messages.
    place: String,
    outcome: Option<Outcome<O>>,
    _running: Option<Box<dyn RunningCall>>,
}

/// What a call's results become: new records, with the waiting record's timestamp and headers.
pub(crate) type Results<K2, V2> = Vec<(K2, Option<V2>)>;

/// What does not change while a task lives.
pub(crate) struct CallSettings {
    pub(crate) operator: Arc<str>,
    pub(crate) concurrency: usize,
    pub(crate) order: CallOrder,
    /// How long a report is waited for: longer than any call may take.
    pub(crate) patience_ms: u64,
    /// A call that fails stops the application; else its record is dropped and counted.
    pub(crate) stop_on_failure: bool,
}

/// The calls of one operator in one task.
pub(crate) struct Calls<K, K2, V2> {
    settings: CallSettings,
    next: Joint<K2, V2>,
    waiting: BTreeMap<u64, Waiting<K, Results<K2, V2>>>,
    /// For each key its calls, oldest first; only in order of keys.
    of_key: HashMap<K, VecDeque<u64>>,
    generation: u32,
    aborts: u32,
    next_call: u64,
    /// Results that have gone on, and dropped ones.
    emitted: u64,
    /// The next call and the results gone on when the last record began.
    record: (u64, u64),
    sender: Sender<Report<Results<K2, V2>>>,
    reports: Receiver<Report<Results<K2, V2>>>,
}

impl<K: Clone + Eq + Hash + Send + 'static, K2: Send + 'static, V2: Send + 'static> Calls<K, K2, V2> {
    pub(crate) fn new(settings: CallSettings, next: Joint<K2, V2>) -> Self {
        let (sender, reports) = channel();
        let (waiting, of_key) = (BTreeMap::new(), HashMap::new());
        Self {
            settings,
            next,
            waiting,
            of_key,
            generation: 0,
            aborts: 0,
            next_call: 0,
            emitted: 0,
            record: (0, 0),
            sender,
            reports,
        }
    }

    /// Takes a record whose call `start` begins, or whose results are there already.
    pub(crate) fn add<V>(
        &mut self,
        key: K,
        record: &Record<'_, K, V>,
        place: String,
        start: Started<'_, Results<K2, V2>>,
        cx: &mut Cx<'_>,
    ) -> Result<(), ProcessError> {
        self.forget_aborted(cx);
        while self.waiting.len() >= self.settings.concurrency {
            self.wait(cx)?;
        }
        let call = self.next_call;
        self.next_call += 1;
        if self.settings.order == CallOrder::Key {
            self.of_key.entry(key.clone()).or_default().push_back(call);
        }
        let (outcome, running) = match start {
            Started::Done(results) => (Some(Ok(results)), None),
            Started::Call(begin) => {
                let reporter = Reporter { generation: self.generation, call, to: self.sender.clone() };
                (None, Some(begin(reporter)))
            }
        };
        let (timestamp_ms, headers) = (record.timestamp_ms, record.headers.clone());
        let done = outcome.is_some();
        let origin = cx.origin;
        let waiting = Waiting { key, origin, timestamp_ms, headers, place, outcome, _running: running };
        self.waiting.insert(call, waiting);
        if done {
            self.pass_on(call, cx)?;
        }
        while let Ok(report) = self.reports.try_recv() {
            self.take(report, cx)?;
        }
        Ok(())
    }

    /// Waits until nothing is under way and everything has gone on.
    pub(crate) fn drain(&mut self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.forget_aborted(cx);
        while !self.waiting.is_empty() {
            self.wait(cx)?;
        }
        Ok(())
    }

    fn forget_aborted(&mut self, cx: &Cx<'_>) {
        if self.aborts != cx.state.aborts {
            self.aborts = cx.state.aborts;
            self.generation = self.generation.wrapping_add(1);
            self.waiting.clear();
            self.of_key.clear();
        }
    }

    /// Waits for one call to end.
    fn wait(&mut self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        match self.reports.recv_timeout(Duration::from_millis(self.settings.patience_ms)) {
            Ok(report) => self.take(report, cx),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let of = self.waiting.values().next().map_or("", |waiting| waiting.place.as_str());
                Err(self.failed(&format!("no call has ended within its deadline; the oldest is for {of}")))
            }
        }
    }

    fn take(&mut self, report: Report<Results<K2, V2>>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let waiting = self.waiting.get_mut(&report.call).filter(|_| report.generation == self.generation);
        let Some(waiting) = waiting else { return Ok(()) };
        waiting.outcome = Some(report.outcome);
        self.pass_on(report.call, cx)
    }

    /// Passes on what the end of `call` lets go.
    fn pass_on(&mut self, call: u64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        match self.settings.order {
            CallOrder::None => self.emit(call, cx),
            CallOrder::Stream => {
                while let Some((&oldest, waiting)) = self.waiting.first_key_value() {
                    if waiting.outcome.is_none() {
                        break;
                    }
                    self.emit(oldest, cx)?;
                }
                Ok(())
            }
            CallOrder::Key => {
                let Some(key) = self.waiting.get(&call).map(|waiting| waiting.key.clone()) else { return Ok(()) };
                while let Some(&oldest) = self.of_key.get(&key).and_then(VecDeque::front) {
                    if self.waiting.get(&oldest).is_some_and(|waiting| waiting.outcome.is_none()) {
                        return Ok(());
                    }
                    if let Some(calls) = self.of_key.get_mut(&key) {
                        calls.pop_front();
                    }
                    self.emit(oldest, cx)?;
                }
                self.of_key.remove(&key);
                Ok(())
            }
        }
    }

    fn emit(&mut self, call: u64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some(mut waiting) = self.waiting.remove(&call) else { return Ok(()) };
        let results = match waiting.outcome.take() {
            Some(Ok(results)) => results,
            // Nothing goes on: where it is the record's own call, the record can be taken back.
            Some(Err(reason)) if self.settings.stop_on_failure => {
                return Err(self.failed_for(&waiting, &reason));
            }
            Some(Err(reason)) => {
                self.emitted += 1;
                let operator = &*self.settings.operator;
                tracing::warn!(operator, record = waiting.place, reason, "record dropped: its call failed");
                return cx.drop_record(super::Dropped::FailedCall);
            }
            None => return Ok(()),
        };
        self.emitted += 1;
        for (key, value) in results {
            let (key, value) = (Lazy::ready(key), value.map(Lazy::ready));
            self.next.send(&Record::new(&key, value.as_ref(), waiting.timestamp_ms, &waiting.headers), cx)?;
        }
        Ok(())
    }

    fn failed_for(&self, waiting: &Waiting<K, Results<K2, V2>>, reason: &str) -> ProcessError {
        let (operator, reason) =
            (self.settings.operator.to_string(), format!("the call for {}: {reason}", waiting.place));
        match waiting.origin {
            Some(Origin { source, offset }) => ProcessError::Call { source_index: source, offset, operator, reason },
            None => ProcessError::Operator { operator, reason },
        }
    }

    fn failed(&self, reason: &str) -> ProcessError {
        ProcessError::Operator { operator: self.settings.operator.to_string(), reason: reason.to_owned() }
    }
}

/// How a record's call begins.
pub(crate) enum Started<'s, O> {
    /// There is nothing to call for.
    Done(O),
    /// Begins the call, which reports to the reporter.
    Call(Box<dyn FnOnce(Reporter<O>) -> Box<dyn RunningCall> + 's>),
}

/// The calls of any operator, as a task keeps them.
pub(crate) trait CallSet: Send {
    /// For the operator that knows the type.
    fn any(&mut self) -> &mut dyn Any;

    /// A record begins whose calls may have to be taken back.
    fn begin_record(&mut self);

    /// Takes back the calls begun since; false where a result has gone on since.
    fn undo_record(&mut self) -> bool;

    /// See [`Calls::drain`].
    fn drain_all(&mut self, cx: &mut Cx<'_>) -> Result<(), ProcessError>;
}

impl<K, K2, V2> CallSet for Calls<K, K2, V2>
where
    K: Clone + Eq + Hash + Send + 'static,
    K2: Send + 'static,
    V2: Send + 'static,
{
    fn any(&mut self) -> &mut dyn Any {
        self
    }

    fn begin_record(&mut self) {
        self.record = (self.next_call, self.emitted);
    }

    fn undo_record(&mut self) -> bool {
        let (first, emitted) = self.record;
        let begun: Vec<u64> = self.waiting.range(first..).map(|(call, _)| *call).collect();
        for call in begun {
            let waiting = self.waiting.remove(&call);
            if let Some(calls) = waiting.and_then(|waiting| self.of_key.get_mut(&waiting.key)) {
                calls.retain(|other| *other != call);
            }
        }
        self.of_key.retain(|_, calls| !calls.is_empty());
        self.emitted == emitted
    }

    fn drain_all(&mut self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.drain(cx)
    }
}

/// Drains an operator's calls before its task commits.
pub(crate) struct DrainCalls {
    pub(crate) slot: usize,
}

impl Flush for DrainCalls {
    fn flush(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        cx.with_calls(self.slot, |calls, cx| calls.drain_all(cx))
    }
}
