//! Deletes what repartition topics are no longer needed for (Kafka Streams: `TaskManager.maybePurgeCommittedRecords`). They are kept
//! without end by the broker, and what is below a committed offset nobody reads again: a new version has topics of its own.
//!
//! Invariants:
//! - Only offsets whose commit the log has confirmed are known here, and committed offsets never go back. So a deletion is right
//!   whenever it comes, even from a process that has lost the task meanwhile or slept in the middle.
//! - A partition is purged by whoever has its task.
//! - Trouble is told, counted and tried again at the next interval; nothing waits for a purge and nothing stops for one.
//!
//! What follows for others: a process that sleeps while another owner commits and purges finds its position below the log's
//! start. Its task goes back to the restorer ([`Worker`](super::Worker)), which reads what is committed by then. An owner without
//! committed offsets (the group has forgotten them, and there is no state: else that is `Error::OffsetsLost`) begins where the log
//! begins; no unprocessed record was deleted.

use super::epochs::{Epochs, TaskEpoch};
use super::layout::AppLayout;
use super::settings::Settings;
use super::shared::Shared;
use crate::log::{LogError, OffsetSpec, SharedLog, TopicPartition};
use crate::topology::TopicRef;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How far this process's partitions of repartition topics are committed, as their stream threads have been told.
#[derive(Debug, Default)]
pub(crate) struct Confirmed(Mutex<BTreeMap<TopicPartition, (TaskEpoch, i64)>>);

impl Confirmed {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, (TaskEpoch, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log has confirmed that the partition is committed up to `offset`.
    pub(crate) fn note(&self, owner: TaskEpoch, partition: &TopicPartition, offset: i64) {
        let mut all = self.lock();
        match all.get_mut(partition) {
            Some((of, upto)) => (*of, *upto) = (owner, offset.max(*upto)),
            None => drop(all.insert(partition.clone(), (owner, offset))),
        }
    }

    /// What is known of tasks that are this process's still; the rest is forgotten.
    fn current(&self, epochs: &Epochs) -> BTreeMap<TopicPartition, (TaskEpoch, i64)> {
        let mut all = self.lock();
        all.retain(|_, (owner, _)| epochs.is_current(*owner));
        all.clone()
    }
}

/// The purger of one process, as a state machine.
#[derive(Debug)]
pub struct Purger {
    log: SharedLog,
    shared: Arc<Shared>,
    interval_ms: i64,
    due_ms: i64,
    /// Where partitions begin, as of this owner's last purge.
    starts: BTreeMap<TopicPartition, (TaskEpoch, i64)>,
}

impl Purger {
    /// A purger, where there is anything to purge.
    pub fn new(
        log: &SharedLog,
        layout: &AppLayout,
        settings: &Settings,
        shared: &Arc<Shared>,
        now_ms: i64,
    ) -> Option<Self> {
        let interval_ms = settings.repartition_purge_interval_ms;
        let mut sources = layout.sub_topologies.iter().flat_map(|sub| &sub.sources);
        let any = sources.any(|source| matches!(source.reference, TopicRef::Repartition(_) | TopicRef::Control(_)));
        (interval_ms > 0 && any).then(|| Self {
            log: Arc::clone(log),
            shared: Arc::clone(shared),
            interval_ms,
            due_ms: now_ms + interval_ms,
            starts: BTreeMap::new(),
        })
    }

    /// Purges when it is time.
    pub fn turn(&mut self, now_ms: i64) {
        if now_ms < self.due_ms {
            return;
        }
        self.due_ms = now_ms + self.interval_ms;
        if let Err(error) = self.purge() {
            tracing::warn!(%error, "repartition topics not purged, tried again in {} ms", self.interval_ms);
            self.shared.metrics.purge_failures.inc();
            self.shared.metrics.error(error.kind());
            // Part of it may have been done.
            self.starts.clear();
        }
    }

    fn purge(&mut self) -> Result<(), LogError> {
        let confirmed = self.shared.confirmed.current(&self.shared.epochs);
        let starts = &mut self.starts;
        starts.retain(|partition, (owner, _)| confirmed.get(partition).is_some_and(|(now, _)| now == owner));
        let due = confirmed.into_iter().filter(|(partition, (_, upto))| {
            // Where it begins is not known yet, or it is before what is committed.
            starts.get(partition).is_none_or(|(_, start)| start < upto)
        });
        let due: Vec<(TopicPartition, (TaskEpoch, i64))> = due.collect();
        if due.is_empty() {
            return Ok(());
        }
        let mut topics = self.log.topics()?;
        let unknown: Vec<_> = due.iter().filter(|(partition, _)| !starts.contains_key(partition)).collect();
        if !unknown.is_empty() {
            let asked: Vec<_> =
                unknown.iter().map(|(partition, _)| (partition.clone(), OffsetSpec::Earliest)).collect();
            for ((partition, (owner, _)), start) in unknown.into_iter().zip(topics.offsets(&asked)?) {
                starts.insert(partition.clone(), (*owner, start));
            }
        }
        let start = |partition| starts.get(partition).map_or(0, |(_, start)| *start);
        let before: Vec<(TopicPartition, i64)> = due
            .iter()
            .filter(|(partition, (_, upto))| start(partition) < *upto)
            .map(|(partition, (_, upto))| (partition.clone(), *upto))
            .collect();
        if before.is_empty() {
            return Ok(());
        }
        let records: i64 = before.iter().map(|(partition, upto)| upto - start(partition)).sum();
        topics.delete_records(&before)?;
        starts.extend(due);
        tracing::debug!(partitions = before.len(), records, "repartition topics purged");
        self.shared.metrics.purged_records.inc_by(u64::try_from(records).unwrap_or(0));
        Ok(())
    }
}
