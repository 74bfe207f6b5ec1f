//! A processor with a store and schedules, driven by commands in the values of its records.

use super::super::functions::{Value, show};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family, Scenario, Step};
use kappa_core::log::Headers;
use kappa_core::processor::{Processor, ProcessorContext, PunctuationType, Schedule, StoreHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::topology::TopicRef;

pub(super) struct Script;

impl Family for Script {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let kv = cx.app.store("kv", Text, Text);
        cx.compare_plain_store::<String>("kv", Text);
        let (stream_ms, wall_ms) = (cx.params.number("stream_punct"), cx.params.number("wall_punct"));
        let supplier = {
            let kv = kv.clone();
            move || Commands { kv: kv.clone(), stream_ms, wall_ms, stream: None, wall: None }
        };
        let out = cx.stream("in").process("script", &[&kv], supplier).with_codecs(Context::text(), Context::text());
        cx.out(&out, "out");
        Ok(())
    }

    fn survives(&self, scenario: &Scenario) -> bool {
        // Wall-clock schedules count from the start of their task, and a cancelled schedule is made anew with it.
        let cancels = |step: &Step| matches!(step, Step::Record(input) if input.value.as_deref() == Some("cancel"));
        !scenario.params.has("wall_punct") && !scenario.steps.iter().any(cancels)
    }

    fn draw(&self, draw: &mut Draw) {
        if draw.chance(60) {
            draw.duration("stream_punct", 1, 40);
        }
        if draw.chance(50) {
            let interval = draw.pick(&[1, 7, 100, 500, 1000]);
            draw.params.set("wall_punct", interval);
            draw.wall = 20;
        }
        draw.null_keys = 0;
        draw.null_values = 3;
        draw.keys.insert("in".into(), ["a", "aa", "b", "c", "ab", "z"].map(str::to_owned).to_vec());
        draw.value = Box::new(|random| {
            let commands = [
                "put",
                "put",
                "put",
                "pia",
                "get",
                "del",
                "range:a:c",
                "range:aa:b",
                "rrange:a:b",
                "range:b:a",
                "all",
                "rall",
                "prefix:a",
                "prefix:aa",
                "ts:7",
                "hdr:z",
                "time",
                "commit",
                "fwd2",
                "plain",
                "cancel",
            ];
            match commands[random.index(commands.len())] {
                "put" => format!("put:{}", random.below(10)),
                "pia" => format!("pia:{}", random.below(10)),
                "cancel" if random.below(4) > 0 => "plain".to_owned(),
                command => command.to_owned(),
            }
        });
    }
}

struct Commands {
    kv: StoreHandle<String, String>,
    stream_ms: Option<i64>,
    wall_ms: Option<i64>,
    stream: Option<Schedule>,
    wall: Option<Schedule>,
}

type Cx<'a, 'c> = ProcessorContext<'a, 'c, Value, Value>;

fn topic(topic: &TopicRef) -> &str {
    match topic {
        TopicRef::External(name) => name,
        _ => "internal",
    }
}

/// Forwards a record with another value.
fn say(record: &Record<'_, Value, Value>, cx: &mut Cx<'_, '_>, text: String) -> Result<(), ProcessError> {
    cx.forward_with(record.key()?.clone(), Some(Some(text)), record.timestamp_ms, record.headers)
}

impl Commands {
    fn read(&self, name: &str, args: &[&str], cx: &mut Cx<'_, '_>) -> Result<Vec<(String, String)>, ProcessError> {
        let mut kv = cx.store(&self.kv)?;
        let arg = |index: usize| args.get(index).copied().unwrap_or_default().to_owned();
        match name {
            "range" => kv.range(&arg(0), &arg(1)),
            "rrange" => kv.reverse_range(&arg(0), &arg(1)),
            "all" => kv.all(),
            "rall" => kv.reverse_all(),
            _ => kv.prefix(arg(0)),
        }
    }
}

impl Processor<Value, Value> for Commands {
    type Key = Value;
    type Value = Value;

    fn init(&mut self, cx: &mut Cx<'_, '_>) -> Result<(), ProcessError> {
        if let Some(interval) = self.stream_ms {
            self.stream = Some(cx.schedule(interval, PunctuationType::StreamTime)?);
        }
        if let Some(interval) = self.wall_ms {
            self.wall = Some(cx.schedule(interval, PunctuationType::WallClockTime)?);
        }
        Ok(())
    }

    fn process(&mut self, record: &Record<'_, Value, Value>, cx: &mut Cx<'_, '_>) -> Result<(), ProcessError> {
        let value = record.value()?.cloned().flatten();
        let text = show(value.as_deref()).to_owned();
        let words: Vec<&str> = text.split(':').collect();
        let (command, args) = words.split_first().map_or(("", &[][..]), |(command, args)| (*command, args));
        let key = || -> Result<String, ProcessError> { Ok(show(record.key()?.as_deref()).to_owned()) };
        let at = record.timestamp_ms;
        match command {
            "put" => cx.store(&self.kv)?.put(&key()?, args[0].to_owned(), at),
            "pia" => {
                let old = cx.store(&self.kv)?.put_if_absent(&key()?, args[0].to_owned(), at)?.cloned();
                say(record, cx, format!("pia={}", show(old.as_deref())))
            }
            "get" | "del" => {
                let key = key()?;
                let found = cx.store(&self.kv)?.get(&key)?.cloned();
                if command == "del" {
                    cx.store(&self.kv)?.delete(&key, at)?;
                }
                say(record, cx, format!("{command}={}", show(found.as_deref())))
            }
            "range" | "rrange" | "all" | "rall" | "prefix" => {
                let entries = self.read(command, args, cx)?;
                entries.into_iter().try_for_each(|(key, value)| say(record, cx, format!("{key}={value}")))
            }
            "ts" => {
                let at = args[0].parse().map_err(|error| cx.error(error))?;
                cx.pass_on(&record.with_timestamp(at))
            }
            "hdr" => cx.pass_on(&record.with_headers(&record.headers.with("p", Some(args[0].as_bytes())))),
            "time" => {
                let from = cx.metadata().map(|from| format!("{}/{}", topic(from.topic), from.offset));
                let (st, wt) = (cx.stream_time_ms(), cx.wall_clock_ms());
                say(record, cx, format!("st={st} wt={wt} off={}", from.as_deref().unwrap_or("-")))
            }
            "cancel" => {
                [self.stream, self.wall].into_iter().flatten().for_each(|schedule| cx.cancel(schedule));
                Ok(())
            }
            "commit" => {
                cx.commit();
                Ok(())
            }
            "fwd2" => {
                say(record, cx, "one".to_owned())?;
                cx.forward_with(Some("k2".to_owned()), Some(Some("two".to_owned())), at, record.headers)
            }
            _ => cx.pass_on(record),
        }
    }

    fn punctuate(&mut self, schedule: Schedule, time_ms: i64, cx: &mut Cx<'_, '_>) -> Result<(), ProcessError> {
        let name = if Some(schedule) == self.stream { "S" } else { "W" };
        // Kafka Streams shows a record that is none; kappa has no metadata here.
        let meta = if cx.metadata().is_some() { "present" } else { "null/-1/-1" };
        // Kafka Streams shows an unknown stream time as −1.
        let (st, wt) = (cx.stream_time_ms().max(-1), cx.wall_clock_ms());
        let text = format!("at={time_ms} st={st} wt={wt} meta={meta}");
        cx.forward_with(Some(name.to_owned()), Some(Some(text)), time_ms, &Headers::empty())?;
        for (key, value) in cx.store(&self.kv)?.all()? {
            cx.forward_with(Some(key), Some(Some(format!("{name}{value}"))), time_ms, &Headers::empty())?;
        }
        Ok(())
    }
}
