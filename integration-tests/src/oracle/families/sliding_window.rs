//! Records grouped by key, aggregated in sliding windows.

use super::super::generate::Draw;
use super::super::{BuildError, Context, Family};
use super::windows::{aggregated, draw_emit, draw_sliding, draw_tail, kind, tail};

pub(super) struct SlidingWindow;

impl Family for SlidingWindow {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let kind = kind(&cx.params, "sliding");
        let table = aggregated(cx, kind);
        tail(cx, &table);
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw_sliding(draw);
        draw_emit(draw);
        draw.choose("agg", &["count", "reduce", "concat", "sum", "nullable"]);
        draw_tail(draw);
        if !draw.params.has("emit") {
            draw.maybe_cache();
        }
    }
}
