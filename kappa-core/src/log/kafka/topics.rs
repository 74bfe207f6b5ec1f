//! Topics over librdkafka's admin requests.
//!
//! **Invariants:** no call here creates a topic but `create`; every request has a deadline, and what is
//! waited for afterwards (leaders, removal) is bounded by the same.

use super::classify::{During, classify, classify_topic, is_missing_topic};
use super::describe::describe;
use super::shared::{SharedClients, TopicsClient};
use super::sys::{Admin, Code, OffsetQuery, PartitionList, PartitionResult, RawError};
use crate::log::{
    CleanupPolicy, DEFAULT_DEADLINE, Isolation, LogError, OffsetSpec, Recovery, TopicInfo, TopicPartition, TopicSpec,
    Topics,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);
/// How long a broker may take to answer for offsets before its client is made anew, and how long that is gone on with.
const OFFSETS_ATTEMPT: Duration = Duration::from_secs(5);
const OFFSETS_DEADLINE: Duration = Duration::from_secs(15);
/// Deletions are asked for from time to time: they are tried again, and hold up a stop for no longer.
const DELETE_DEADLINE: Duration = Duration::from_secs(10);
const OFFSETS_PAUSE: Duration = Duration::from_millis(100);

/// Manages the topics of a cluster.
#[derive(Debug)]
pub(super) struct KafkaTopics {
    clients: Arc<SharedClients>,
    shared: Arc<TopicsClient>,
    admin: Admin,
}

impl KafkaTopics {
    pub(super) fn new(clients: &Arc<SharedClients>) -> Result<Self, LogError> {
        Ok(Self::with(clients, clients.topics()?))
    }

    fn with(clients: &Arc<SharedClients>, shared: Arc<TopicsClient>) -> Self {
        let admin = Admin::new(shared.client.clone(), DEFAULT_DEADLINE);
        Self { clients: Arc::clone(clients), shared, admin }
    }

    /// Gives librdkafka's client-wide errors to the hooks, and explains `error` by them.
    fn explain(&self, operation: &'static str, error: LogError) -> LogError {
        self.shared.hooks.take_errors(&self.shared.errors);
        self.shared.hooks.explain(operation, error)
    }

    fn of_topic(&self, operation: &'static str, topic: &str, error: &RawError) -> LogError {
        self.explain(operation, classify_topic(operation, DEFAULT_DEADLINE, topic, error))
    }

    fn of_request(&self, operation: &'static str, error: &RawError) -> LogError {
        self.explain(operation, classify(During::Request, operation, DEFAULT_DEADLINE, error))
    }

    /// Asks again until `done`, or the deadline is over.
    fn wait(
        &self,
        operation: &'static str,
        topic: &str,
        mut done: impl FnMut(&Self) -> Result<bool, RawError>,
    ) -> Result<(), LogError> {
        let until = Instant::now() + DEFAULT_DEADLINE;
        loop {
            match done(self) {
                Ok(true) => return Ok(()),
                Err(error) if !is_missing_topic(error.code) && Instant::now() >= until => {
                    return Err(self.of_topic(operation, topic, &error));
                }
                _ if Instant::now() >= until => {
                    return Err(LogError::Timeout { operation, deadline: DEFAULT_DEADLINE });
                }
                _ => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Whether every broker that is asked knows the topic with a leader for each partition. Requests go to
    /// brokers as they come, so several in a row stand for all of them.
    fn is_usable(&self, name: &str, partitions: usize) -> Result<bool, RawError> {
        let brokers = self.shared.client.all_topics(DEFAULT_DEADLINE)?.brokers;
        let times = if brokers > 1 { 2 * brokers } else { 1 };
        for _ in 0..times {
            let topic = self.admin.describe_topic(name)?;
            if topic.partitions != partitions || topic.led != partitions {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for a topic that another client has created, perhaps only just now: a `describe` that follows must see it.
    fn wait_led(&self, name: &str) -> Result<(), LogError> {
        self.wait("wait for a new topic", name, |this| {
            let partitions = this.admin.describe_topic(name)?.partitions;
            this.is_usable(name, partitions)
        })
    }

    /// Says which of topic and partition is missing.
    fn missing(&mut self, topic: &str, partition: i32) -> LogError {
        match self.describe(topic) {
            Ok(Some(info)) if partition >= info.partitions || partition < 0 => {
                LogError::PartitionMissing { topic: topic.into(), partition }
            }
            Ok(Some(_)) => LogError::Unavailable {
                operation: "offsets",
                reason: format!("{topic}-{partition} is not known to its broker yet"),
            },
            Ok(None) => LogError::TopicMissing { topic: topic.into() },
            Err(error) => error,
        }
    }

    fn check(&mut self, operation: &'static str, results: &[PartitionResult]) -> Result<(), LogError> {
        let Some(failed) = results.iter().find(|result| !result.code.is_ok()) else { return Ok(()) };
        if may_be_missing(failed.code) {
            return Err(self.missing(&failed.topic, failed.partition));
        }
        let text = format!("{}-{}: {}", failed.topic, failed.partition, failed.code.describe());
        Err(self.of_request(operation, &RawError::of(failed.code, text)))
    }

    /// Looks up offsets in one isolation; partitions must differ.
    ///
    /// librdkafka asks the leader that it knows of under the leader's epoch that it knows of, and keeps both when they are out of
    /// date (a broker was restarted, a leader has moved): only a new client asks for them again.
    fn look_up(
        &mut self,
        wanted: &[(&TopicPartition, i64)],
        query: OffsetQuery,
    ) -> Result<Vec<PartitionResult>, LogError> {
        let until = Instant::now() + OFFSETS_DEADLINE;
        loop {
            match self.look_up_once(wanted, query) {
                Err(error) if error.recovery() == Recovery::Retry => {
                    *self = Self::with(&self.clients, self.clients.topics_instead_of(&self.shared)?);
                    if Instant::now() >= until {
                        return Err(error);
                    }
                    tracing::debug!(%error, "offsets are asked for by a new client");
                    std::thread::sleep(OFFSETS_PAUSE);
                }
                done => return done,
            }
        }
    }

    fn look_up_once(
        &mut self,
        wanted: &[(&TopicPartition, i64)],
        query: OffsetQuery,
    ) -> Result<Vec<PartitionResult>, LogError> {
        let mut list = PartitionList::new();
        for (partition, which) in wanted {
            list.add(&partition.topic, partition.partition, *which);
        }
        match Admin::new(self.shared.client.clone(), OFFSETS_ATTEMPT).list_offsets(&list, query) {
            Ok(found) => {
                self.check("offsets", &found)?;
                Ok(found)
            }
            Err(error) if may_be_missing(error.code) => {
                for (partition, _) in wanted {
                    let missing = self.missing(&partition.topic, partition.partition);
                    if matches!(missing, LogError::TopicMissing { .. } | LogError::PartitionMissing { .. }) {
                        return Err(missing);
                    }
                }
                Err(self.of_request("offsets", &error))
            }
            Err(error) => Err(self.of_request("offsets", &error)),
        }
    }
}

/// A request finds no leader for a partition that is not there.
fn may_be_missing(code: Code) -> bool {
    is_missing_topic(code) || code == Code::LOCAL_UNKNOWN_PARTITION || code == Code::LOCAL_NO_ENTRY
}

/// What is asked of librdkafka for a spec.
fn request_of(spec: OffsetSpec) -> (OffsetQuery, i64) {
    match spec {
        OffsetSpec::Earliest => (OffsetQuery::Uncommitted, -2),
        OffsetSpec::Latest(Isolation::ReadUncommitted) => (OffsetQuery::Uncommitted, -1),
        OffsetSpec::Latest(Isolation::ReadCommitted) => (OffsetQuery::Committed, -1),
        // Negative numbers have meanings of their own; every record is at or after 0.
        OffsetSpec::AtTime(time) => (OffsetQuery::Uncommitted, time.max(0)),
    }
}

impl Topics for KafkaTopics {
    fn create(&mut self, topic: &TopicSpec) -> Result<(), LogError> {
        let cleanup = match topic.cleanup {
            CleanupPolicy::Delete => "delete",
            CleanupPolicy::Compact => "compact",
            CleanupPolicy::CompactDelete => "compact,delete",
        };
        let mut settings = vec![("cleanup.policy".to_owned(), cleanup.to_owned())];
        settings.extend(topic.settings.iter().cloned());
        let created =
            self.admin.create_topic(&topic.name, topic.partitions, topic.replication_factor.unwrap_or(-1), &settings);
        if let Err(error) = created {
            let error = self.of_topic("create a topic", &topic.name, &error);
            if matches!(error, LogError::TopicExists { .. }) {
                self.wait_led(&topic.name)?;
            }
            return Err(error);
        }
        let partitions = usize::try_from(topic.partitions).unwrap_or(0);
        self.wait("wait for a new topic", &topic.name, |this| this.is_usable(&topic.name, partitions))
    }

    fn describe(&mut self, name: &str) -> Result<Option<TopicInfo>, LogError> {
        match describe(&self.admin, name) {
            Ok(topic) => Ok(Some(TopicInfo { name: name.into(), partitions: topic.partitions as i32 })),
            Err(error) if is_missing_topic(error.code) || error.code == Code::INVALID_TOPIC => Ok(None),
            Err(error) => Err(self.of_topic("describe a topic", name, &error)),
        }
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, LogError> {
        let metadata =
            self.shared.client.all_topics(DEFAULT_DEADLINE).map_err(|error| self.of_request("list topics", &error))?;
        let mut names: Vec<String> = metadata.topics.into_iter().filter(|name| name.starts_with(prefix)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn delete(&mut self, name: &str) -> Result<(), LogError> {
        self.admin.delete_topic(name).map_err(|error| self.of_topic("delete a topic", name, &error))?;
        self.wait("wait for a topic to go", name, |this| match this.admin.describe_topic(name) {
            Ok(_) => Ok(false),
            Err(error) if is_missing_topic(error.code) => Ok(true),
            Err(error) => Err(error),
        })
    }

    fn delete_records(&mut self, before: &[(TopicPartition, i64)]) -> Result<(), LogError> {
        if before.is_empty() {
            return Ok(());
        }
        let mut list = PartitionList::new();
        for (partition, offset) in before {
            list.add(&partition.topic, partition.partition, *offset);
        }
        let admin = Admin::new(self.shared.client.clone(), DELETE_DEADLINE);
        let results = match admin.delete_records(&list) {
            Ok(results) => results,
            Err(error) if may_be_missing(error.code) => {
                let (partition, _) = &before[0];
                return Err(self.missing(&partition.topic, partition.partition));
            }
            Err(error) => return Err(self.of_request("delete records", &error)),
        };
        self.check("delete records", &results)
    }

    fn offsets(&mut self, partitions: &[(TopicPartition, OffsetSpec)]) -> Result<Vec<i64>, LogError> {
        let mut answers = vec![None; partitions.len()];
        // One request takes a partition once, and one isolation: what does not fit goes into the next.
        while let Some(first) = answers.iter().position(Option::is_none) {
            let (query, _) = request_of(partitions[first].1);
            let mut chosen: Vec<usize> = Vec::new();
            let mut names = std::collections::BTreeSet::new();
            for (index, (partition, spec)) in partitions.iter().enumerate() {
                let fits = answers[index].is_none() && request_of(*spec).0 == query;
                if fits && names.insert(partition) {
                    chosen.push(index);
                }
            }
            let wanted: Vec<(&TopicPartition, i64)> =
                chosen.iter().map(|&index| (&partitions[index].0, request_of(partitions[index].1).1)).collect();
            let found = self.look_up(&wanted, query)?;
            for &index in &chosen {
                let (partition, spec) = &partitions[index];
                let offset = offset_in(&found, partition)?;
                // A timestamp behind all records finds nothing: that is the end.
                let at_end = offset < 0 && matches!(spec, OffsetSpec::AtTime(_));
                answers[index] = Some(if at_end {
                    offset_in(&self.look_up(&[(partition, -1)], OffsetQuery::Uncommitted)?, partition)?
                } else {
                    offset
                });
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn delete_group(&mut self, group: &str) -> Result<(), LogError> {
        let until = Instant::now() + DEFAULT_DEADLINE;
        loop {
            match self.admin.delete_group(group) {
                Ok(()) => return Ok(()),
                Err(error) if error.code == Code::GROUP_ID_NOT_FOUND => return Ok(()),
                Err(error) if error.code == Code::NON_EMPTY_GROUP => {
                    return Err(LogError::Misuse {
                        operation: "delete a group",
                        reason: format!("group {group} has members; stop them first"),
                    });
                }
                Err(error) => {
                    let error = self.of_request("delete a group", &error);
                    if !matches!(error, LogError::Unavailable { .. }) || Instant::now() >= until {
                        return Err(error);
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}

fn offset_in(found: &[PartitionResult], partition: &TopicPartition) -> Result<i64, LogError> {
    let same = |found: &&PartitionResult| found.topic == *partition.topic && found.partition == partition.partition;
    found.iter().find(same).map(|found| found.offset).ok_or_else(|| LogError::Fatal {
        operation: "offsets",
        reason: format!("the log did not answer for {partition}"),
    })
}
