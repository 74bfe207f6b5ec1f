//! What a group has committed.
//!
//! **Invariants:** what is returned by `committed` comes from a read_committed client only, which waits for
//! open transactions; the other client answers `peek` and says whether a time-out was an open transaction's.

use super::classify::{During, classify};
use super::hooks::ClientHooks;
use super::settings::KafkaSettings;
use super::shared::SharedClients;
use super::sys::{Client, Code, Kind, PartitionList, PartitionResult, Queue, RawError};
use crate::log::{CommittedOffset, GroupOffsets, LogError, TopicPartition};
use std::sync::Arc;
use std::time::{Duration, Instant};

const OPERATION: &str = "committed offsets";
/// A question is first given so long; an answer takes a few ms.
const FIRST_SLICE: Duration = Duration::from_millis(50);
/// A decided offset is answered in a few ms; this long without an answer means undecided.
const DECIDED_WITHIN: Duration = Duration::from_millis(500);

/// Reads a group's committed offsets.
#[derive(Debug)]
pub(super) struct KafkaGroupOffsets {
    clients: Arc<SharedClients>,
    group: String,
    stable: Arc<Reader>,
    /// Made when it is first needed: few processes ever meet another's open transaction.
    any: Option<Arc<Reader>>,
}

/// A client that asks for a group's committed offsets.
#[derive(Debug)]
pub(super) struct Reader {
    queue: Queue,
    hooks: Arc<ClientHooks>,
    client: Arc<Client>,
}

impl Reader {
    pub(super) fn new(settings: &KafkaSettings, group: &str, isolation: &str) -> Result<Self, LogError> {
        let client_id = format!("{group}-offsets");
        let owned = [
            ("group.id", group),
            ("enable.auto.commit", "false"),
            ("isolation.level", isolation),
            ("allow.auto.create.topics", "false"),
        ];
        let suggested = [("retry.backoff.ms", "20"), ("retry.backoff.max.ms", "100")];
        let conf = settings.conf(&client_id, &suggested, &owned)?;
        let (client, hooks) = settings.build(conf, Kind::Consumer, &client_id)?;
        let queue = Queue::consumer(&client)
            .ok_or_else(|| LogError::Fatal { operation: OPERATION, reason: "a consumer without a queue".into() })?;
        Ok(Self { queue, hooks, client })
    }

    /// Asks in slices that grow. librdkafka answers a question that comes before the group's coordinator is known only when a
    /// broker's connection changes; asked again, it answers at once.
    fn ask(&self, list: &mut PartitionList, deadline: Duration) -> Result<(), RawError> {
        let until = Instant::now() + deadline;
        let mut slice = FIRST_SLICE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.client.committed(list, left.min(slice)) {
                Err(error) if error.code == Code::LOCAL_TIMED_OUT && left > slice => slice *= 2,
                done => return done,
            }
        }
    }

    fn read(&self, partitions: &[TopicPartition], deadline: Duration) -> Result<Vec<PartitionResult>, RawError> {
        self.hooks.take_errors(&self.queue);
        let mut list = PartitionList::new();
        for partition in partitions {
            list.add(&partition.topic, partition.partition, -1001);
        }
        self.ask(&mut list, deadline)?;
        let results = list.results();
        match results.iter().find(|result| !result.code.is_ok()) {
            Some(failed) => {
                let text = format!("{}-{}: {}", failed.topic, failed.partition, failed.code.describe());
                Err(RawError::of(failed.code, text))
            }
            None => Ok(results),
        }
    }
}

fn offsets_of(results: Vec<PartitionResult>) -> Vec<Option<CommittedOffset>> {
    let offset_of = |result: PartitionResult| {
        (result.offset >= 0).then_some(CommittedOffset { offset: result.offset, metadata: result.metadata })
    };
    results.into_iter().map(offset_of).collect()
}

impl KafkaGroupOffsets {
    pub(super) fn new(clients: &Arc<SharedClients>, group: &str) -> Result<Self, LogError> {
        let stable = clients.reader(group, true)?;
        Ok(Self { clients: Arc::clone(clients), group: group.into(), stable, any: None })
    }

    /// The reader that does not wait for open transactions.
    fn any(&mut self) -> Result<Arc<Reader>, LogError> {
        match &self.any {
            Some(any) => Ok(Arc::clone(any)),
            None => Ok(Arc::clone(self.any.insert(self.clients.reader(&self.group, false)?))),
        }
    }

    fn failed(&self, deadline: Duration, error: &RawError) -> LogError {
        self.stable.hooks.explain(OPERATION, classify(During::Request, OPERATION, deadline, error))
    }

    /// The first partition whose offset is undecided, if the group can be asked at all.
    fn undecided<'p>(&mut self, partitions: &'p [TopicPartition]) -> Option<&'p TopicPartition> {
        self.any().ok()?.read(partitions, DECIDED_WITHIN).ok()?;
        let is_undecided = |partition: &&TopicPartition| {
            let one = std::slice::from_ref(*partition);
            self.stable.read(one, DECIDED_WITHIN).is_err_and(|error| is_waiting(&error))
        };
        partitions.iter().find(is_undecided)
    }
}

fn is_waiting(error: &RawError) -> bool {
    [Code::LOCAL_TIMED_OUT, Code::UNSTABLE_OFFSET_COMMIT].contains(&error.code)
}

impl GroupOffsets for KafkaGroupOffsets {
    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        deadline: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        match self.stable.read(partitions, deadline) {
            Ok(results) => Ok(offsets_of(results)),
            Err(error) if is_waiting(&error) => Err(match self.undecided(partitions) {
                Some(partition) => {
                    LogError::OffsetsUnstable { group: self.group.clone(), partition: partition.to_string() }
                }
                None => self.failed(deadline, &error),
            }),
            Err(error) => Err(self.failed(deadline, &error)),
        }
    }

    fn peek(
        &mut self,
        partitions: &[TopicPartition],
        deadline: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>, LogError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        self.any()?.read(partitions, deadline).map(offsets_of).map_err(|error| self.failed(deadline, &error))
    }
}
