//! What a group has committed.
//!
//! **Invariants:** what is returned by `committed` comes from a read_committed client only, which waits for
//! open transactions; the other client answers `peek` and says whether a time-out was an open transaction's.

use super::classify::{During, classify};
use super::hooks::ClientHooks;
use super::settings::KafkaSettings;
use super::sys::{Client, Code, Kind, PartitionList, PartitionResult, Queue, RawError};
use crate::log::{CommittedOffset, GroupOffsets, LogError, TopicPartition};
use std::sync::Arc;
use std::time::Duration;

const OPERATION: &str = "committed offsets";
/// A decided offset is answered in a few ms; this long without an answer means undecided.
const DECIDED_WITHIN: Duration = Duration::from_millis(500);

/// Reads a group's committed offsets.
#[derive(Debug)]
pub(super) struct KafkaGroupOffsets {
    group: String,
    stable: Reader,
    any: Reader,
}

#[derive(Debug)]
struct Reader {
    queue: Queue,
    hooks: Arc<ClientHooks>,
    client: Arc<Client>,
}

impl Reader {
    fn new(settings: &KafkaSettings, group: &str, isolation: &str) -> Result<Self, LogError> {
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

    fn read(&self, partitions: &[TopicPartition], deadline: Duration) -> Result<Vec<PartitionResult>, RawError> {
        self.hooks.take_errors(&self.queue);
        let mut list = PartitionList::new();
        for partition in partitions {
            list.add(&partition.topic, partition.partition, -1001);
        }
        self.client.committed(&mut list, deadline)?;
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
    pub(super) fn new(settings: &KafkaSettings, group: &str) -> Result<Self, LogError> {
        Ok(Self {
            group: group.into(),
            stable: Reader::new(settings, group, "read_committed")?,
            any: Reader::new(settings, group, "read_uncommitted")?,
        })
    }

    fn failed(&self, deadline: Duration, error: &RawError) -> LogError {
        self.stable.hooks.explain(OPERATION, classify(During::Request, OPERATION, deadline, error))
    }

    /// The first partition whose offset is undecided, if the group can be asked at all.
    fn undecided<'p>(&self, partitions: &'p [TopicPartition]) -> Option<&'p TopicPartition> {
        self.any.read(partitions, DECIDED_WITHIN).ok()?;
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
        self.any.read(partitions, deadline).map(offsets_of).map_err(|error| self.failed(deadline, &error))
    }
}
