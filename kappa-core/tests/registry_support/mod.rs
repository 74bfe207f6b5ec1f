//! An application as the registry and readers of views see it: topics, a group with offsets, records of views.
#![allow(dead_code, reason = "each test file uses a part of it")]

use kappa_core::app::{AppName, ApplicationId, Version};
use kappa_core::log::embedded::EmbeddedLog;
use kappa_core::log::{
    Append, AppendBatch, AppendOptions, CleanupPolicy, Headers, Isolation, LogError, Membership, MembershipEvent,
    MembershipOptions, OffsetCommit, OffsetSpec, SharedLog, TopicPartition, TopicSpec,
};
use kappa_core::registry::{Manifest, Registry, RegistrySettings, Stage};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) const REGISTRY: &str = "kappa-registry";
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
pub(crate) const VIEW: &str = "totals";

pub(crate) fn log() -> SharedLog {
    EmbeddedLog::new().shared()
}

pub(crate) fn app(name: &str) -> AppName {
    AppName::new(name).unwrap()
}

pub(crate) fn id(name: &str) -> ApplicationId {
    name.parse().unwrap()
}

/// A registry that refuses at once what has not caught up.
pub(crate) fn registry(log: &SharedLog, writer: &str) -> Registry {
    patient(log, writer, Duration::ZERO)
}

pub(crate) fn patient(log: &SharedLog, writer: &str, promote_wait: Duration) -> Registry {
    let settings = RegistrySettings { topic: REGISTRY.into(), writer: writer.into(), deadline: DEADLINE, promote_wait };
    Registry::open_with(log.clone(), settings).unwrap()
}

pub(crate) fn create(log: &SharedLog, topic: &str, partitions: i32, cleanup: CleanupPolicy) {
    let spec = TopicSpec { name: topic.into(), partitions, replication_factor: None, cleanup, settings: vec![] };
    match log.topics().unwrap().create(&spec) {
        Ok(()) | Err(LogError::TopicExists { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn end(log: &SharedLog, topic: &str, partition: i32) -> i64 {
    let asked = (TopicPartition::new(topic, partition), OffsetSpec::Latest(Isolation::ReadUncommitted));
    log.topics().unwrap().offsets(&[asked]).unwrap()[0]
}

pub(crate) fn options(transactional_id: Option<&str>) -> AppendOptions {
    AppendOptions {
        client_id: "test".into(),
        transactional_id: transactional_id.map(Into::into),
        transaction_timeout: Duration::from_secs(60),
        linger: Duration::ZERO,
        buffer_bytes: 1 << 20,
    }
}

/// Appends records outside any transaction: no markers, so that ends can be counted by hand.
pub(crate) fn append(log: &SharedLog, topic: &str, partition: i32, records: &[(&str, Option<&str>)]) {
    let mut appender = log.append(options(None)).unwrap();
    put(appender.as_mut(), topic, partition, records);
    appender.flush(DEADLINE).unwrap();
}

pub(crate) fn put(appender: &mut dyn Append, topic: &str, partition: i32, records: &[(&str, Option<&str>)]) {
    let topic = appender.topic(topic, false).unwrap();
    let mut batch = AppendBatch::default();
    for (key, value) in records {
        let value = value.map(str::as_bytes);
        batch.push(topic, partition, 0, Some(key.as_bytes()), value, Headers::empty());
    }
    appender.append(&batch).unwrap();
}

/// A version with one stage: topic `in` of two partitions to the view `totals`.
pub(crate) fn manifest(log: &SharedLog, name: &str) -> Manifest {
    let id = id(name);
    let topic = id.view(VIEW);
    create(log, "in", 2, CleanupPolicy::Delete);
    create(log, &topic, 2, CleanupPolicy::Compact);
    let stage = Stage { name: "sum".into(), reads: vec!["in".into()], writes: vec![topic.clone()], stores: vec![] };
    Manifest {
        fingerprint: "abc".into(),
        code_version: "0.1.0".into(),
        created_at_ms: 5,
        inputs: vec!["in".into()],
        outputs: vec![],
        views: BTreeMap::from([(VIEW.into(), topic.clone())]),
        stages: vec![stage],
        partitions: BTreeMap::from([("in".into(), 2), (topic, 2)]),
        topology: None,
        id,
    }
}

/// Commits offsets of partitions in the name of a version's group.
pub(crate) fn commit(log: &SharedLog, name: &str, offsets: &[(&str, i32, i64)]) {
    let id = id(name);
    create(log, &id.task_topic(), 1, CleanupPolicy::Delete);
    let mut membership = join(log, &id);
    let member = membership.member();
    let stamp = member.stamp().unwrap();
    let commits: Vec<OffsetCommit> = offsets
        .iter()
        .map(|(topic, partition, offset)| OffsetCommit {
            partition: TopicPartition::new(*topic, *partition),
            offset: *offset,
            metadata: String::new(),
        })
        .collect();
    member.commit_offsets(&commits, &stamp, DEADLINE).unwrap();
    membership.poll(Duration::ZERO).unwrap();
    membership.leave(DEADLINE).unwrap();
}

fn join(log: &SharedLog, id: &ApplicationId) -> Box<dyn Membership> {
    let options = MembershipOptions {
        group: id.group(),
        task_topic: id.task_topic(),
        client_id: "test".into(),
        instance_id: None,
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: Duration::from_secs(1),
    };
    let mut membership = log.join(options).unwrap();
    let until = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < until, "no assignment");
        if let Some(MembershipEvent::Assigned { .. }) = membership.poll(Duration::from_millis(100)).unwrap() {
            membership.acknowledge().unwrap();
            return membership;
        }
    }
}

/// Commits up to the end of `in`: the version has caught up.
pub(crate) fn catch_up(log: &SharedLog, name: &str) {
    commit(log, name, &[("in", 0, end(log, "in", 0)), ("in", 1, end(log, "in", 1))]);
}

/// Registers these versions, all caught up, and makes the first of them live.
pub(crate) fn running(log: &SharedLog, names: &[&str]) -> Registry {
    let mut registry = registry(log, "setup");
    for name in names {
        registry.register(&manifest(log, name)).unwrap();
        catch_up(log, name);
    }
    let first = id(names[0]);
    registry.go_live_if_first(first.app(), first.version(), 10).unwrap();
    registry
}

pub(crate) fn live(registry: &mut Registry, name: &str) -> Option<Version> {
    registry.snapshot().unwrap().live(&app(name))
}
