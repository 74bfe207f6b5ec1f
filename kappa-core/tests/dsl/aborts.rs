//! An aborted transaction leaves nothing: neither in stores nor in operators.

use super::Outcome;
use kappa_core::codec::{i64_be, utf8};
use kappa_core::log::{Headers, RecordView, TopicHandle};
use kappa_core::processor::{Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::task::{InlineCalls, Output, OutputTopic, ProcessError, SourceRecord, TaskProcessor, TaskScope};
use kappa_core::topology::Topology;
use kappa_state::{MemoryBackend, TailBound};

/// Counts in memory and forwards the count with the stream time.
struct InMemory(i64);

impl Processor<String, i64> for InMemory {
    type Key = String;
    type Value = i64;

    fn process(
        &mut self,
        record: &Record<'_, String, i64>,
        cx: &mut ProcessorContext<'_, '_, String, i64>,
    ) -> Result<(), ProcessError> {
        self.0 += 1;
        let time = cx.stream_time_ms();
        cx.forward(record.key()?.clone(), self.0 * 1000 + time)
    }
}

fn process(task: &mut dyn TaskProcessor, timestamp_ms: i64, out: &mut Output) -> Result<(), ProcessError> {
    let view = RecordView { offset: 0, timestamp_ms, key: Some(b"k"), value: Some(b"v") };
    task.process(0, &SourceRecord { view, headers: Headers::empty() }, out)
}

/// What was written: the topic's number, and the value as a number.
fn take(out: &mut Output) -> Vec<(u32, i64)> {
    let batch = std::mem::take(&mut out.batch);
    let number = |range: &std::ops::Range<u32>| {
        let bytes = &batch.bytes[range.start as usize..range.end as usize];
        i64::from_be_bytes(bytes.try_into().expect("the test writes numbers"))
    };
    batch.entries.iter().map(|entry| (entry.topic.0, entry.value.as_ref().map_or(-1, number))).collect()
}

#[test]
fn an_abort_takes_back_counts_processors_and_stream_time() -> Outcome {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8());
    let _ = input.group_by_key().count("counts");
    input.map_values(|_, _| 0).process("in-memory", &[], || InMemory(0)).with_codecs(utf8(), i64_be()).to("out");
    let topology = app.build()?;
    let state = MemoryBackend::new();
    let scope = TaskScope {
        calls: std::sync::Arc::new(InlineCalls::default()),
        globals: kappa_core::task::Globals::default(),
        undo_records: false,
        name: "counts-0",
        partition: 0,
        state: &state,
        tail_bound: TailBound::default(),
        cache_bytes_per_store: 1 << 20,
    };
    let mut task = topology.instantiate(0, &scope)?;
    task.store(0).restored(0, &[])?;
    // The outputs' order is the plan's: out, then counts' changelog.
    let topics = [0, 1].map(|handle| OutputTopic { handle: TopicHandle(handle), partitions: 1 });
    let mut out = Output::new(topics.to_vec(), 0);

    process(&mut *task, 10, &mut out)?;
    task.flush(&mut out)?;
    assert_eq!(take(&mut out), [(0, 1010), (1, 1)]);
    task.store(0).committed(Some(1), &[], 0)?;

    process(&mut *task, 99, &mut out)?;
    assert!(task.dirty_bytes() > 0);
    task.flush(&mut out)?;
    assert_eq!(take(&mut out), [(0, 2099), (1, 2)]);
    task.store(0).aborted();
    task.aborted();

    process(&mut *task, 20, &mut out)?;
    task.flush(&mut out)?;
    assert_eq!(take(&mut out), [(0, 1020), (1, 2)], "a new processor, the committed stream time, the committed count");
    Ok(())
}
