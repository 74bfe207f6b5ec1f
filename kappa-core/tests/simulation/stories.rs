//! The applications of [`semantics`](crate::semantics): one operator each that keeps time, state or calls of its own.

use crate::semantics::{INPUTS, RESULT};
use kappa_core::codec::{i64_be, session_windowed, time_windowed, utf8};
use kappa_core::dsl::{AsyncOptions, CallError, JoinWindows, KStream};
use kappa_core::processor::{Processor, ProcessorContext};
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
}

const fn story(name: &'static str, inputs: usize, topology: fn() -> Topology, compacts: bool) -> Story {
    Story { name, inputs, topology, compacts, fails: false }
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

struct Picky;

impl Processor<String, String> for Picky {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        match record.value()? {
            Some(value) if value.starts_with('!') => Err(cx.error("as the story wants")),
            _ => Ok(()),
        }
    }
}

/// Every record is added up before a sibling fails on some.
fn dead_letters() -> Topology {
    let mut app = Topology::builder();
    let input = left(&mut app);
    input.group_by_key().aggregate("sums", utf8(), String::new, append).to(RESULT);
    let _ = input.process("picky", &[], || Picky);
    build(app)
}
