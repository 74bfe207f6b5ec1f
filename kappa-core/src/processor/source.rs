//! Where records enter a task: they are decoded as far as something looks at them, and get their times.

use super::TimeSlot;
use super::chain::Next;
use super::context::{Cx, Dropped, TaskState};
use crate::codec::{CodecError, SharedCodec};
use crate::dsl::{RecordContext, TimestampRule, Timestamps};
use crate::log::RecordView;
use crate::record::{Lazy, Record};
use crate::task::{ProcessError, SourceRecord};
use crate::topology::Entry;
use std::sync::Arc;

/// Where records of a topic enter.
pub(crate) struct SourceEntry<K, V> {
    name: Arc<str>,
    key: SharedCodec<K>,
    value: SharedCodec<V>,
    arrival: Arrival,
    /// Whether anything downstream may look at the value: else it is only checked.
    looks: bool,
    /// How records get their times, with the place of the partition's time; `None`: they have them.
    times: Option<(Timestamps<K, V>, TimeSlot)>,
    next: Next<K, V>,
}

/// What is decoded on arrival, so that bad records are found where they enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Keys and values.
    All,
    /// Keys; values when something looks at them, by the user's choice.
    Keys,
    /// Nothing: this topology writes the topic itself.
    Nothing,
}

/// Why a record can't be used that has no key.
pub(crate) const NULL_KEY: &str =
    "it is null, which its codec has no value for; wrap the codec in nullable(), or use unkeyed()";

impl<K, V: 'static> SourceEntry<K, V> {
    pub(crate) fn new(
        name: Arc<str>,
        key: SharedCodec<K>,
        value: SharedCodec<V>,
        arrival: Arrival,
        times: Option<(Timestamps<K, V>, TimeSlot)>,
        next: Next<K, V>,
    ) -> Self {
        let looks = next.looks(value.id);
        Self { name, key, value, arrival, looks, times, next }
    }

    fn check(&self, value: &[u8]) -> Result<(), ProcessError> {
        let unusable = |error: CodecError| ProcessError::Undecodable { part: "value", reason: error.reason };
        self.value.codec.check(value).map_err(unusable)
    }
}

impl<K: 'static, V: 'static> Entry for SourceEntry<K, V> {
    fn enter(&mut self, record: &SourceRecord<'_>, cx: &mut Cx<'_>) -> Result<(), ProcessError> {
        let RecordView { timestamp_ms, key, value, .. } = record.view;
        let Some(key) = Lazy::encoded(&self.key, key) else {
            return Err(ProcessError::Undecodable { part: "key", reason: NULL_KEY.to_owned() });
        };
        let value = Lazy::encoded(&self.value, value);
        let mut record = Record::new(&key, value.as_ref(), timestamp_ms, &record.headers);
        if self.arrival != Arrival::Nothing {
            record.key()?;
        }
        if self.arrival == Arrival::All {
            match value.as_ref().and_then(|value| value.unread()).filter(|_| !self.looks) {
                Some(bytes) => self.check(bytes)?,
                None => _ = record.value()?,
            }
        }
        if let Some((timestamps, slot)) = &self.times {
            let partition_time_ms = cx.state.times.get(*slot).max(-1);
            record.timestamp_ms = time(timestamps, &record, partition_time_ms, cx.state.now_ms)?;
            if record.timestamp_ms < 0 && !matches!(timestamps.0, TimestampRule::Fail) {
                return cx.drop_record(Dropped::NegativeTimestamp);
            }
            cx.state.times.advance(*slot, record.timestamp_ms);
        }
        if record.timestamp_ms < 0 {
            return Err(negative(record.timestamp_ms));
        }
        cx.state.stream_time_ms = cx.state.stream_time_ms.max(record.timestamp_ms);
        self.next.receive(&record, cx).map_err(|error| late(&self.name, self.arrival, error))
    }

    fn extracts_time(&self) -> bool {
        self.times.is_some()
    }

    fn time_of(&self, record: &SourceRecord<'_>, state: &TaskState) -> Option<i64> {
        let (timestamps, slot) = self.times.as_ref()?;
        let RecordView { timestamp_ms, key, value, .. } = record.view;
        let (key, value) = (Lazy::encoded(&self.key, key)?, Lazy::encoded(&self.value, value));
        let record = Record::new(&key, value.as_ref(), timestamp_ms, &record.headers);
        time(timestamps, &record, state.times.get(*slot).max(-1), state.now_ms).ok()
    }
}

fn negative(timestamp_ms: i64) -> ProcessError {
    ProcessError::Undecodable { part: "timestamp", reason: format!("{timestamp_ms} is negative") }
}

/// The time of a record by a rule.
fn time<K: 'static, V: 'static>(
    timestamps: &Timestamps<K, V>,
    record: &Record<'_, K, V>,
    partition_time_ms: i64,
    now_ms: i64,
) -> Result<i64, ProcessError> {
    let Record { timestamp_ms, headers, .. } = *record;
    Ok(match &timestamps.0 {
        TimestampRule::Fail | TimestampRule::Skip => timestamp_ms,
        TimestampRule::PartitionTime if timestamp_ms >= 0 => timestamp_ms,
        TimestampRule::PartitionTime if partition_time_ms < 0 => return Err(negative(timestamp_ms)),
        TimestampRule::PartitionTime => partition_time_ms,
        TimestampRule::WallClock => now_ms,
        TimestampRule::From(extract) => {
            let context = RecordContext { timestamp_ms, headers };
            extract(record.key()?, record.value()?, context, partition_time_ms)
        }
    })
}

/// What turns out undecodable only downstream is no bad input that could be skipped by itself: something may have been done
/// for the record already. So it counts as one whose processing fails.
fn late(source: &str, arrival: Arrival, error: ProcessError) -> ProcessError {
    match error {
        ProcessError::Undecodable { part, reason } => {
            let whose = if arrival == Arrival::Nothing { " that this application wrote" } else { "" };
            ProcessError::Operator {
                operator: source.to_owned(),
                reason: format!("a {part}{whose} can't be decoded: {reason}"),
            }
        }
        other => other,
    }
}
