//! Holds a table's changes back.

use super::suppress_entry::Entry;
use crate::codec::{SharedCodec, bytes};
use crate::dsl::{KTable, store};
use crate::processor::{Cx, Dropped, Found, Getter, HeldBack, LogOnly, Lookup, Next, Receiver, Tick, TimeSlot, Wanted};
use crate::record::{Lazy, Record};
use crate::task::ProcessError;
use crate::topology::{Assembly, OldValues, TopologyError};
use crate::window::Windowed;
use kappa_state::Direction;
use std::fmt;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// How long changes are held back, and how many (Kafka Streams: `Suppressed`).
#[must_use = "given to KTable::suppress"]
pub struct Suppressed<K> {
    until: Until<K>,
    max_records: Option<u64>,
    max_bytes: Option<u64>,
    shut_down: bool,
}

enum Until<K> {
    /// The end that this gives has passed, by the windows' grace.
    Close(fn(&K) -> i64),
    /// So long after the first change of a key.
    Limit(i64),
}

impl<K> Suppressed<Windowed<K>> {
    /// Until windows close: of each only the final result goes on, when time has passed its end by the grace. Deletions don't.
    ///
    /// Where a bound is set and reached, the task fails: an early result would not be final.
    pub fn until_window_closes() -> Self {
        Self { until: Until::Close(|key| key.window.end_ms), max_records: None, max_bytes: None, shut_down: true }
    }
}

impl<K> Suppressed<K> {
    /// For `limit_ms` of event time after the first change of a key: later changes replace it and do not begin anew.
    ///
    /// Where a bound is set and reached, the oldest go on early, unless [`shut_down_when_full`](Self::shut_down_when_full).
    pub fn until_time_limit(limit_ms: i64) -> Self {
        Self { until: Until::Limit(limit_ms), max_records: None, max_bytes: None, shut_down: false }
    }

    /// Holds at most so many keys back.
    pub fn max_records(self, max_records: u64) -> Self {
        Self { max_records: Some(max_records), ..self }
    }

    /// Holds at most so many bytes back: keys, values and headers as they are written.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes: Some(max_bytes), ..self }
    }

    /// Fails rather than pass something on early, where a bound is reached.
    pub fn shut_down_when_full(self) -> Self {
        Self { shut_down: true, ..self }
    }
}

impl<K> Clone for Until<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Until<K> {}

impl<K> Clone for Suppressed<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Suppressed<K> {}

impl<K> fmt::Debug for Suppressed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let until = match self.until {
            Until::Close(_) => "windows close".to_owned(),
            Until::Limit(limit_ms) => format!("{limit_ms} ms"),
        };
        f.debug_struct("Suppressed").field("until", &until).finish_non_exhaustive()
    }
}

impl<K: 'static, V: Send + 'static> KTable<K, V> {
    /// Holds the table's changes back, in store `name`: until their windows close, or for a time. Time is that of the records
    /// which come, and is kept with the committed offsets; what is held back is in a changelog, so neither is lost by a restart.
    ///
    /// Looked up, the table has what has been passed on, not what is held back.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, time_windowed, utf8}, testing::TestDriver, topology::Topology};
    /// use kappa_core::dsl::Suppressed;
    /// use kappa_core::window::{TimeWindows, Windowed};
    ///
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8())
    ///     .group_by_key()
    ///     .windowed_by(TimeWindows::tumbling(10).grace(5))
    ///     .count("counts")
    ///     .suppress("final-counts", Suppressed::until_window_closes())
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("a", "x", 1)?;
    /// input.pipe("a", "y", 14)?;
    /// input.pipe("a", "late", 9)?;
    /// let out = driver.output("out", time_windowed(utf8(), 10), i64_be());
    /// assert_eq!(out.read_all()?, []);
    /// input.pipe("b", "z", 15)?;
    /// assert_eq!(out.read_all()?, [(Windowed::new("a".into(), 0, 10), Some(2), 9)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn suppress(&self, name: &str, suppressed: Suppressed<K>) -> Self {
        let title = format!("suppress({name})");
        let value = self.stream.need_value(&title);
        let key = self.key.clone();
        let wait_ms = match suppressed.until {
            Until::Limit(limit_ms) => limit_ms,
            Until::Close(_) => self.stream.graph.borrow().grace_ms(self.stream.node).unwrap_or_else(|| {
                let rule = "only a windowed aggregate's table can be held back until windows close";
                self.refuse(&title, rule);
                0
            }),
        };
        if wait_ms < 0 {
            self.refuse(&title, "the time limit is not negative");
        }
        let index = self.stream.graph.borrow().stores.len();
        let (node_key, node_value) = (key.clone(), value.clone());
        let node = self.stream.operator_of(name, "suppress", move |assembly, node| {
            let slot = assembly.slot(index).unwrap_or(usize::MAX);
            let changelog = assembly.changelog(index);
            assembly.flush_once(node, LogOnly::<Vec<u8>>::new(slot, changelog));
            let operator = |assembly: &mut Assembly<'_>| Suppress {
                name: assembly.name(node),
                slot,
                place: assembly.holder(node),
                observed: assembly.time(node, "observed"),
                sends_old: assembly.sends_old(node),
                key: node_key.clone(),
                value: node_value.clone(),
                suppressed,
                wait_ms,
                folds: match suppressed.until {
                    Until::Limit(_) => Vec::new(),
                    Until::Close(_) => assembly.times_of_folds(node),
                },
                next: assembly.next_of_ticking(node),
            };
            assembly.tick(node, operator);
            operator(assembly)
        });
        let mut graph = self.stream.graph.borrow_mut();
        graph.add_store(store(name, "suppress", None, &key, &SharedCodec::new(bytes())));
        graph.nodes[node].stores.push(index);
        let holds_ms = match suppressed.until {
            Until::Limit(limit_ms) => limit_ms,
            Until::Close(_) => graph.closing_ms(self.stream.node),
        };
        graph.holds_back(node, holds_ms);
        graph.nodes[node].old_values = OldValues::Inputs;
        // What has been passed on of a key is what was there before its first change that is held back.
        graph.request_old(self.stream.node);
        drop(graph);
        let (parent, codec) = (Arc::clone(&self.lookup.make), value);
        let make = move |assembly: &Assembly<'_>| -> Box<dyn Getter<K, V>> {
            let slot = assembly.slot(index).unwrap_or(usize::MAX);
            Box::new(PassedOn { slot, parent: parent(assembly), value: codec.clone() })
        };
        let stores = self.lookup.stores.iter().copied().chain([index]).collect();
        let lookup = Lookup { stores, history_ms: None, make: Arc::new(make) };
        Self { stream: self.stream.same(node), lookup, key }
    }

    fn refuse(&self, operator: &str, rule: &'static str) {
        let windows = operator.to_owned();
        self.stream.graph.borrow_mut().errors.push(TopologyError::Windows { windows, rule });
    }
}

/// Kafka Streams: `KTableSuppressProcessor`.
///
/// **Invariants:** of what is held back, `held` has the buffer time and key of every entry in the store, `bytes` their sizes, as long as `known` is the
/// task's generation: else both are found again. The order in which entries go on is that of times, then of keys' bytes.
struct Suppress<K, V> {
    name: Arc<str>,
    slot: usize,
    /// Of what it knows of the store.
    place: usize,
    observed: TimeSlot,
    sends_old: bool,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    suppressed: Suppressed<K>,
    wait_ms: i64,
    /// The times of the operators whose windows are held back until they close, with how far past their end that is.
    folds: Vec<(TimeSlot, i64)>,
    next: Next<K, V>,
}

impl<K: 'static, V: Send + 'static> Suppress<K, V> {
    /// Finds again what is held back.
    fn know(&self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let generation = cx.state.generation();
        if self.back(cx).known == Some(generation) {
            return Ok(());
        }
        *self.back(cx) = HeldBack::default();
        let (mut failed, mut back) = (None, HeldBack::default());
        let mut visit = |key: &[u8], row: &Vec<u8>, _: i64| match Entry::decode(row) {
            Some(entry) => {
                back.held.insert((entry.time_ms, key.to_vec()));
                back.bytes += entry.size(key);
                ControlFlow::Continue(())
            }
            None => {
                failed = Some(key.to_vec());
                ControlFlow::Break(())
            }
        };
        let store = cx.store::<Vec<u8>>(self.slot);
        store.scan(Bound::Unbounded, Bound::Unbounded, Direction::Forward, &mut visit)?;
        if let Some(key) = failed {
            return Err(self.error(format_args!("what is held back for key {key:?} can't be read")));
        }
        back.known = Some(generation);
        *self.back(cx) = back;
        Ok(())
    }

    fn back<'c>(&self, cx: &'c mut Cx<'_>) -> &'c mut HeldBack {
        &mut cx.state.held_back[self.place]
    }

    fn entry(&self, key: &[u8], cx: &mut Cx<'_>) -> Result<Option<Entry>, ProcessError> {
        let Some((row, _)) = cx.store::<Vec<u8>>(self.slot).get(key)? else { return Ok(None) };
        match Entry::decode(row) {
            Some(entry) => Ok(Some(entry)),
            None => Err(self.error(format_args!("what is held back for key {key:?} can't be read"))),
        }
    }

    fn hold(&self, key: &[u8], record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let before = self.entry(key, cx)?;
        let old = self.encode(record.old)?;
        let time_ms = match (&before, &self.suppressed.until) {
            // A later change takes the place of the first.
            (Some(before), _) => before.time_ms,
            (None, Until::Close(end)) => end(record.key()?),
            (None, Until::Limit(_)) => record.timestamp_ms,
        };
        let prior = match &before {
            Some(before) => before.prior.clone(),
            None => old.clone(),
        };
        let (timestamp_ms, headers) = (record.timestamp_ms, record.headers.clone());
        let entry = Entry { time_ms, timestamp_ms, headers, prior, old, new: self.encode(record.value)? };
        let back = self.back(cx);
        match before {
            Some(before) => back.bytes -= before.size(key),
            None => _ = back.held.insert((time_ms, key.to_vec())),
        }
        back.bytes += entry.size(key);
        Ok(cx.store::<Vec<u8>>(self.slot).put(key, Some(entry.encode()), record.timestamp_ms)?)
    }

    fn encode(&self, value: Option<&Lazy<'_, V>>) -> Result<Option<Vec<u8>>, ProcessError> {
        let Some(value) = value else { return Ok(None) };
        let mut out = Vec::new();
        let present = value.write(&self.value, &mut out);
        Ok(present.map_err(|error| self.error(format_args!("the value can't be encoded: {error}")))?.then_some(out))
    }

    /// Passes on what is due at `observed_ms`, and what there is no room for.
    fn release(&mut self, observed_ms: i64, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.release_until(observed_ms.saturating_sub(self.wait_ms), cx)?;
        if self.is_full(cx) && self.suppressed.shut_down {
            let HeldBack { held, bytes, .. } = self.back(cx);
            let records = held.len();
            return Err(self.error(format_args!("it holds back {records} records of {bytes} bytes, more than it may")));
        }
        while self.is_full(cx) {
            self.release_first(cx)?;
        }
        Ok(())
    }

    /// Passes on what began to wait no later than `due_ms`; gives back when the last of it did.
    fn release_until(&mut self, due_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        let mut last_ms = None;
        while let Some(time_ms) = self.back(cx).held.first().map(|(time_ms, _)| *time_ms).filter(|ms| *ms <= due_ms) {
            self.release_first(cx)?;
            last_ms = Some(time_ms);
        }
        Ok(last_ms)
    }

    fn is_full(&self, cx: &mut Cx<'_>) -> bool {
        let Suppressed { max_records, max_bytes, .. } = self.suppressed;
        let HeldBack { held, bytes, .. } = self.back(cx);
        !held.is_empty()
            && (max_records.is_some_and(|most| held.len() as u64 > most) || max_bytes.is_some_and(|most| *bytes > most))
    }

    fn release_first(&mut self, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let Some((_, key)) = self.back(cx).held.first().cloned() else { return Ok(()) };
        let Some(entry) = self.entry(&key, cx)? else {
            return Err(self.error("what it holds back is not in its store: a bug in kappa"));
        };
        let is_final = matches!(self.suppressed.until, Until::Close(_));
        if let Some(decoded) = Lazy::encoded(&self.key, Some(&key)).filter(|_| entry.new.is_some() || !is_final) {
            let new = entry.new.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
            let old = entry.old.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
            let old = old.as_ref().filter(|_| self.sends_old);
            let record = Record::new(&decoded, new.as_ref(), entry.timestamp_ms, &entry.headers);
            // Whoever looks it up meanwhile still finds what was there before.
            self.next.receive(&Record { old, ..record }, cx)?;
        }
        cx.store::<Vec<u8>>(self.slot).put(&key, None, entry.timestamp_ms)?;
        let back = self.back(cx);
        back.bytes -= entry.size(&key);
        back.held.pop_first();
        Ok(())
    }

    fn error(&self, reason: impl fmt::Display) -> ProcessError {
        ProcessError::Operator { operator: self.name.to_string(), reason: reason.to_string() }
    }
}

impl<K: 'static, V: Send + 'static> Receiver<K, V> for Suppress<K, V> {
    fn receive(&mut self, record: &Record<'_, K, V>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        self.know(cx)?;
        let observed_ms = cx.state.times.advance(self.observed, record.timestamp_ms);
        let key = cx.with_key(&self.name, record.key, &self.key, |key, _| Ok(key.to_vec()))?;
        let Some(key) = key else { return cx.drop_record(Dropped::NullKey) };
        self.hold(&key, record, cx)?;
        self.release(observed_ms, cx)
    }
}

impl<K: 'static, V: Send + 'static> Tick for Suppress<K, V> {
    fn tick(&mut self, time_ms: i64, cx: &mut Cx<'_>) -> Result<Option<i64>, ProcessError> {
        self.know(cx)?;
        let Some(last_ms) = self.release_until(time_ms.saturating_sub(self.wait_ms), cx)? else { return Ok(None) };
        let due_ms = last_ms.saturating_add(self.wait_ms);
        cx.state.times.advance(self.observed, due_ms);
        // What has gone on was final: no more records are taken into those windows.
        for (fold, past_end_ms) in &self.folds {
            cx.state.times.advance(*fold, due_ms.saturating_add(*past_end_ms));
        }
        Ok(Some(due_ms))
    }
}

/// Looks up what has been passed on.
struct PassedOn<K, V> {
    slot: usize,
    parent: Box<dyn Getter<K, V>>,
    value: SharedCodec<V>,
}

impl<K: 'static, V: Send + 'static> Getter<K, V> for PassedOn<K, V> {
    fn get(&self, wanted: Wanted<'_, '_, K>, cx: &mut Cx<'_>, with: &mut Found<'_, V>) -> Result<(), ProcessError> {
        let held = cx.store::<Vec<u8>>(self.slot).get(wanted.bytes)?.and_then(|(row, _)| Entry::decode(row));
        let Some(entry) = held else { return self.parent.get(Wanted { as_of_ms: None, ..wanted }, cx, with) };
        let prior = entry.prior.as_deref().and_then(|bytes| Lazy::encoded(&self.value, Some(bytes)));
        let failed =
            |error: crate::codec::CodecError| ProcessError::Undecodable { part: "value", reason: error.reason };
        let prior = prior.as_ref().map(Lazy::get).transpose().map_err(failed)?;
        // When it was passed on is not known.
        with(prior.map(|prior| (prior, -1)))
    }
}
