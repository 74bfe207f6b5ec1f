//! A versioned store driven by commands in the values of records.

use super::super::functions::Value;
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use kappa_core::processor::{Processor, ProcessorContext, Put, VersionedHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;

pub(super) struct VersionedStore;

impl Family for VersionedStore {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let (history_ms, segment_ms) = (cx.params.number_or("history", 100), cx.params.number("segment"));
        let vs = match segment_ms {
            Some(segment_ms) => cx.app.versioned_store_in_segments("vs", Context::text(), Text, history_ms, segment_ms),
            None => cx.app.versioned_store("vs", Context::text(), Text, history_ms),
        };
        cx.compare_versions("vs");
        let supplier = {
            let vs = vs.clone();
            move || Commands { vs: vs.clone() }
        };
        let out = cx.stream("in").process("script", &[&vs], supplier).with_codecs(Context::text(), Context::text());
        cx.out(&out, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let history = draw.pick(&[0, 1, 5, 10, 20, 60, 200, 1_000]) * draw.scale;
        draw.params.set("history", history);
        if draw.chance(60) {
            // The judge refuses shorter ones.
            let segment = draw.pick(&[2, 5, 10, 50, 300]) * draw.scale;
            draw.params.set("segment", segment);
        }
        draw.null_keys = 0;
        draw.null_values = 0;
        let scale = draw.scale as u64;
        draw.value = Box::new(move |random| match random.below(12) {
            0..=5 => format!("put:{}", random.below(10)),
            6 | 7 => "putnull".to_owned(),
            8 => "del".to_owned(),
            9 => "get".to_owned(),
            _ => format!("asof:{}", random.below(200) * scale),
        });
        if draw.chance(60) {
            draw.keys.insert("in".into(), vec!["a".into(), "ab".into()]);
        }
    }
}

struct Commands {
    vs: VersionedHandle<Value, String>,
}

impl Processor<Value, Value> for Commands {
    type Key = Value;
    type Value = Value;

    fn process(
        &mut self,
        record: &Record<'_, Value, Value>,
        cx: &mut ProcessorContext<'_, '_, Value, Value>,
    ) -> Result<(), ProcessError> {
        let (key, now_ms) = (record.key()?, record.timestamp_ms);
        let command = record.value()?.cloned().flatten().unwrap_or_default();
        let (name, argument) = command.split_once(':').unwrap_or((&command, ""));
        let mut vs = cx.versioned_store(&self.vs)?;
        let answer = match name {
            "put" => format!("put={}", shown_put(vs.put(key, Some(argument.to_owned()), now_ms)?)),
            "putnull" => format!("put={}", shown_put(vs.put(key, None, now_ms)?)),
            "del" => format!("del={}", shown(vs.delete(key, now_ms)?)),
            "get" => format!("get={}", shown(vs.get(key)?)),
            "asof" => format!("asof={}", shown(vs.get_as_of(key, argument.parse().unwrap_or(0))?)),
            _ => return cx.pass_on(record),
        };
        cx.forward_with(key.clone(), Some(Some(answer)), now_ms, record.headers)
    }
}

/// As Kafka Streams says it.
fn shown_put(put: Put) -> i64 {
    match put {
        Put::Latest => -1,
        Put::Until(until_ms) => until_ms,
        Put::TooLate => i64::MIN,
    }
}

fn shown<V: std::fmt::Display>(found: Option<(V, i64)>) -> String {
    found.map_or("null".to_owned(), |(value, since_ms)| format!("{value}@{since_ms}"))
}
