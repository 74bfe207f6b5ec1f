//! Appending, in transactions.
//!
//! **Invariants:**
//! - librdkafka runs in event mode with reports of failures only: a commit then waits on a condition,
//!   not on a timer.
//! - A call of librdkafka's that ends a transaction is given a time-out longer than the transaction's; when
//!   that passes, or librdkafka does not keep to it, the outcome is unknown and the client takes no more calls.
//! - After a refused record librdkafka goes on with a gap in its sequence numbers, and the log refuses what
//!   follows: an abort then replaces the client within, under the same transactional id.
//! - A refused record or offset makes the transaction one that can only be aborted, with the first reason kept.

use super::classify::{During, classify, is_missing_topic};
use super::close::within;
use super::describe::describe;
use super::hooks::ClientHooks;
use super::settings::KafkaSettings;
use super::sys::{Admin, Client, Code, GroupPlace, Kind, PartitionList, RawError, Topic};
use crate::log::{
    Append, AppendBatch, AppendOptions, DEFAULT_DEADLINE, LogError, MemberStamp, OffsetCommit, Position, TopicHandle,
};
use calls::{Begun, Calls};
use conf::conf_of;
use deliveries::Deliveries;
use parcels::Parcels;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod calls;
mod conf;
mod deliveries;
mod parcels;
mod produce;

/// Longer than the transaction's own time-out, after which the log has aborted it.
/// How long an abort waits for what is on its way.
const BEFORE_ABORT: Duration = Duration::from_secs(1);
const BEYOND_TRANSACTION: Duration = Duration::from_secs(5);
/// For so long records are let go of before it is seen whether that still makes sense.
const FLUSH_PIECE: Duration = Duration::from_millis(1);
/// What `init` has at least once it is connected.
const DEADLINE_LEFT: Duration = Duration::from_millis(500);

/// Appends records.
#[derive(Debug)]
pub(super) struct KafkaAppend {
    topics: Vec<Known>,
    /// Partitions with a slot that were appended to since positions were last taken.
    reported: Vec<(TopicHandle, i32)>,
    state: State,
    /// A record of this transaction was refused by the log.
    has_gap: bool,
    parcels: Parcels,
    settings: KafkaSettings,
    options: AppendOptions,
    calls: Calls,
    deliveries: Deliveries,
    hooks: Arc<ClientHooks>,
    client: Arc<Client>,
}

/// A topic that was looked up.
#[derive(Debug)]
struct Known {
    name: String,
    partitions: i32,
    /// Whether positions of a partition are asked for and it is in `reported` already.
    reported: Vec<bool>,
    handle: Topic,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Without a transactional id.
    Plain,
    /// `init` comes first.
    New,
    Ready,
    Open,
    /// Only `abort` is left.
    Failed(LogError),
    /// Nothing is left.
    Dead(LogError),
}

fn handle_of(client: &Arc<Client>, name: &str, slots: i32) -> Result<Topic, LogError> {
    Topic::new(client, name, slots).ok_or_else(|| LogError::Fatal {
        operation: "look up a topic",
        reason: format!("librdkafka makes no handle for {name}"),
    })
}

impl KafkaAppend {
    pub(super) fn new(settings: &KafkaSettings, options: AppendOptions) -> Result<Self, LogError> {
        let (client, hooks) = settings.build(conf_of(settings, &options)?, Kind::Producer, &options.client_id)?;
        let deliveries = Deliveries::serve(&client, hooks.clone())?;
        let state = if options.transactional_id.is_some() { State::New } else { State::Plain };
        Ok(Self {
            topics: Vec::new(),
            reported: Vec::new(),
            state,
            has_gap: false,
            parcels: Parcels::default(),
            settings: settings.clone(),
            options,
            calls: Calls::start()?,
            deliveries,
            hooks,
            client,
        })
    }

    /// Goes on with a new client under the same transactional id.
    fn replace(&mut self, deadline: Duration) -> Result<(), LogError> {
        tracing::warn!(client = self.options.client_id, "a record was refused: the Kafka client is replaced");
        let mut new = Self::new(&self.settings, self.options.clone())?;
        new.init(deadline)?;
        for known in &self.topics {
            let slots = known.reported.len() as i32;
            let handle = handle_of(&new.client, &known.name, slots)?;
            let (name, partitions) = (known.name.clone(), known.partitions);
            new.topics.push(Known { name, partitions, reported: vec![false; slots as usize], handle });
        }
        *self = new;
        Ok(())
    }

    /// How long librdkafka is waited for at the end of a transaction.
    fn ending(&self) -> Duration {
        self.options.transaction_timeout + BEYOND_TRANSACTION
    }

    fn expect(&self, operation: &'static str, wanted: &State) -> Result<(), LogError> {
        if self.state == *wanted {
            return Ok(());
        }
        let reason = match &self.state {
            State::Dead(error) | State::Failed(error) => return Err(error.clone()),
            State::Plain => "the client has no transactional id",
            State::New => "init comes first",
            State::Ready => "no transaction is open; begin one",
            State::Open => "a transaction is open; commit or abort it first",
        };
        Err(LogError::Misuse { operation, reason: reason.into() })
    }

    /// Keeps what an error means for the calls that follow.
    fn note(&mut self, error: LogError) -> LogError {
        use crate::log::Recovery;
        let dead = matches!(self.state, State::Dead(_));
        let transactional = self.options.transactional_id.is_some();
        match error.recovery() {
            _ if dead => {}
            Recovery::ReplaceClient => self.state = State::Dead(error.clone()),
            _ if self.client.fatal().is_some() => self.state = State::Dead(error.clone()),
            _ if transactional && self.state == State::Open => self.state = State::Failed(error.clone()),
            _ => {}
        }
        error
    }

    fn failed(&mut self, during: During, operation: &'static str, deadline: Duration, error: &RawError) -> LogError {
        let mut error = error.clone();
        if error.code == Code::LOCAL_FATAL
            && let Some((code, text)) = self.client.fatal()
        {
            error = RawError { code, text, fatal: true, ..error };
        }
        let error = self.hooks.explain(operation, classify(during, operation, deadline, &error));
        self.note(error)
    }

    /// Makes a call of librdkafka's that may not return when it should.
    fn call(
        &mut self,
        operation: &'static str,
        deadline: Duration,
        call: impl FnOnce(&Client) -> Result<(), RawError> + Send + 'static,
    ) -> Result<Result<(), RawError>, LogError> {
        let client = self.client.clone();
        self.calls.make(operation, deadline, move || call(&client)).map_err(|error| self.note(error))
    }

    /// Lets go of the records that wait for others while a call is being made, and waits for the call. Offsets come right before a
    /// commit: its records would wait for the answer first and set out only then.
    fn send_meanwhile<T>(&self, mut begun: Begun<T>) -> Result<T, LogError> {
        // A piece at a time: after an error of the call librdkafka sends nothing more, and a flush would wait for its whole time.
        while !begun.is_done() && self.client.flush(FLUSH_PIECE).is_err() {}
        begun.wait()
    }

    /// A topic's number of partitions.
    fn look_up(&self, name: &str) -> Result<i32, LogError> {
        let admin = Admin::new(self.client.clone(), DEFAULT_DEADLINE);
        match describe(&admin, name) {
            Ok(topic) => Ok(topic.partitions as i32),
            Err(error) if is_missing_topic(error.code) || error.code == Code::INVALID_TOPIC => {
                Err(LogError::TopicMissing { topic: name.into() })
            }
            Err(error) => {
                let error = classify(During::Request, "look up a topic", DEFAULT_DEADLINE, &error);
                Err(self.hooks.explain("look up a topic", error))
            }
        }
    }

    /// Takes the positions noted since they were last taken.
    fn take_positions(&mut self) -> Vec<Position> {
        let mut positions = Vec::with_capacity(self.reported.len());
        for (topic, partition) in self.reported.drain(..) {
            let known = &mut self.topics[topic.0 as usize];
            known.reported[partition as usize] = false;
            if let Some(next_offset) = known.handle.slots()[partition as usize].take() {
                positions.push(Position { topic, partition, next_offset });
            }
        }
        positions
    }

    /// The first record that the log refused since the last call.
    fn refused(&mut self, operation: &'static str) -> Option<LogError> {
        let refused = self.deliveries.take_failure(operation);
        self.has_gap |= refused.is_some();
        refused
    }
}

impl Append for KafkaAppend {
    fn topic(&mut self, name: &str, report_position: bool) -> Result<TopicHandle, LogError> {
        if let Some(index) = self.topics.iter().position(|known| known.name == name)
            && (!report_position || !self.topics[index].reported.is_empty())
        {
            return Ok(TopicHandle(index as u32));
        }
        let partitions = self.look_up(name)?;
        let slots = if report_position { partitions } else { 0 };
        let handle = handle_of(&self.client, name, slots)?;
        let reported = vec![false; slots as usize];
        self.topics.push(Known { name: name.into(), partitions, reported, handle });
        Ok(TopicHandle(self.topics.len() as u32 - 1))
    }

    fn init(&mut self, deadline: Duration) -> Result<(), LogError> {
        self.expect("init", &State::New)?;
        let until = Instant::now() + deadline;
        // librdkafka asks for the transaction's coordinator at once or, where no connection is up yet, 500 ms later.
        self.client.connected(deadline).map_err(|error| self.failed(During::Request, "init", deadline, &error))?;
        let deadline = until.saturating_duration_since(Instant::now()).max(DEADLINE_LEFT);
        match self.call("init", deadline, move |client| client.init_transactions(deadline))? {
            Ok(()) => {
                self.state = State::Ready;
                Ok(())
            }
            Err(error) => Err(self.failed(During::Request, "init", deadline, &error)),
        }
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.expect("begin", &State::Ready)?;
        self.client
            .begin_transaction()
            .map_err(|error| self.failed(During::Transaction, "begin", DEFAULT_DEADLINE, &error))?;
        self.state = State::Open;
        Ok(())
    }

    fn append(&mut self, batch: &AppendBatch) -> Result<(), LogError> {
        if self.state != State::Plain {
            self.expect("append", &State::Open)?;
        }
        self.append_all(batch).map_err(|error| self.note(error))
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit], member: &MemberStamp) -> Result<(), LogError> {
        const OPERATION: &str = "send offsets";
        self.expect(OPERATION, &State::Open)?;
        // The log takes such a stamp even for a group with members: nobody would be fenced by it.
        if member.generation < 0 || member.member_id.is_empty() {
            let reason = "a stamp without a generation or a member fences nobody; take it from the membership";
            return Err(self.note(LogError::StaleMember { operation: OPERATION, reason: reason.into() }));
        }
        let place = GroupPlace {
            group: member.group.clone(),
            generation: member.generation,
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
        };
        let (offsets, deadline) = (offsets.to_vec(), self.options.transaction_timeout);
        let client = self.client.clone();
        let begun = self.calls.begin(OPERATION, deadline, move || {
            let mut list = PartitionList::new();
            for OffsetCommit { partition, offset, metadata } in &offsets {
                list.add_with_metadata(&partition.topic, partition.partition, *offset, metadata);
            }
            client.send_offsets(&list, &place, deadline)
        });
        let sent = begun.and_then(|begun| self.send_meanwhile(begun)).map_err(|error| self.note(error))?;
        sent.map_err(|error| self.failed(During::Transaction, OPERATION, deadline, &error))
    }

    fn commit(&mut self) -> Result<Vec<Position>, LogError> {
        self.expect("commit", &State::Open)?;
        let deadline = self.ending();
        match self.call("commit", deadline, move |client| client.commit_transaction(deadline))? {
            Ok(()) => {
                self.state = State::Ready;
                Ok(self.take_positions())
            }
            Err(error) => {
                let error = match self.refused("commit") {
                    Some(refused) if error.requires_abort => self.note(refused),
                    _ => self.failed(During::Ending, "commit", deadline, &error),
                };
                Err(error)
            }
        }
    }

    fn abort(&mut self) -> Result<(), LogError> {
        match &self.state {
            State::Ready => return Ok(()),
            State::Open | State::Failed(_) => {}
            _ => self.expect("abort", &State::Open)?,
        }
        let deadline = self.ending();
        // librdkafka ends a transaction whose first partition it has sent to the coordinator, even where that has not arrived: a
        // broker before 4.0 calls the abort invalid then, and the client is lost (librdkafka#4849). What has been acknowledged has
        // arrived.
        let settling = if self.state == State::Open { deadline.min(BEFORE_ABORT) } else { Duration::ZERO };
        let result = self.call("abort", deadline + settling, move |client| {
            if !settling.is_zero() {
                client.flush(settling).ok();
            }
            client.abort_transaction(deadline)
        })?;
        self.refused("abort");
        self.take_positions();
        match result {
            Ok(()) => {
                self.state = State::Ready;
                if !self.has_gap {
                    return Ok(());
                }
                self.replace(deadline).inspect_err(|error| self.state = State::Dead(error.clone()))
            }
            Err(error) => {
                let error = self.failed(During::Ending, "abort", deadline, &error);
                self.state = State::Dead(error.clone());
                Err(error)
            }
        }
    }

    fn flush(&mut self, deadline: Duration) -> Result<Vec<Position>, LogError> {
        if self.state != State::Plain {
            let reason = "a client with a transactional id commits instead";
            return Err(LogError::Misuse { operation: "flush", reason: reason.into() });
        }
        self.client.flush(deadline).map_err(|error| self.failed(During::Request, "flush", deadline, &error))?;
        match self.refused("flush") {
            Some(refused) => {
                self.take_positions();
                Err(refused)
            }
            None => Ok(self.take_positions()),
        }
    }

    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        within("close an appender", deadline, move || {
            let open = matches!(self.state, State::Open | State::Failed(_));
            let result = if open { self.client.abort_transaction(deadline) } else { Ok(()) };
            drop(self);
            result
        })?
        .map_err(|error| classify(During::Ending, "close an appender", deadline, &error))
    }
}

impl Drop for KafkaAppend {
    fn drop(&mut self) {
        // What was not committed or flushed is not to be sent by a client that nobody waits for.
        self.client.purge();
    }
}
