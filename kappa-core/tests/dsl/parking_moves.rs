//! Parking through restarts, moves and aborts between any two steps.

use super::Outcome;
use kappa_core::codec::utf8;
use kappa_core::processor::{Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::testing::{TestDriver, TestError, TestOptions};
use kappa_core::topology::{Topology, TopologyError};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Values that fail until they are mended.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<BTreeSet<String>>>);

impl Faults {
    pub(crate) fn of(values: &[&str]) -> Self {
        Self(Arc::new(Mutex::new(values.iter().map(ToString::to_string).collect())))
    }

    pub(crate) fn mend(&self, value: &str) {
        self.0.lock().expect("not poisoned").remove(value);
    }

    pub(crate) fn taste(&self, value: &str) -> Result<(), String> {
        let fails = self.0.lock().expect("not poisoned").contains(value);
        if fails { Err(format!("{value} is not to my taste")) } else { Ok(()) }
    }
}

impl Processor<String, String> for Faults {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        record: &Record<'_, String, String>,
        cx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        if let Some(value) = record.value()? {
            self.taste(value).map_err(|reason| cx.error(reason))?;
        }
        cx.pass_on(record)
    }
}

/// Every record is added up before a sibling fails on some.
pub(crate) fn summing(faults: &Faults) -> Result<Topology, TopologyError> {
    let faults = faults.clone();
    let mut app = Topology::builder();
    app.park_failed_keys();
    let input = app.stream("in", utf8(), utf8());
    input.group_by_key().aggregate("sums", utf8(), String::new, |_, value, all| format!("{all},{value}")).to("out");
    input.process("picky", &[], move || faults.clone()).with_codecs(utf8(), utf8()).to("tasted");
    app.build()
}

/// What happens between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    Nothing,
    Restart,
    Move,
}

type Seen = (Vec<(String, Option<String>, i64)>, Vec<(String, Option<String>, i64)>, Vec<(String, u64)>);

/// The same story, with something between its steps number `from` and the next one.
fn story(between: Between, at: usize, partitions: i32) -> Result<Seen, TestError> {
    let faults = Faults::of(&["!1", "!2"]);
    let options = TestOptions { partitions, ..TestOptions::default() };
    let driver = TestDriver::with_options(&summing(&faults).expect("a topology"), options)?;
    let input = driver.input("in", utf8(), utf8());
    let pipe = |key: &str, value: &str, timestamp_ms| input.pipe(key, value, timestamp_ms);
    let steps: Vec<Box<dyn Fn() -> Result<(), TestError> + '_>> = vec![
        Box::new(|| pipe("a", "1", 1)),
        Box::new(|| pipe("a", "!1", 2)),
        Box::new(|| pipe("b", "!2", 3)),
        Box::new(|| pipe("a", "2", 4)),
        Box::new(|| pipe("b", "1", 5)),
        Box::new(|| pipe("c", "!1", 6)),
        Box::new(|| driver.release("in", "a")),
        Box::new(|| {
            faults.mend("!1");
            pipe("a", "3", 7)
        }),
        Box::new(|| driver.release_all()),
        Box::new(|| pipe("a", "4", 8)),
        Box::new(|| pipe("b", "2", 9)),
        Box::new(|| driver.discard_first("in", "b")),
        Box::new(|| pipe("b", "3", 10)),
        Box::new(|| driver.release("in", "b")),
        Box::new(|| pipe("b", "4", 11)),
    ];
    for (number, step) in steps.iter().enumerate() {
        step()?;
        match between {
            _ if number != at => {}
            Between::Nothing => {}
            Between::Restart => driver.restart()?,
            Between::Move => driver.tasks().iter().try_for_each(|task| driver.move_task(task))?,
        }
    }
    let read = |topic| driver.output(topic, utf8(), utf8()).read_all();
    let parked = driver.parked()?.into_iter().map(|parked| (parked.key.to_string(), parked.records)).collect();
    Ok((read("out")?, read("tasted")?, parked))
}

#[test]
fn a_restart_or_move_between_any_two_steps_changes_nothing() -> Outcome {
    let record = |key: &str, value: &str, timestamp_ms| (key.to_owned(), Some(value.to_owned()), timestamp_ms);
    let tasted = [
        record("a", "1", 1),
        record("a", "!1", 2),
        record("a", "2", 4),
        record("a", "3", 7),
        record("c", "!1", 6),
        record("a", "4", 8),
        record("b", "1", 5),
        record("b", "2", 9),
        record("b", "3", 10),
        record("b", "4", 11),
    ];
    let (out, all, parked) = story(Between::Nothing, 0, 1)?;
    assert_eq!((&all[..], &parked[..]), (&tasted[..], &[][..]));
    let last = |key: &str| out.iter().rev().find(|(of, ..)| of == key).and_then(|(_, sum, _)| sum.clone());
    assert_eq!(last("a").as_deref(), Some(",1,!1,2,3,4"));
    assert_eq!(last("b").as_deref(), Some(",1,2,3,4"));
    assert_eq!(last("c").as_deref(), Some(",!1"));
    for partitions in [1, 3] {
        let expected = story(Between::Nothing, 0, partitions)?;
        for at in 0..15 {
            for between in [Between::Restart, Between::Move] {
                let seen = story(between, at, partitions)?;
                assert_eq!(seen, expected, "{between:?} behind step {at}, {partitions} partitions");
            }
        }
    }
    Ok(())
}
