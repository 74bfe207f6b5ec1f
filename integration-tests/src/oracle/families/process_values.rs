//! A processor of values that numbers the records of each key; optionally counted behind it.

use super::super::functions::{Value, number, show};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use kappa_core::codec::i64_be;
use kappa_core::processor::{StoreHandle, ValueContext, ValueProcessor};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;

pub(super) struct ProcessValues;

impl Family for ProcessValues {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let seen = cx.app.store("seen", Text, Text);
        cx.compare_plain_store::<String>("seen", Text);
        let supplier = {
            let seen = seen.clone();
            move || Number { seen: seen.clone() }
        };
        let numbered = cx.stream("in").process_values("number", &[&seen], supplier);
        cx.out(&numbered, "out");
        if cx.params.flag("count") {
            let counts = numbered.flatten_values().with_value_codec(Text).group_by_key().count("agg");
            cx.out(&counts.to_stream(), "count");
            cx.compare_store::<i64>("agg", i64_be());
        }
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let count = draw.chance(50);
        draw.params.set("count", count);
        draw.maybe_cache();
    }
}

struct Number {
    seen: StoreHandle<String, String>,
}

impl ValueProcessor<Value, Value> for Number {
    type Value = Value;

    fn process(
        &mut self,
        record: &Record<'_, Value, Value>,
        cx: &mut ValueContext<'_, '_, '_, Value, Value>,
    ) -> Result<(), ProcessError> {
        let Some(key) = record.key()? else { return cx.forward(Some("nokey".to_owned())) };
        let mut seen = cx.store(&self.seen)?;
        let count = number(seen.get(key)?.map(String::as_str)) + 1;
        seen.put(key, count.to_string(), record.timestamp_ms)?;
        let value = record.value()?.cloned().flatten();
        cx.forward(Some(format!("{}@{count}", show(value.as_deref()))))?;
        if value.as_deref() == Some("x") {
            cx.forward_option(None)?;
        }
        Ok(())
    }
}
