//! Steps 1 to 3 of a restore: the old owner's transaction, the decided offsets, the changelogs' ends.

use super::outdated::{discard_outdated, has_state};
use super::{CLOSE_DEADLINE, Reading, Restorer, Stage, StoreReading};
use crate::Error;
use crate::log::{
    AppendOptions, Assignment, CommittedOffset, Isolation, LogError, OffsetSpec, Recovery, Start, TopicPartition,
};
use crate::runtime::layout::SubTopologyLayout;
use crate::runtime::metadata::OffsetMetadata;
use crate::runtime::rules::Rule;
use crate::runtime::settings::BadRecords;
use crate::runtime::shared::Holder;
use crate::task::TaskScope;
use crate::topology::ChangelogSource;
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

/// What a store is restored from.
struct Changelog {
    store: usize,
    partition: TopicPartition,
    /// It is this one of the inputs.
    input: Option<usize>,
}

fn changelogs(sub: &SubTopologyLayout, partition: i32) -> Vec<Changelog> {
    let of = |(store, (_, changelog)): (usize, &(String, ChangelogSource))| {
        let (topic, input) = match changelog {
            ChangelogSource::Own { output } => (&sub.outputs[*output], None),
            ChangelogSource::Input { source } => (&sub.sources[*source], Some(*source)),
            ChangelogSource::None => return None,
        };
        let has_it = input.is_none() || partition < topic.partitions;
        let partition = TopicPartition::new(Arc::clone(&topic.topic), partition);
        has_it.then_some(Changelog { store, partition, input })
    };
    sub.stores.iter().enumerate().filter_map(of).collect()
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
        let changelogs = changelogs(sub, id.partition);
        let wanted: Vec<(TopicPartition, OffsetSpec)> = changelogs
            .iter()
            .map(|changelog| (changelog.partition.clone(), OffsetSpec::Latest(Isolation::ReadUncommitted)))
            .collect();
        let mut targets = if wanted.is_empty() { Vec::new() } else { self.topics.offsets(&wanted)? };
        for (changelog, target) in changelogs.iter().zip(&mut targets) {
            let Some(source) = changelog.input else { continue };
            let place = sources.iter().position(|(index, _)| *index == source);
            let committed = place.and_then(|place| committed[place].as_ref());
            *target = committed.map_or(0, |committed| committed.offset.min(*target));
        }
        let begins = self.input_begins(&changelogs)?;

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
        for ((changelog, target), begins) in changelogs.into_iter().zip(targets).zip(begins) {
            let store = changelog.store;
            let mark = processor.store(store).mark();
            let has_state = mark.as_ref().is_some_and(has_state);
            let from = mark.map(|mark| mark.changelog_offset);
            let token = self.tokens.iter().position(Option::is_none).unwrap_or(self.tokens.len());
            if token == self.tokens.len() {
                self.tokens.push(None);
            }
            self.tokens[token] = Some(task);
            let token = token as u32;
            let position = from.unwrap_or(0);
            let from_input = changelog.input.is_some();
            // A mark beyond its changelog's end is left to the reader, which tells that the topic is not the one it was.
            let done = position == target || (from_input && position > target);
            if !done {
                // Whoever keeps a topic for a while only has deleted what lies between.
                let start = from.filter(|from| *from >= begins).map_or(Start::Earliest, Start::Offset);
                assignments.push(Assignment { partition: changelog.partition, start, token });
            }
            stores.push(StoreReading {
                store,
                token,
                from_input,
                from,
                has_state,
                target,
                position,
                records: 0,
                done,
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

    /// Where the inputs begin that stores are made of; 0 for changelogs, in which nothing is deleted that is younger than local
    /// state may be.
    fn input_begins(&mut self, changelogs: &[Changelog]) -> Result<Vec<i64>, LogError> {
        let mut begins = vec![0; changelogs.len()];
        let inputs: Vec<usize> = (0..changelogs.len()).filter(|at| changelogs[*at].input.is_some()).collect();
        if inputs.is_empty() {
            return Ok(begins);
        }
        let wanted: Vec<(TopicPartition, OffsetSpec)> =
            inputs.iter().map(|at| (changelogs[*at].partition.clone(), OffsetSpec::Earliest)).collect();
        for (at, offset) in inputs.into_iter().zip(self.topics.offsets(&wanted)?) {
            begins[at] = offset;
        }
        Ok(begins)
    }

    /// Stores of all tasks, at least one.
    fn all_stores(&self) -> usize {
        let stores: usize = self.layout.sub_topologies.iter().map(|sub| sub.stores.len() * sub.tasks as usize).sum();
        stores.max(1)
    }

    pub(super) fn cache_bytes_per_store(&self) -> usize {
        self.settings.cache_bytes / self.all_stores()
    }

    fn discard_outdated(&self, at: usize, changelogs: &[Changelog], targets: &[i64], now_ms: i64) -> Result<(), Error> {
        let job = &self.jobs[at];
        let sub = &self.layout.sub_topologies[job.id.sub_topology];
        for (changelog, target) in changelogs.iter().zip(targets) {
            let id = StoreId { task: job.name.clone(), store: sub.stores[changelog.store].0.clone() };
            discard_outdated(&*self.state, &id, *target, self.settings.state_age_max_ms, now_ms)?;
        }
        Ok(())
    }
}
