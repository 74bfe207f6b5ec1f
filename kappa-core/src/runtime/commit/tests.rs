//! The order of stamp and epochs, on a log that takes everything.

use super::*;
use crate::log::{AppendBatch, Member, TopicHandle, TopicPartition};
use crate::runtime::RuntimeMetrics;
use crate::runtime::epochs::TaskEpoch;
use crate::runtime::layout::TaskId;
use crate::runtime::queue::SourceQueue;
use crate::task::{Output, ProcessError, SourceRecord, TaskProcessor};
use kappa_state::ManagedStore;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Takes all there is, and notes it.
#[derive(Debug, Default)]
struct Lenient(Vec<&'static str>);

impl Append for Lenient {
    fn topic(&mut self, _: &str, _: bool) -> Result<TopicHandle, LogError> {
        Ok(TopicHandle(0))
    }
    fn init(&mut self, _: Duration) -> Result<(), LogError> {
        Ok(())
    }
    fn begin(&mut self) -> Result<(), LogError> {
        self.0.push("begin");
        Ok(())
    }
    fn append(&mut self, _: &AppendBatch) -> Result<(), LogError> {
        Ok(())
    }
    fn send_offsets(&mut self, _: &[OffsetCommit], _: &MemberStamp) -> Result<(), LogError> {
        self.0.push("send_offsets");
        Ok(())
    }
    fn commit(&mut self) -> Result<Vec<Position>, LogError> {
        self.0.push("commit");
        Ok(Vec::new())
    }
    fn abort(&mut self) -> Result<(), LogError> {
        Ok(())
    }
    fn flush(&mut self, _: Duration) -> Result<Vec<Position>, LogError> {
        Ok(Vec::new())
    }
    fn close(self: Box<Self>, _: Duration) -> Result<(), LogError> {
        Ok(())
    }
}

/// A member whose stamps are given; what happens while one is asked for is the test's.
struct Scripted {
    stamp: Option<MemberStamp>,
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl Member for Scripted {
    fn stamp(&self) -> Option<MemberStamp> {
        if let Some(meanwhile) = self.meanwhile.lock().ok().and_then(|mut meanwhile| meanwhile.take()) {
            meanwhile();
        }
        self.stamp.clone()
    }
    fn commit_offsets(&self, _: &[OffsetCommit], _: &MemberStamp, _: Duration) -> Result<(), LogError> {
        Ok(())
    }
}

/// An operator that does nothing.
struct Idle;

impl TaskProcessor for Idle {
    fn process(&mut self, _: usize, _: &SourceRecord<'_>, _: &mut Output) -> Result<(), ProcessError> {
        Ok(())
    }
    fn flush(&mut self, _: &mut Output) -> Result<(), ProcessError> {
        Ok(())
    }
    fn store_count(&self) -> usize {
        0
    }
    fn store(&mut self, _: usize) -> &mut dyn ManagedStore {
        panic!("there is no store")
    }
    fn take_dropped(&mut self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
    fn dirty_bytes(&self) -> usize {
        0
    }
    fn aborted(&mut self) {}
}

/// A task with one record of input done and not committed.
fn task(incarnation: TaskEpoch) -> Task {
    let mut queue = SourceQueue::new(TopicPartition::new("in", 0), 0, Some(7), None, 0);
    queue.position = 8;
    Task {
        incarnation,
        id: TaskId { sub_topology: 0, partition: 0 },
        name: "count-0".into(),
        processor: Box::new(Idle),
        sources: vec![(0, queue)],
        outputs: Vec::new(),
        changelogs: Vec::new(),
        failing: BTreeMap::new(),
        touched: true,
    }
}

/// Commits that task's work; `meanwhile` happens when the stamp is asked for. Returns what the log was asked for, too.
fn commit(
    rules: Rules,
    stamp: Option<MemberStamp>,
    meanwhile: fn(&Shared),
) -> (Result<(), LogError>, Vec<&'static str>) {
    let shared = Arc::new(Shared::new(1, 1, RuntimeMetrics::new("test-v1").expect("metrics")));
    let same = Arc::clone(&shared);
    let meanwhile: Box<dyn FnOnce() + Send> = Box::new(move || meanwhile(&same));
    shared.set_member(Arc::new(Scripted { stamp, meanwhile: Mutex::new(Some(meanwhile)) }));
    let mut tasks = BTreeMap::from([(0, task(shared.epochs.advance(0)))]);
    let context =
        CommitContext { shared: &shared, transactional_id: Some("test-v1-a-0"), refresh_ms: 1_000, now_ms: 0, rules };
    let (mut log, mut in_transaction) = (Lenient::default(), false);
    let result = Commit { context, tasks: &mut tasks }.run(&mut log, &mut in_transaction);
    (result, log.0)
}

fn good_stamp() -> Option<MemberStamp> {
    Some(MemberStamp { group: "test-v1".into(), generation: 3, member_id: "m".into(), instance_id: None })
}

#[test]
fn a_member_in_good_standing_commits() {
    let (result, asked) = commit(Rules::default(), good_stamp(), |_| {});
    assert_eq!(result, Ok(()));
    assert_eq!(asked, ["begin", "send_offsets", "commit"]);
}

#[test]
fn without_a_place_in_the_group_nothing_is_committed() {
    let (result, asked) = commit(Rules::default(), None, |_| {});
    assert!(matches!(result, Err(LogError::StaleMember { .. })), "{result:?}");
    assert_eq!(asked, ["begin"]);
}

/// The task is lost, and the group joined again, at the very moment at which the stamp is asked for: the stamp is good, the work
/// is not.
#[test]
fn a_good_stamp_for_a_task_that_is_gone_commits_nothing() {
    let lost = |shared: &Shared| {
        shared.epochs.advance(0);
    };
    let (result, asked) = commit(Rules::default(), good_stamp(), lost);
    assert!(result.is_err_and(|error| error.to_string().contains("count-0 was taken away")));
    assert_eq!(asked, ["begin"]);
}

#[cfg(feature = "testing")]
#[test]
fn without_the_epochs_it_would_be_committed() {
    let lost = |shared: &Shared| {
        shared.epochs.advance(0);
    };
    let (result, asked) = commit(Rules::without(Rule::FenceByEpoch), good_stamp(), lost);
    assert_eq!(result, Ok(()));
    assert_eq!(asked, ["begin", "send_offsets", "commit"]);
}
