//! Two or three streams folded into one table: plain, or over windows.

use super::super::functions::{Value, first, initial, merge, show};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::windows::{Kind, compare, draw_session, draw_sliding, draw_time, kind};
use kappa_core::dsl::{CogroupedKStream, KGroupedStream};

pub(super) struct Cogroup;

/// Input `number` appends itself and the value.
fn take_in(number: i64, value: Option<&str>, sum: &str) -> Option<String> {
    (value != Some("x")).then(|| format!("{sum}+{number}:{}", show(value)))
}

fn begin() -> String {
    initial("concat").unwrap_or_default()
}

impl Family for Cogroup {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let window = cx.params.text_or("window", "none").to_owned();
        // Before sliding windows, and without windows, Kafka Streams drops null values; elsewhere functions see them.
        let sees_nulls = matches!(window.as_str(), "time" | "session");
        let cogrouped = if sees_nulls { with_nulls(cx) } else { without_nulls(cx) };
        if window == "none" {
            let table = cogrouped.aggregate("agg", Text, begin);
            cx.out(&table.to_stream(), "out");
            cx.compare_store::<String>("agg", Text);
            return Ok(());
        }
        let table = match kind(&cx.params, &window) {
            Kind::Time(windows) => {
                compare::<String>(cx, Some(cx.params.number_or("size", 10)), Text);
                cogrouped.windowed_by(windows).aggregate("agg", Text, begin)
            }
            Kind::Sliding(windows) => {
                compare::<String>(cx, Some(cx.params.number_or("diff", 10)), Text);
                cogrouped.windowed_by(windows).aggregate("agg", Text, begin)
            }
            Kind::Session(windows) => {
                compare::<String>(cx, None, Text);
                let merger = |_: &Value, one: String, other: String| {
                    merge("concat", &Some(one), &Some(other)).unwrap_or_default()
                };
                cogrouped.windowed_by(windows).aggregate("agg", Text, begin, merger)
            }
        };
        cx.out(&table.to_stream(), "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let inputs = draw.between(2, 3);
        draw.params.set("inputs", inputs);
        draw.topics = (0..inputs).map(|number| format!("in{number}")).collect();
        if draw.chance(20) {
            draw.params.set("rekey", true);
        }
        match draw.choose("window", &["none", "none", "time", "sliding", "session"]).as_str() {
            "time" => draw_time(draw),
            "sliding" => draw_sliding(draw),
            "session" => draw_session(draw),
            _ => draw.maybe_cache(),
        }
    }
}

fn with_nulls(cx: &mut Context) -> CogroupedKStream<Value, String> {
    let grouped: Vec<KGroupedStream<Value, Value>> = numbers(cx)
        .map(|number| {
            let stream = cx.stream(&format!("in{number}"));
            let rekeys = number == 1 && cx.params.flag("rekey");
            if rekeys { stream.group_by(Context::text(), |_, value| first(value)) } else { stream.group_by_key() }
        })
        .collect();
    let begin = grouped[0].cogroup(|_, value: &Value, sum: String| take_in(0, value.as_deref(), &sum));
    (1..).zip(&grouped[1..]).fold(begin, |all, (number, grouped)| {
        all.cogroup(grouped, move |_, value, sum: String| take_in(number, value.as_deref(), &sum))
    })
}

fn without_nulls(cx: &mut Context) -> CogroupedKStream<Value, String> {
    let grouped: Vec<KGroupedStream<Value, String>> = numbers(cx)
        .map(|number| {
            if number == 1 && cx.params.flag("rekey") {
                // The selector sees nulls, as in Kafka Streams; behind it they are Kafka's again.
                let stream = cx.stream("in1").select_key(Context::text(), |_, value| first(value));
                return stream.flatten_values().with_value_codec(Text).group_by_key();
            }
            cx.records(&format!("in{number}")).group_by_key()
        })
        .collect();
    let begin = grouped[0].cogroup(|_, value: &String, sum: String| take_in(0, Some(value), &sum));
    (1..).zip(&grouped[1..]).fold(begin, |all, (number, grouped)| {
        all.cogroup(grouped, move |_, value: &String, sum: String| take_in(number, Some(value), &sum))
    })
}

fn numbers(cx: &Context) -> std::ops::Range<i64> {
    0..cx.params.number_or("inputs", 2)
}
