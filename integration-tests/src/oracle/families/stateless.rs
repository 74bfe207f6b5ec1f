//! A chain of stateless operators from `in` to `out`.

use super::super::functions::{
    PREDICATES, Value, flat_map, flat_map_value, holds, map, map_value, plus, select_key, show,
};
use super::super::generate::Draw;
use super::super::{BuildError, Context, Family, Params};
use kappa_core::dsl::KStream;
use serde_json::json;

pub(super) struct Stateless;

impl Family for Stateless {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let mut stream = cx.stream("in");
        for (index, op) in cx.params.list("ops").iter().enumerate() {
            stream = apply(cx, &stream, op, index)?;
        }
        cx.out(&stream, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let mut ops = Vec::new();
        let mut merged = false;
        for _ in 0..draw.between(0, 8) {
            let op = draw.pick(&[
                "filter",
                "filterNot",
                "map",
                "flatMap",
                "selectKey",
                "mapValues",
                "flatMapValues",
                "peek",
                "repartition",
                "merge",
                "fork",
                "branch",
            ]);
            let f = match op {
                "filter" | "filterNot" => draw.pick(&PREDICATES),
                "map" => draw.pick(&["swap", "same", "bang"]),
                "flatMap" => draw.pick(&["dup", "dup", "none"]),
                "selectKey" => draw.pick(&["value", "first", "const", "null", "same"]),
                "mapValues" => draw.pick(&["bang", "with_key", "null", "even_or_null"]),
                "flatMapValues" => draw.pick(&["dup", "chars", "none"]),
                "merge" if merged => continue,
                "merge" => "in2",
                _ => "",
            };
            merged |= op == "merge";
            ops.push(match op {
                "branch" => {
                    let preds: Vec<&str> = (0..draw.between(1, 4)).map(|_| draw.pick(&PREDICATES)).collect();
                    json!({"op": op, "preds": preds, "default": draw.chance(50), "merge": draw.chance(60)})
                }
                _ if f.is_empty() => json!({"op": op}),
                _ => json!({"op": op, "f": f}),
            });
        }
        if merged {
            draw.topics = vec!["in".into(), "in2".into()];
        }
        draw.params.set("ops", ops);
    }
}

/// One operator of a chain; `index` is its place.
pub(super) fn apply(
    cx: &mut Context,
    stream: &KStream<Value, Value>,
    op: &Params,
    index: usize,
) -> Result<KStream<Value, Value>, BuildError> {
    let f = op.text_or("f", "").to_owned();
    let text = Context::text;
    Ok(match op.text_or("op", "") {
        "filter" => stream.filter(move |key, value| holds(&f, key, value)),
        "filterNot" => stream.filter_not(move |key, value| holds(&f, key, value)),
        "map" => stream.map(move |key, value| map(&f, key, value)).with_codecs(text(), text()),
        "flatMap" => stream.flat_map(move |key, value| flat_map(&f, key, value)).with_codecs(text(), text()),
        "selectKey" => stream.select_key(text(), move |key, value| select_key(&f, key, value)),
        "mapValues" => stream.map_values(move |key, value| map_value(&f, key, value)).with_value_codec(text()),
        "flatMapValues" => stream.flat_map_values(move |_, value| flat_map_value(&f, value)).with_value_codec(text()),
        "peek" => {
            let peeks = cx.peeks.clone();
            stream.peek(move |key, value| {
                peeks.say(format!("{index}:{}={}", show(key.as_deref()), show(value.as_deref())))
            })
        }
        "repartition" => stream.repartition(format!("r{index}").as_str()),
        "merge" => stream.merge(&cx.stream(&f)),
        "fork" => {
            let tag = format!("^{index}");
            cx.out(&stream.map_values(move |_, value| Some(plus(value, &tag))), &format!("fork{index}"));
            stream.clone()
        }
        "branch" => branch(cx, stream, op, index),
        other => return Err(BuildError::Missing(format!("operator {other}"))),
    })
}

/// Branch j tags its values; they are merged in order, or go to topics of their own.
fn branch(cx: &Context, stream: &KStream<Value, Value>, op: &Params, index: usize) -> KStream<Value, Value> {
    let mut split = stream.split();
    let mut branches = Vec::new();
    for (number, name) in op.texts("preds").into_iter().enumerate() {
        branches.push((number.to_string(), split.branch(move |key, value| holds(&name, key, value))));
    }
    if op.flag("default") {
        branches.push(("d".to_owned(), split.default_branch()));
    }
    let mut merged: Option<KStream<Value, Value>> = None;
    for (tag, branch) in branches {
        let ending = format!("#{tag}");
        let tagged = branch.map_values(move |_, value| Some(plus(value, &ending))).with_value_codec(Context::text());
        if op.flag("merge") {
            merged = Some(merged.map_or_else(|| tagged.clone(), |merged| merged.merge(&tagged)));
        } else {
            cx.out(&tagged, &format!("branch{index}-{tag}"));
        }
    }
    merged.unwrap_or_else(|| stream.clone())
}
