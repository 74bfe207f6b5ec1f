//! The appender.
//!
//! **Invariants:**
//! - What the log refused in a transaction is kept in `failed`: commit gives it, only abort clears it.
//! - After `dead` is set every call gives it.

use super::operation::Operation;
use super::segment::{Kind, Segment, Stored};
use super::shared::Caller;
use super::state::State;
use super::transactions::{MarkerDelays, ProducerStamp};
use crate::log::{
    Append, AppendBatch, AppendEntry, AppendOptions, LogError, MemberStamp, OffsetCommit, Position, Recovery,
    TopicHandle, TopicPartition,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A topic that was looked up.
#[derive(Debug)]
struct Known {
    name: Arc<str>,
    index: usize,
    reports_position: bool,
    max_record_bytes: usize,
    needs_keys: bool,
    partitions: Vec<TopicPartition>,
    /// For each partition, which of the batch's segments is its; scratch of one `append`.
    segment_of: Vec<Option<u32>>,
}

/// Appends to an embedded log.
#[derive(Debug)]
pub(super) struct EmbeddedAppend {
    caller: Caller,
    options: AppendOptions,
    topics: Vec<Known>,
    producer: Option<ProducerStamp>,
    is_open: bool,
    failed: Option<LogError>,
    dead: Option<LogError>,
    positions: BTreeMap<(TopicHandle, i32), i64>,
}

/// A batch's records of one partition.
#[derive(Debug)]
struct Part {
    topic: TopicHandle,
    partition: i32,
    records: Vec<Stored>,
}

impl EmbeddedAppend {
    pub(super) fn new(caller: Caller, options: AppendOptions) -> Self {
        Self {
            caller,
            options,
            topics: Vec::new(),
            producer: None,
            is_open: false,
            failed: None,
            dead: None,
            positions: BTreeMap::new(),
        }
    }

    fn misuse<T>(operation: Operation, reason: &str) -> Result<T, LogError> {
        Err(LogError::Misuse { operation: operation.name(), reason: reason.to_owned() })
    }

    /// The client's stamp, where it is fit for a transaction call.
    fn stamp(&self, operation: Operation) -> Result<ProducerStamp, LogError> {
        if self.options.transactional_id.is_none() {
            return Self::misuse(operation, "this appender has no transactional id");
        }
        if let Some(dead) = &self.dead {
            return Err(dead.clone());
        }
        match &self.producer {
            Some(stamp) => Ok(stamp.clone()),
            None => Self::misuse(operation, "init must come first"),
        }
    }

    fn open_stamp(&self, operation: Operation) -> Result<ProducerStamp, LogError> {
        let stamp = self.stamp(operation)?;
        if self.is_open { Ok(stamp) } else { Self::misuse(operation, "no transaction is open; begin one") }
    }

    /// Remembers an error that ends the client or the transaction.
    fn note<T>(&mut self, result: Result<T, LogError>) -> Result<T, LogError> {
        if let Err(error) = &result {
            match error.recovery() {
                Recovery::ReplaceClient => self.dead = Some(error.clone()),
                Recovery::AbortTransaction | Recovery::Rejoin => self.failed = Some(error.clone()),
                _ => {}
            }
        }
        result
    }

    /// Sorts a batch's records by partition.
    fn split(&mut self, batch: &AppendBatch) -> Result<Vec<Part>, LogError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut refused = None;
        for entry in &batch.entries {
            let Some(known) = self.topics.get_mut(entry.topic.0 as usize) else {
                refused = Some(LogError::Misuse {
                    operation: Operation::Append.name(),
                    reason: format!("{:?} is not of this appender", entry.topic),
                });
                break;
            };
            let Some(place) = usize::try_from(entry.partition).ok().and_then(|at| known.segment_of.get_mut(at)) else {
                let topic = known.name.to_string();
                refused = Some(LogError::PartitionMissing { topic, partition: entry.partition });
                break;
            };
            let number = *place.get_or_insert_with(|| {
                parts.push(Part { topic: entry.topic, partition: entry.partition, records: Vec::new() });
                parts.len() as u32 - 1
            });
            let records = &mut parts[number as usize].records;
            records.push(Stored {
                delta: records.len() as u32,
                timestamp_ms: entry.timestamp_ms,
                key: entry.key.clone(),
                value: entry.value.clone(),
                headers: entry.headers.clone(),
            });
        }
        for part in &parts {
            self.topics[part.topic.0 as usize].segment_of[part.partition as usize] = None;
        }
        refused.map_or(Ok(parts), Err)
    }

    /// What the log would refuse: it shows at commit or flush, as with any log that answers later.
    fn find_refused(&self, batch: &AppendBatch) -> Option<LogError> {
        batch.entries.iter().find_map(|entry| {
            let known = self.topics.get(entry.topic.0 as usize)?;
            let bytes = size_of_entry(entry);
            if bytes > known.max_record_bytes {
                return Some(LogError::RecordTooLarge { topic: known.name.to_string(), bytes });
            }
            (known.needs_keys && entry.key.is_none()).then(|| LogError::AbortRequired {
                operation: Operation::Append.name(),
                reason: format!("topic {} is compacted and takes no record without a key", known.name),
            })
        })
    }

    fn store(&mut self, parts: Vec<Part>, bytes: &Arc<[u8]>, stamp: Option<&ProducerStamp>) -> Result<(), LogError> {
        let Self { caller, topics, positions, .. } = self;
        let mut state = caller.shared.lock();
        if let Some(stamp) = stamp {
            let open = state.transaction(Operation::Append.name(), stamp)?;
            for part in &parts {
                let partition = &topics[part.topic.0 as usize].partitions[part.partition as usize];
                if !open.partitions.contains(partition) {
                    open.partitions.insert(partition.clone());
                }
            }
        }
        let kind = Kind::Data { producer: stamp.map(|stamp| stamp.producer) };
        for part in parts {
            let known = &mut topics[part.topic.0 as usize];
            let next_offset = store_part(
                &mut state,
                known,
                part.partition,
                Segment { base: 0, next: 0, kind, bytes: Arc::clone(bytes), records: part.records },
            )?;
            if known.reports_position {
                positions.insert((part.topic, part.partition), next_offset);
            }
        }
        drop(state);
        caller.shared.notify();
        Ok(())
    }

    fn take_positions(&mut self) -> Vec<Position> {
        let positions = std::mem::take(&mut self.positions);
        positions
            .into_iter()
            .map(|((topic, partition), next_offset)| Position { topic, partition, next_offset })
            .collect()
    }

    /// Ends the transaction at the log.
    fn end(&mut self, operation: Operation, stamp: &ProducerStamp, commit: bool) -> Result<(), LogError> {
        let delays = self.marker_delays(stamp);
        self.caller.call(operation, |state| state.end_transaction(operation.name(), stamp, commit, &delays))
    }

    #[cfg(feature = "testing")]
    fn marker_delays(&self, stamp: &ProducerStamp) -> MarkerDelays {
        let Some(hook) = self.caller.hook() else { return MarkerDelays::new() };
        let partitions = self.caller.shared.lock().transaction_partitions(stamp);
        let call = self.caller.describe(Operation::Commit);
        let delay = |partition: TopicPartition| {
            let delay_ms = hook.marker_delay_ms(&call, &partition)?;
            Some((partition, delay_ms))
        };
        partitions.into_iter().filter_map(delay).collect()
    }

    #[cfg(feature = "testing")]
    fn commit_delay_ms(&self) -> Option<i64> {
        self.caller.hook()?.commit_delay_ms(&self.caller.describe(Operation::Commit))
    }

    /// Sends a commit that arrives later, and hears nothing of it.
    fn send_late(&self, stamp: &ProducerStamp, delay_ms: i64) -> Result<(), LogError> {
        self.caller.before(Operation::Commit)?;
        self.caller.shared.lock().delay_commit(stamp, delay_ms);
        Err(Operation::Commit.lost_answer())
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "without faults no commit is late")]
    fn commit_delay_ms(&self) -> Option<i64> {
        None
    }

    #[cfg(not(feature = "testing"))]
    #[expect(clippy::unused_self, reason = "without faults no marker is late")]
    fn marker_delays(&self, _: &ProducerStamp) -> MarkerDelays {
        MarkerDelays::new()
    }
}

fn store_part(state: &mut State, known: &mut Known, partition: i32, segment: Segment) -> Result<i64, LogError> {
    if state.topics.at(known.index).is_none() {
        known.index = state.topics.index(&known.name)?;
    }
    let topic = state.topics.at_mut(known.index);
    let log = topic.and_then(|topic| topic.partitions.get_mut(partition as usize));
    let Some(log) = log else {
        return Err(LogError::PartitionMissing { topic: known.name.to_string(), partition });
    };
    log.append(segment);
    Ok(log.log_end)
}

fn size_of_entry(entry: &AppendEntry) -> usize {
    let range = |range: &Option<std::ops::Range<u32>>| range.as_ref().map_or(0, |range| range.len());
    let headers = entry.headers.as_slice().iter();
    let headers: usize =
        headers.map(|header| header.name.len() + header.value.as_ref().map_or(0, |value| value.len())).sum();
    range(&entry.key) + range(&entry.value) + headers
}

impl Append for EmbeddedAppend {
    fn topic(&mut self, name: &str, report_position: bool) -> Result<TopicHandle, LogError> {
        if let Some(at) = self.topics.iter().position(|known| &*known.name == name) {
            self.topics[at].reports_position |= report_position;
            return Ok(TopicHandle(at as u32));
        }
        let known = self.caller.call(Operation::LookUpTopic, |state| {
            let index = state.topics.index(name)?;
            let topic = state.topics.topic(name)?;
            let name: Arc<str> = Arc::from(name);
            let partitions = 0..topic.spec.partitions;
            Ok(Known {
                index,
                reports_position: report_position,
                max_record_bytes: topic.max_record_bytes(),
                needs_keys: topic.is_compacted(),
                segment_of: vec![None; partitions.len()],
                partitions: partitions.map(|at| TopicPartition::new(Arc::clone(&name), at)).collect(),
                name,
            })
        })?;
        self.topics.push(known);
        Ok(TopicHandle(self.topics.len() as u32 - 1))
    }

    fn init(&mut self, _: Duration) -> Result<(), LogError> {
        let Some(id) = self.options.transactional_id.clone() else {
            return Self::misuse(Operation::Init, "this appender has no transactional id");
        };
        if let Some(dead) = &self.dead {
            return Err(dead.clone());
        }
        if self.producer.is_some() {
            return Self::misuse(Operation::Init, "init was called already");
        }
        let timeout_ms = super::clock::as_ms(self.options.transaction_timeout);
        let stamp = self.caller.call(Operation::Init, |state| Ok(state.init_producer(&id, timeout_ms)))?;
        self.producer = Some(stamp);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), LogError> {
        let stamp = self.stamp(Operation::Begin)?;
        if self.is_open {
            return Self::misuse(Operation::Begin, "a transaction is open already");
        }
        let name = Operation::Begin.name();
        let begun = self.caller.call(Operation::Begin, |state| state.check_producer(name, &stamp));
        self.note(begun)?;
        self.is_open = true;
        Ok(())
    }

    fn append(&mut self, batch: &AppendBatch) -> Result<(), LogError> {
        let stamp = match self.options.transactional_id {
            Some(_) => Some(self.open_stamp(Operation::Append)?),
            None => None,
        };
        self.caller.before(Operation::Append)?;
        if self.failed.is_some() || batch.is_empty() {
            // What follows a refused record is never visible: commit and flush give the refusal.
            return Ok(());
        }
        let parts = self.split(batch)?;
        if let Some(refused) = self.find_refused(batch) {
            self.failed = Some(refused);
            return Ok(());
        }
        let bytes: Arc<[u8]> = Arc::from(batch.bytes.as_slice());
        let stored = self.store(parts, &bytes, stamp.as_ref());
        self.note(stored)?;
        if let Err(lost) = self.caller.after(Operation::Append) {
            let (operation, reason) = (Operation::Append.name(), lost.to_string());
            self.failed = Some(LogError::AbortRequired { operation, reason });
        }
        Ok(())
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit], member: &MemberStamp) -> Result<(), LogError> {
        let stamp = self.open_stamp(Operation::SendOffsets)?;
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let name = Operation::SendOffsets.name();
        let sent = self.caller.call(Operation::SendOffsets, |state| {
            state.check_producer(name, &stamp)?;
            state.group_mut(&member.group).check_stamp(name, member)?;
            state.add_offsets(name, &stamp, &member.group, offsets)
        });
        self.note(sent)
    }

    fn commit(&mut self) -> Result<Vec<Position>, LogError> {
        let stamp = self.open_stamp(Operation::Commit)?;
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let ended = match self.commit_delay_ms() {
            Some(delay_ms) => self.send_late(&stamp, delay_ms),
            None => self.end(Operation::Commit, &stamp, true),
        };
        self.note(ended)?;
        self.is_open = false;
        Ok(self.take_positions())
    }

    fn abort(&mut self) -> Result<(), LogError> {
        let stamp = self.stamp(Operation::Abort)?;
        if !self.is_open {
            return Ok(());
        }
        let ended = self.end(Operation::Abort, &stamp, false);
        self.note(ended)?;
        self.is_open = false;
        self.failed = None;
        self.positions.clear();
        Ok(())
    }

    fn flush(&mut self, _: Duration) -> Result<Vec<Position>, LogError> {
        self.caller.call(Operation::Flush, |_| Ok(()))?;
        match self.options.transactional_id {
            // Without a transaction there is nothing to abort: the refusal is told once.
            None => match self.failed.take() {
                Some(refused) => Err(refused),
                None => Ok(self.take_positions()),
            },
            Some(_) => Self::misuse(Operation::Flush, "in a transaction commit does it"),
        }
    }

    fn close(mut self: Box<Self>, _: Duration) -> Result<(), LogError> {
        self.caller.before(Operation::CloseAppend)?;
        if self.is_open && self.dead.is_none() { self.abort() } else { Ok(()) }
    }
}
