//! Steps 1 to 3 of a restore: the old owner's transaction, the decided offsets, the changelogs' ends.

use super::outdated::{discard_outdated, has_state};
use super::{CLOSE_DEADLINE, Reading, Restorer, Stage, StoreReading};
use crate::Error;
use crate::log::{
    AppendOptions, Assignment, CommittedOffset, Isolation, LogError, OffsetSpec, Recovery, Start, TopicPartition,
};
use crate::runtime::metadata::OffsetMetadata;
use crate::runtime::rules::Rule;
use crate::runtime::settings::BadRecords;
use crate::runtime::shared::Holder;
use crate::task::TaskScope;
use kappa_state::StoreId;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const OFFSETS_DEADLINE: Duration = Duration::from_secs(1);
const TAKEOVER_DEADLINE: Duration = Duration::from_secs(10);
pub(super) const RETRY_MS: i64 = 200;

/// Whether the step may be tried again: the log was not reached, or two took the same transaction over at once.
fn passes(error: &LogError) -> bool {
    matches!(error.recovery(), Recovery::Retry | Recovery::ReplaceClient | Recovery::AbortTransaction)
}

impl Restorer {
    pub(super) fn begin_waiting(&mut self, now_ms: i64) -> Result<(), Error> {
        for at in 0..self.jobs.len() {
            let job = &self.jobs[at];
            let Stage::Waiting { takeover_at_ms } = job.stage else { continue };
            if now_ms < job.retry_at_ms || self.shared.holder(job.incarnation.task).is_some() {
                continue;
            }
            match self.begin(at, now_ms, takeover_at_ms) {
                Ok(()) => {}
                Err(Error::Log(error)) if passes(&error) => {
                    let job = &mut self.jobs[at];
                    tracing::debug!(task = job.name, %error, "restore not begun yet");
                    job.retry_at_ms = now_ms + RETRY_MS;
                    // The wait for an answer was long, and the same transaction often holds several tasks: the others get
                    // their turn first next time.
                    self.jobs[at..].rotate_left(1);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, at: usize, now_ms: i64, takeover_at_ms: i64) -> Result<(), Error> {
        let id = self.jobs[at].id;
        let sub = &self.layout.sub_topologies[id.sub_topology];
        let sources: Vec<(usize, TopicPartition)> = sub
            .sources
            .iter()
            .enumerate()
            .filter(|(_, source)| id.partition < source.partitions)
            .map(|(index, source)| (index, TopicPartition::new(Arc::clone(&source.topic), id.partition)))
            .collect();
        let partitions: Vec<TopicPartition> = sources.iter().map(|(_, partition)| partition.clone()).collect();
        let committed = match self.committed(&partitions) {
            Err(LogError::OffsetsUnstable { .. }) if now_ms >= takeover_at_ms => {
                self.take_over(&partitions)?;
                // Once: where that does not help, the transaction is of somebody who has never committed these offsets. Its
                // time-out ends it, and whoever was fenced in vain is left in peace.
                self.jobs[at].stage = Stage::Waiting { takeover_at_ms: i64::MAX };
                self.offsets.committed(&partitions, OFFSETS_DEADLINE)?
            }
            other => other?,
        };
        self.open(at, &sources, committed, now_ms)
    }

    pub(super) fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if self.settings.rules.hold(Rule::WaitForDecidedOffsets) {
            self.offsets.committed(partitions, OFFSETS_DEADLINE)
        } else {
            self.offsets.peek(partitions, OFFSETS_DEADLINE)
        }
    }

    /// Ends the transaction that holds these offsets, by taking the transactional id of whoever committed them last.
    pub(super) fn take_over(&mut self, partitions: &[TopicPartition]) -> Result<(), Error> {
        let owners: BTreeSet<String> = self
            .offsets
            .peek(partitions, OFFSETS_DEADLINE)?
            .into_iter()
            .flatten()
            .map(|committed| OffsetMetadata::decode(&committed.metadata).transactional_id)
            .filter(|owner| !owner.is_empty())
            .collect();
        for owner in owners {
            tracing::info!(owner, "an open transaction of the last owner holds the offsets: it is ended");
            let mut client = self.log.append(AppendOptions {
                client_id: format!("{}-takeover", self.layout.application_id),
                transactional_id: Some(owner),
                transaction_timeout: Duration::from_millis(self.settings.transaction_timeout_ms as u64),
                linger: Duration::ZERO,
                buffer_bytes: 1024 * 1024,
            })?;
            client.init(TAKEOVER_DEADLINE)?;
            client.close(CLOSE_DEADLINE)?;
        }
        Ok(())
    }

    /// Opens the stores and begins to read their changelogs.
    pub(super) fn open(
        &mut self,
        at: usize,
        sources: &[(usize, TopicPartition)],
        committed: Vec<Option<CommittedOffset>>,
        now_ms: i64,
    ) -> Result<(), Error> {
        let (id, task) = (self.jobs[at].id, self.jobs[at].incarnation.task);
        let sub = &self.layout.sub_topologies[id.sub_topology];
        let changelogs: Vec<(usize, TopicPartition)> = sub
            .stores
            .iter()
            .enumerate()
            .filter_map(|(store, (_, output))| {
                output.map(|output| (store, TopicPartition::new(Arc::clone(&sub.outputs[output].topic), id.partition)))
            })
            .collect();
        let wanted: Vec<(TopicPartition, OffsetSpec)> = changelogs
            .iter()
            .map(|(_, changelog)| (changelog.clone(), OffsetSpec::Latest(Isolation::ReadUncommitted)))
            .collect();
        let targets = if wanted.is_empty() { Vec::new() } else { self.topics.offsets(&wanted)? };

        if !self.shared.hold(task, Holder::Restorer) {
            return Ok(());
        }
        let scope = TaskScope {
            calls: Arc::clone(&self.settings.calls),
            globals: self.globals.clone(),
            undo_records: self.settings.failed_records != BadRecords::Fail,
            name: &self.jobs[at].name,
            partition: id.partition,
            state: &*self.state,
            tail_bound: self.settings.tail_bound,
            cache_bytes_per_store: self.cache_bytes_per_store(),
        };
        let opened = self
            .discard_outdated(at, &changelogs, &targets, now_ms)
            .and_then(|()| Ok(self.program.instantiate(id.sub_topology, &scope)?));
        let mut processor = match opened {
            Ok(processor) => processor,
            Err(error) => {
                self.shared.release(task);
                return Err(error);
            }
        };
        let mut stores = Vec::new();
        let mut assignments = Vec::new();
        for ((store, changelog), target) in changelogs.into_iter().zip(targets) {
            let mark = processor.store(store).mark();
            let has_state = mark.as_ref().is_some_and(has_state);
            let from = mark.map(|mark| mark.changelog_offset);
            let token = self.tokens.iter().position(Option::is_none).unwrap_or(self.tokens.len());
            if token == self.tokens.len() {
                self.tokens.push(None);
            }
            self.tokens[token] = Some(task);
            let token = token as u32;
            let start = from.map_or(Start::Earliest, Start::Offset);
            assignments.push(Assignment { partition: changelog, start, token });
            let position = from.unwrap_or(0);
            stores.push(StoreReading {
                store,
                token,
                from,
                has_state,
                target,
                position,
                records: 0,
                done: false,
                paused: false,
            });
        }
        let metadata: Vec<OffsetMetadata> =
            committed.iter().flatten().map(|committed| OffsetMetadata::decode(&committed.metadata)).collect();
        processor.restore_times(&OffsetMetadata::newest_times(metadata.iter()));
        let sources = sources
            .iter()
            .zip(committed)
            .map(|((index, _), committed)| match committed {
                None => (*index, None, None),
                Some(committed) => {
                    let time_ms = OffsetMetadata::decode(&committed.metadata).partition_time_ms;
                    (*index, Some(committed.offset), time_ms)
                }
            })
            .collect();
        self.jobs[at].stage = Stage::Reading(Reading { processor, sources, stores });
        self.fetch.assign(&assignments)?;
        Ok(())
    }

    pub(super) fn cache_bytes_per_store(&self) -> usize {
        let stores: usize = self.layout.sub_topologies.iter().map(|sub| sub.stores.len() * sub.tasks as usize).sum();
        self.settings.cache_bytes / stores.max(1)
    }

    fn discard_outdated(
        &self,
        at: usize,
        changelogs: &[(usize, TopicPartition)],
        targets: &[i64],
        now_ms: i64,
    ) -> Result<(), Error> {
        let job = &self.jobs[at];
        let sub = &self.layout.sub_topologies[job.id.sub_topology];
        for ((store, _), target) in changelogs.iter().zip(targets) {
            let id = StoreId { task: job.name.clone(), store: sub.stores[*store].0.clone() };
            discard_outdated(&*self.state, &id, *target, self.settings.state_age_max_ms, now_ms)?;
        }
        Ok(())
    }
}
