//! The stateful operators, and what scenarios there are for each.

use super::plan::Plan;
use crate::oracle::families;
use crate::oracle::functions::show;
use crate::oracle::generate::{self, Draw};
use crate::oracle::{BuildError, Context, Family, Params, Scenario, Step};
use crate::random::Random;
use kappa_core::codec::i64_be;
use kappa_core::dsl::{AsyncOptions, CallError};

/// Scenarios that are drawn before one suits.
const ATTEMPTS: u64 = 2_000;

/// An operator of which scenarios are run.
#[derive(Debug)]
pub struct Operator {
    /// Its name.
    pub name: &'static str,
    /// The family whose scenarios are drawn; `None`: the family of calls, which the judge does not have.
    family: Option<&'static str>,
    suits: fn(&Params) -> bool,
}

const fn of(name: &'static str, family: &'static str, suits: fn(&Params) -> bool) -> Operator {
    Operator { name, family: Some(family), suits }
}

/// All of them.
pub const OPERATORS: &[Operator] = &[
    of("count", "aggregate", |params| params.text("agg") == Some("count")),
    of("reduce", "aggregate", |params| params.text("agg") == Some("reduce")),
    of("aggregate", "aggregate", |params| !matches!(params.text("agg"), Some("count" | "reduce"))),
    of("cogroup", "cogroup", |params| params.text("window") == Some("none")),
    of("cogroup-windows", "cogroup", |params| params.text("window") != Some("none")),
    of("tumbling", "time_window", |params| !params.has("advance") && !params.has("emit")),
    of("hopping", "time_window", |params| params.has("advance") && !params.has("emit")),
    of("windows-on-close", "time_window", |params| params.has("emit")),
    of("sliding", "sliding_window", |params| !params.has("emit")),
    of("sliding-on-close", "sliding_window", |params| params.has("emit")),
    of("session", "session_window", |params| !params.has("emit")),
    of("session-on-close", "session_window", |params| params.has("emit")),
    of("suppress-until-close", "suppress_window", |params| params.object("suppress").text("type") == Some("close")),
    of("suppress-windows-for-a-time", "suppress_window", |params| {
        params.object("suppress").text("type") == Some("limit")
    }),
    of("suppress-table", "suppress_table", |_| true),
    of("inner-join", "join_stream_stream", |params| params.text("type") == Some("inner")),
    of("left-join", "join_stream_stream", |params| params.text("type") == Some("left")),
    of("outer-join", "join_stream_stream", |params| params.text("type") == Some("outer")),
    of("self-join", "join_stream_self", |_| true),
    of("stream-table-join", "join_stream_table", |params| !params.has("history")),
    of("versioned-join", "join_stream_table", |params| params.has("history") && !params.has("grace")),
    of("versioned-join-with-grace", "join_stream_table", |params| params.has("grace")),
    of("join-with-to-table", "join_to_table", |_| true),
    of("table-table-join", "join_table_table", |_| true),
    of("foreign-key-join", "join_foreign_key", |_| true),
    of("table-group-by", "table_group", |_| true),
    of("table-operators", "table_ops", |_| true),
    of("to-table", "to_table", |_| true),
    of("global-join", "join_stream_global", |_| true),
    of("versioned-store", "versioned_store", |_| true),
    of("processor", "processor", |_| true),
    of("process-values", "process_values", |_| true),
    Operator { name: "calls", family: None, suits: |_| true },
];

impl Operator {
    /// The `number`th scenario of a seed that suits and goes through, and what is to be done with it.
    pub fn scenario(&self, seed: u64, number: u64) -> Result<(Scenario, Plan), String> {
        let family = self.family.and_then(families::find).unwrap_or(&Calling);
        let topology = self.family.unwrap_or("calls");
        for attempt in 0..ATTEMPTS {
            let mut scenario = generate::scenario(topology, family, seed, number * ATTEMPTS + attempt);
            if !(self.suits)(&scenario.params) {
                continue;
            }
            tame(&mut scenario);
            let random = Random::seeded(seed ^ number.rotate_left(40));
            if family.survives(&scenario)
                && let Some(plan) = Plan::new(family, &mut scenario, random)?
            {
                return Ok((scenario, plan));
            }
        }
        Err(format!("{}: none of {ATTEMPTS} scenarios suits", self.name))
    }
}

/// Takes out of a scenario what has no one right outcome on several partitions: the wall clock, the moment of a commit, and
/// texts that are put together in the order in which something comes from several partitions at once.
fn tame(scenario: &mut Scenario) {
    scenario.steps.retain(|step| matches!(step, Step::Record(_)));
    let params = &mut scenario.params.0;
    for name in ["cache_bytes", "commit", "emit_interval_ms", "wall_punct"] {
        params.remove(name);
    }
    let (rekeys, closes) = (params.contains_key("rekey"), params.contains_key("emit"));
    match scenario.topology.as_str() {
        // The same change of a right row gives results for left rows of all partitions.
        "join_foreign_key" | "suppress_table" | "suppress_window" if scenario.params.text("tail") == Some("group") => {
            drop(scenario.params.0.remove("tail"));
        }
        "time_window" | "sliding_window" | "session_window" if closes => drop(scenario.params.0.remove("tail")),
        // What waited for a match comes late into the second join, by how much depends on the time of its partition.
        "join_stream_stream" if rekeys => drop(scenario.params.0.remove("type2")),
        // Each record comes through two repartition topics. Which of the two is read first is chance where only one of them has been
        // fetched when the task was at the end of both, as with Kafka Streams' `max.task.idle.ms=0`.
        "join_to_table" if scenario.params.text("with") == Some("self") => drop(scenario.params.0.remove("rekey")),
        // How long a version is kept depends on the time of its partition.
        "join_stream_table" if scenario.params.has("history") => drop(scenario.params.0.remove("rekey")),
        "processor" => {
            for step in &mut scenario.steps {
                // It says what the wall clock shows.
                if let Step::Record(input) = step
                    && matches!(input.value.as_deref(), Some("time" | "cancel"))
                {
                    input.value = Some("plain".to_owned());
                }
            }
        }
        _ => {}
    }
}

/// Whether what comes of a topology depends on how far time has come.
pub(super) fn is_timed(scenario: &Scenario) -> bool {
    let params = &scenario.params;
    match scenario.topology.as_str() {
        "cogroup" => params.text("window") != Some("none"),
        "join_stream_table" => params.has("history"),
        "time_window" | "sliding_window" | "session_window" | "suppress_window" | "suppress_table" => true,
        "join_stream_stream" | "join_stream_self" | "versioned_store" => true,
        // It shows what else is in its partition.
        "processor" => true,
        _ => false,
    }
}

/// Asynchronous calls, ordered by key, and a count behind them.
struct Calling;

impl Family for Calling {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let call =
            |_, value: Option<String>| async move { Ok::<_, CallError>(Some(format!("<{}>", show(value.as_deref())))) };
        let options = AsyncOptions::concurrency(cx.params.number_or("concurrency", 1) as usize);
        let answers = cx.stream("in").map_values_async(options, call).with_value_codec(Context::text());
        cx.out(&answers, "out");
        let counts = answers.group_by_key().count("agg");
        cx.out(&counts.to_stream(), "count");
        cx.compare_store::<i64>("agg", i64_be());
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let concurrency = draw.between(1, 6);
        draw.params.set("concurrency", concurrency);
    }
}
