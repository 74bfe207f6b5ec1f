//! A chain of table operators from table `in` to `out`.

use super::super::functions::{PREDICATES, Value, holds, map_value, show};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family, Params};
use kappa_core::dsl::KTable;
use kappa_core::processor::{TransformContext, ValueTransformer};
use kappa_core::task::ProcessError;
use serde_json::json;

pub(super) struct TableOps;

impl Family for TableOps {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let name = cx.params.flag("mat").then_some("src");
        let history = cx.params.number("history");
        let table = source(cx, "in", name.or(history.map(|_| "src")), history)?;
        let ops = cx.params.list("ops");
        let table = chain(cx, table, &ops, "t")?;
        cx.out(&table.to_stream(), "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let mat = draw.chance(50);
        draw.params.set("mat", mat);
        draw_ops(draw, "ops", 6, true);
        draw.null_values = 20;
        draw.maybe_cache();
    }
}

/// A table of a topic, in a named store where it has a name.
pub(super) fn source(
    cx: &mut Context,
    topic: &str,
    store: Option<&str>,
    history: Option<i64>,
) -> Result<KTable<Value, String>, BuildError> {
    let table = cx.app.table(topic, Context::text(), Text);
    Ok(match (store, history) {
        (Some(store), Some(history_ms)) => {
            cx.compare_versions(store);
            table.versioned(store, history_ms)
        }
        (Some(store), None) => kept(cx, &table, store),
        (None, _) => table,
    })
}

/// The table, in a named store that is compared.
pub(super) fn kept(cx: &mut Context, table: &KTable<Value, String>, store: &str) -> KTable<Value, String> {
    cx.compare_store::<String>(store, Text);
    table.materialized(store)
}

/// Operators of parameter lists like `ops`; their stores are named `prefix` and their index.
pub(super) fn chain(
    cx: &mut Context,
    table: KTable<Value, String>,
    ops: &[Params],
    prefix: &str,
) -> Result<KTable<Value, String>, BuildError> {
    let mut table = table;
    for (index, op) in ops.iter().enumerate() {
        let f = op.text_or("f", "").to_owned();
        let holds = {
            let f = f.clone();
            move |key: &Value, value: &String| holds(&f, key, &Some(value.clone()))
        };
        table = match op.text_or("op", "") {
            "filter" => table.filter(holds),
            "filterNot" => table.filter_not(holds),
            "mapValues" => table
                .filter_map_values(move |key, value| map_value(&f, key, &Some(value.clone())))
                .with_value_codec(Text),
            "transformValues" => {
                let name = format!("{prefix}{index}-transform");
                table.transform_values(&name, &[], || Transformer).with_value_codec(Text)
            }
            other => return Err(BuildError::Missing(format!("table operator {other}"))),
        };
        if op.flag("mat") {
            table = kept(cx, &table, &format!("{prefix}{index}"));
        }
    }
    Ok(table)
}

struct Transformer;

impl ValueTransformer<Value, String> for Transformer {
    type Value = String;

    fn transform(
        &mut self,
        key: &Value,
        value: Option<&String>,
        _cx: &mut TransformContext<'_, '_>,
    ) -> Result<Option<String>, ProcessError> {
        Ok(Some(format!("{}~{}", show(key.as_deref()), show(value.map(String::as_str)))))
    }
}

/// Draws a list of operators.
pub(super) fn draw_ops(draw: &mut Draw, name: &str, most: i64, may_keep: bool) {
    let mut ops = Vec::new();
    for _ in 0..draw.between(0, most) {
        let op = draw.pick(&["filter", "filterNot", "mapValues", "mapValues", "transformValues"]);
        let f = match op {
            "filter" | "filterNot" => draw.pick(&PREDICATES),
            "mapValues" => draw.pick(&["bang", "with_key", "null", "even_or_null"]),
            _ => "",
        };
        let mat = may_keep && draw.chance(30);
        ops.push(match f {
            "" => json!({"op": op, "mat": mat}),
            f => json!({"op": op, "f": f, "mat": mat}),
        });
    }
    draw.params.set(name, ops);
}
