//! Stream `left` made a table, joined with a table, with a stream, or with itself.

use super::super::functions::{Value, first, join};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::join_table_table::joined;
use super::table_ops::kept;
use kappa_core::dsl::{KStream, KTable};

pub(super) struct JoinToTable;

impl Family for JoinToTable {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let left = left(cx);
        let table = kept(cx, &left.to_table("tt"), "tt");
        let kind = cx.params.text_or("type", "inner").to_owned();
        match cx.params.text_or("with", "table") {
            "stream" => {
                let right = cx.records("right");
                out(cx, &right, &table, &kind);
            }
            "self" => out(cx, &left, &table, &kind),
            _ => {
                let right = cx.app.table("right", Context::text(), Text);
                let result = joined(cx, &kind, &table, &right, 0);
                cx.out(&result.to_stream(), "out");
            }
        }
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let with = draw.choose("with", &["table", "stream", "self"]);
        let kinds: &[&str] = if with == "table" { &["inner", "left", "outer"] } else { &["inner", "left"] };
        draw.choose("type", kinds);
        if draw.chance(40) {
            draw.params.set("rekey", true);
        }
        draw.topics = if with == "self" { vec!["left".into()] } else { vec!["left".into(), "right".into()] };
        draw.null_values = 20;
    }
}

/// Stream `left`, keyed by its values' first characters where parameter `rekey` says so.
pub(super) fn left(cx: &mut Context) -> KStream<Value, String> {
    if !cx.params.flag("rekey") {
        return cx.records("left");
    }
    cx.stream("left").select_key(Context::text(), |_, value| first(value)).flatten_values().with_value_codec(Text)
}

/// A stream joined with a table, to `out`.
pub(super) fn out(cx: &Context, stream: &KStream<Value, String>, table: &KTable<Value, String>, kind: &str) {
    let result = match kind {
        "left" => stream.left_join(table, |value, found| join(Some(value), found.map(String::as_str))),
        _ => stream.join(table, |value, found| join(Some(value), Some(found))),
    };
    cx.out(&result, "out");
}
