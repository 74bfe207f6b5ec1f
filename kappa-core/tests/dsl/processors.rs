//! Processors of the user's own.

use super::{Outcome, at};
use kappa_core::codec::{i64_be, utf8};
use kappa_core::processor::{Processor, ProcessorContext, StoreHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::testing::TestDriver;
use kappa_core::topology::{TopicRef, Topology};

/// Forwards what it knows of each record, and how often its key has come.
struct Witness {
    seen: StoreHandle<String, i64>,
}

impl Processor<String, String> for Witness {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        let key = record.key()?;
        let Some(value) = record.value()? else {
            cx.store(&self.seen)?.delete(key, record.timestamp_ms)?;
            return Ok(());
        };
        if value == "fail" {
            return Err(cx.error("told to"));
        }
        let mut seen = cx.store(&self.seen)?;
        seen.update(key, |seen| Some((seen.map_or(1, |(n, _)| n + 1), record.timestamp_ms)))?;
        let count = seen.get(key)?.copied().unwrap_or_default();
        let Some(metadata) = cx.metadata() else { return Err(cx.error("no metadata")) };
        assert_eq!(metadata.topic, &TopicRef::External("in".into()));
        let line = format!("{value} {count} @{} time {}", metadata.offset, cx.stream_time_ms());
        cx.forward(key.clone(), line)
    }
}

fn topology(connect: bool) -> Result<Topology, Box<dyn std::error::Error>> {
    let mut app = Topology::builder();
    let seen = app.store("seen", utf8(), i64_be());
    let connected: &[&dyn kappa_core::processor::ConnectedStore] = if connect { &[&seen] } else { &[] };
    app.stream("in", utf8(), utf8())
        .process("witness", connected, {
            let seen = seen.clone();
            move || Witness { seen: seen.clone() }
        })
        .with_codecs(utf8(), utf8())
        .to("out");
    Ok(app.build()?)
}

#[test]
fn a_processor_sees_stores_time_and_metadata() -> Outcome {
    let driver = TestDriver::new(&topology(true)?)?;
    let input = driver.input("in", utf8(), utf8());
    input.pipe("k", "a", 100)?;
    input.pipe("k", "b", 50)?;
    input.pipe_null("k", 60)?;
    input.pipe("k", "c", 70)?;
    let expected = [
        at("k", Some("a 1 @0 time 100".to_owned()), 100),
        at("k", Some("b 2 @1 time 100".to_owned()), 50),
        at("k", Some("c 1 @3 time 100".to_owned()), 70),
    ];
    assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, expected);
    assert_eq!(driver.store("seen", utf8(), i64_be()).get("k")?, Some(1));
    Ok(())
}

#[test]
fn errors_name_the_processor() -> Outcome {
    let driver = TestDriver::new(&topology(true)?)?;
    let error = driver.input("in", utf8(), utf8()).pipe("k", "fail", 0).unwrap_err();
    assert_eq!(error.to_string(), "in, partition 0, offset 0: operator witness.process: told to");
    let driver = TestDriver::new(&topology(false)?)?;
    let error = driver.input("in", utf8(), utf8()).pipe("k", "a", 0).unwrap_err().to_string();
    assert!(error.contains("witness.process") && error.contains("not connected to store seen"), "{error}");
    Ok(())
}
