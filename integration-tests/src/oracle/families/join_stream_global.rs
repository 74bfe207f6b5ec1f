//! Stream `left` joined with global table `global`.

use super::super::functions::{Value, join, select_key};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};

pub(super) struct JoinStreamGlobal;

impl Family for JoinStreamGlobal {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let stream = cx.records("left");
        let global = cx.app.global_table("global", Text, Text).materialized("gt");
        cx.compare_store::<String>("gt", Text);
        let mapper = cx.params.text_or("mapper", "same").to_owned();
        let key = move |key: &Value, value: &String| select_key(&mapper, key, &Some(value.clone()));
        let joined = match cx.params.text_or("type", "inner") {
            "left" => {
                stream.left_join_global(&global, key, |value, found| join(Some(value), found.map(String::as_str)))
            }
            _ => stream.join_global(&global, key, |value, found| join(Some(value), Some(found))),
        };
        cx.out(&joined, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw.choose("type", &["inner", "left"]);
        draw.choose("mapper", &["same", "same", "first", "value", "null", "const"]);
        draw.topics = vec!["left".into(), "global".into()];
        draw.null_values = 15;
        draw.null_keys = 10;
    }
}
