//! Handing records over to librdkafka: those of a partition together, where it takes them so.
//!
//! **Invariants:** records of one partition keep their order; a full buffer is waited for, up to a deadline.

use super::KafkaAppend;
use super::parcels::Parcels;
use crate::log::kafka::classify::{During, is_missing_topic};
use crate::log::kafka::sys::{Code, Outgoing, Parcel, Plain, RawError};
use crate::log::{AppendBatch, AppendEntry, DEFAULT_DEADLINE, LogError, TopicHandle};
use std::ops::Range;
use std::time::{Duration, Instant};

const FULL_PAUSE: Duration = Duration::from_millis(1);

fn plain<'b>(batch: &'b AppendBatch, entry: &'b AppendEntry) -> Plain<'b> {
    Plain {
        // librdkafka takes 0 as "now": the next millisecond is the nearest it can write.
        timestamp_ms: if entry.timestamp_ms == 0 { 1 } else { entry.timestamp_ms },
        key: entry.key.as_ref().map(|range| batch.slice(range)),
        value: entry.value.as_ref().map(|range| batch.slice(range)),
    }
}

impl KafkaAppend {
    fn check_target(&mut self, entry: &AppendEntry) -> Result<(), LogError> {
        let index = entry.topic.0 as usize;
        let Some(known) = self.topics.get(index) else {
            return Err(LogError::Misuse { operation: "append", reason: format!("{:?} is not a topic", entry.topic) });
        };
        let missing = || LogError::PartitionMissing { topic: known.name.clone(), partition: entry.partition };
        if entry.partition < 0 {
            return Err(missing());
        }
        if entry.partition >= known.partitions {
            // Partitions may have been added since.
            let partitions = self.look_up(&known.name)?;
            if entry.partition >= partitions {
                return Err(missing());
            }
            self.topics[index].partitions = partitions;
        }
        Ok(())
    }

    /// Notes that a partition's position will be asked for.
    fn note_partition(&mut self, topic: TopicHandle, partition: i32) {
        if let Some(reported @ false) = self.topics[topic.0 as usize].reported.get_mut(partition as usize) {
            *reported = true;
            self.reported.push((topic, partition));
        }
    }

    /// Hands one record over, waiting while the buffer is full.
    fn produce(&mut self, batch: &AppendBatch, entry: &AppendEntry) -> Result<(), LogError> {
        self.note_partition(entry.topic, entry.partition);
        let plain = plain(batch, entry);
        let record = Outgoing {
            topic: &self.topics[entry.topic.0 as usize].handle,
            partition: entry.partition,
            timestamp_ms: plain.timestamp_ms,
            key: plain.key,
            value: plain.value,
            headers: &entry.headers,
        };
        let mut full_since = None;
        loop {
            match self.client.produce(&record) {
                Ok(()) => return Ok(()),
                Err(error) if error.code == Code::LOCAL_QUEUE_FULL => self.wait_for_room(&mut full_since)?,
                Err(error) => return Err(self.not_taken(entry, &error)),
            }
        }
    }

    /// Hands records of one partition over, none of which has headers.
    fn produce_all(&mut self, batch: &AppendBatch, indices: &[u32], parcel: &mut Parcel) -> Result<(), LogError> {
        let entry = |at: usize| &batch.entries[indices[at] as usize];
        let Some(first) = indices.first().map(|_| entry(0)) else { return Ok(()) };
        self.note_partition(first.topic, first.partition);
        let (mut from, mut full_since) = (0, None);
        loop {
            let topic = &self.topics[first.topic.0 as usize].handle;
            let records = (from..indices.len()).map(|at| plain(batch, entry(at)));
            let Err(refused) = self.client.produce_all(topic, first.partition, records, parcel) else { return Ok(()) };
            if refused.at > 0 {
                full_since = None;
            }
            from += refused.at;
            match refused.code {
                Code::LOCAL_QUEUE_FULL => self.wait_for_room(&mut full_since)?,
                code => return Err(self.not_taken(entry(from), &RawError::of(code, code.describe()))),
            }
        }
    }

    /// Pauses while the buffer is full, up to the deadline.
    fn wait_for_room(&self, full_since: &mut Option<Instant>) -> Result<(), LogError> {
        let since = *full_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= DEFAULT_DEADLINE {
            let error = LogError::Timeout { operation: "append", deadline: DEFAULT_DEADLINE };
            return Err(self.hooks.explain("append", error));
        }
        std::thread::sleep(FULL_PAUSE);
        Ok(())
    }

    /// Why librdkafka did not take a record.
    fn not_taken(&mut self, entry: &AppendEntry, error: &RawError) -> LogError {
        let topic = &self.topics[entry.topic.0 as usize].name;
        match error.code {
            Code::MESSAGE_TOO_LARGE => {
                let bytes = [&entry.key, &entry.value].into_iter().flatten().map(Range::len).sum();
                LogError::RecordTooLarge { topic: topic.clone(), bytes }
            }
            Code::BAD_MESSAGE => LogError::Fatal {
                operation: "append",
                reason: "this librdkafka keeps timestamps elsewhere than the release it says it is; build with the bundled one".into(),
            },
            code if is_missing_topic(code) => LogError::TopicMissing { topic: topic.clone() },
            Code::LOCAL_UNKNOWN_PARTITION => {
                LogError::PartitionMissing { topic: topic.clone(), partition: entry.partition }
            }
            _ => self.failed(During::Transaction, "append", DEFAULT_DEADLINE, error),
        }
    }

    pub(super) fn append_all(&mut self, batch: &AppendBatch) -> Result<(), LogError> {
        if !self.client.takes_parcels() {
            for entry in &batch.entries {
                self.check_target(entry)?;
                self.produce(batch, entry)?;
            }
            return Ok(());
        }
        let mut parcels = std::mem::take(&mut self.parcels);
        let outcome = self.append_parcels(batch, &mut parcels);
        parcels.clear();
        self.parcels = parcels;
        outcome
    }

    fn append_parcels(&mut self, batch: &AppendBatch, parcels: &mut Parcels) -> Result<(), LogError> {
        for (index, entry) in batch.entries.iter().enumerate() {
            self.check_target(entry)?;
            parcels.put(entry.topic, entry.partition, index);
        }
        while let Some((topic, partition, records)) = parcels.take() {
            // A record with headers goes by itself, at its place among the others.
            let has_headers = |index: &u32| !batch.entries[*index as usize].headers.is_empty();
            for part in records.chunk_by(|a, b| !has_headers(a) && !has_headers(b)) {
                match part {
                    [index] if has_headers(index) => self.produce(batch, &batch.entries[*index as usize])?,
                    plain => self.produce_all(batch, plain, &mut parcels.parcel)?,
                }
            }
            parcels.done(topic, partition, records);
        }
        Ok(())
    }
}
