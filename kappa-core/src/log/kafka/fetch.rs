//! Reading: manual assignment, batch consume, pausing that keeps what was fetched ahead.
//!
//! **Invariants:**
//! - A *lane* is one assigned partition. What comes for a partition without a lane is dropped.
//! - A paused lane's queue is taken out of the consumer's queue and keeps filling up to its bound; what was
//!   in the consumer's queue already goes to the lane's stash as it turns up. On resume the stash is
//!   delivered before anything newer, so order holds.
//! - A failed lane is unassigned in librdkafka at once, and stays until the caller unassigns its token.

use super::classify::{During, classify};
use super::close::within;
use super::fetched::KafkaBatch;
use super::hooks::ClientHooks;
use super::settings::KafkaSettings;
use super::sys::{Batch, Client, Code, Kind, MessageHead, PartitionList, Queue, Topic};
use crate::log::{
    Assignment, Fetch, FetchOptions, Isolation, LogError, PartitionEnd, PartitionFailure, Polled, Run, Start, Token,
    TopicPartition,
};
use failures::{Failures, Verdict};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

mod failures;

const OPERATION: &str = "fetch";
/// How often `poll` looks whether a failed partition's log range is known.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const ASSIGN_DEADLINE: Duration = Duration::from_secs(30);

/// A client that reads partitions it is told to read.
#[derive(Debug)]
pub(super) struct KafkaFetch {
    lanes: HashMap<Token, Lane>,
    by_partition: HashMap<TopicPartition, Token>,
    /// Tokens by topic handle and partition; forgotten when anything is unassigned.
    by_address: HashMap<(usize, i32), Token>,
    /// Resumed lanes whose stash is to be delivered first.
    resumed: VecDeque<Token>,
    failures: Failures,
    serial: u64,
    queue: Queue,
    hooks: Arc<ClientHooks>,
    client: Arc<Client>,
}

#[derive(Debug)]
struct Lane {
    partition: TopicPartition,
    /// Tells a token's uses apart.
    serial: u64,
    /// Where the next record is expected, for error messages.
    next: i64,
    /// The partition's own queue while the lane is paused.
    paused: Option<Queue>,
    stash: Option<Batch>,
    failed: bool,
}

impl KafkaFetch {
    pub(super) fn new(settings: &KafkaSettings, options: &FetchOptions) -> Result<Self, LogError> {
        let isolation = match options.isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        let ahead_kib = (options.buffer_bytes / 1024).clamp(64, 2_097_151).to_string();
        let response = options.buffer_bytes.clamp(1 << 20, 50 << 20).to_string();
        let ahead_records = options.ahead_records.clamp(1, 1_000_000).to_string();
        let partition_bytes = options.partition_bytes.clamp(64 << 10, 1 << 30).to_string();
        let wait_ms = options.wait_max.as_millis().clamp(1, 300_000).to_string();
        let suggested = [
            ("fetch.wait.max.ms", wait_ms.as_str()),
            ("queued.min.messages", ahead_records.as_str()),
            ("fetch.queue.backoff.ms", "10"),
            ("fetch.error.backoff.ms", "100"),
            ("retry.backoff.ms", "10"),
            ("fetch.max.bytes", response.as_str()),
            ("fetch.message.max.bytes", partition_bytes.as_str()),
        ];
        let owned = [
            // Manual assignment needs a group's name in librdkafka, and nothing of the group.
            ("group.id", options.client_id.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            ("allow.auto.create.topics", "false"),
            ("topic.metadata.propagation.max.ms", "3000"),
            ("isolation.level", isolation),
            ("queued.max.messages.kbytes", ahead_kib.as_str()),
        ];
        let conf = settings.conf(&options.client_id, &suggested, &owned)?;
        let (client, hooks) = settings.build(conf, Kind::Consumer, &options.client_id)?;
        let queue = Queue::consumer(&client)
            .ok_or_else(|| LogError::Fatal { operation: OPERATION, reason: "a consumer without a queue".into() })?;
        Ok(Self {
            lanes: HashMap::new(),
            by_partition: HashMap::new(),
            by_address: HashMap::new(),
            resumed: VecDeque::new(),
            failures: Failures::new(),
            serial: 0,
            queue,
            hooks,
            client,
        })
    }

    fn check_new(&self, partitions: &[Assignment]) -> Result<(), LogError> {
        let misuse = |reason| Err(LogError::Misuse { operation: "assign", reason });
        for (index, new) in partitions.iter().enumerate() {
            let before = &partitions[..index];
            if self.lanes.contains_key(&new.token) || before.iter().any(|other| other.token == new.token) {
                return misuse(format!("token {} is assigned already ({})", new.token, new.partition));
            }
            let twice = before.iter().any(|other| other.partition == new.partition);
            if twice || self.by_partition.contains_key(&new.partition) {
                return misuse(format!("{} is assigned already", new.partition));
            }
            if matches!(new.start, Start::Offset(offset) if offset < 0) {
                return misuse(format!("{} can't be read from the negative offset {:?}", new.partition, new.start));
            }
        }
        Ok(())
    }

    /// librdkafka asks at once for the leaders of a topic that it is given a handle of; for those of a topic that only an assignment
    /// names it looks once a second. The handles are to be kept until that assignment is made.
    fn ask_for_leaders(&self, partitions: &[Assignment]) -> Vec<Topic> {
        let topics: BTreeSet<&str> = partitions.iter().map(|new| &*new.partition.topic).collect();
        topics.into_iter().filter_map(|topic| Topic::new(&self.client, topic, 0)).collect()
    }

    /// The token of the partition that a message is of.
    fn token_of(&mut self, batch: &Batch, index: usize, head: &MessageHead) -> Option<Token> {
        let address = (head.topic_address, head.partition);
        if let Some(token) = self.by_address.get(&address) {
            return Some(*token);
        }
        let partition = TopicPartition::new(batch.topic_name(index), head.partition);
        let token = *self.by_partition.get(&partition)?;
        self.by_address.insert(address, token);
        Some(token)
    }

    /// Takes in what the queue gave: records and ends to `polled`, the rest where it belongs.
    fn sort_out(&mut self, mut batch: Batch, polled: &mut Polled) {
        let mut runs: Vec<Run> = Vec::new();
        let mut kept = 0;
        let mut last: Option<((usize, i32), Token)> = None;
        for index in 0..batch.len() {
            let head = batch.head(index);
            let address = (head.topic_address, head.partition);
            let token = match last {
                Some((same, token)) if same == address => Some(token),
                _ => self.token_of(&batch, index, &head),
            };
            let Some((token, lane)) = token.and_then(|token| Some((token, self.lanes.get_mut(&token)?))) else {
                note_stray(&batch, index, &head);
                continue;
            };
            last = Some((address, token));
            if !head.code.is_ok() && head.code != Code::PARTITION_EOF {
                self.fail(token, &batch.error_text(index), head.code, head.offset, polled);
                continue;
            }
            if lane.failed {
                continue;
            }
            if lane.paused.is_some() {
                batch.move_to(index, lane.stash.get_or_insert_with(|| Batch::new(self.client.clone())));
                continue;
            }
            if head.code == Code::PARTITION_EOF {
                polled.ends.push(PartitionEnd { token, offset: head.offset });
                continue;
            }
            lane.next = head.offset + 1;
            batch.swap(index, kept);
            match runs.last_mut() {
                Some(run) if run.token == token => run.end += 1,
                _ => runs.push(Run { token, start: kept as u32, end: kept as u32 + 1 }),
            }
            kept += 1;
        }
        batch.truncate(kept);
        if kept > 0 {
            polled.batch = Some(Box::new(KafkaBatch { messages: batch, runs }));
        }
    }

    /// A partition's error: a failure, a lookup that leads to one, or something librdkafka mends by itself.
    fn fail(&mut self, token: Token, text: &str, code: Code, offset: i64, polled: &mut Polled) {
        let Some(lane) = self.lanes.get_mut(&token).filter(|lane| !lane.failed) else { return };
        let offset = if offset >= 0 { offset } else { lane.next };
        match failures::verdict(&lane.partition, code, text) {
            Verdict::Passing => {
                tracing::debug!(partition = %lane.partition, ?code, text, "librdkafka goes on by itself");
                return;
            }
            Verdict::Failed(error) => polled.failures.push(PartitionFailure { token, error }),
            Verdict::OutOfRange => {
                self.failures.look_up(&self.client, token, lane.serial, lane.partition.clone(), offset, text);
            }
        }
        lane.failed = true;
        lane.stash = None;
        let mut list = PartitionList::new();
        list.add(&lane.partition.topic, lane.partition.partition, 0);
        if let Err(error) = self.client.incremental_unassign(&list) {
            tracing::debug!(partition = %lane.partition, error = error.reason(), "unassigning a failed partition");
        }
        if let Some(own) = lane.paused.take() {
            own.forward(Some(&self.queue));
        }
    }

    fn take_failures(&mut self, polled: &mut Polled) {
        // That a topic or partition is not there is told as an error of the client.
        for error in self.hooks.partition_errors() {
            let partition = TopicPartition::new(error.topic, error.partition);
            if let Some(token) = self.by_partition.get(&partition).copied() {
                self.fail(token, &error.text, error.code, -1, polled);
            }
        }
        while let Some((token, serial, error)) = self.failures.next() {
            if self.lanes.get(&token).is_some_and(|lane| lane.serial == serial) {
                polled.failures.push(PartitionFailure { token, error });
            }
        }
    }

    /// Delivers from the stash of a resumed lane.
    fn take_stash(&mut self, max_records: usize, polled: &mut Polled) {
        while let Some(token) = self.resumed.front().copied() {
            let stash = self.lanes.get_mut(&token).filter(|lane| lane.paused.is_none());
            let Some(stash) = stash.and_then(|lane| lane.stash.as_mut()).filter(|stash| stash.len() > 0) else {
                self.resumed.pop_front();
                if let Some(lane) = self.lanes.get_mut(&token).filter(|lane| lane.paused.is_none()) {
                    lane.stash = None;
                }
                continue;
            };
            let batch = stash.take_front(stash.len().min(max_records));
            return self.sort_out(batch, polled);
        }
    }

    /// Waits for the queue, and takes what is there.
    fn consume(&self, max_records: usize, wait: Duration) -> Batch {
        let mut batch = Batch::new(self.client.clone());
        if batch.fill(&self.queue, max_records, Duration::ZERO) == 0 && !wait.is_zero() {
            // The batch call waits for a full batch: so one is waited for, and the rest is what is there.
            if batch.fill(&self.queue, 1, wait) > 0 && max_records > 1 {
                batch.fill(&self.queue, max_records - 1, Duration::ZERO);
            }
        }
        batch
    }
}

fn note_stray(batch: &Batch, index: usize, head: &MessageHead) {
    if !head.code.is_ok() && head.code != Code::PARTITION_EOF {
        let text = batch.error_text(index);
        tracing::debug!(code = ?head.code, text, "an error of no assigned partition");
    }
}

fn is_something(polled: &Polled) -> bool {
    polled.batch.is_some() || !polled.ends.is_empty() || !polled.failures.is_empty()
}

impl Fetch for KafkaFetch {
    fn assign(&mut self, partitions: &[Assignment]) -> Result<(), LogError> {
        self.check_new(partitions)?;
        if partitions.is_empty() {
            return Ok(());
        }
        let mut list = PartitionList::new();
        for Assignment { partition, start, .. } in partitions {
            let offset = match start {
                Start::Earliest => -2,
                Start::Latest => -1,
                Start::Offset(offset) => *offset,
            };
            list.add(&partition.topic, partition.partition, offset);
        }
        let _asked = self.ask_for_leaders(partitions);
        self.client
            .incremental_assign(&list)
            .map_err(|error| classify(During::Request, "assign", ASSIGN_DEADLINE, &error))?;
        for Assignment { partition, start, token } in partitions {
            self.serial += 1;
            let next = if let Start::Offset(offset) = start { *offset } else { -1 };
            let lane = Lane {
                partition: partition.clone(),
                serial: self.serial,
                next,
                paused: None,
                stash: None,
                failed: false,
            };
            self.lanes.insert(*token, lane);
            self.by_partition.insert(partition.clone(), *token);
        }
        Ok(())
    }

    fn unassign(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        let mut list = PartitionList::new();
        let mut queues = Vec::new();
        for token in tokens {
            let Some(lane) = self.lanes.remove(token) else { continue };
            self.by_partition.remove(&lane.partition);
            if !lane.failed {
                list.add(&lane.partition.topic, lane.partition.partition, 0);
            }
            queues.extend(lane.paused);
        }
        self.by_address.clear();
        self.resumed.retain(|token| self.lanes.contains_key(token));
        let result = if list.is_empty() { Ok(()) } else { self.client.incremental_unassign(&list) };
        for own in queues {
            own.forward(Some(&self.queue));
        }
        result.map_err(|error| classify(During::Request, "unassign", ASSIGN_DEADLINE, &error))
    }

    fn pause(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        for token in tokens {
            let Some(lane) = self.lanes.get_mut(token) else { continue };
            if lane.failed || lane.paused.is_some() {
                continue;
            }
            let TopicPartition { topic, partition } = &lane.partition;
            let own = Queue::partition(&self.client, topic, *partition).ok_or_else(|| LogError::Fatal {
                operation: "pause",
                reason: format!("{} has no queue", lane.partition),
            })?;
            own.forward(None);
            lane.paused = Some(own);
        }
        Ok(())
    }

    fn resume(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        for token in tokens {
            let Some(lane) = self.lanes.get_mut(token) else { continue };
            let Some(own) = lane.paused.take() else { continue };
            own.forward(Some(&self.queue));
            if lane.stash.is_some() && !self.resumed.contains(token) {
                self.resumed.push_back(*token);
            }
        }
        Ok(())
    }

    fn poll(&mut self, max_records: usize, timeout: Duration) -> Result<Polled, LogError> {
        let until = Instant::now() + timeout;
        let max_records = max_records.max(1);
        let mut polled = Polled::default();
        self.take_failures(&mut polled);
        self.take_stash(max_records, &mut polled);
        while !is_something(&polled) {
            let left = until.saturating_duration_since(Instant::now());
            let wait = if self.failures.pending() > 0 { left.min(LOOK_AGAIN) } else { left };
            let batch = self.consume(max_records, wait);
            self.sort_out(batch, &mut polled);
            self.take_failures(&mut polled);
            if let Some(refusal) = self.hooks.refusal(OPERATION) {
                return Err(refusal);
            }
            if left.is_zero() {
                break;
            }
        }
        Ok(polled)
    }

    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        let client = self.client.clone();
        drop(self);
        within("close a reader", deadline, move || client.close_consumer())?
            .map_err(|error| classify(During::Request, "close a reader", deadline, &error))
    }
}
