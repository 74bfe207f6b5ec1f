//! Streams `left` and `right` joined in a window, and the result joined with `right` once more.

use super::super::functions::{Value, join};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::join_to_table::left;
use kappa_core::dsl::{JoinWindows, KStream};

pub(super) struct JoinStreamStream;

impl Family for JoinStreamStream {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let (left, right) = (left(cx), cx.records("right"));
        let mut result = joined(cx, "type", "j", &left, &right);
        if cx.params.has("type2") {
            result = joined(cx, "type2", "j2", &result, &right);
        }
        cx.out(&result, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw.choose("type", &["inner", "left", "left", "outer", "outer"]);
        draw_windows(draw);
        if draw.chance(12) {
            draw.choose("type2", &["inner", "left", "outer"]);
        }
        if draw.chance(15) {
            draw.params.set("rekey", true);
        }
        draw.topics = vec!["left".into(), "right".into()];
        if draw.chance(15) {
            let interval = draw.pick(&[1, 50, 1000]);
            draw.params.set("emit_interval_ms", interval);
            draw.wall = 15;
        }
    }
}

/// Two streams joined as a parameter says.
pub(super) fn joined(
    cx: &Context,
    kind: &str,
    name: &str,
    left: &KStream<Value, String>,
    right: &KStream<Value, String>,
) -> KStream<Value, String> {
    let windows = windows(cx);
    let text = |value: Option<&String>| value.cloned();
    let joined = match cx.params.text_or(kind, "inner") {
        "left" => left.left_join_within(name, right, windows, move |l, r| join(Some(l), text(r).as_deref())),
        "outer" => {
            left.outer_join_within(name, right, windows, move |l, r| join(text(l).as_deref(), text(r).as_deref()))
        }
        _ => left.join_within(name, right, windows, |l, r| join(Some(l), Some(r))),
    };
    joined.with_value_codec(Text)
}

/// The window that the parameters say.
pub(super) fn windows(cx: &Context) -> JoinWindows {
    JoinWindows::within_ms(0, cx.params.number_or("grace", 0))
        .before_ms(cx.params.number_or("before", 10))
        .after_ms(cx.params.number_or("after", 10))
        .emit_interval_ms(cx.params.number_or("emit_interval_ms", 0))
}

/// Draws windows: of no length, on one side only, behind or ahead of the record.
pub(super) fn draw_windows(draw: &mut Draw) {
    let (one, other) = (draw.between(0, 25), draw.between(0, 25));
    let (before, after) = match draw.pick(&[0, 0, 0, 1, 1, 2, 3]) {
        0 => (one, one),
        1 => (one, other),
        2 => (one.max(other), -one.min(other)),
        _ => (-one.min(other), one.max(other)),
    };
    let scale = draw.scale;
    draw.params.set("before", before * scale);
    draw.params.set("after", after * scale);
    let grace = draw.pick(&[0, 0, 3, 10, 30, 1000]);
    draw.params.set("grace", grace * scale);
}
