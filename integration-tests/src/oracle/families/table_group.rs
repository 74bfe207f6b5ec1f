//! Table `in`, operators, grouped by a new key, then counted, reduced or folded, with rows taken out as they change.

use super::super::functions::{Value, add, initial, reduce, reduce_out, select_key, subtract};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::table_ops::{chain, draw_ops, source};
use kappa_core::codec::i64_be;
use kappa_core::dsl::{KGroupedTable, KTable};

pub(super) struct TableGroup;

impl Family for TableGroup {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let history = cx.params.number("history");
        let named = cx.params.flag("mat") || history.is_some();
        let table = source(cx, "in", named.then_some("src"), history)?;
        let ops = cx.params.list("ops");
        let table = chain(cx, table, &ops, "t")?;
        let by = cx.params.text_or("by", "value").to_owned();
        let null_x = cx.params.flag("null_x");
        let grouped = table.group_by(Context::text(), Context::text(), move |key, value| {
            let given = Some(value.clone()).filter(|value| !(null_x && value == "x"));
            Some((select_key(&by, key, &Some(value.clone())), given))
        });
        aggregate(cx, &grouped);
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let mat = draw.chance(30);
        draw.params.set("mat", mat);
        draw_ops(draw, "ops", 3, true);
        draw.choose("by", &["same", "value", "first", "const", "null", "first"]);
        if draw.chance(20) {
            draw.params.set("null_x", true);
        }
        draw.choose("agg", &["count", "reduce", "concat", "sum", "nullable"]);
        draw.null_values = 20;
        draw.maybe_cache();
    }
}

fn aggregate(cx: &mut Context, grouped: &KGroupedTable<Value, Value>) {
    let kind = cx.params.text_or("agg", "count").to_owned();
    match kind.as_str() {
        "count" => {
            let table = grouped.count("agg");
            cx.out(&table.to_stream(), "out");
            cx.compare_store::<i64>("agg", i64_be());
        }
        "reduce" => {
            let text = |value: &Value| value.clone().unwrap_or_default();
            let table = grouped.reduce(
                "agg",
                move |sum, value| Some(Some(reduce(&text(&sum), &text(value)))),
                move |sum, value| Some(Some(reduce_out(&text(&sum), &text(value)))),
            );
            cx.out(&table.to_stream(), "out");
            cx.compare_store::<Value>("agg", Context::text());
        }
        _ => {
            let (first, minus) = (kind.clone(), kind.clone());
            let table = grouped.aggregate(
                "agg",
                Text,
                move || initial(&first).unwrap_or_default(),
                move |_, value, sum: String| add(&kind, value.as_deref(), &Some(sum)),
                move |_, value, sum| subtract(&minus, value.as_deref(), &Some(sum)),
            );
            cx.out(&table.to_stream(), "out");
            cx.compare_store::<String>("agg", Text);
        }
    }
}

/// All rows in one group, `g`, folded into a text that shows what was taken in and out, in store `regroup`.
pub(super) fn regrouped(cx: &mut Context, table: &KTable<Value, String>) -> KTable<Value, String> {
    let grouped = table.group_by(Context::text(), Text, |_, value| Some((Some("g".to_owned()), value.clone())));
    let show = |value: Value| value.unwrap_or_default();
    cx.compare_store::<String>("regroup", Text);
    grouped.aggregate(
        "regroup",
        Text,
        move || show(initial("concat")),
        |_, value, sum: String| add("concat", Some(value), &Some(sum)),
        |_, value, sum| subtract("concat", Some(value), &Some(sum)),
    )
}
