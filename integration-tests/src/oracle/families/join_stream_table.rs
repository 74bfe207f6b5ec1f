//! Stream `left` joined with table `right`, behind table operators.

use super::super::functions::join;
use super::super::generate::Draw;
use super::super::{BuildError, Context, Family};
use super::join_to_table::{left, out};
use super::table_ops::{chain, draw_ops, source};

pub(super) struct JoinStreamTable;

impl Family for JoinStreamTable {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let stream = left(cx);
        let history = cx.params.number("history");
        let table = source(cx, "right", Some("table"), history)?;
        let ops = cx.params.list("ops");
        let table = chain(cx, table, &ops, "t")?;
        let kind = cx.params.text_or("type", "inner").to_owned();
        let Some(grace_ms) = cx.params.number("grace") else {
            out(cx, &stream, &table, &kind);
            return Ok(());
        };
        let result = match kind.as_str() {
            "left" => stream.left_join_with_grace(&table, "stj-buffer", grace_ms, |value, found| {
                join(Some(value), found.map(String::as_str))
            }),
            _ => stream.join_with_grace(&table, "stj-buffer", grace_ms, |value, found| join(Some(value), Some(found))),
        };
        cx.out(&result, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw.choose("type", &["inner", "left"]);
        draw.topics = vec!["left".into(), "right".into()];
        if draw.chance(25) {
            draw.params.set("rekey", true);
        }
        let versioned = draw.chance(50);
        if versioned {
            let history = draw.duration("history", 0, 200);
            if draw.chance(60) {
                let grace = draw.between(0, 40) * draw.scale;
                draw.params.set("grace", grace.min(history));
                // Kafka Streams throws.
                draw.null_keys = 0;
            }
        }
        if draw.chance(50) {
            draw_ops(draw, "ops", 3, !versioned);
        }
        draw.null_values = 15;
    }
}
