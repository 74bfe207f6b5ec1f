//! Aggregates over sessions.

use super::core::{Aggregation, Core};
use super::session_fold::{Merger, SessionFold};
use super::table::{Definition, RowStore, windowed_table};
use super::time::{folding, reducing};
use crate::codec::{Codec, SharedCodec, i64_be, shared_session_windowed};
use crate::dsl::{KStream, KTable};
use crate::processor::Emit;
use crate::record::Record;
use crate::task::ProcessError;
use crate::topology::TopologyError;
use crate::window::{SessionWindows, Windowed};
use kappa_state::SessionStore;
use std::fmt;
use std::sync::Arc;

/// Grouped records in sessions, to be aggregated (Kafka Streams: `SessionWindowedKStream`): made by
/// [`KGroupedStream::windowed_by`](crate::dsl::KGroupedStream::windowed_by).
///
/// A session that a record makes longer, or that it merges with another, is another key: the table deletes the ones before.
#[must_use = "sessions alone do nothing: count, reduce or aggregate"]
pub struct SessionWindowedKStream<K, V> {
    stream: KStream<K, V>,
    windows: SessionWindows,
    emit: Emit,
    retention_ms: Option<i64>,
}

impl<K: 'static, V: 'static> SessionWindowedKStream<K, V> {
    pub(super) fn new(stream: KStream<K, V>, windows: SessionWindows) -> Self {
        Self { stream, windows, emit: Emit::OnUpdate, retention_ms: None }
    }

    /// Emits each session once, when it has closed, and no updates (Kafka Streams: `EmitStrategy.onWindowClose`): when a record
    /// comes whose timestamp, less gap and grace, is past the session's end. Sessions that close together come in the order of
    /// their ends, then of their keys' bytes.
    pub fn emit_on_close(self) -> Self {
        Self { emit: Emit::OnClose, ..self }
    }

    /// How long rows can be looked up: until the largest end of a session is so much later than theirs. At least as long as
    /// records are taken, which is also the default: the gap and the grace.
    pub fn retention_ms(self, retention_ms: i64) -> Self {
        Self { retention_ms: Some(retention_ms), ..self }
    }

    /// Counts the records of each key in each session, in store `name`. Values are not looked at: records without one count.
    ///
    /// ```
    /// # use kappa_core::{codec::{i64_be, session_windowed, utf8}, testing::TestDriver, topology::Topology};
    /// use kappa_core::window::{SessionWindows, Windowed};
    ///
    /// let mut app = Topology::builder();
    /// app.stream("clicks", utf8(), utf8())
    ///     .group_by_key()
    ///     .windowed_by(SessionWindows::with_gap(30).grace(60))
    ///     .count("clicks-per-visit")
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let clicks = driver.input("clicks", utf8(), utf8());
    /// clicks.pipe("ann", "home", 100)?;
    /// clicks.pipe("ann", "cart", 120)?;
    /// let out = driver.output("out", session_windowed(utf8()), i64_be()).read_all()?;
    /// let visit = |start, end| Windowed::new("ann".to_owned(), start, end);
    /// assert_eq!(out, [(visit(100, 100), Some(1), 100), (visit(100, 100), None, 100), (visit(100, 120), Some(2), 120)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self, name: &str) -> KTable<Windowed<K>, i64> {
        let step = |_: &Record<'_, K, V>, count: Option<i64>| Ok(Some(count.unwrap_or(0) + 1));
        let aggregation = Aggregation { initial: Arc::new(|| Some(0)), step: Arc::new(step), look: None };
        let merger: Merger<K, i64> = Arc::new(|_, one, other| Ok(Some(one.unwrap_or(0) + other)));
        self.table(name, "count", SharedCodec::new(i64_be()), aggregation, merger)
    }

    /// Combines the values of each key in each session, in store `name`: the first is kept as it is, then `reducer` makes one of
    /// the kept value and the next; it also merges sessions. Giving back `None` deletes the session.
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
        let reducer = Arc::new(reducer);
        let merging = Arc::clone(&reducer);
        let merger: Merger<K, V> = Arc::new(move |_, one, other| {
            Ok(match one {
                Some(one) => merging(one, &other).into(),
                None => Some(other),
            })
        });
        self.table(name, "reduce", value, reducing(move |old, value: &V| reducer(old, value)), merger)
    }

    /// Folds the records of each key in each session into one value, in store `name` and written there by `codec`: `initializer`
    /// gives what a session begins with, `merger` makes one value of two sessions' (the initial one first), `aggregator` takes a
    /// record in. It may give back the value or an `Option` of it: `None` deletes the session.
    ///
    /// Records without a value are dropped and counted (`null-value`), unless [`nullable()`](crate::codec::nullable) makes null
    /// a value. A result's timestamp is the session's end.
    ///
    /// ```
    /// # use kappa_core::{codec::{session_windowed, utf8}, testing::TestDriver, topology::Topology};
    /// use kappa_core::window::{SessionWindows, Windowed};
    ///
    /// let mut app = Topology::builder();
    /// app.stream("clicks", utf8(), utf8())
    ///     .group_by_key()
    ///     .windowed_by(SessionWindows::with_gap(30))
    ///     .emit_on_close()
    ///     .aggregate(
    ///         "path",
    ///         utf8(),
    ///         String::new,
    ///         |_, page, path| format!("{path}/{page}"),
    ///         |_, one, other| format!("{one}{other}"),
    ///     )
    ///     .to("out");
    ///
    /// let driver = TestDriver::new(&app.build()?)?;
    /// let clicks = driver.input("clicks", utf8(), utf8());
    /// clicks.pipe("ann", "home", 100)?;
    /// clicks.pipe("ann", "cart", 120)?;
    /// clicks.pipe("bob", "home", 151)?;
    /// let out = driver.output("out", session_windowed(utf8()), utf8()).read_all()?;
    /// assert_eq!(out, [(Windowed::new("ann".into(), 100, 120), Some("/home/cart".into()), 120)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn aggregate<A: Send + 'static, R: Into<Option<A>>>(
        &self,
        name: &str,
        codec: impl Codec<A>,
        initializer: impl Fn() -> A + Send + Sync + 'static,
        aggregator: impl Fn(&K, &V, A) -> R + Send + Sync + 'static,
        merger: impl Fn(&K, A, A) -> A + Send + Sync + 'static,
    ) -> KTable<Windowed<K>, A> {
        self.table(name, "aggregate", SharedCodec::new(codec), folding(initializer, aggregator), merging(merger))
    }

    fn table<A: Send + 'static>(
        &self,
        name: &str,
        operator: &str,
        value: SharedCodec<A>,
        aggregation: Aggregation<K, V, A>,
        merger: Merger<K, A>,
    ) -> KTable<Windowed<K>, A> {
        let title = format!("{operator}({name})");
        let windows = self.windows;
        let store = session_store(&self.stream, &title, windows, self.emit, self.retention_ms);
        let input = self.stream.partitioned(&title, name);
        let key = input.need_key(&title);
        let windowed = shared_session_windowed(&key);
        let definition =
            Definition { name: name.to_owned(), operator: operator.to_owned(), key, windowed, value, store };
        let receiver =
            move |core: Core<K, V, A, SessionStore<A>>| SessionFold { core, windows, merger: Arc::clone(&merger) };
        windowed_table(&input, definition, aggregation, receiver)
    }
}

/// How the rows of sessions are kept.
pub(super) fn session_store<K: 'static, V: 'static>(
    stream: &KStream<K, V>,
    title: &str,
    windows: SessionWindows,
    emit: Emit,
    retention_ms: Option<i64>,
) -> RowStore {
    let least_ms = windows.gap_ms.saturating_add(windows.grace_ms);
    let retention_ms = retention_ms.unwrap_or(least_ms);
    if retention_ms < least_ms {
        let (windows, rule) = (title.to_owned(), "the retention is at least the sessions' gap and grace");
        stream.graph.borrow_mut().errors.push(TopologyError::Windows { windows, rule });
    }
    in_sessions(windows, emit, retention_ms)
}

pub(super) fn in_sessions(windows: SessionWindows, emit: Emit, retention_ms: i64) -> RowStore {
    let SessionWindows { gap_ms, grace_ms } = windows;
    let (segment_ms, grace_ms) = (RowStore::segment_ms(retention_ms), gap_ms.saturating_add(grace_ms));
    let (closing_ms, reach_ms) = (grace_ms.saturating_add(1), gap_ms.saturating_add(1));
    RowStore { retention_ms, segment_ms, emit, grace_ms, closing_ms, past_end: true, reach_ms }
}

/// What merges the values of sessions.
pub(super) fn merging<K: 'static, A: 'static>(merger: impl Fn(&K, A, A) -> A + Send + Sync + 'static) -> Merger<K, A> {
    Arc::new(move |key, one, other| {
        Ok(match one {
            Some(one) => Some(merger(
                key.get().map_err(|error| ProcessError::Undecodable { part: "key", reason: error.reason })?,
                one,
                other,
            )),
            None => Some(other),
        })
    })
}

impl<K, V> Clone for SessionWindowedKStream<K, V> {
    fn clone(&self) -> Self {
        Self { stream: self.stream.clone(), ..*self }
    }
}

impl<K, V> fmt::Debug for SessionWindowedKStream<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionWindowedKStream").field("windows", &self.windows).finish_non_exhaustive()
    }
}
