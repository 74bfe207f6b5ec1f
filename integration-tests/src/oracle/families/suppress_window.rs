//! A windowed aggregate whose changes are held back.

use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family, Params};
use super::windows::{aggregated, draw_session, draw_sliding, draw_tail, draw_time, kind, tail};
use kappa_core::dsl::Suppressed;

pub(super) struct SuppressWindow;

impl Family for SuppressWindow {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let kind = kind(&cx.params, cx.params.text_or("window", "time"));
        let table = aggregated(cx, kind).with_value_codec(kappa_core::codec::nullable(Text));
        let asked = cx.params.object("suppress");
        let suppressed = if asked.text_or("type", "close") == "close" {
            bounded(Suppressed::until_window_closes(), &asked)
        } else {
            limited(&asked)
        };
        tail(cx, &table.suppress("held", suppressed));
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        match draw.choose("window", &["time", "time", "sliding", "session"]).as_str() {
            "sliding" => draw_sliding(draw),
            "session" => draw_session(draw),
            _ => draw_time(draw),
        }
        draw.choose("agg", &["count", "reduce", "concat", "sum", "nullable"]);
        draw_suppress(draw, true);
        draw_tail(draw);
    }
}

fn bounded<K>(suppressed: Suppressed<K>, asked: &Params) -> Suppressed<K> {
    match asked.number("maxRecords") {
        Some(most) => suppressed.max_records(most as u64),
        None => suppressed,
    }
}

/// Held back for a time, as the parameters say.
pub(super) fn limited<K>(asked: &Params) -> Suppressed<K> {
    let suppressed = bounded(Suppressed::until_time_limit(asked.number_or("limit", 0)), asked);
    if asked.text_or("full", "emit") == "shutdown" { suppressed.shut_down_when_full() } else { suppressed }
}

/// Draws how changes are held back.
pub(super) fn draw_suppress(draw: &mut Draw, windowed: bool) {
    let mut asked = Params::default();
    let close = windowed && draw.chance(60);
    asked.set("type", if close { "close" } else { "limit" });
    if !close {
        let limit = draw.between(0, 40) * draw.scale;
        asked.set("limit", limit);
    }
    if draw.chance(if close { 15 } else { 50 }) {
        let most = draw.between(1, 6);
        asked.set("maxRecords", most);
        let shutdown = close || draw.chance(15);
        asked.set("full", if shutdown { "shutdown" } else { "emit" });
    }
    draw.params.set("suppress", serde_json::Value::Object(asked.0));
}
