//! Before the first record: the user's topics are checked, the application's own are created.
//!
//! Invariants:
//! - Nothing is created unless everything of the user's is there and fits.
//! - A topic of ours that exists must have the partitions the layout asks for; it is never altered or recreated.

use super::layout::{AppLayout, TopicLayout};
use super::settings::Settings;
use crate::Error;
use crate::log::{CleanupPolicy, LogError, TopicSpec, Topics};
use crate::topology::{TopicRef, TopologyPlan};
use std::collections::BTreeMap;

/// Checks and creates topics; returns the layout.
pub fn prepare(
    topics: &mut dyn Topics,
    application_id: &str,
    plan: &TopologyPlan,
    settings: &Settings,
) -> Result<AppLayout, Error> {
    let mut external = BTreeMap::new();
    let mut wanted = AppLayout::external_topics(plan);
    if let super::settings::BadRecords::DeadLetter(topic) = &settings.bad_records {
        wanted.push(topic.clone());
    }
    for topic in wanted {
        let partitions = topics.describe(&topic)?.map(|info| info.partitions);
        external.insert(topic, partitions);
    }
    let layout = AppLayout::new(application_id, plan, &external)?;
    for topic in own_topics(&layout) {
        ensure(topics, &spec(&topic, settings))?;
    }
    Ok(layout)
}

/// Every topic that belongs to this version, each once.
fn own_topics(layout: &AppLayout) -> Vec<TopicLayout> {
    let subs = &layout.sub_topologies;
    let mut own: BTreeMap<TopicRef, TopicLayout> = subs
        .iter()
        .flat_map(|sub| sub.outputs.iter().chain(&sub.sources))
        .filter(|topic| !matches!(topic.reference, TopicRef::External(_)))
        .map(|topic| (topic.reference.clone(), topic.clone()))
        .collect();
    let task_topic = TopicRef::External(layout.task_topic());
    own.insert(
        task_topic.clone(),
        TopicLayout {
            reference: task_topic,
            topic: layout.task_topic().into(),
            partitions: layout.task_count() as i32,
        },
    );
    own.into_values().collect()
}

/// Settings as Kafka Streams gives its internal topics (`RepartitionTopicConfig`, `UnwindowedUnversionedChangelogTopicConfig`).
fn spec(topic: &TopicLayout, settings: &Settings) -> TopicSpec {
    let (cleanup, extra): (CleanupPolicy, &[(&str, &str)]) = match topic.reference {
        TopicRef::Changelog(_) | TopicRef::View(_) => (CleanupPolicy::Compact, &[]),
        TopicRef::Repartition(_) => (CleanupPolicy::Delete, &[("retention.ms", "-1"), ("segment.bytes", "52428800")]),
        TopicRef::External(_) => (CleanupPolicy::Delete, &[]),
    };
    let create_time = [("message.timestamp.type", "CreateTime")];
    TopicSpec {
        name: topic.topic.to_string(),
        partitions: topic.partitions,
        replication_factor: settings.replication_factor,
        cleanup,
        settings: extra.iter().chain(&create_time).map(|(key, value)| ((*key).into(), (*value).into())).collect(),
    }
}

/// Creates a topic, or checks the one that is there; two processes may do so at once.
pub fn ensure(topics: &mut dyn Topics, spec: &TopicSpec) -> Result<(), Error> {
    if topics.describe(&spec.name)?.is_none() {
        match topics.create(spec) {
            Ok(()) => {
                tracing::info!(topic = spec.name, partitions = spec.partitions, "topic created");
                return Ok(());
            }
            Err(LogError::TopicExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let Some(info) = topics.describe(&spec.name)? else {
        return Err(LogError::TopicMissing { topic: spec.name.clone() }.into());
    };
    if info.partitions != spec.partitions {
        let problem = format!(
            "topic {} has {} partitions, but this version needs {}: its inputs' partition counts have changed since it first ran; \
             start a new version, which replays the inputs into topics of its own",
            spec.name, info.partitions, spec.partitions
        );
        return Err(Error::Topics { problems: vec![problem] });
    }
    Ok(())
}
