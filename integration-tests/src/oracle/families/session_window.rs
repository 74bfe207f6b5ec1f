//! Records grouped by key, aggregated in sessions.

use super::super::generate::Draw;
use super::super::{BuildError, Context, Family};
use super::windows::{aggregated, draw_emit, draw_session, draw_tail, kind, tail};

pub(super) struct SessionWindow;

impl Family for SessionWindow {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let kind = kind(&cx.params, "session");
        let table = aggregated(cx, kind);
        tail(cx, &table);
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw_session(draw);
        draw_emit(draw);
        draw.choose("agg", &["count", "reduce", "concat", "sum", "nullable"]);
        draw_tail(draw);
        if !draw.params.has("emit") {
            draw.maybe_cache();
        }
    }
}
