//! Membership: one subscribed consumer on the task topic.
//!
//! **Invariants:**
//! - A rebalance is answered only by [`Membership::acknowledge`]; until then librdkafka neither gives the
//!   tasks away nor rejoins, so no stamp of a later generation exists before a lost revocation is accepted.
//! - A stamp has a generation ≥ 0 and a member id, and is read from librdkafka at each call.
//! - Nothing is ever fetched from the task topic: its partitions are paused where they are assigned.

use super::classify::{During, classify, is_missing_topic, is_transient, is_unauthorized};
use super::close::within;
use super::hooks::ClientHooks;
use super::settings::KafkaSettings;
use super::sys::{
    Admin, Client, Code, Event, EventKind, Hooks, Kind, PartitionList, Queue, RawError, assignment_lost, is_cooperative,
};
use crate::log::{
    LogError, Member, MemberStamp, Membership, MembershipEvent, MembershipOptions, OffsetCommit, TopicPartition,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Rebalances and errors come as events, by librdkafka's numbers.
const EVENTS: i32 = 16 | 8 | 32;
const CALL: Duration = Duration::from_secs(10);
/// A missing task topic is asked for again after this long, then believed.
const MISSING_FOR: Duration = Duration::from_secs(2);

/// One member of a group.
#[derive(Debug)]
pub(super) struct KafkaMembership {
    /// Rebalances not yet accepted; the first is the caller's.
    rebalances: VecDeque<Rebalance>,
    /// Whether the caller has seen the first.
    told: bool,
    missing_since: Option<Instant>,
    task_topic: String,
    queue: Queue,
    hooks: Arc<ClientHooks>,
    shared: Arc<KafkaMember>,
}

#[derive(Debug)]
struct Rebalance {
    assign: bool,
    lost: bool,
    list: PartitionList,
}

/// The part of a membership that other threads use.
#[derive(Debug)]
struct KafkaMember {
    client: Arc<Client>,
    left: AtomicBool,
    /// A lost revocation was told and not accepted.
    lost: AtomicBool,
}

impl KafkaMembership {
    pub(super) fn join(settings: &KafkaSettings, options: MembershipOptions) -> Result<Self, LogError> {
        let session = options.session_timeout.as_millis().clamp(1, 3_600_000);
        let session_ms = session.to_string();
        let heartbeat_ms = options.heartbeat_interval.as_millis().clamp(1, session).to_string();
        // Also the time that a rebalance waits for a member: not less than a commit may take.
        let poll_ms = (2 * session).clamp(20_000, 86_400_000).to_string();
        let mut owned = vec![
            ("group.id", options.group.as_str()),
            ("group.protocol", "classic"),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("session.timeout.ms", session_ms.as_str()),
            ("heartbeat.interval.ms", heartbeat_ms.as_str()),
            ("max.poll.interval.ms", poll_ms.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("allow.auto.create.topics", "false"),
            ("topic.metadata.propagation.max.ms", "3000"),
        ];
        if let Some(instance) = &options.instance_id {
            owned.push(("group.instance.id", instance.as_str()));
        }
        let mut conf = settings.conf(&options.client_id, &[("retry.backoff.ms", "20")], &owned)?;
        conf.set_events(EVENTS);
        let (client, hooks) = settings.build(conf, Kind::Consumer, &options.client_id)?;
        let queue = Queue::consumer(&client)
            .ok_or_else(|| LogError::Fatal { operation: "join", reason: "a consumer without a queue".into() })?;
        client.subscribe(&options.task_topic).map_err(|error| classify(During::Member, "join", CALL, &error))?;
        let shared = Arc::new(KafkaMember { client, left: AtomicBool::new(false), lost: AtomicBool::new(false) });
        let (rebalances, task_topic) = (VecDeque::new(), options.task_topic);
        Ok(Self { rebalances, told: false, missing_since: None, task_topic, queue, hooks, shared })
    }

    fn take_in(&mut self, event: &Event) -> Result<(), LogError> {
        match event.kind() {
            EventKind::Rebalance => self.take_in_rebalance(event),
            EventKind::Error => return self.take_in_error(event),
            // Records of the task topic, should anybody write there, mean nothing.
            EventKind::Delivery | EventKind::Other => {}
        }
        Ok(())
    }

    fn take_in_rebalance(&mut self, event: &Event) {
        let list = event.partitions();
        let assign = event.code() == Code::LOCAL_ASSIGN_PARTITIONS;
        // Anything but an orderly revocation is one that is lost.
        let orderly = assign || event.code() == Code::LOCAL_REVOKE_PARTITIONS;
        let lost = !assign && (!orderly || assignment_lost(&self.shared.client));
        if lost {
            self.shared.lost.store(true, Ordering::Release);
        }
        self.missing_since = None;
        self.rebalances.push_back(Rebalance { assign, lost, list });
    }

    fn take_in_error(&mut self, event: &Event) -> Result<(), LogError> {
        let (code, text) = (event.code(), event.text());
        self.hooks.error(code, &text);
        if let Some((code, text)) = self.shared.client.fatal() {
            let error = RawError { fatal: true, ..RawError::of(code, text) };
            return Err(classify(During::Member, "poll the membership", CALL, &error));
        }
        if is_missing_topic(code) {
            self.missing_since.get_or_insert_with(Instant::now);
        } else if is_unauthorized(code) {
            return Err(LogError::Unauthorized { operation: "poll the membership", reason: text });
        } else if !is_transient(code) {
            tracing::debug!(?code, text, "librdkafka goes on by itself");
        }
        Ok(())
    }

    /// Believes that the task topic is missing when it has been for a while and still is.
    fn check_missing(&mut self) -> Result<(), LogError> {
        if self.missing_since.is_none_or(|since| since.elapsed() < MISSING_FOR) {
            return Ok(());
        }
        self.missing_since = None;
        match Admin::new(self.shared.client.clone(), Duration::from_secs(3)).describe_topic(&self.task_topic) {
            Err(error) if is_missing_topic(error.code) => {
                self.missing_since = Some(Instant::now());
                Err(LogError::TopicMissing { topic: self.task_topic.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The first rebalance as an event, unless the caller has it.
    fn tell(&mut self) -> Option<MembershipEvent> {
        if self.told {
            return None;
        }
        let first = self.rebalances.front()?;
        self.told = true;
        let tasks = first.list.partitions();
        Some(match first.assign {
            true => MembershipEvent::Assigned { tasks },
            false => MembershipEvent::Revoked { tasks, lost: first.lost },
        })
    }

    /// Answers librdkafka.
    fn answer(&self, rebalance: &mut Rebalance) -> Result<(), RawError> {
        let client = &self.shared.client;
        if !rebalance.assign {
            return match is_cooperative(client) {
                true => client.incremental_unassign(&rebalance.list),
                false => client.unassign_all(),
            };
        }
        // An offset of its own spares the look-up of committed ones; paused, nothing is fetched.
        rebalance.list.set_offsets(0);
        client.incremental_assign(&rebalance.list)?;
        client.pause(&rebalance.list);
        Ok(())
    }
}

impl Membership for KafkaMembership {
    fn poll(&mut self, timeout: Duration) -> Result<Option<MembershipEvent>, LogError> {
        let until = Instant::now() + timeout;
        loop {
            if let Some(event) = self.tell() {
                return Ok(Some(event));
            }
            let left = until.saturating_duration_since(Instant::now());
            let wait = if self.missing_since.is_some() { left.min(MISSING_FOR) } else { left };
            if let Some(event) = self.queue.poll(wait) {
                self.take_in(&event)?;
            }
            self.check_missing()?;
            if left.is_zero() {
                return Ok(self.tell());
            }
        }
    }

    fn acknowledge(&mut self) -> Result<(), LogError> {
        let Some(mut rebalance) = self.rebalances.pop_front().filter(|_| self.told) else {
            return Ok(());
        };
        self.told = false;
        let result = self.answer(&mut rebalance);
        let lost = self.rebalances.iter().any(|rebalance| rebalance.lost);
        self.shared.lost.store(lost, Ordering::Release);
        result.map_err(|error| classify(During::Member, "accept a rebalance", CALL, &error))
    }

    fn member(&self) -> Arc<dyn Member> {
        self.shared.clone()
    }

    fn leave(mut self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        self.shared.left.store(true, Ordering::Release);
        within("leave the group", deadline, move || {
            while let Some(mut rebalance) = self.rebalances.pop_front() {
                if let Err(error) = self.answer(&mut rebalance) {
                    tracing::debug!(error = error.reason(), "accepting a rebalance while leaving");
                }
            }
            self.shared.client.close_consumer()
        })?
        .map_err(|error| classify(During::Member, "leave the group", deadline, &error))
    }
}

impl KafkaMember {
    fn stamp_now(&self) -> Option<MemberStamp> {
        if self.left.load(Ordering::Acquire) || self.lost.load(Ordering::Acquire) {
            return None;
        }
        let place = self.client.group_place()?;
        (place.generation >= 0 && !place.member_id.is_empty()).then_some(MemberStamp {
            group: place.group,
            generation: place.generation,
            member_id: place.member_id,
            instance_id: place.instance_id,
        })
    }

    fn commit_now(&self, offsets: &[OffsetCommit], deadline: Duration) -> Result<(), LogError> {
        const OPERATION: &str = "commit offsets";
        let failed = |error: &RawError| classify(During::Member, OPERATION, deadline, error);
        let mut list = PartitionList::new();
        for OffsetCommit { partition, offset, metadata } in offsets {
            list.add_with_metadata(&partition.topic, partition.partition, *offset, metadata);
        }
        let answer = Queue::temporary(&self.client)
            .ok_or_else(|| LogError::Fatal { operation: OPERATION, reason: "no queue for the answer".into() })?;
        self.client.commit(&list, &answer).map_err(|error| failed(&error))?;
        let Some(event) = answer.poll(deadline) else {
            return Err(LogError::Timeout { operation: OPERATION, deadline });
        };
        let code = event.code();
        code.ok().map_err(|error| failed(&error))?;
        // The request may have gone through and a partition's offset not.
        for result in event.partitions().results() {
            let partition = TopicPartition::new(result.topic.as_str(), result.partition);
            let text = || format!("{partition}: {}", result.code.describe());
            result.code.ok().map_err(|error| failed(&RawError { text: text(), ..error }))?;
        }
        Ok(())
    }
}

impl Member for KafkaMember {
    fn stamp(&self) -> Option<MemberStamp> {
        self.stamp_now()
    }

    fn commit_offsets(
        &self,
        offsets: &[OffsetCommit],
        stamp: &MemberStamp,
        deadline: Duration,
    ) -> Result<(), LogError> {
        const OPERATION: &str = "commit offsets";
        if let Some((code, text)) = self.client.fatal() {
            let error = RawError { fatal: true, ..RawError::of(code, text) };
            return Err(classify(During::Member, OPERATION, deadline, &error));
        }
        // librdkafka commits under the generation it has now; the caller's must be that one.
        let now = self.stamp_now();
        if now.as_ref() != Some(stamp) {
            let generation = now.map_or_else(|| "none".to_owned(), |now| now.generation.to_string());
            let reason = format!("the stamp is of generation {}, the member has {generation}", stamp.generation);
            return Err(LogError::StaleMember { operation: OPERATION, reason });
        }
        if offsets.is_empty() {
            return Ok(());
        }
        self.commit_now(offsets, deadline)
    }
}
