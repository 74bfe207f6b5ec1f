//! Looking into an embedded log from a test.

use super::EmbeddedLog;
use super::segment::{Kind, Segment};
use crate::log::{CommittedOffset, Headers, LogError, TopicPartition, TopicSpec};
use std::collections::{BTreeMap, BTreeSet};

/// What a record of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InspectedKind {
    /// Outside any transaction.
    Plain,
    /// Of a committed transaction.
    Committed,
    /// Of an aborted transaction.
    Aborted,
    /// Of a transaction that is not decided, or whose marker is late.
    Open,
    /// The control record that commits.
    CommitMarker,
    /// The control record that aborts.
    AbortMarker,
}

/// One record as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedRecord {
    /// The record's offset.
    pub offset: i64,
    /// What it is.
    pub kind: InspectedKind,
    /// The record's timestamp; -1 for a control record.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Headers,
}

/// A member as its group sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatView {
    /// The member's id.
    pub member_id: String,
    /// The client's id.
    pub client_id: String,
    /// The static seat, if any.
    pub instance_id: Option<String>,
    /// What it may work on.
    pub owned: BTreeSet<i32>,
    /// What it is to own when the rebalance is through.
    pub target: BTreeSet<i32>,
}

/// A group as its coordinator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// The generation.
    pub generation: i32,
    /// The members, by id.
    pub members: Vec<SeatView>,
    /// Committed offsets.
    pub offsets: BTreeMap<TopicPartition, CommittedOffset>,
    /// Partitions whose offsets are part of an open transaction.
    pub undecided: BTreeSet<TopicPartition>,
}

impl EmbeddedLog {
    /// Everything in a partition, control records and aborted records included.
    pub fn inspect(&self, partition: &TopicPartition) -> Result<Vec<InspectedRecord>, LogError> {
        let state = self.shared.lock();
        let log = state.topics.partition(partition)?;
        let mut records = Vec::new();
        for segment in &log.segments {
            let kind = match segment.kind {
                Kind::Marker { commit: true, .. } => InspectedKind::CommitMarker,
                Kind::Marker { commit: false, .. } => InspectedKind::AbortMarker,
                Kind::Data { producer: None } => InspectedKind::Plain,
                Kind::Data { producer: Some(producer) } if log.is_aborted(producer, segment.base) => {
                    InspectedKind::Aborted
                }
                Kind::Data { producer: Some(producer) } if log.is_open(producer, segment.base) => InspectedKind::Open,
                Kind::Data { .. } => InspectedKind::Committed,
            };
            records.extend(inspect_segment(segment, kind).filter(|record| record.offset >= log.log_start));
        }
        Ok(records)
    }

    /// A group, if there is one.
    pub fn group(&self, name: &str) -> Option<GroupView> {
        let state = self.shared.lock();
        let group = state.groups.get(name)?;
        let seat = |(id, seat): (&String, &super::groups::Seat)| SeatView {
            member_id: id.clone(),
            client_id: seat.client_id.clone(),
            instance_id: seat.instance_id.clone(),
            owned: seat.owned.clone(),
            target: seat.target.clone(),
        };
        Some(GroupView {
            generation: group.generation,
            members: group.members.iter().map(seat).collect(),
            offsets: group.offsets.clone(),
            undecided: group.pending.values().flat_map(|offsets| offsets.keys().cloned()).collect(),
        })
    }

    /// Transactional ids with an open transaction.
    pub fn open_transactions(&self) -> Vec<String> {
        let state = self.shared.lock();
        let open = state.transactions.iter().filter(|(_, entry)| entry.open.is_some());
        open.map(|(id, _)| id.clone()).collect()
    }

    /// How a topic was created, its settings included.
    pub fn topic_spec(&self, name: &str) -> Option<TopicSpec> {
        self.shared.lock().topics.topic(name).ok().map(|topic| topic.spec.clone())
    }
}

fn inspect_segment(segment: &Segment, kind: InspectedKind) -> Box<dyn Iterator<Item = InspectedRecord> + '_> {
    if let Kind::Marker { .. } = segment.kind {
        let (offset, headers) = (segment.base, Headers::empty());
        let marker = InspectedRecord { offset, kind, timestamp_ms: -1, key: None, value: None, headers };
        return Box::new(std::iter::once(marker));
    }
    Box::new((0..segment.records.len()).map(move |index| {
        let view = segment.view(index);
        InspectedRecord {
            offset: view.offset,
            kind,
            timestamp_ms: view.timestamp_ms,
            key: view.key.map(<[u8]>::to_vec),
            value: view.value.map(<[u8]>::to_vec),
            headers: segment.records[index].headers.clone(),
        }
    }))
}
