//! Two or three tables joined by their keys.

use super::super::functions::{Value, join};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::table_group::regrouped;
use super::table_ops::{chain, draw_ops, kept, source};
use kappa_core::dsl::KTable;

pub(super) struct JoinTableTable;

impl Family for JoinTableTable {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let types = cx.params.texts("types");
        if types.is_empty() {
            return Err(BuildError::Missing("a join of one table".to_owned()));
        }
        let mut table = input(cx, 0)?;
        if cx.params.flag("self") {
            let joined = joined(cx, &types[0], &table, &table, 0);
            cx.out(&joined.to_stream(), "out");
            return Ok(());
        }
        for (index, kind) in types.iter().enumerate() {
            let other = input(cx, index + 1)?;
            table = joined(cx, kind, &table, &other, index);
        }
        if cx.params.text("tail") == Some("group") {
            table = regrouped(cx, &table);
        }
        cx.out(&table.to_stream(), "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let itself = draw.chance(5);
        let count = if itself || draw.chance(60) { 1 } else { draw.between(2, 2) };
        let types: Vec<&str> = (0..count).map(|_| draw.pick(&["inner", "left", "outer"])).collect();
        draw.params.set("types", types);
        if itself {
            draw.params.set("self", true);
        }
        let topics = if itself { 1 } else { count + 1 };
        draw.topics = (0..topics).map(|index| format!("t{index}")).collect();
        for index in 0..topics {
            if draw.chance(30) {
                draw.params.set(&format!("mat{index}"), true);
            }
            if draw.chance(30) {
                draw_ops(draw, &format!("ops{index}"), 3, true);
            }
        }
        if draw.chance(40) {
            draw.params.set("matJoin", true);
        }
        if !itself && draw.chance(30) {
            draw.params.set("tail", "group");
        }
        draw.null_values = 25;
        draw.maybe_cache();
    }
}

fn input(cx: &mut Context, index: usize) -> Result<KTable<Value, String>, BuildError> {
    let history = cx.params.number(&format!("history{index}"));
    let topic = format!("t{index}");
    let named = cx.params.flag(&format!("mat{index}")) || history.is_some();
    let table = source(cx, &topic, named.then_some(&*topic), history)?;
    let ops = cx.params.list(&format!("ops{index}"));
    chain(cx, table, &ops, &format!("o{index}-"))
}

/// The result of one join, in store `join` and its index where that is asked for.
pub(super) fn joined(
    cx: &mut Context,
    kind: &str,
    left: &KTable<Value, String>,
    right: &KTable<Value, String>,
    index: usize,
) -> KTable<Value, String> {
    let table = match kind {
        "left" => left.left_join(right, |left, right| join(Some(left), right.map(String::as_str))),
        "outer" => left.outer_join(right, |left, right| join(left.map(String::as_str), right.map(String::as_str))),
        _ => left.join(right, |left, right| join(Some(left), Some(right))),
    };
    let table = table.with_value_codec(Text);
    if cx.params.flag("matJoin") { kept(cx, &table, &format!("join{index}")) } else { table }
}
