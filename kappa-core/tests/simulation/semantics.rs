//! Operators with time and state of their own through all troubles: the input is there before the first process starts, so each
//! task's order of records is decided by their timestamps, and what must be committed in the end is what the test driver makes
//! of the same records, record by record and key by key.

use crate::job::APPLICATION;
use crate::judge::Judge;
use crate::knobs::Knobs;
use crate::parking::{is_released, mended};
use crate::random::Random;
use crate::stories::Story;
use kappa_core::codec::bytes;
use kappa_core::log::embedded::{EmbeddedLog, InspectedKind};
use kappa_core::log::{AppendBatch, AppendOptions, Headers, Log, Start, TopicPartition};
use kappa_core::partitioner;
use kappa_core::testing::{TestDriver, TestOptions};
use kappa_core::topology::TopicRef;
use kappa_state::MemoryBackend;
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const INPUTS: [&str; 2] = ["left", "right"];
pub(crate) const RESULT: &str = "out";
pub(crate) const LETTERS: &str = "letters";
const KEYS: u64 = 6;

#[derive(Debug, Clone)]
struct Fed {
    /// Index into [`INPUTS`].
    input: usize,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp_ms: i64,
}

/// For each key its records: value and timestamp.
type Histories = BTreeMap<Vec<u8>, Vec<(Option<Vec<u8>>, i64)>>;

pub(crate) struct Semantics {
    story: Story,
    at_once: bool,
    partitions: i32,
    /// All topics that tasks read, internal ones too.
    sources: Vec<String>,
    fed: Vec<Fed>,
    expected: Histories,
    letters: Vec<Vec<u8>>,
}

impl Semantics {
    /// Draws the records of a story, and lets the test driver say what must come of them.
    pub(crate) fn new(story: Story, knobs: &Knobs, random: &mut Random) -> Self {
        let (at_once, partitions) = (knobs.at_once, knobs.partitions_in);
        let mut time_ms = 0;
        let fed: Vec<Fed> = (0..60 + random.below(100))
            .map(|number| {
                time_ms += if random.below(12) == 0 { random.between(0, 60) } else { random.between(0, 6) };
                let value = (random.below(10) > 0).then(|| {
                    let failing = (story.fails || story.parks) && random.below(8) == 0;
                    format!("{}{number}", if failing { "!" } else { "v" }).into_bytes()
                });
                Fed {
                    input: random.index(story.inputs),
                    key: vec![b'a' + random.below(KEYS) as u8],
                    value,
                    timestamp_ms: (time_ms - random.between(0, 8)).max(0),
                }
            })
            .collect();
        let topology = (story.topology)();
        let sources = topology.plan().sub_topologies.iter().flat_map(|sub| &sub.sources);
        let sources = sources.map(|source| source.topic.physical(APPLICATION)).collect();
        let expected = Histories::new();
        let mut judge = Self { story, at_once, partitions, sources, fed, expected, letters: Vec::new() };
        judge.letters = judge.fed.iter().filter_map(|fed| judge.failing(fed)).collect();
        judge.letters.sort();
        judge.expected = mended(|| judge.ask_driver());
        judge
    }

    /// The value of a record that fails.
    fn failing(&self, fed: &Fed) -> Option<Vec<u8>> {
        fed.value.clone().filter(|value| self.story.fails && value.starts_with(b"!"))
    }

    fn partition(&self, fed: &Fed) -> i32 {
        partitioner::partition(&fed.key, self.partitions)
    }

    /// The order in which the task of a partition takes its records: of the heads of its inputs the one with the smallest
    /// timestamp, of the first input where they are equal.
    fn in_order(&self, partition: i32) -> Vec<&Fed> {
        let of = |input| self.fed.iter().filter(move |fed| fed.input == input && self.partition(fed) == partition);
        let mut queues: Vec<_> = (0..INPUTS.len()).map(|input| of(input).peekable()).collect();
        let mut order = Vec::new();
        loop {
            let heads = queues.iter_mut().enumerate();
            let next = heads.filter_map(|(input, queue)| queue.peek().map(|fed| (fed.timestamp_ms, input))).min();
            let Some((_, input)) = next else { return order };
            order.extend(queues[input].next());
        }
    }

    fn ask_driver(&self) -> Histories {
        let cache_bytes = if self.at_once { 0 } else { 1 << 20 };
        let options = TestOptions { partitions: self.partitions, cache_bytes, ..TestOptions::default() };
        let driver = TestDriver::with_options(&(self.story.topology)(), options).expect("a driver");
        let orders: Vec<Vec<&Fed>> = (0..self.partitions).map(|partition| self.in_order(partition)).collect();
        let rounds: &[fn(&Fed) -> bool] = match self.story.global {
            true => &[|fed| fed.input == 1, |fed| fed.input == 0],
            false => &[|_| true],
        };
        for round in rounds {
            for fed in orders.iter().flatten().filter(|fed| round(fed)) {
                if self.failing(fed).is_none() {
                    let input = driver.input(INPUTS[fed.input], bytes(), bytes());
                    input.pipe_bytes(Some(&fed.key), fed.value.as_deref(), fed.timestamp_ms).expect("piped");
                }
            }
        }
        let mut histories = Histories::new();
        for record in driver.take_written() {
            if record.topic == TopicRef::External(RESULT.into()) {
                let key = record.key.expect("results have keys");
                histories.entry(key).or_default().push((record.value, record.timestamp_ms));
            }
        }
        histories
    }

    /// Writes the input.
    pub(crate) fn feed(&self, log: &EmbeddedLog) {
        let options = AppendOptions {
            client_id: "feeder".into(),
            transactional_id: None,
            transaction_timeout: Duration::from_secs(1),
            linger: Duration::ZERO,
            buffer_bytes: 1 << 20,
        };
        let mut client = log.append(options).expect("an appender");
        let mut batch = AppendBatch::default();
        for fed in &self.fed {
            let topic = client.topic(INPUTS[fed.input], false).expect("an input");
            let (key, value) = (Some(&*fed.key), fed.value.as_deref());
            batch.push(topic, self.partition(fed), fed.timestamp_ms, key, value, Headers::empty());
        }
        client.append(&batch).and_then(|()| client.flush(Duration::ZERO)).expect("fed");
    }

    /// What is committed in a topic.
    fn committed(log: &EmbeddedLog, topic: &str) -> Vec<(Vec<u8>, Option<Vec<u8>>, i64)> {
        let mut found = Vec::new();
        for partition in 0.. {
            let Ok(records) = log.inspect(&TopicPartition::new(topic, partition)) else { break };
            for record in records {
                if let (InspectedKind::Plain | InspectedKind::Committed, Some(key)) = (record.kind, record.key) {
                    found.push((key.to_vec(), record.value.map(|value| value.to_vec()), record.timestamp_ms));
                }
            }
        }
        found
    }

    fn histories(log: &EmbeddedLog) -> Histories {
        let mut histories = Histories::new();
        for (key, value, timestamp_ms) in Self::committed(log, RESULT) {
            histories.entry(key).or_default().push((value, timestamp_ms));
        }
        histories
    }

    /// How a key's records must go on: all of them as expected, or, where only a commit's last result counts, in the same order
    /// with some left out.
    fn is_beginning(&self, found: &[(Option<Vec<u8>>, i64)], expected: &[(Option<Vec<u8>>, i64)]) -> bool {
        if self.story.regroups {
            return true;
        }
        if self.at_once || !self.story.compacts {
            return expected.starts_with(found);
        }
        let mut rest = expected.iter();
        found.iter().all(|record| rest.any(|other| other == record))
    }
}

impl Semantics {
    /// How a key's records must end when all is processed.
    fn is_end(&self, found: &[(Option<Vec<u8>>, i64)], expected: &[(Option<Vec<u8>>, i64)]) -> bool {
        if self.story.regroups {
            // A row that was deleted, or never there.
            let last = |records: &[(Option<Vec<u8>>, i64)]| records.last().and_then(|(value, _)| value.clone());
            return last(found) == last(expected);
        }
        found.last() == expected.last() && (!self.at_once || found.len() == expected.len())
    }
}

impl Judge for Semantics {
    fn has_committed(&mut self, _: &str, _: &str, _: i32, _: i64, _: u64) {}

    fn check_restore(&mut self, _: &str, _: &TopicPartition, _: Start) -> Result<(), String> {
        Ok(())
    }

    fn take_snapshots(&mut self, _: &str, _: &MemoryBackend) -> Result<(), String> {
        Ok(())
    }

    fn check(&mut self, log: &EmbeddedLog, group: &str) -> Result<(), String> {
        let ends = !self.story.parks || is_released();
        let (found, through) = (Self::histories(log), ends && self.is_through(log, group));
        let show = |records: &[(Option<Vec<u8>>, i64)]| {
            let text =
                |value: &Option<Vec<u8>>| value.as_deref().map(String::from_utf8_lossy).map(|text| text.into_owned());
            records.iter().map(|(value, time)| format!("{:?}@{time}", text(value))).collect::<Vec<_>>().join(" ")
        };
        for key in self.expected.keys().chain(found.keys()) {
            let of = |histories: &Histories| histories.get(key).cloned().unwrap_or_default();
            let (expected, found) = (of(&self.expected), of(&found));
            let ends = !through || self.is_end(&found, &expected);
            if !self.is_beginning(&found, &expected) || !ends {
                let key = String::from_utf8_lossy(key).into_owned();
                let (found, expected) = (show(&found), show(&expected));
                return Err(format!("{}: key {key:?} has\n  {found}\nand must have\n  {expected}", self.story.name));
            }
        }
        let mut letters: Vec<Vec<u8>> =
            Self::committed(log, LETTERS).into_iter().filter_map(|(_, value, _)| value).collect();
        letters.sort();
        if letters.windows(2).any(|pair| pair[0] == pair[1]) || (through && letters != self.letters) {
            return Err(format!("{}: dead letters {letters:?}, failing are {:?}", self.story.name, self.letters));
        }
        Ok(())
    }

    fn is_through(&mut self, log: &EmbeddedLog, group: &str) -> bool {
        let offsets = log.group(group).map(|group| group.offsets).unwrap_or_default();
        self.sources.iter().all(|topic| {
            (0..)
                .map_while(|partition| Some((partition, log.inspect(&TopicPartition::new(&**topic, partition)).ok()?)))
                .all(|(partition, records)| {
                    let committed = offsets.get(&TopicPartition::new(&**topic, partition));
                    let committed = committed.map(|committed| committed.offset);
                    records.last().is_none_or(|last| committed.is_some_and(|committed| committed > last.offset))
                })
        })
    }
}
