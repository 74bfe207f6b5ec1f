//! A stream joined with itself in a window, with two stores or with one.

use super::super::functions::join;
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::join_stream_stream::{draw_windows, joined, windows};

pub(super) struct JoinStreamSelf;

impl Family for JoinStreamSelf {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let stream = cx.records("in");
        let one_store = cx.params.has("optimize") && cx.params.text_or("type", "inner") == "inner";
        let result = if one_store {
            let joined = stream.self_join_within("j", windows(cx), |one, other| join(Some(one), Some(other)));
            joined.with_value_codec(Text)
        } else {
            joined(cx, "type", "j", &stream, &stream)
        };
        cx.out(&result, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let kind = draw.choose("type", &["inner", "inner", "left", "outer"]);
        if kind == "inner" && draw.chance(60) {
            draw.params.set("optimize", "single.store.self.join");
        }
        draw_windows(draw);
    }
}
