//! What is handed down a chain with every record: the task's output and everything it shares.

use super::calls::CallSet;
use super::chain::ErasedChain;
use super::held::HeldBack;
use super::hosted::Hosted;
use super::punctuation::Schedules;
use super::slot::Slot;
use super::times::OperatorTimes;
use crate::codec::SharedCodec;
use crate::log::Headers;
use crate::record::Lazy;
use crate::task::{Output, ProcessError};
use kappa_state::{BufferedStore, CodecError, StateError};
use std::collections::HashMap;

/// Why a record was dropped (Kafka Streams: `dropped-records`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// An asynchronous call for it failed for good.
    FailedCall,
    /// The key is null where one is needed.
    NullKey,
    /// The value is null where one is needed.
    NullValue,
    /// The timestamp is negative.
    NegativeTimestamp,
    /// The key is null before a repartition topic. Kafka Streams drops these without a word.
    NullKeyRepartition,
    /// Its window has closed; counted for each such window.
    Late,
    /// The store keeps no rows of its time any more.
    Expired,
    /// A newer version of the row is known where only the latest counts.
    OutOfOrder,
    /// The foreign key is null where one is needed.
    NullForeignKey,
    /// The answer of a foreign-key join came when the row that had asked was another.
    Stale,
}

impl Dropped {
    /// As the metrics have it.
    fn reason(self) -> &'static str {
        match self {
            Self::FailedCall => "failed-call",
            Self::NullKey => "null-key",
            Self::NullValue => "null-value",
            Self::NegativeTimestamp => "negative-timestamp",
            Self::Late => "late",
            Self::Expired => "expired",
            Self::NullKeyRepartition => "null-key-repartition",
            Self::OutOfOrder => "out-of-order",
            Self::NullForeignKey => "null-foreign-key",
            Self::Stale => "stale",
        }
    }
}

/// What the operators of a task share.
pub(crate) struct TaskState {
    /// The stores in the plan's order; a place is empty only while its store is being staged.
    pub(crate) stores: Vec<Option<Box<dyn Slot>>>,
    /// Chains entered from several places; a place is empty only while its chain runs.
    pub(crate) joints: Vec<Option<ErasedChain>>,
    /// Asynchronous calls under way; a place is empty only while it is worked on.
    pub(crate) calls: Vec<Option<Box<dyn CallSet>>>,
    /// Processors of the user's own; a place is empty only while its processor is called.
    pub(crate) processors: Vec<Option<Box<dyn Hosted>>>,
    /// What operators hold back, as they know it.
    pub(crate) held_back: Vec<HeldBack>,
    /// When they want to be called.
    pub(crate) schedules: Schedules,
    /// One of them wants a commit.
    pub(crate) commit_requested: bool,
    /// Results are passed on at once, not at the flush.
    pub(crate) at_once: bool,
    /// The largest timestamp seen, ms.
    pub(crate) stream_time_ms: i64,
    /// The wall clock as the driver told it last, ms.
    pub(crate) now_ms: i64,
    /// What operators know of time.
    pub(crate) times: OperatorTimes,
    /// For each store the headers of the last record behind a change that is held back, where it had any.
    held_headers: Vec<HashMap<Vec<u8>, Headers>>,
    /// Any were ever held.
    any_headers: bool,
    /// Key-value stores are read as they were last passed on, not as they are.
    pub(crate) reads_staged: bool,
    /// Counts aborts: what operators keep in memory for longer than a transaction goes with it.
    pub(crate) aborts: u32,
    /// Counts records that were taken back.
    undone: u32,
    /// The record being processed may be taken back: nothing is staged meanwhile.
    recording: bool,
    /// A store took more than its cache while a record was being processed.
    overdue: bool,
    /// By reason, in the order in which they were first met.
    dropped: Vec<(Dropped, u64)>,
    /// Buffers for encoded keys; several are out where one operator's chain holds another's.
    scratch: Vec<Vec<u8>>,
}

impl TaskState {
    pub(crate) fn new(
        stores: Vec<Option<Box<dyn Slot>>>,
        joints: Vec<Option<ErasedChain>>,
        calls: Vec<Option<Box<dyn CallSet>>>,
        processors: Vec<Option<Box<dyn Hosted>>>,
        times: OperatorTimes,
        at_once: bool,
    ) -> Self {
        Self {
            held_headers: stores.iter().map(|_| HashMap::new()).collect(),
            any_headers: false,
            stores,
            joints,
            calls,
            processors,
            held_back: Vec::new(),
            schedules: Schedules::default(),
            commit_requested: false,
            at_once,
            stream_time_ms: i64::MIN,
            now_ms: 0,
            times,
            reads_staged: false,
            aborts: 0,
            undone: 0,
            recording: false,
            overdue: false,
            dropped: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// The record behind a change that is held back had these headers.
    #[inline]
    pub(crate) fn hold_headers(&mut self, slot: usize, key: &[u8], headers: &Headers) {
        if self.any_headers || !headers.is_empty() {
            self.hold_or_forget(slot, key, headers);
        }
    }

    #[cold]
    fn hold_or_forget(&mut self, slot: usize, key: &[u8], headers: &Headers) {
        self.any_headers = true;
        let held = &mut self.held_headers[slot];
        if !headers.is_empty() {
            held.insert(key.to_vec(), headers.clone());
        } else if !held.is_empty() {
            held.remove(key);
        }
    }

    /// Whether any headers are held for a store.
    pub(crate) fn holds_headers(&self, slot: usize) -> bool {
        !self.held_headers[slot].is_empty()
    }

    /// A buffer for encoded keys, to be given back.
    pub(crate) fn take_scratch(&mut self) -> Vec<u8> {
        let mut scratch = self.scratch.pop().unwrap_or_default();
        scratch.clear();
        scratch
    }

    /// Gives a buffer back.
    pub(crate) fn give_scratch(&mut self, scratch: Vec<u8>) {
        self.scratch.push(scratch);
    }

    /// The headers held for a change that goes on now.
    pub(crate) fn release_headers(&mut self, slot: usize, key: &[u8]) -> Headers {
        let held = &mut self.held_headers[slot];
        if held.is_empty() { Headers::empty() } else { held.remove(key).unwrap_or_else(Headers::empty) }
    }

    /// From here on what is done can be taken back.
    pub(crate) fn begin_record(&mut self) {
        self.recording = true;
        self.stores.iter_mut().flatten().for_each(|store| store.managed().begin_record());
        self.calls.iter_mut().flatten().for_each(|calls| calls.begin_record());
    }

    /// The record is done. Says whether a flush had to wait for it.
    pub(crate) fn end_record(&mut self) -> bool {
        self.recording = false;
        std::mem::take(&mut self.overdue)
    }

    /// Takes back what was done since the record began; false where something can't be.
    pub(crate) fn undo_record(&mut self) -> Result<bool, StateError> {
        self.recording = false;
        self.overdue = false;
        self.undone = self.undone.wrapping_add(1);
        let mut possible = true;
        for calls in self.calls.iter_mut().flatten() {
            possible &= calls.undo_record();
        }
        for store in self.stores.iter_mut().flatten() {
            possible &= store.managed().undo_record()?;
        }
        Ok(possible)
    }

    /// Changes whenever stores may have gone back to what they were: what is known of them in memory must be found again.
    pub(crate) fn generation(&self) -> (u32, u32) {
        (self.aborts, self.undone)
    }

    /// A store takes more than its cache: says whether it may be flushed now, else it is once the record is done.
    pub(crate) fn may_flush(&mut self) -> bool {
        self.overdue |= self.recording;
        !self.recording
    }

    /// What the task knows of time: stream time first, then its operators' times.
    pub(crate) fn save_times(&self) -> Vec<i64> {
        std::iter::once(self.stream_time_ms).chain(self.times.save()).collect()
    }

    /// What [`save_times`](Self::save_times) gave.
    pub(crate) fn load_times(&mut self, saved: &[i64]) {
        if let Some((stream_time_ms, times)) = saved.split_first() {
            self.stream_time_ms = *stream_time_ms;
            self.times.load(times);
        }
    }

    /// Everything since the last commit is undone.
    pub(crate) fn forget_held(&mut self) {
        self.held_headers.iter_mut().for_each(HashMap::clear);
    }

    pub(crate) fn take_dropped(&mut self) -> Vec<(&'static str, u64)> {
        self.dropped.drain(..).filter(|(_, count)| *count > 0).map(|(reason, count)| (reason.reason(), count)).collect()
    }
}

/// Where the record being processed comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Index of the source in the plan.
    pub(crate) source: usize,
    pub(crate) offset: i64,
}

/// What is handed down a chain.
pub(crate) struct Cx<'c> {
    pub(crate) out: &'c mut Output,
    pub(crate) state: &'c mut TaskState,
    /// `None` during a flush.
    pub(crate) origin: Option<Origin>,
}

impl Cx<'_> {
    /// Counts a dropped record.
    pub(crate) fn drop_record(&mut self, reason: Dropped) -> Result<(), ProcessError> {
        *count_of(&mut self.state.dropped, reason) += 1;
        Ok(())
    }

    /// A store, and the count of what came too late for it.
    pub(crate) fn typed_and_expired<S: 'static>(&mut self, slot: usize) -> (&mut S, &mut u64) {
        let TaskState { stores, dropped, .. } = &mut *self.state;
        match stores[slot].as_mut().and_then(|store| store.any().downcast_mut()) {
            Some(store) => (store, count_of(dropped, Dropped::Expired)),
            None => unreachable!("slots are typed by the builder, and a store that is read downstream is never taken"),
        }
    }

    /// A store of any kind, by its slot and type.
    pub(crate) fn typed<S: 'static>(&mut self, slot: usize) -> (&mut S, &mut Output) {
        let store = self.state.stores[slot].as_mut().map(|store| store.any());
        match store.and_then(|store| store.downcast_mut()) {
            Some(store) => (store, self.out),
            None => unreachable!("slots are typed by the builder, and a store that is read downstream is never taken"),
        }
    }

    /// A key-value store, by its slot and type.
    pub(crate) fn store<V: Send + 'static>(&mut self, slot: usize) -> &mut BufferedStore<V> {
        self.store_and_output(slot).0
    }

    /// A store, and the output beside it.
    pub(crate) fn store_and_output<V: Send + 'static>(&mut self, slot: usize) -> (&mut BufferedStore<V>, &mut Output) {
        self.typed(slot)
    }

    /// Runs `with` over an operator's calls, which are out of their place meanwhile.
    pub(crate) fn with_calls(
        &mut self,
        slot: usize,
        with: impl FnOnce(&mut dyn CallSet, &mut Self) -> Result<(), ProcessError>,
    ) -> Result<(), ProcessError> {
        let Some(mut calls) = self.state.calls[slot].take() else {
            unreachable!(
                "an operator's results come back to it only where the graph has a cycle, and builders can't make one"
            )
        };
        let result = with(&mut *calls, self);
        self.state.calls[slot] = Some(calls);
        result
    }

    /// Runs `with` over the key's bytes as `codec` writes them: those it came in, else encoded now.
    /// `None` where the key is null.
    pub(crate) fn with_key<K: 'static, R>(
        &mut self,
        operator: &str,
        key: &Lazy<'_, K>,
        codec: &SharedCodec<K>,
        with: impl FnOnce(&[u8], &mut Self) -> Result<R, ProcessError>,
    ) -> Result<Option<R>, ProcessError> {
        match key.bytes(codec) {
            Some(Some(bytes)) => return with(bytes, self).map(Some),
            Some(None) => return Ok(None),
            None => {}
        }
        let mut scratch = self.state.scratch.pop().unwrap_or_default();
        scratch.clear();
        let result = match key.write(codec, &mut scratch) {
            Ok(true) => with(&scratch, self).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(unencodable(operator, "key", &error)),
        };
        self.state.scratch.push(scratch);
        result
    }
}

/// The count of a reason.
fn count_of(counts: &mut Vec<(Dropped, u64)>, reason: Dropped) -> &mut u64 {
    let at = counts.iter().position(|(known, _)| *known == reason).unwrap_or_else(|| {
        counts.push((reason, 0));
        counts.len() - 1
    });
    &mut counts[at].1
}

/// A result that can't be written.
pub(crate) fn unencodable(operator: &str, part: &str, error: &CodecError) -> ProcessError {
    ProcessError::Operator { operator: operator.to_owned(), reason: format!("the {part} can't be encoded: {error}") }
}
