//! A stream and a windowed count of it, under a rule that gives records their times.

use super::super::functions::Value;
use super::super::generate::Draw;
use super::super::{BuildError, Context, Family};
use super::windows::{Kind, compare, kind};
use kappa_core::codec::i64_be;
use kappa_core::dsl::Timestamps;

pub(super) struct TimestampRules;

impl Family for TimestampRules {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let rule: Timestamps<Value, Value> = match cx.params.text_or("extractor", "fail") {
            "skip" => Timestamps::skip(),
            "partition" => Timestamps::partition_time(),
            "value" => Timestamps::from(|_, value: Option<&Value>, record, partition_time_ms| {
                match value.and_then(Option::as_ref) {
                    None => partition_time_ms,
                    Some(text) => text.parse().unwrap_or(record.timestamp_ms),
                }
            }),
            _ => Timestamps::fail(),
        };
        let stream = cx.stream("in").with_timestamps(rule);
        cx.out(&stream, "out");
        let Kind::Time(windows) = kind(&cx.params, "time") else {
            return Err(BuildError::Missing("windows of another kind".to_owned()));
        };
        cx.out(&stream.group_by_key().windowed_by(windows).count("agg").to_stream(), "count");
        let size_ms = cx.params.number_or("size", 10);
        compare::<i64>(cx, Some(size_ms), i64_be());
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let rule = draw.choose("extractor", &["fail", "skip", "partition", "value"]);
        draw.duration("size", 1, 20);
        draw.duration("grace", 0, 20);
        draw.negative = if rule == "fail" { 2 } else { 15 };
        if rule == "value" {
            draw.value = Box::new(|random| match random.below(8) {
                0 => format!("-{}", 1 + random.below(9)),
                1 => "x".to_owned(),
                _ => random.below(90).to_string(),
            });
        }
    }
}
