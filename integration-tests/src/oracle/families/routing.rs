//! Each record to a topic by its value and time; optionally a processor before that splits it in two.

use super::super::functions::Value;
use super::super::generate::Draw;
use super::super::text::sink;
use super::super::{BuildError, Context, Family};
use kappa_core::processor::{Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;

pub(super) struct Routing;

impl Family for Routing {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let mut stream = cx.stream("in");
        if cx.params.flag("process") {
            stream = stream.process("twice", &[], || Twice);
        }
        let topics = ["out-null", "out-0", "out-1", "out-2"];
        stream.with_codecs(sink::<Value>(), sink::<Value>()).to_routed(topics, |_, value, record| {
            match value.and_then(Option::as_ref) {
                None => "out-null".to_owned(),
                Some(_) => format!("out-{}", record.timestamp_ms % 3),
            }
        });
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let process = draw.chance(60);
        draw.params.set("process", process);
    }
}

/// Forwards each record as it is, then one later with a header more.
struct Twice;

impl Processor<Value, Value> for Twice {
    type Key = Value;
    type Value = Value;

    fn process(
        &mut self,
        record: &Record<'_, Value, Value>,
        cx: &mut ProcessorContext<'_, '_, Value, Value>,
    ) -> Result<(), ProcessError> {
        cx.pass_on(record)?;
        let headers = record.headers.with("second", Some(b"1"));
        cx.pass_on(&record.with_timestamp(record.timestamp_ms + 1).with_headers(&headers))
    }
}
