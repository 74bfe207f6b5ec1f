//! The log as processes get it: passes every call on, notes it in the trace, and shows the oracle what it must see.

use crate::tally::Event;
use crate::world::current;
use kappa_core::log::embedded::EmbeddedLog;
use kappa_core::log::{
    Append, AppendBatch, AppendOptions, Assignment, Fetch, FetchOptions, GroupOffsets, Log, LogError, Member,
    MemberStamp, Membership, MembershipEvent, MembershipOptions, OffsetCommit, PartitionFailure, Polled, Position,
    Token, TopicHandle, Topics,
};
use kappa_core::runtime::Holder;
use kappa_core::runtime::machines::Part;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An embedded log that is watched.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) log: EmbeddedLog,
}

fn say(line: impl FnOnce() -> String) {
    if let Some(world) = current() {
        world.say(line);
    }
}

fn count_refusal<T>(result: Result<T, LogError>) -> Result<T, LogError> {
    if let (Err(error), Some(world)) = (&result, current()) {
        match error {
            LogError::StaleMember { .. } => world.count(Event::Stale),
            LogError::ProducerFenced { .. } => world.count(Event::Fenced),
            _ => {}
        }
    }
    result
}

fn count_event(event: &MembershipEvent) {
    let (Some(world), MembershipEvent::Revoked { tasks, lost }) = (current(), event) else { return };
    world.count(if *lost { Event::TasksLost } else { Event::TasksMoved });
    let at = world.stack.borrow().last().and_then(|running| running.instance);
    let shared = at.and_then(|at| world.instances.borrow()[at].shared.clone());
    let restoring =
        |task: &i32| shared.as_ref().is_some_and(|shared| shared.holder(*task as usize) == Some(Holder::Restorer));
    if tasks.iter().any(restoring) {
        world.count(Event::RestoreCutShort);
    }
}

impl Log for Probe {
    fn describe(&self) -> String {
        self.log.describe()
    }

    fn topics(&self) -> Result<Box<dyn Topics>, LogError> {
        self.log.topics()
    }

    fn fetch(&self, options: FetchOptions) -> Result<Box<dyn Fetch>, LogError> {
        Ok(Box::new(Reader(self.log.fetch(options)?)))
    }

    fn append(&self, options: AppendOptions) -> Result<Box<dyn Append>, LogError> {
        let inner = self.log.append(options)?;
        Ok(Box::new(Writer { inner, changelogs: BTreeMap::new(), logged: BTreeMap::new() }))
    }

    fn join(&self, options: MembershipOptions) -> Result<Box<dyn Membership>, LogError> {
        Ok(Box::new(Seat { inner: self.log.join(options)?, ahead: None }))
    }

    fn group_offsets(&self, group: &str) -> Result<Box<dyn GroupOffsets>, LogError> {
        self.log.group_offsets(group)
    }
}

#[derive(Debug)]
struct Reader(Box<dyn Fetch>);

impl Fetch for Reader {
    fn assign(&mut self, partitions: &[Assignment]) -> Result<(), LogError> {
        if let Some(world) = current() {
            let running = world.stack.borrow().last().cloned();
            if let Some((at, Part::Restorer)) = running.and_then(|running| Some((running.instance?, running.part))) {
                let identity = world.instances.borrow()[at].identity();
                world.count(Event::Restore);
                let checked = partitions.iter().try_for_each(|assignment| {
                    world.oracle.borrow_mut().check_restore(&identity, &assignment.partition, assignment.start)
                });
                world.check(checked);
            }
        }
        say(|| {
            let list = partitions.iter().map(|assignment| format!("{} {:?}", assignment.partition, assignment.start));
            format!("assign {}", list.collect::<Vec<_>>().join(", "))
        });
        self.0.assign(partitions)
    }

    fn unassign(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.0.unassign(tokens)
    }

    fn pause(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.0.pause(tokens)
    }

    fn resume(&mut self, tokens: &[Token]) -> Result<(), LogError> {
        self.0.resume(tokens)
    }

    fn poll(&mut self, max_records: usize, timeout: Duration) -> Result<Polled, LogError> {
        let polled = self.0.poll(max_records, timeout)?;
        if polled.batch.is_some() || !polled.ends.is_empty() || !polled.failures.is_empty() {
            let is_overtaken = |failure: &PartitionFailure| matches!(&failure.error, LogError::Truncated { topic, .. } if topic.ends_with("-repartition"));
            if let (Some(world), true) = (current(), polled.failures.iter().any(is_overtaken)) {
                world.say(|| format!("  overtaken: {:?}", polled.failures));
                world.count(Event::Overtaken);
            }
            say(|| {
                let records = polled.batch.as_ref().map_or(0, |batch| batch.len());
                format!("  polled {records} records, ends {:?}", polled.ends)
            });
        }
        Ok(polled)
    }

    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        self.0.close(deadline)
    }
}

#[derive(Debug)]
struct Writer {
    inner: Box<dyn Append>,
    /// The changelogs among the topics looked up.
    changelogs: BTreeMap<TopicHandle, String>,
    /// Changelog records of the transaction, by partition.
    logged: BTreeMap<(TopicHandle, i32), u64>,
}

impl Append for Writer {
    fn topic(&mut self, name: &str, report_position: bool) -> Result<TopicHandle, LogError> {
        let handle = self.inner.topic(name, report_position)?;
        if name.ends_with("-changelog") {
            self.changelogs.insert(handle, name.to_owned());
        }
        Ok(handle)
    }

    fn init(&mut self, deadline: Duration) -> Result<(), LogError> {
        self.inner.init(deadline)
    }

    fn begin(&mut self) -> Result<(), LogError> {
        self.logged.clear();
        self.inner.begin()
    }

    fn append(&mut self, batch: &AppendBatch) -> Result<(), LogError> {
        for entry in batch.entries.iter().filter(|entry| self.changelogs.contains_key(&entry.topic)) {
            *self.logged.entry((entry.topic, entry.partition)).or_default() += 1;
        }
        say(|| format!("  {} records", batch.entries.len()));
        self.inner.append(batch)
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit], member: &MemberStamp) -> Result<(), LogError> {
        if let Some(world) = current() {
            if let Some(running) = world.stack.borrow_mut().last_mut() {
                let partitions = offsets.iter().map(|offset| offset.partition.clone()).collect();
                running.sending = Some((member.member_id.clone(), partitions));
            }
            world.say(|| {
                let list = offsets.iter().map(|offset| format!("{}={}", offset.partition, offset.offset));
                format!("  offsets {}", list.collect::<Vec<_>>().join(" "))
            });
        }
        count_refusal(self.inner.send_offsets(offsets, member))
    }

    fn commit(&mut self) -> Result<Vec<Position>, LogError> {
        let committed = self.inner.commit();
        say(|| format!("  commit: {committed:?}"));
        let positions = count_refusal(committed)?;
        if let Some(world) = current()
            && let Some(at) = world.stack.borrow().last().and_then(|running| running.instance)
        {
            let identity = world.instances.borrow()[at].identity();
            for position in &positions {
                let records = self.logged.get(&(position.topic, position.partition)).copied().unwrap_or_default();
                let name = &self.changelogs[&position.topic];
                world.oracle.borrow_mut().has_committed(
                    &identity,
                    name,
                    position.partition,
                    position.next_offset,
                    records,
                );
            }
        }
        Ok(positions)
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.inner.abort()
    }

    fn flush(&mut self, deadline: Duration) -> Result<Vec<Position>, LogError> {
        self.inner.flush(deadline)
    }

    fn close(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        self.inner.close(deadline)
    }
}

/// A membership. Where the seed wants it, its client goes back into the group as soon as an event is acknowledged, and not only
/// when it is polled: a real client has a thread of its own, so that its stamp may be fresh at any moment.
#[derive(Debug)]
struct Seat {
    inner: Box<dyn Membership>,
    ahead: Option<MembershipEvent>,
}

impl Membership for Seat {
    fn poll(&mut self, timeout: Duration) -> Result<Option<MembershipEvent>, LogError> {
        let event = match self.ahead.take() {
            Some(event) => Some(event),
            None => self.inner.poll(timeout)?,
        };
        if let Some(event) = &event {
            say(|| format!("  {event:?}"));
            count_event(event);
        }
        Ok(event)
    }

    fn acknowledge(&mut self) -> Result<(), LogError> {
        self.inner.acknowledge()?;
        if current().is_some_and(|world| world.knobs.eager_rejoin) {
            self.ahead = self.inner.poll(Duration::ZERO).unwrap_or_default();
            crate::moment::rejoined();
        }
        Ok(())
    }

    fn member(&self) -> Arc<dyn Member> {
        self.inner.member()
    }

    fn leave(self: Box<Self>, deadline: Duration) -> Result<(), LogError> {
        self.inner.leave(deadline)
    }
}
