//! A session store driven by commands in the values of records.
//!
//! Kafka Streams' stores differ in whether removing a session that is not there moves time. kappa's moves as the one in RocksDB
//! does, the default; where the judge's is in memory such a command is left out, and the rest compared.

use super::super::functions::{Value, show};
use super::super::generate::Draw;
use super::super::text::Text;
use super::super::{BuildError, Context, Family};
use super::window_store::shown;
use super::windows::compare_named;
use kappa_core::processor::{Direction, Processor, ProcessorContext, Session, SessionHandle};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::window::Windowed;

pub(super) struct SessionStore;

impl Family for SessionStore {
    fn build(&self, cx: &mut Context) -> Result<(), BuildError> {
        let keep_ms = cx.params.number_or("keep", 100);
        let in_memory = cx.params.text("store") != Some("rocksdb");
        let ss = cx.app.session_store("ss", Text, Text, keep_ms);
        compare_named::<String>(cx, "ss", None, Text, false);
        let supplier = {
            let ss = ss.clone();
            move || Commands { ss: ss.clone(), in_memory }
        };
        let out = cx.stream("in").process("script", &[&ss], supplier).with_codecs(Context::text(), Context::text());
        cx.out(&out, "out");
        Ok(())
    }

    fn draw(&self, draw: &mut Draw) {
        let keep = draw.pick(&[10, 15, 40, 100, 300]) * draw.scale;
        draw.params.set("keep", keep);
        if draw.chance(60) {
            draw.params.set("store", "rocksdb");
        }
        draw.null_keys = 0;
        draw.null_values = 3;
        let scale = draw.scale as u64;
        draw.value = Box::new(move |random| {
            // Few different ones, so that they are met again.
            let start = random.below(20) * 8 * scale;
            let session = format!("{start}:{}", start + random.below(3) * 5 * scale);
            let from = random.below(120) * scale;
            let search = format!("{from}:{}", from + random.below(60) * scale);
            match random.below(20) {
                0..=8 => format!("put:{session}:{}", random.below(10)),
                9 | 10 => format!("del:{session}"),
                11 | 12 => format!("get:{session}"),
                13 => format!("find:{search}"),
                14 => format!("find:0:{from}"),
                15 => format!("bfind:{search}"),
                16 => format!("keys:{search}:a:b"),
                17 => format!("keys:0:{from}:aa:z"),
                18 => "fetch".to_owned(),
                _ => "bfetch".to_owned(),
            }
        });
    }
}

struct Commands {
    ss: SessionHandle<String, String>,
    in_memory: bool,
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
        let session = Session { start_ms: time(1), end_ms: time(2) };
        let way = if words[0].starts_with('b') { Direction::Backward } else { Direction::Forward };
        let mut ss = cx.session_store(&self.ss)?;
        let of_key = |rows: Vec<(Session, String)>| {
            let each = |(session, value): (Session, String)| {
                (Windowed::new(key.clone(), session.start_ms, session.end_ms), value)
            };
            shown(rows.into_iter().map(each).collect())
        };
        let answers = match words[0] {
            "put" => {
                ss.put(&key, session, name(3).unwrap_or_default(), now_ms)?;
                Vec::new()
            }
            "del" => {
                if !self.in_memory || ss.get(&key, session)?.is_some() {
                    ss.remove(&key, session, now_ms)?;
                }
                Vec::new()
            }
            "get" => vec![format!("get={}", show(ss.get(&key, session)?.map(String::as_str)))],
            "find" | "bfind" => of_key(ss.find(&key, time(1), time(2), way)?),
            "keys" => shown(ss.find_range((name(3).as_ref(), name(4).as_ref()), time(1), time(2), way)?),
            "fetch" | "bfetch" => of_key(ss.all_of(&key, way)?),
            _ => return cx.pass_on(record),
        };
        let mut say = |answer| cx.forward_with(Some(key.clone()), Some(Some(answer)), now_ms, record.headers);
        answers.into_iter().try_for_each(&mut say)
    }
}
