//! The transaction coordinator: producer epochs, open transactions, their ends.
//!
//! **Invariants:**
//! - Of all clients with one transactional id only the one with the latest epoch is obeyed.
//! - A transaction is decided once; its offsets become visible in that instant, its markers then or
//!   (where a fault delays them) later, but before the same id does anything else.

use super::state::State;
use crate::log::{LogError, OffsetCommit, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// What the coordinator knows of one transactional id.
#[derive(Debug)]
pub(super) struct Transactional {
    pub(super) producer: i64,
    pub(super) epoch: i32,
    pub(super) timeout_ms: i64,
    pub(super) open: Option<OpenTransaction>,
}

/// A transaction that has touched the log and is not decided.
#[derive(Debug)]
pub(super) struct OpenTransaction {
    /// When the log aborts it by itself.
    pub(super) deadline_ms: i64,
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) groups: BTreeSet<String>,
}

/// A marker of a decided transaction that is not written yet.
#[derive(Debug)]
pub(super) struct LateMarker {
    pub(super) due_ms: i64,
    producer: i64,
    partition: TopicPartition,
    commit: bool,
}

/// A commit that its client has sent and that has not arrived yet.
#[derive(Debug)]
pub(super) struct LateCommit {
    pub(super) due_ms: i64,
    stamp: ProducerStamp,
}

/// Proof of being a transactional id's present client.
#[derive(Debug, Clone)]
pub(super) struct ProducerStamp {
    pub(super) transactional_id: String,
    pub(super) producer: i64,
    pub(super) epoch: i32,
}

/// How long the markers of some partitions are delayed.
pub(super) type MarkerDelays = BTreeMap<TopicPartition, i64>;

impl State {
    /// Takes a transactional id over: ends what was left open, fences who left it.
    pub(super) fn init_producer(&mut self, transactional_id: &str, timeout_ms: i64) -> ProducerStamp {
        if !self.transactions.contains_key(transactional_id) {
            let producer = self.next_producer;
            self.next_producer += 1;
            let fresh = Transactional { producer, epoch: -1, timeout_ms, open: None };
            self.transactions.insert(transactional_id.to_owned(), fresh);
        }
        self.abort_left_open(transactional_id);
        let entry = self.transactions.get_mut(transactional_id).expect("inserted above");
        entry.epoch += 1;
        entry.timeout_ms = timeout_ms;
        let (producer, epoch) = (entry.producer, entry.epoch);
        self.write_late_markers(|marker| marker.producer == producer);
        ProducerStamp { transactional_id: transactional_id.to_owned(), producer, epoch }
    }

    fn abort_left_open(&mut self, transactional_id: &str) {
        let entry = self.transactions.get_mut(transactional_id);
        if let Some((producer, open)) = entry.and_then(|entry| Some((entry.producer, entry.open.take()?))) {
            self.decide(producer, open, false, &MarkerDelays::new());
        }
    }

    /// Refuses anybody but the present client of the id.
    pub(super) fn check_producer(&self, operation: &'static str, stamp: &ProducerStamp) -> Result<(), LogError> {
        match self.transactions.get(&stamp.transactional_id) {
            Some(entry) if entry.epoch == stamp.epoch => Ok(()),
            Some(entry) => Err(LogError::ProducerFenced {
                operation,
                reason: format!(
                    "epoch {} of transactional id {} was followed by {}",
                    stamp.epoch, stamp.transactional_id, entry.epoch
                ),
            }),
            None => Err(LogError::ProducerFenced {
                operation,
                reason: format!("transactional id {} is not known", stamp.transactional_id),
            }),
        }
    }

    /// The open transaction of a client, begun now if there is none.
    pub(super) fn transaction(
        &mut self,
        operation: &'static str,
        stamp: &ProducerStamp,
    ) -> Result<&mut OpenTransaction, LogError> {
        self.check_producer(operation, stamp)?;
        self.write_late_markers(|marker| marker.producer == stamp.producer);
        let now_ms = self.now_ms;
        let entry = self.transactions.get_mut(&stamp.transactional_id).expect("checked above");
        let deadline_ms = now_ms.saturating_add(entry.timeout_ms);
        if entry.open.is_none() {
            self.next_due_ms = self.next_due_ms.min(deadline_ms);
        }
        Ok(entry.open.get_or_insert_with(|| OpenTransaction {
            deadline_ms,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
        }))
    }

    /// Makes offsets part of a transaction; the caller has checked the member.
    pub(super) fn add_offsets(
        &mut self,
        operation: &'static str,
        stamp: &ProducerStamp,
        group: &str,
        offsets: &[OffsetCommit],
    ) -> Result<(), LogError> {
        self.transaction(operation, stamp)?.groups.insert(group.to_owned());
        self.group_mut(group).add_pending(stamp.producer, offsets);
        Ok(())
    }

    /// Which partitions a client's open transaction has written to.
    #[cfg(feature = "testing")]
    pub(super) fn transaction_partitions(&self, stamp: &ProducerStamp) -> Vec<TopicPartition> {
        let open = self.transactions.get(&stamp.transactional_id).and_then(|entry| entry.open.as_ref());
        open.map(|open| open.partitions.iter().cloned().collect()).unwrap_or_default()
    }

    /// Commits or aborts a client's transaction; none open is fine.
    pub(super) fn end_transaction(
        &mut self,
        operation: &'static str,
        stamp: &ProducerStamp,
        commit: bool,
        delays: &MarkerDelays,
    ) -> Result<(), LogError> {
        self.check_producer(operation, stamp)?;
        let entry = self.transactions.get_mut(&stamp.transactional_id).expect("checked above");
        if let Some(open) = entry.open.take() {
            self.decide(stamp.producer, open, commit, delays);
        }
        Ok(())
    }

    /// Lets a commit arrive later.
    pub(super) fn delay_commit(&mut self, stamp: &ProducerStamp, delay_ms: i64) {
        let due_ms = self.now_ms.saturating_add(delay_ms);
        self.next_due_ms = self.next_due_ms.min(due_ms);
        self.late_commits.push(LateCommit { due_ms, stamp: stamp.clone() });
    }

    /// Takes the commits that have arrived by now; those of fenced clients have no effect.
    pub(super) fn take_late_commits(&mut self) {
        let now_ms = self.now_ms;
        let arrived: Vec<LateCommit> = self.late_commits.extract_if(.., |commit| commit.due_ms <= now_ms).collect();
        for LateCommit { stamp, .. } in arrived {
            if self.end_transaction("commit", &stamp, true, &MarkerDelays::new()).is_err() {
                tracing::debug!(transactional_id = %stamp.transactional_id, "a late commit of a fenced client is refused");
            }
        }
    }

    fn decide(&mut self, producer: i64, open: OpenTransaction, commit: bool, delays: &MarkerDelays) {
        for group in &open.groups {
            self.group_mut(group).end_pending(producer, commit);
        }
        for partition in open.partitions {
            match delays.get(&partition) {
                Some(delay_ms) => {
                    let due_ms = self.now_ms.saturating_add(*delay_ms);
                    self.next_due_ms = self.next_due_ms.min(due_ms);
                    self.late_markers.push(LateMarker { due_ms, producer, partition, commit });
                }
                None => self.write_marker(producer, &partition, commit),
            }
        }
    }

    fn write_marker(&mut self, producer: i64, partition: &TopicPartition, commit: bool) {
        // A topic deleted in mid-transaction has nothing left to mark.
        if let Ok(log) = self.topics.partition_mut(partition) {
            log.end_transaction(producer, commit);
        }
    }

    /// Writes those late markers that `which` names.
    pub(super) fn write_late_markers(&mut self, which: impl Fn(&LateMarker) -> bool) {
        if self.late_markers.is_empty() {
            return;
        }
        let (due, late) = std::mem::take(&mut self.late_markers).into_iter().partition(which);
        self.late_markers = late;
        let due: Vec<LateMarker> = due;
        for marker in due {
            self.write_marker(marker.producer, &marker.partition, marker.commit);
        }
    }

    /// Aborts transactions that are open too long, and fences their clients.
    pub(super) fn expire_transactions(&mut self) {
        let now_ms = self.now_ms;
        let overdue = |entry: &Transactional| entry.open.as_ref().is_some_and(|open| open.deadline_ms <= now_ms);
        let mut ids: Vec<(i64, String)> = Vec::new();
        for (id, entry) in self.transactions.iter().filter(|(_, entry)| overdue(entry)) {
            ids.push((entry.open.as_ref().map_or(0, |open| open.deadline_ms), id.clone()));
        }
        ids.sort();
        for (_, id) in ids {
            tracing::info!(transactional_id = %id, "a transaction was open too long and is aborted");
            self.abort_left_open(&id);
            if let Some(entry) = self.transactions.get_mut(&id) {
                entry.epoch += 1;
            }
        }
    }
}
