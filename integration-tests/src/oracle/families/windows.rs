//! What the windowed families share.

use super::super::functions::{Value, add, initial, merge, number, reduce, select_key, show, subtract};
use super::super::generate::Draw;
use super::super::text::{Shown, Text, windowed};
use super::super::{Context, Params, Row};
use kappa_core::codec::{Codec, i64_be};
use kappa_core::dsl::{KGroupedStream, KTable};
use kappa_core::window::{SessionWindows, SlidingWindows, TimeWindows, Windowed};

/// A table of texts in windows.
pub(super) type Table = KTable<Windowed<Value>, Value>;

/// Which windows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Time(TimeWindows),
    Sliding(SlidingWindows),
    Session(SessionWindows),
}

impl<K: Shown> Shown for Windowed<K> {
    fn shown(&self) -> Option<String> {
        let key = self.key.shown();
        Some(windowed(show(key.as_deref()), self.window.start_ms, self.window.end_ms))
    }
}

/// The windows that the parameters ask for.
pub(super) fn kind(params: &Params, name: &str) -> Kind {
    let grace_ms = params.number_or("grace", 0);
    match name {
        "sliding" => Kind::Sliding(SlidingWindows::of(params.number_or("diff", 10)).grace(grace_ms)),
        "session" => Kind::Session(SessionWindows::with_gap(params.number_or("gap", 10)).grace(grace_ms)),
        _ => {
            let size_ms = params.number_or("size", 10);
            let advance_ms = params.number_or("advance", size_ms);
            Kind::Time(TimeWindows::hopping(size_ms, advance_ms).grace(grace_ms))
        }
    }
}

/// The stream `in`, grouped as parameter `by` says; null values are shown to functions.
fn grouped(cx: &mut Context) -> KGroupedStream<Value, Value> {
    let by = cx.params.text_or("by", "key").to_owned();
    let stream = cx.stream("in");
    if by == "key" {
        return stream.group_by_key();
    }
    stream.group_by(Context::text(), move |key, value| select_key(&by, key, value))
}

/// The aggregate that parameter `agg` names, in store `agg`, which is compared.
pub(super) fn aggregated(cx: &mut Context, kind: Kind) -> Table {
    match kind {
        Kind::Session(windows) => in_sessions(cx, windows),
        // Kafka Streams drops null values before sliding windows: they stay Kafka's null.
        Kind::Sliding(windows) => {
            let windowed = cx.records("in").group_by_key().windowed_by(windows);
            in_time(cx, windowed, windows_size(kind))
        }
        Kind::Time(windows) => {
            let windowed = grouped(cx).windowed_by(windows);
            in_time(cx, windowed, windows_size(kind))
        }
    }
}

fn windows_size(kind: Kind) -> fn(&Params) -> i64 {
    match kind {
        Kind::Time(_) => |params| match params.number("unlimited") {
            Some(_) => i64::MAX,
            None => params.number_or("size", 10),
        },
        _ => |params| params.number_or("diff", 10),
    }
}

/// Values that are texts or nulls.
trait Word: Clone + Send + 'static {
    fn word(&self) -> Value;
    fn of(word: Value) -> Option<Self>;
}

impl Word for Value {
    fn word(&self) -> Value {
        self.clone()
    }

    fn of(word: Value) -> Option<Self> {
        Some(word)
    }
}

impl Word for String {
    fn word(&self) -> Value {
        Some(self.clone())
    }

    fn of(word: Value) -> Option<Self> {
        word
    }
}

fn reduced<V: Word>(old: &V, new: &V) -> Option<V> {
    let (old, new) = (old.word(), new.word());
    V::of(Some(reduce(show(old.as_deref()), show(new.as_deref()))))
}

fn in_time<V: Word>(
    cx: &mut Context,
    mut stream: kappa_core::dsl::TimeWindowedKStream<Value, V>,
    size_ms: fn(&Params) -> i64,
) -> Table {
    if cx.params.text("emit") == Some("close") {
        stream = stream.emit_on_close();
    }
    if let Some(retention_ms) = cx.params.number("retention") {
        stream = stream.retention_ms(retention_ms);
    }
    let size_ms = size_ms(&cx.params);
    let agg = cx.params.text_or("agg", "count").to_owned();
    match agg.as_str() {
        "count" => {
            compare::<i64>(cx, Some(size_ms), i64_be());
            stream.count("agg").map_values(|_, count| Some(count.to_string()))
        }
        "reduce" => {
            compare::<Value>(cx, Some(size_ms), Context::text());
            stream.reduce("agg", |old, new: &V| reduced(&old, new)).map_values(|_, value| value.word())
        }
        _ => {
            compare::<Value>(cx, Some(size_ms), Context::text());
            let first = agg.clone();
            let start = move || initial(&first);
            stream.aggregate("agg", Context::text(), start, move |_, value, sum| {
                add(&agg, value.word().as_deref(), &sum).map(Some)
            })
        }
    }
}

fn in_sessions(cx: &mut Context, windows: SessionWindows) -> Table {
    let mut stream = grouped(cx).windowed_by(windows);
    if cx.params.text("emit") == Some("close") {
        stream = stream.emit_on_close();
    }
    if let Some(retention_ms) = cx.params.number("retention") {
        stream = stream.retention_ms(retention_ms);
    }
    let agg = cx.params.text_or("agg", "count").to_owned();
    match agg.as_str() {
        "count" => {
            compare::<i64>(cx, None, i64_be());
            stream.count("agg").map_values(|_, count| Some(count.to_string()))
        }
        "reduce" => {
            compare::<Value>(cx, None, Context::text());
            stream.reduce("agg", |old, new: &Value| reduced(&old, new)).map_values(|_, value| value.clone())
        }
        _ => {
            compare::<Value>(cx, None, Context::text());
            let (first, merging) = (agg.clone(), agg.clone());
            stream.aggregate(
                "agg",
                Context::text(),
                move || initial(&first),
                move |_, value, sum| add(&agg, value.as_deref(), &sum).map(Some),
                move |_, one, other| merge(&merging, &one, &other),
            )
        }
    }
}

/// Compares store `agg`; `size_ms` is that of its windows, `None` for sessions.
pub(super) fn compare<V: Shown>(cx: &mut Context, size_ms: Option<i64>, value: impl Codec<V> + Clone) {
    compare_named::<V>(cx, "agg", size_ms, value, size_ms.is_some());
}

/// Compares a store of windows or sessions, with timestamps or without.
pub(super) fn compare_named<V: Shown>(
    cx: &mut Context,
    name: &str,
    size_ms: Option<i64>,
    value: impl Codec<V> + Clone,
    timestamps: bool,
) {
    let store = name.to_owned();
    cx.compare_with(name, move |driver| {
        let read = match size_ms {
            Some(size_ms) => driver.window_store(&store, Text, size_ms, value.clone()).rows()?,
            None => driver.session_store(&store, Text, value.clone()).rows()?,
        };
        let mut rows: Vec<_> = read
            .into_iter()
            .map(|(at, value, timestamp_ms)| {
                let window = super::super::Window { start: at.window.start_ms, end: at.window.end_ms };
                let shown = value.shown().unwrap_or("null".into());
                Row(at.key, Some(window), shown, timestamps.then_some(timestamp_ms))
            })
            .collect();
        rows.sort_by_key(|Row(key, window, _, timestamp)| (key.clone(), *window, *timestamp));
        Ok(rows)
    });
}

/// What follows the table, by parameter `tail`.
pub(super) fn tail(cx: &mut Context, table: &Table) {
    match cx.params.text_or("tail", "stream") {
        "filter" => {
            let even = table.filter(|_, value| number(value.as_deref()) % 2 == 0);
            cx.out(&even.to_stream(), "out");
        }
        "group" => {
            let grouped = table
                .group_by(Context::text(), Text, |at, value| Some((at.key.clone(), value.clone().unwrap_or_default())));
            let text = |value: Value| value.unwrap_or_default();
            let regrouped = grouped.aggregate(
                "regroup",
                Text,
                move || text(initial("concat")),
                |_, value, sum: String| add("concat", Some(value), &Some(sum)),
                |_, value, sum| subtract("concat", Some(value), &Some(sum)),
            );
            cx.compare_store::<String>("regroup", Text);
            cx.out(&regrouped.to_stream(), "out");
        }
        _ => cx.out(&table.to_stream(), "out"),
    }
}

/// Draws tumbling or hopping windows.
pub(super) fn draw_time(draw: &mut Draw) {
    let size = draw.duration("size", 1, 25);
    if draw.chance(50) {
        let advance = draw.between(1, size);
        draw.params.set("advance", advance);
    }
    draw_grace(draw);
}

/// Draws sliding windows.
pub(super) fn draw_sliding(draw: &mut Draw) {
    draw.duration("diff", 1, 25);
    draw_grace(draw);
}

/// Draws sessions.
pub(super) fn draw_session(draw: &mut Draw) {
    draw.duration("gap", 1, 25);
    draw_grace(draw);
}

fn draw_grace(draw: &mut Draw) {
    let most = draw.pick(&[0, 5, 40, 1000]);
    draw.duration("grace", 0, most);
}

/// Some scenarios emit when windows close.
pub(super) fn draw_emit(draw: &mut Draw) {
    if !draw.chance(40) {
        return;
    }
    draw.params.set("emit", "close");
    let grace = draw.params.number_or("grace", 0).min(20 * draw.scale);
    draw.params.set("grace", grace);
    // With less, Kafka Streams' stores lose windows before they are emitted.
    let retention = 100_000 * draw.scale;
    draw.params.set("retention", retention);
}

/// Draws what follows the table.
pub(super) fn draw_tail(draw: &mut Draw) {
    if draw.chance(30) {
        draw.choose("tail", &["filter", "group"]);
    }
}
