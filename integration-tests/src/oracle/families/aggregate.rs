//! Records grouped by key, or by a new one, then counted, reduced or folded.

use super::super::functions::{Value, add, initial, reduce, select_key};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use kappa_core::codec::i64_be;
use kappa_core::dsl::KGroupedStream;

pub(super) struct Aggregate;

impl Family for Aggregate {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let grouped = grouped(cx);
        aggregate(cx, &grouped, "agg");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw.choose("by", &["key", "key", "value", "first", "same"]);
        draw.choose("agg", &["count", "reduce", "concat", "sum", "nullable", "null_init"]);
        draw.maybe_cache();
    }
}

/// The stream `in`, grouped as parameter `by` says.
pub(super) fn grouped(cx: &mut Context) -> KGroupedStream<Value, String> {
    let by = cx.params.text_or("by", "key").to_owned();
    if by == "key" {
        return cx.records("in").group_by_key();
    }
    // The selector sees nulls, as in Kafka Streams; behind it they are Kafka's again.
    cx.stream("in")
        .select_key(Context::text(), move |key, value| select_key(&by, key, value))
        .flatten_values()
        .with_value_codec(Text)
        .group_by_key()
}

/// The aggregate that parameter `agg` names, in a store that is compared, to topic `out`.
pub(super) fn aggregate(cx: &mut Context, grouped: &KGroupedStream<Value, String>, store: &str) {
    let kind = cx.params.text_or("agg", "count").to_owned();
    match kind.as_str() {
        "count" => {
            let table = grouped.count(store);
            cx.out(&table.to_stream(), "out");
            cx.compare_store::<i64>(store, i64_be());
        }
        "reduce" => {
            let table = grouped.reduce(store, |old, new| reduce(&old, new));
            cx.out(&table.to_stream(), "out");
            cx.compare_store::<String>(store, Text);
        }
        _ => {
            let first = kind.clone();
            // The aggregate is an Option because an initializer may give null.
            let table = grouped.aggregate(
                store,
                Context::text(),
                move || initial(&first),
                move |_, value, sum| add(&kind, Some(value), &sum).map(Some),
            );
            cx.out(&table.to_stream(), "out");
            cx.compare_store::<Value>(store, Context::text());
        }
    }
}
