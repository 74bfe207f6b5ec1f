//! Table `in`, operators, its changes held back for a time; then a stream, a regrouping or a join.

use super::super::functions::join;
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::suppress_window::{draw_suppress, limited};
use super::table_group::regrouped;
use super::table_ops::{chain, draw_ops, source};

pub(super) struct SuppressTable;

impl Family for SuppressTable {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let named = cx.params.flag("mat").then_some("src");
        let table = source(cx, "in", named, None)?;
        let ops = cx.params.list("ops");
        let table = chain(cx, table, &ops, "t")?.with_value_codec(Text);
        let suppressed = table.suppress("held", limited(&cx.params.object("suppress")));
        match cx.params.text_or("tail", "stream") {
            "group" => {
                let all = regrouped(cx, &suppressed);
                cx.out(&all.to_stream(), "out");
            }
            "join" => {
                let right = source(cx, "right", Some("right-store"), None)?;
                let joined = suppressed.left_join(&right, |left, right| join(Some(left), right.map(String::as_str)));
                cx.out(&joined.to_stream(), "out");
            }
            _ => cx.out(&suppressed.to_stream(), "out"),
        }
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let mat = draw.chance(50);
        draw.params.set("mat", mat);
        draw_ops(draw, "ops", 2, true);
        draw_suppress(draw, false);
        if draw.choose("tail", &["stream", "stream", "group", "join"]) == "join" {
            draw.topics = vec!["in".to_owned(), "right".to_owned()];
        }
        draw.null_values = 20;
    }
}
