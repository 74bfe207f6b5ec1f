//! Records grouped by key, or by a new one, aggregated in tumbling, hopping or unlimited windows.

use super::super::generate::Draw;
use super::super::{BuildError, Context, Family};
use super::windows::{Kind, aggregated, draw_emit, draw_tail, draw_time, kind, tail};

pub(super) struct TimeWindow;

impl Family for TimeWindow {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let kind = match cx.params.number("unlimited") {
            Some(start_ms) => Kind::Time(kappa_core::window::TimeWindows::unlimited(start_ms)),
            None => kind(&cx.params, "time"),
        };
        let table = aggregated(cx, kind);
        tail(cx, &table);
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        if draw.chance(5) {
            draw.duration("unlimited", 0, 30);
        } else {
            draw_time(draw);
            draw_emit(draw);
        }
        if draw.chance(15) {
            draw.choose("by", &["first", "value", "same"]);
        }
        draw.choose("agg", &["count", "reduce", "concat", "sum", "nullable"]);
        draw_tail(draw);
        if !draw.params.has("emit") {
            draw.maybe_cache();
        }
    }
}
