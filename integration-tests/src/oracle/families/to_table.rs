//! Stream operators, made a table, table operators.

use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::stateless;
use super::table_ops::{chain, draw_ops, kept};
use serde_json::json;

pub(super) struct ToTable;

impl Family for ToTable {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let history = cx.params.number("history");
        let mut stream = cx.stream("in");
        for (index, op) in cx.params.list("pre").iter().enumerate() {
            stream = stateless::apply(cx, &stream, op, index)?;
        }
        // Where there are versions, only they are kept.
        let name = if history.is_some() { "latest" } else { "tt" };
        // Nulls are Kafka's again.
        let mut table = stream.flatten_values().with_value_codec(Text).to_table(name);
        if let Some(history_ms) = history {
            cx.compare_versions("tt");
            table = table.versioned("tt", history_ms);
        } else if cx.params.flag("mat") {
            table = kept(cx, &table, "tt");
        }
        let ops = cx.params.list("ops");
        let table = chain(cx, table, &ops, "t")?;
        cx.out(&table.to_stream(), "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        if draw.chance(60) {
            let f = draw.pick(&["first", "value", "same", "const"]);
            draw.params.set("pre", json!([{"op": "selectKey", "f": f}]));
        }
        let mat = draw.chance(60);
        draw.params.set("mat", mat);
        draw_ops(draw, "ops", 4, true);
        draw.null_values = 20;
        draw.maybe_cache();
    }
}
