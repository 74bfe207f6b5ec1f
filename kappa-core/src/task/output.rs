//! Where a task's operators write: an arena of records with their partitions computed.

use crate::log::{AppendBatch, AppendEntry, Headers, TopicHandle};
use crate::partitioner;

/// An output topic as a thread's appender knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputTopic {
    /// The appender's handle.
    pub handle: TopicHandle,
    /// The number of its partitions.
    pub partitions: i32,
}

/// Records on their way out of one task, in order.
#[derive(Debug, Default)]
pub struct Output {
    /// The records; the driver sends and clears them.
    pub batch: AppendBatch,
    topics: Vec<OutputTopic>,
    task_partition: i32,
    keyless: u32,
}

/// A place in an output: see [`Output::mark`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputMark {
    entries: usize,
    bytes: usize,
    keyless: u32,
}

impl Output {
    /// An output of a task's partition over the plan's outputs, in their order.
    pub fn new(topics: Vec<OutputTopic>, task_partition: i32) -> Self {
        Self { batch: AppendBatch::default(), topics, task_partition, keyless: 0 }
    }

    /// Points this output at another task, keeping the arena's memory and contents.
    pub fn retarget(&mut self, topics: &[OutputTopic], task_partition: i32) {
        self.topics.clear();
        self.topics.extend_from_slice(topics);
        self.task_partition = task_partition;
    }

    /// Where the output stands.
    pub fn mark(&self) -> OutputMark {
        OutputMark { entries: self.batch.entries.len(), bytes: self.batch.bytes.len(), keyless: self.keyless }
    }

    /// Takes back what was written since `mark`, of which nothing has been appended yet.
    pub fn rewind(&mut self, mark: OutputMark) {
        self.batch.entries.truncate(mark.entries);
        self.batch.bytes.truncate(mark.bytes);
        self.keyless = mark.keyless;
    }

    /// Writes a record to output `output`. Of the key the second part is what it is partitioned by, as Kafka's Java client does
    /// (murmur2): all of its bytes, as a rule. Records without a key go round robin. `value` writes the value's bytes into the arena and returns
    /// false for a null.
    pub fn send<E>(
        &mut self,
        output: usize,
        timestamp_ms: i64,
        headers: &Headers,
        (key, by): (Option<&[u8]>, Option<&[u8]>),
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let topic = self.topics[output];
        let partition = match by {
            Some(key) => partitioner::partition(key, topic.partitions),
            None => {
                self.keyless = self.keyless.wrapping_add(1);
                (self.keyless % topic.partitions as u32) as i32
            }
        };
        self.put(topic.handle, partition, timestamp_ms, headers, key, value)
    }

    /// The number of partitions of output `output`.
    pub fn partitions(&self, output: usize) -> i32 {
        self.topics[output].partitions
    }

    /// Writes a record to one partition of output `output`: as [`send`](Self::send), but the caller chooses.
    pub fn send_to<E>(
        &mut self,
        output: usize,
        partition: i32,
        timestamp_ms: i64,
        headers: &Headers,
        key: Option<&[u8]>,
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.put(self.topics[output].handle, partition, timestamp_ms, headers, key, value)
    }

    /// Writes a changelog record: to the partition of the task's own number.
    pub fn log(&mut self, output: usize, timestamp_ms: i64, key: &[u8], value: Option<&[u8]>) {
        let topic = self.topics[output];
        let key = Some(self.batch.copy(key));
        let value = value.map(|bytes| self.batch.copy(bytes));
        self.batch.entries.push(AppendEntry {
            topic: topic.handle,
            partition: self.task_partition,
            timestamp_ms,
            key,
            value,
            headers: Headers::empty(),
        });
    }

    fn put<E>(
        &mut self,
        topic: TopicHandle,
        partition: i32,
        timestamp_ms: i64,
        headers: &Headers,
        key: Option<&[u8]>,
        value: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let rewind = self.batch.bytes.len();
        let key = key.map(|bytes| self.batch.copy(bytes));
        let start = self.batch.bytes.len() as u32;
        match value(&mut self.batch.bytes) {
            Ok(present) => {
                let value = present.then_some(start..self.batch.bytes.len() as u32);
                let headers = headers.clone();
                self.batch.entries.push(AppendEntry { topic, partition, timestamp_ms, key, value, headers });
                Ok(())
            }
            Err(error) => {
                self.batch.bytes.truncate(rewind);
                Err(error)
            }
        }
    }
}
