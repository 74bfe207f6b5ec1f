//! Stream `left` joined with table `right`, behind table operators.

use super::super::generate::Draw;
use super::super::{BuildError, Context, Family};
use super::join_to_table::{left, out};
use super::table_ops::{chain, draw_ops, source};

pub(super) struct JoinStreamTable;

impl Family for JoinStreamTable {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let stream = left(cx);
        let history = cx.params.number("history");
        if cx.params.has("grace") {
            return Err(BuildError::Missing("a grace period in joins with versioned tables".to_owned()));
        }
        let table = source(cx, "right", Some("table"), history)?;
        let ops = cx.params.list("ops");
        let table = chain(cx, table, &ops, "t")?;
        let kind = cx.params.text_or("type", "inner").to_owned();
        out(cx, &stream, &table, &kind);
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw.choose("type", &["inner", "left"]);
        draw.topics = vec!["left".into(), "right".into()];
        if draw.chance(25) {
            draw.params.set("rekey", true);
        }
        if draw.chance(50) {
            draw_ops(draw, "ops", 3, true);
        }
        draw.null_values = 15;
    }
}
