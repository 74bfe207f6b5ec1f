//! A window store driven by commands in the values of records.
//!
//! Where duplicates are retained a deletion does nothing but move time in Kafka Streams' store in memory, and in kappa's, and
//! nothing at all in the one in RocksDB: there such a command is left out, and the rest compared.

use super::super::functions::{Value, show};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::windows::compare_named;
use kappa_core::processor::{Direction, Processor, ProcessorContext, StoredWindows, WindowHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::window::Windowed;

pub(super) struct WindowStore;

impl Family for WindowStore {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let (size_ms, keep_ms) = (cx.params.number_or("size", 10), cx.params.number_or("keep", 100));
        let windows = StoredWindows::new(size_ms, keep_ms);
        let windows = if cx.params.flag("dups") { windows.retain_duplicates() } else { windows };
        let deletes = !cx.params.flag("dups") || cx.params.text("store") != Some("rocksdb");
        let ws = cx.app.window_store("ws", Text, Text, windows);
        compare_named::<String>(cx, "ws", Some(size_ms), Text, false);
        let supplier = {
            let ws = ws.clone();
            move || Commands { ws: ws.clone(), deletes }
        };
        let out = cx.stream("in").process("script", &[&ws], supplier).with_codecs(Context::text(), Context::text());
        cx.out(&out, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let size = draw.pick(&[1, 3, 10]) * draw.scale;
        let keep = draw.pick(&[10, 15, 40, 100, 300]) * draw.scale;
        let duplicates = draw.chance(35);
        draw.params.set("size", size);
        draw.params.set("keep", keep);
        draw.params.set("dups", duplicates);
        if draw.chance(60) {
            draw.params.set("store", "rocksdb");
        }
        draw.null_keys = 0;
        draw.null_values = 3;
        let scale = draw.scale as u64;
        draw.value = Box::new(move |random| {
            let from = random.below(120) * scale;
            let range = format!("{from}:{}", from + random.below(80) * scale);
            match random.below(20) {
                0..=8 => format!("put:{}", random.below(10)),
                9 => "del".to_owned(),
                10 => format!("at:{from}"),
                11 => format!("fetch:{range}"),
                12 => format!("fetch:0:{from}"),
                13 => format!("bfetch:{range}"),
                14 => format!("keys:{range}:a:b"),
                15 => format!("keys:0:{from}:aa:z"),
                16 => format!("fall:{range}"),
                17 => format!("bfall:{range}"),
                18 => "all".to_owned(),
                _ => "ball".to_owned(),
            }
        });
    }
}

struct Commands {
    ws: WindowHandle<String, String>,
    deletes: bool,
}

impl Processor<Value, Value> for Commands {
    type Key = Value;
    type Value = Value;

    fn process(
        &mut self,
        record: &Record<'_, Value, Value>,
        cx: &mut ProcessorContext<'_, '_, Value, Value>,
    ) -> Result<(), ProcessError> {
        let (key, now_ms) = (record.key()?.clone().unwrap_or_default(), record.timestamp_ms);
        let command = record.value()?.cloned().flatten().unwrap_or_default();
        let words: Vec<&str> = command.split(':').collect();
        let time = |at: usize| words.get(at).and_then(|word| word.parse().ok()).unwrap_or(0);
        let name = |at: usize| words.get(at).map(|word| (*word).to_owned());
        let way = if words[0].starts_with('b') { Direction::Backward } else { Direction::Forward };
        let mut ws = cx.window_store(&self.ws)?;
        let answers = match words[0] {
            "put" => {
                ws.put(&key, name(1).unwrap_or_default(), now_ms, now_ms)?;
                Vec::new()
            }
            "del" => {
                if self.deletes {
                    ws.delete(&key, now_ms, now_ms)?;
                }
                Vec::new()
            }
            "at" => vec![format!("at={}", show(ws.get(&key, time(1))?.map(String::as_str)))],
            "fetch" | "bfetch" => {
                let rows = ws.fetch(&key, time(1), time(2), way)?;
                rows.into_iter().map(|(start_ms, value)| format!("{start_ms}={value}")).collect()
            }
            "keys" => shown(ws.fetch_range((name(3).as_ref(), name(4).as_ref()), time(1), time(2), way)?),
            "fall" | "bfall" => shown(ws.fetch_range((None, None), time(1), time(2), way)?),
            "all" | "ball" => shown(ws.all(way)?),
            _ => return cx.pass_on(record),
        };
        let mut say = |answer| cx.forward_with(Some(key.clone()), Some(Some(answer)), now_ms, record.headers);
        answers.into_iter().try_for_each(&mut say)
    }
}

/// As Kafka Streams says them.
pub(super) fn shown(rows: Vec<(Windowed<String>, String)>) -> Vec<String> {
    let each = |(at, value): (Windowed<String>, String)| {
        format!("{}@{}/{}={value}", at.key, at.window.start_ms, at.window.end_ms)
    };
    rows.into_iter().map(each).collect()
}
