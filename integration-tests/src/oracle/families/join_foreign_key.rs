//! Table `left` joined with table `right` by a foreign key: what is before `|` in the left value.

use super::super::functions::{Value, join};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::table_group::regrouped;
use super::table_ops::{kept, source};

pub(super) struct JoinForeignKey;

impl Family for JoinForeignKey {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let histories = [cx.params.number("historyL"), cx.params.number("historyR")];
        let left = source(cx, "left", Some("l"), histories[0])?;
        let right = source(cx, "right", Some("r"), histories[1])?;
        let foreign = |_: &Value, value: &String| foreign_key(value).map(Some);
        let mut table = match cx.params.text_or("type", "inner") {
            "left" => left.left_join_foreign_key("fk", Text, &right, foreign, |left, right| {
                join(Some(left), right.map(String::as_str))
            }),
            _ => left.join_foreign_key("fk", Text, &right, foreign, |left, right| join(Some(left), Some(right))),
        };
        if cx.params.flag("mat") {
            table = kept(cx, &table, "joined");
        }
        if cx.params.text("tail") == Some("group") {
            table = regrouped(cx, &table);
        }
        cx.out(&table.to_stream(), "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw.choose("type", &["inner", "left"]);
        let mat = draw.chance(40);
        draw.params.set("mat", mat);
        if draw.chance(20) {
            draw.params.set("tail", "group");
        }
        draw.topics = vec!["left".into(), "left".into(), "right".into()];
        // Keys that are prefixes of others, and an empty one.
        let keys = ["r0", "r1", "r10", "r", "x", ""];
        draw.keys.insert("right".into(), keys.map(str::to_owned).to_vec());
        draw.values.insert(
            "left".into(),
            Box::new(move |random| {
                let foreign = ["r0", "r0", "r1", "r10", "r", "x", "r9", ""][random.index(8)];
                let bar = if random.below(8) == 0 { "" } else { "|" };
                format!("{foreign}{bar}{}", random.below(6))
            }),
        );
        draw.null_values = 20;
    }
}

fn foreign_key(value: &str) -> Option<String> {
    let foreign = value.split_once('|').map_or(value, |(foreign, _)| foreign);
    (!foreign.is_empty()).then(|| foreign.to_owned())
}
