//! Before the first record: the user's topics are checked, the application's own are created.
//!
//! Invariants:
//! - Nothing is created unless everything of the user's is there and fits.
//! - A topic of ours that exists must have the partitions the layout asks for; it is never altered or recreated.

use super::layout::{AppLayout, TopicLayout};
use super::settings::Settings;
use crate::Error;
use crate::log::{CleanupPolicy, LogError, TopicSpec, Topics};
use crate::topology::{StoreKind, TopicRef, TopologyPlan};
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
            kind: StoreKind::KeyValue,
        },
    );
    own.into_values().collect()
}

/// What a changelog keeps beyond what its store keeps (Kafka Streams: `windowstore.changelog.additional.retention.ms`).
const ADDITIONAL_RETENTION_MS: i64 = 24 * 3_600_000;

/// Settings as Kafka Streams gives its internal topics (`RepartitionTopicConfig`, `UnwindowedUnversionedChangelogTopicConfig`,
/// `WindowedChangelogTopicConfig`, `VersionedChangelogTopicConfig`).
fn spec(topic: &TopicLayout, settings: &Settings) -> TopicSpec {
    let with_margin = |ms: i64| ms.saturating_add(ADDITIONAL_RETENTION_MS).to_string();
    let (cleanup, extra) = match (&topic.reference, topic.kind) {
        (TopicRef::Changelog(_), StoreKind::Windowed { retention_ms, duplicates }) => {
            // With each key written once, compaction would be work of the broker's for nothing.
            let cleanup = if duplicates { CleanupPolicy::Delete } else { CleanupPolicy::CompactDelete };
            (cleanup, vec![("retention.ms", with_margin(retention_ms))])
        }
        (TopicRef::Changelog(_), StoreKind::Versioned { history_ms }) => {
            (CleanupPolicy::Compact, vec![("min.compaction.lag.ms", with_margin(history_ms))])
        }
        (TopicRef::Changelog(_) | TopicRef::View(_), _) => (CleanupPolicy::Compact, vec![]),
        (TopicRef::Repartition(_) | TopicRef::Control(_), _) => {
            (CleanupPolicy::Delete, vec![("retention.ms", "-1".into()), ("segment.bytes", "52428800".into())])
        }
        (TopicRef::External(_), _) => (CleanupPolicy::Delete, vec![]),
    };
    let create_time = [("message.timestamp.type", "CreateTime".to_owned())];
    TopicSpec {
        name: topic.topic.to_string(),
        partitions: topic.partitions,
        replication_factor: settings.replication_factor,
        cleanup,
        settings: extra.into_iter().chain(create_time).map(|(key, value)| (key.into(), value)).collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn changelog(kind: StoreKind) -> (CleanupPolicy, Vec<(String, String)>) {
        let reference = TopicRef::Changelog("store".into());
        let topic = TopicLayout { reference, topic: "app-v1-store-changelog".into(), partitions: 3, kind };
        let spec = spec(&topic, &Settings::default());
        (spec.cleanup, spec.settings)
    }

    fn settings(more: &[(&str, &str)]) -> Vec<(String, String)> {
        let all = more.iter().chain(&[("message.timestamp.type", "CreateTime")]);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// As Kafka Streams 4.3 gives them (integration-tests/tests/interop/configs.rs asks it).
    #[test]
    fn changelogs_have_the_settings_of_their_stores() {
        let windowed = |duplicates| StoreKind::Windowed { retention_ms: 15_000, duplicates };
        let kept = settings(&[("retention.ms", "86415000")]);
        assert_eq!(changelog(windowed(false)), (CleanupPolicy::CompactDelete, kept.clone()));
        assert_eq!(changelog(windowed(true)), (CleanupPolicy::Delete, kept));
        assert_eq!(changelog(StoreKind::KeyValue), (CleanupPolicy::Compact, settings(&[])));
        let versioned = settings(&[("min.compaction.lag.ms", "86460000")]);
        assert_eq!(changelog(StoreKind::Versioned { history_ms: 60_000 }), (CleanupPolicy::Compact, versioned));
        let forever = settings(&[("retention.ms", "9223372036854775807")]);
        let unlimited = StoreKind::Windowed { retention_ms: i64::MAX, duplicates: false };
        assert_eq!(changelog(unlimited), (CleanupPolicy::CompactDelete, forever));
    }
}
