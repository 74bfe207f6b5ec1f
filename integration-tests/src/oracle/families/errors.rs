//! Records that can't be decoded, and functions that fail, under each policy.

use super::super::functions::{Value, plus};
use super::super::generate::Draw;
use super::super::text::{Shown, Text};
use super::super::{BuildError, Context, Family};
use kappa_core::codec::i64_be;
use kappa_core::processor::{ValueContext, ValueProcessor};
use kappa_core::record::Record;
use kappa_core::runtime::BadRecords;
use kappa_core::task::ProcessError;

pub(super) struct Errors;

impl Family for Errors {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        cx.bad_records = policy(cx, "deser");
        cx.failed_records = policy(cx, "proc");
        let stream = cx.stream("in");
        cx.out(&stream.map_values(|_, value| Some(plus(value, "<"))), "before");
        let counts = stream.flatten_values().with_value_codec(Text).group_by_key().count("agg");
        cx.out(&counts.to_stream().process_values("check-key", &[], || Check { bad: "bad", of_key: true }), "count");
        cx.compare_store::<i64>("agg", i64_be());
        let checked = stream.process_values("check-value", &[], || Check { bad: "boom", of_key: false });
        cx.out(
            &checked.map_values(|_, value| value.as_ref().map_or("null!".to_owned(), |value| format!("{value}!"))),
            "out",
        );
        cx.out(&stream.map_values(|_, value| Some(plus(value, ">"))), "after");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        draw.choose("deser", &["continue", "continue", "continue", "fail"]);
        draw.choose("proc", &["continue", "continue", "continue", "fail"]);
        if draw.chance(40) {
            draw.params.set("dlq", true);
        }
        draw.keys.insert("in".into(), ["a", "b", "c", "bad"].map(str::to_owned).to_vec());
        draw.value = Box::new(|random| match random.below(8) {
            0 => "poison".to_owned(),
            1 => "boom".to_owned(),
            number => number.to_string(),
        });
    }
}

fn policy(cx: &Context, name: &str) -> BadRecords {
    match cx.params.text(name) {
        Some("continue") if cx.params.flag("dlq") => BadRecords::DeadLetter("dlq".to_owned()),
        Some("continue") => BadRecords::Skip,
        _ => BadRecords::Fail,
    }
}

/// Fails for one key or value.
struct Check {
    bad: &'static str,
    of_key: bool,
}

impl<V: Shown + Clone> ValueProcessor<Value, V> for Check {
    type Value = Option<String>;

    fn process(
        &mut self,
        record: &Record<'_, Value, V>,
        cx: &mut ValueContext<'_, '_, '_, Value, Option<String>>,
    ) -> Result<(), ProcessError> {
        let value = record.value()?.and_then(Shown::shown);
        let seen = if self.of_key { record.key()?.clone() } else { value.clone() };
        if seen.as_deref() == Some(self.bad) {
            return Err(cx.error(self.bad));
        }
        cx.forward(value)
    }
}
