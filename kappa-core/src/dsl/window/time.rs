//! Aggregates over tumbling, hopping, unlimited and sliding windows.

use super::core::{Aggregation, Core};
use super::fold::TimeFold;
use super::sliding::SlidingFold;
use super::table::{Definition, RowStore, windowed_table};
use crate::codec::{Codec, SharedCodec, i64_be, shared_time_windowed};
use crate::dsl::aggregate::look;
use crate::dsl::{KStream, KTable};
use crate::processor::Emit;
use crate::record::Record;
use crate::topology::TopologyError;
use crate::window::{SlidingWindows, TimeWindows, Windowed};
use kappa_state::WindowStore;
use std::fmt;
use std::sync::Arc;

/// Windows that rows are kept for by key and start.
#[derive(Debug, Clone, Copy)]
pub(crate) enum TimeKind {
    Time(TimeWindows),
    Sliding(SlidingWindows),
}

impl TimeKind {
    /// How long rows are needed.
    pub(super) fn least_retention_ms(self) -> i64 {
        match self {
            Self::Time(windows) => windows.size_ms.saturating_add(windows.grace_ms),
            Self::Sliding(windows) => windows.difference_ms.saturating_mul(2).saturating_add(windows.grace_ms),
        }
    }

    /// From a window's start to its end.
    pub(crate) fn size_ms(self) -> i64 {
        match self {
            Self::Time(windows) => windows.size_ms,
            Self::Sliding(windows) => windows.difference_ms,
        }
    }

    pub(super) fn store(self, emit: Emit, retention_ms: i64) -> RowStore {
        let segment_ms = match self {
            // What closes at one time is in one segment.
            Self::Time(windows) if emit == Emit::OnClose => windows.advance_ms,
            _ => RowStore::segment_ms(retention_ms),
        };
        let grace_ms = match self {
            Self::Time(windows) => windows.grace_ms,
            Self::Sliding(windows) => windows.grace_ms,
        };
        let reach_ms = match self {
            Self::Time(_) => 0,
            Self::Sliding(windows) => windows.difference_ms.saturating_add(1),
        };
        // The end of a sliding window belongs to it.
        let past_end = matches!(self, Self::Sliding(_));
        let closing_ms = self.size_ms().saturating_add(grace_ms).saturating_add(i64::from(past_end));
        RowStore { retention_ms, segment_ms, emit, grace_ms, closing_ms, past_end, reach_ms }
    }
}

/// Grouped records in windows of time, to be aggregated (Kafka Streams: `TimeWindowedKStream`): made by
/// [`KGroupedStream::windowed_by`](crate::dsl::KGroupedStream::windowed_by).
#[must_use = "windows alone do nothing: count, reduce or aggregate"]
pub struct TimeWindowedKStream<K, V> {
    stream: KStream<K, V>,
    kind: TimeKind,
    emit: Emit,
    retention_ms: Option<i64>,
}

impl<K: 'static, V: 'static> TimeWindowedKStream<K, V> {
    pub(super) fn new(stream: KStream<K, V>, kind: TimeKind) -> Self {
        Self { stream, kind, emit: Emit::OnUpdate, retention_ms: None }
    }

    /// Emits each window once, when it has closed, and no updates (Kafka Streams: `EmitStrategy.onWindowClose`): when the first
    /// record comes whose timestamp, less the grace, has reached the window's end. Windows that close together come in the order
    /// of their starts, then of their keys' bytes. Every window is emitted, also where time jumps.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, time_windowed, utf8}, testing::TestDriver, topology::Topology};
    /// use kappa_core::window::{TimeWindows, Windowed};
    ///
    /// let mut app = Topology::builder();
    /// app.stream("in", utf8(), utf8())
    ///     .group_by_key()
    ///     .windowed_by(TimeWindows::tumbling(10))
    ///     .emit_on_close()
    ///     .count("counts")
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let input = driver.input("in", utf8(), utf8());
    /// input.pipe("a", "x", 1)?;
    /// input.pipe("a", "y", 9)?;
    /// let out = driver.output("out", time_windowed(utf8(), 10), i64_be());
    /// assert_eq!(out.read_all()?, []);
    /// input.pipe("b", "z", 10)?;
    /// assert_eq!(out.read_all()?, [(Windowed::new("a".into(), 0, 10), Some(2), 9)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn emit_on_close(self) -> Self {
        Self { emit: Emit::OnClose, ..self }
    }

    /// How long rows can be looked up: until the largest start of a window is so much later than theirs. At least as long as
    /// records are taken, which is also the default: size and grace, for sliding windows twice the difference and the grace.
    pub fn retention_ms(self, retention_ms: i64) -> Self {
        Self { retention_ms: Some(retention_ms), ..self }
    }

    /// Counts the records of each key in each window, in store `name`. Values are not looked at: records without one count.
    pub fn count(&self, name: &str) -> KTable<Windowed<K>, i64> {
        let step = |_: &Record<'_, K, V>, count: Option<i64>| Ok(Some(count.unwrap_or(0) + 1));
        let aggregation = Aggregation { initial: Arc::new(|| Some(0)), step: Arc::new(step), look: None };
        self.table(name, "count", SharedCodec::new(i64_be()), aggregation)
    }

    /// Combines the values of each key in each window, in store `name`: the first is kept as it is, then `reducer` makes one of
    /// the kept value and the next. Giving back `None` deletes the window.
    ///
    /// Records without a value are dropped and counted (`null-value`), unless [`nullable()`](crate::codec::nullable) makes null
    /// a value.
    pub fn reduce<R: Into<Option<V>>>(
        &self,
        name: &str,
        reducer: impl Fn(V, &V) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, V>
    where
        V: Clone + Send,
    {
        let value = self.stream.need_value(&format!("reduce({name})"));
        self.table(name, "reduce", value, reducing(reducer))
    }

    /// Folds the records of each key in each window into one value, in store `name` and written there by `codec`: `initializer`
    /// gives what a window begins with, `aggregator` takes a record in. It may give back the value or an `Option` of it: `None`
    /// deletes the window, which then begins anew.
    ///
    /// Records without a value are dropped and counted (`null-value`), unless [`nullable()`](crate::codec::nullable) makes null
    /// a value. A result's timestamp is the largest of its records'.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, time_windowed, utf8}, testing::TestDriver, topology::Topology};
    /// use kappa_core::window::{SlidingWindows, Windowed};
    ///
    /// let mut app = Topology::builder();
    /// app.stream("delays", utf8(), i64_be())
    ///     .group_by_key()
    ///     .windowed_by(SlidingWindows::of(10))
    ///     .aggregate("total", i64_be(), || 0, |_, minutes, total| total + minutes)
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let delays = driver.input("delays", utf8(), i64_be());
    /// delays.pipe("OK1", 5, 20)?;
    /// delays.pipe("OK1", 7, 27)?;
    /// let out = driver.output("out", time_windowed(utf8(), 10), i64_be()).read_all()?;
    /// let window = |start| Windowed::new("OK1".to_owned(), start, start + 10);
    /// // The second record is the first's successor, and the end of a window with both.
    /// assert_eq!(out, [(window(10), Some(5), 20), (window(21), Some(7), 27), (window(17), Some(12), 27)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Send + 'static, R: Into<Option<A>>>(
        &self,
        name: &str,
        codec: impl Codec<A>,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, &V, A) -> R + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.table(name, "aggregate", SharedCodec::new(codec), folding(initializer, aggregator))
    }

    fn table<A: Send + 'static>(
        &self,
        name: &str,
        operator: &str,
        value: SharedCodec<A>,
        aggregation: Aggregation<K, V, A>,
    ) -> KTable<Windowed<K>, A> {
        let title = format!("{operator}({name})");
        let least_ms = self.kind.least_retention_ms();
        let retention_ms = self.retention_ms.unwrap_or(least_ms);
        if retention_ms < least_ms {
            let rule = "the retention is at least the windows' size and grace, of sliding ones twice the difference and the grace";
            self.refuse(&title, rule);
        }
        if matches!(self.kind, TimeKind::Time(TimeWindows { unlimited_ms: Some(_), .. })) && self.emit == Emit::OnClose
        {
            self.refuse(&title, "an unlimited window never closes: leave emit_on_close() out");
        }
        let input = self.stream.partitioned(&title, name);
        let key = input.need_key(&title);
        let windowed = shared_time_windowed(&key, self.kind.size_ms());
        let store = self.kind.store(self.emit, retention_ms);
        let definition =
            Definition { name: name.to_owned(), operator: operator.to_owned(), key, windowed, value, store };
        match self.kind {
            TimeKind::Time(windows) => {
                let receiver = move |core: Core<K, V, A, WindowStore<A>>| TimeFold { core, windows };
                windowed_table(&input, definition, aggregation, receiver)
            }
            TimeKind::Sliding(windows) => {
                let receiver = move |core: Core<K, V, A, WindowStore<A>>| SlidingFold { core, windows };
                windowed_table(&input, definition, aggregation, receiver)
            }
        }
    }

    fn refuse(&self, operator: &str, rule: &'static str) {
        let windows = operator.to_owned();
        self.stream.graph.borrow_mut().errors.push(TopologyError::Windows { windows, rule });
    }
}

/// What `reduce` does with a record.
pub(super) fn reducing<K: 'static, V: Clone + 'static, R: Into<Option<V>>>(
    reducer: impl Fn(V, &V) -> R + Send + Sync + 'static,
) -> Aggregation<K, V, V> {
    let step = move |record: &Record<'_, K, V>, old: Option<V>| {
        Ok(match (old, record.value()?) {
            (Some(old), Some(value)) => reducer(old, value).into(),
            (None, Some(value)) => Some(value.clone()),
            (old, None) => old,
        })
    };
    Aggregation { initial: Arc::new(|| None), step: Arc::new(step), look: Some(look) }
}

/// What `aggregate` does with a record.
pub(super) fn folding<K: 'static, V: 'static, A: 'static, R: Into<Option<A>>>(
    initializer: impl Fn() -> A + Send + Sync + 'static,
    aggregator: impl Fn(&K, &V, A) -> R + Send + Sync + 'static,
) -> Aggregation<K, V, A> {
    let initial = Arc::new(move || Some(initializer()));
    let step = move |record: &Record<'_, K, V>, old: Option<A>| {
        let (Some(value), Some(old)) = (record.value()?, old) else { return Ok(None) };
        Ok(aggregator(record.key()?, value, old).into())
    };
    Aggregation { initial, step: Arc::new(step), look: Some(look) }
}

impl<K, V> Clone for TimeWindowedKStream<K, V> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), ..*self }
    }
}

impl<K, V> fmt::Debug for TimeWindowedKStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeWindowedKStream").field("windows", &self.kind).finish_non_exhaustive()
    }
}
