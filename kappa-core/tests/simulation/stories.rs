//! The applications of [`semantics`](crate::semantics): one operator each that keeps time, state or calls of its own.

use crate::parking::is_mended;
use crate::semantics::{INPUTS, RESULT};
use kappa_core::codec::{i64_be, session_windowed, time_windowed, utf8};
use kappa_core::dsl::{AsyncOptions, CallError, JoinWindows, KStream, Suppressed};
use kappa_core::processor::{GlobalHandle, Processor, ProcessorContext, ReadOnlyHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::topology::{Topology, TopologyBuilder};
use kappa_core::window::{SessionWindows, SlidingWindows, TimeWindows};

/// An application.
#[derive(Clone, Copy)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) inputs: usize,
    pub(crate) topology: fn() -> Topology,
    /// Of a key's results between two commits only the last counts, where results are passed on at commits.
    pub(crate) compacts: bool,
    /// Records whose values begin with `!` fail.
    pub(crate) fails: bool,
    /// Records whose values begin with `!` fail until they are mended, and are parked with their keys.
    pub(crate) parks: bool,
    /// Records go through topics of the application's own, where those of several tasks have no order: only where each key ends
    /// is decided by the input.
    pub(crate) regroups: bool,
    /// Results depend on when something is passed on: they are passed on record by record.
    pub(crate) at_once: bool,
    /// The second input is a global one: all of it is there before any task runs.
    pub(crate) global: bool,
}

const fn story(name: &'static str, inputs: usize, topology: fn() -> Topology, compacts: bool) -> Story {
    Story {
        name,
        inputs,
        topology,
        compacts,
        fails: false,
        parks: false,
        regroups: false,
        at_once: false,
        global: false,
    }
}

pub(crate) const STORIES: &[Story] = &[
    story("hopping", 1, hopping, true),
    story("hopping, emitted on close", 1, hopping_on_close, false),
    story("sliding", 1, sliding, true),
    story("sessions, emitted on close", 1, sessions_on_close, false),
    story("join", 2, inner, false),
    story("outer join", 2, outer, false),
    story("versioned table", 2, versioned, false),
    story("calls", 1, calls, false),
    Story { fails: true, ..story("dead letters", 1, dead_letters, true) },
    Story { parks: true, ..story("parked keys", 1, parked_keys, true) },
    Story { parks: true, ..story("parked keys of calls", 1, parked_calls, false) },
    Story { parks: true, ..story("keys parked behind a repartition topic", 1, parked_behind, true) },
    story("suppress until the window closes", 1, suppress_until_close, false),
    Story { at_once: true, ..story("suppress for a time", 1, suppress_for_a_time, false) },
    story("cogroup", 2, cogroup, true),
    story("read-only store", 2, read_only, false),
    Story { global: true, ..story("global table", 2, global_table, false) },
    Story { global: true, ..story("global store", 2, global_store, false) },
    Story { regroups: true, ..story("table with a subtractor", 1, subtractor, true) },
    Story { regroups: true, ..story("foreign-key join", 2, foreign_keys, true) },
];

fn left(app: &mut TopologyBuilder) -> KStream<String, String> {
    app.stream(INPUTS[0], utf8(), utf8())
}

fn right(app: &mut TopologyBuilder) -> KStream<String, String> {
    app.stream(INPUTS[1], utf8(), utf8())
}

fn build(app: TopologyBuilder) -> Topology {
    app.build().expect("a sound topology")
}

fn join(left: Option<&String>, right: Option<&String>) -> String {
    let text = |side: Option<&String>| side.cloned().unwrap_or_default();
    format!("{}+{}", text(left), text(right))
}

fn append(_: &String, value: &String, all: String) -> String {
    format!("{all},{value}")
}

fn hopping() -> Topology {
    let mut app = Topology::builder();
    let windows = TimeWindows::hopping(20, 10).grace(5);
    let windowed = left(&mut app).group_by_key().windowed_by(windows);
    windowed
        .aggregate("windows", utf8(), String::new, append)
        .to_stream()
        .with_key_codec(time_windowed(utf8(), 20))
        .to(RESULT);
    build(app)
}

fn hopping_on_close() -> Topology {
    let mut app = Topology::builder();
    let windows = TimeWindows::hopping(20, 10).grace(5);
    let windowed = left(&mut app).group_by_key().windowed_by(windows).emit_on_close();
    windowed
        .aggregate("windows", utf8(), String::new, append)
        .to_stream()
        .with_key_codec(time_windowed(utf8(), 20))
        .to(RESULT);
    build(app)
}

fn sliding() -> Topology {
    let mut app = Topology::builder();
    let windowed = left(&mut app).group_by_key().windowed_by(SlidingWindows::of(12).grace(6));
    windowed
        .aggregate("windows", utf8(), String::new, append)
        .to_stream()
        .with_key_codec(time_windowed(utf8(), 12))
        .to(RESULT);
    build(app)
}

fn sessions_on_close() -> Topology {
    let mut app = Topology::builder();
    let windowed = left(&mut app).group_by_key().windowed_by(SessionWindows::with_gap(8).grace(4)).emit_on_close();
    windowed.count("sessions").to_stream().with_codecs(session_windowed(utf8()), i64_be()).to(RESULT);
    build(app)
}

fn inner() -> Topology {
    let mut app = Topology::builder();
    let (left, right) = (left(&mut app), right(&mut app));
    let windows = JoinWindows::within_ms(10, 4);
    left.join_within("joined", &right, windows, |l, r| join(Some(l), Some(r))).with_value_codec(utf8()).to(RESULT);
    build(app)
}

fn outer() -> Topology {
    let mut app = Topology::builder();
    let (left, right) = (left(&mut app), right(&mut app));
    let windows = JoinWindows::within_ms(10, 4);
    left.outer_join_within("joined", &right, windows, join).with_value_codec(utf8()).to(RESULT);
    build(app)
}

fn versioned() -> Topology {
    let mut app = Topology::builder();
    let table = app.table(INPUTS[1], utf8(), utf8()).versioned("versions", 40);
    left(&mut app).left_join(&table, |l, r| join(Some(l), r)).with_value_codec(utf8()).to(RESULT);
    build(app)
}

fn calls() -> Topology {
    let mut app = Topology::builder();
    let call = |_, value: String| async move { Ok::<_, CallError>(format!("<{value}>")) };
    left(&mut app).map_values_async(AsyncOptions::concurrency(3), call).with_value_codec(utf8()).to(RESULT);
    build(app)
}

fn suppress_until_close() -> Topology {
    let mut app = Topology::builder();
    let windowed = left(&mut app).group_by_key().windowed_by(TimeWindows::hopping(20, 10).grace(5));
    windowed
        .aggregate("windows", utf8(), String::new, append)
        .suppress("held", Suppressed::until_window_closes())
        .to_stream()
        .with_key_codec(time_windowed(utf8(), 20))
        .to(RESULT);
    build(app)
}

fn suppress_for_a_time() -> Topology {
    let mut app = Topology::builder();
    let table = left(&mut app).group_by_key().aggregate("sums", utf8(), String::new, append);
    table.suppress("held", Suppressed::until_time_limit(12).max_records(4)).to_stream().to(RESULT);
    build(app)
}

fn cogroup() -> Topology {
    let mut app = Topology::builder();
    let (left, right) = (left(&mut app).group_by_key(), right(&mut app).group_by_key());
    let both = left.cogroup(append).cogroup(&right, |_, value, all| format!("{all};{value}"));
    both.aggregate("both", utf8(), String::new).to_stream().to(RESULT);
    build(app)
}

/// A group for the number that is behind the first letter of a value; and one more than that number.
fn group(value: &str) -> (String, i64) {
    let number: i64 = value[1..].parse().unwrap_or_default();
    (char::from(b'a' + (number % 7) as u8).to_string(), number + 1)
}

fn subtractor() -> Topology {
    let mut app = Topology::builder();
    let table = app.table(INPUTS[0], utf8(), utf8());
    let grouped = table.group_by(utf8(), utf8(), |_, value| Some((group(value).0, value.clone())));
    let sums = grouped.aggregate(
        "sums",
        i64_be(),
        || 0,
        |_, value, sum| Some(sum + group(value).1),
        // A group of nothing is no row, as one that never was: with a cache nobody may hear of it.
        |_, value, sum| Some(sum - group(value).1).filter(|sum| *sum != 0),
    );
    sums.to_stream().to(RESULT);
    build(app)
}

fn foreign_keys() -> Topology {
    let mut app = Topology::builder();
    let (left, right) = (app.table(INPUTS[0], utf8(), utf8()), app.table(INPUTS[1], utf8(), utf8()));
    let foreign = |_: &String, value: &String| Some(group(value).0);
    let joined = left.left_join_foreign_key("fk", utf8(), &right, foreign, |l, r| join(Some(l), r));
    joined.to_stream().with_codecs(utf8(), utf8()).to(RESULT);
    build(app)
}

/// Looks each record's key up, and all that is there.
struct Looks(ReadOnlyHandle<String, String>);

impl Processor<String, String> for Looks {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        let (key, mut store) = (record.key()?, cx.read_only_store(&self.0)?);
        let found = store.get_with_timestamp(key)?.map(|(value, at_ms)| format!("{value}@{at_ms}"));
        let rows: Vec<String> = store.all()?.into_iter().map(|(key, value)| format!("{key}{value}")).collect();
        cx.forward(key.clone(), format!("{} of {}", join(record.value()?, found.as_ref()), rows.join(",")))
    }
}

/// The store must be restored from its topic to just where the task goes on: neither less nor more.
fn read_only() -> Topology {
    let mut app = Topology::builder();
    let store = app.read_only_store("rows", INPUTS[1], utf8(), utf8());
    let handle = store.clone();
    let looked_up = left(&mut app).process("looks", &[&store], move || Looks(handle.clone()));
    looked_up.with_codecs(utf8(), utf8()).to(RESULT);
    build(app)
}

fn global_table() -> Topology {
    let mut app = Topology::builder();
    let table = app.global_table(INPUTS[1], utf8(), utf8());
    let joined = left(&mut app).left_join_global(&table, |key, _| Some(key.clone()), |l, r| join(Some(l), r));
    joined.with_value_codec(utf8()).to(RESULT);
    build(app)
}

/// Looks each record's key up in all that its topic has ever said of it.
struct Remembers(GlobalHandle<String, String>);

impl Processor<String, String> for Remembers {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        let (key, mut store) = (record.key()?, cx.global_store(&self.0)?);
        let (found, rows) = (store.get(key)?, store.all()?.len());
        cx.forward(key.clone(), format!("{} of {rows}", join(record.value()?, found.as_ref())))
    }
}

/// The function must see every record of the topic once, in its order, whenever a process starts.
fn global_store() -> Topology {
    let mut app = Topology::builder();
    let rows = (utf8(), utf8());
    let store = app.global_store("said", INPUTS[1], utf8(), utf8(), rows, |record, store| {
        let (key, value) = (record.key()?, record.value()?.map_or("-", String::as_str));
        let said = store.get(key)?.unwrap_or_default();
        store.put(key, &append(key, &value.to_owned(), said), record.timestamp_ms)
    });
    let remembered = left(&mut app).process("remembers", &[], move || Remembers(store.clone()));
    remembered.with_codecs(utf8(), utf8()).to(RESULT);
    build(app)
}

/// Fails on some records, always or until they are mended.
#[derive(Clone, Copy)]
struct Picky {
    mends: bool,
}

impl Processor<String, String> for Picky {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        match record.value()? {
            Some(value) if value.starts_with('!') && !(self.mends && is_mended()) => {
                Err(cx.error("as the story wants"))
            }
            _ => Ok(()),
        }
    }
}

/// Every record is added up before a sibling fails on some.
fn dead_letters() -> Topology {
    let mut app = Topology::builder();
    let input = left(&mut app);
    input.group_by_key().aggregate("sums", utf8(), String::new, append).to(RESULT);
    let _ = input.process("picky", &[], || Picky { mends: false });
    build(app)
}

/// As [`dead_letters`], but what fails is parked with its key.
fn parked_keys() -> Topology {
    let mut app = Topology::builder();
    app.park_failed_keys();
    let input = left(&mut app);
    input.group_by_key().aggregate("sums", utf8(), String::new, append).to(RESULT);
    let _ = input.process("picky", &[], || Picky { mends: true });
    build(app)
}

fn parked_calls() -> Topology {
    let mut app = Topology::builder();
    app.park_failed_keys();
    let calls = left(&mut app).map_values_async(AsyncOptions::default(), |_, value: String| {
        let fails = value.starts_with('!') && !is_mended();
        async move { if fails { Err(CallError::fatal("as the story wants")) } else { Ok(format!("{value}?")) } }
    });
    calls.with_value_codec(utf8()).to(RESULT);
    build(app)
}

fn parked_behind() -> Topology {
    let mut app = Topology::builder();
    app.park_failed_keys();
    let behind = left(&mut app).repartition("behind");
    let tasted = behind.process("picky", &[], || Picky { mends: true });
    let _ = tasted;
    behind.group_by_key().aggregate("sums", utf8(), String::new, append).to(RESULT);
    build(app)
}
