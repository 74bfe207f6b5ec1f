//! `kappa status`.

use crate::text::{ago, number};
use crate::{Arguments, Failure};
use kappa_core::app::{AppName, ApplicationId};
use kappa_core::deploy::{InputProgress, Progress, caught_up};
use kappa_core::log::{LogError, SharedLog, TopicPartition};
use kappa_core::registry::{Phase, RegisteredVersion, RegistryError, RegistryReader, Snapshot};
use kappa_core::runtime::OffsetMetadata;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize)]
struct VersionStatus {
    id: ApplicationId,
    phase: Phase,
    phase_at_ms: i64,
    created_at_ms: i64,
    code_version: String,
    fingerprint: String,
    /// How far it is; none where it can't be said, and for retired versions.
    progress: Option<Progress>,
    /// Why it can't be said.
    progress_error: Option<String>,
    /// The transactional ids of the stream threads that committed last.
    members: Vec<String>,
}

pub(crate) fn status(
    arguments: &Arguments,
    log: &SharedLog,
    app: Option<&str>,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let only = app.map(AppName::new).transpose().map_err(RegistryError::Name)?;
    let reader = RegistryReader::open(log, &arguments.registry, DEADLINE)?;
    let snapshot = reader.snapshot();
    reader.close(DEADLINE)?;
    if let Some(app) = only.as_ref().filter(|app| !snapshot.apps().contains(app)) {
        return Err(RegistryError::UnknownApp { app: app.clone(), known: snapshot.apps() }.into());
    }
    let wanted =
        snapshot.versions.values().filter(|version| only.as_ref().is_none_or(|app| version.manifest.id.app() == app));
    let versions: Vec<VersionStatus> = wanted.map(|version| ask(log, version)).collect();
    if arguments.json {
        let answer = serde_json::json!({
            "log": log.describe(),
            "registry": arguments.registry,
            "view_map": snapshot.view_map,
            "versions": versions,
        });
        writeln!(out, "{answer}")?;
        return Ok(());
    }
    print(arguments, log, &snapshot, &versions, only.as_ref(), now_ms, out)
}

fn ask(log: &SharedLog, version: &RegisteredVersion) -> VersionStatus {
    let manifest = &version.manifest;
    let asked = match version.phase {
        Phase::Retired => Ok(None),
        _ => caught_up(log, manifest, DEADLINE).map(Some),
    };
    let (progress, progress_error) = match asked {
        Ok(progress) => (progress, None),
        Err(error) => (None, Some(error.to_string())),
    };
    let members = progress.as_ref().map(|progress| members(log, progress).unwrap_or_default());
    VersionStatus {
        id: manifest.id.clone(),
        phase: version.phase,
        phase_at_ms: version.phase_at_ms,
        created_at_ms: manifest.created_at_ms,
        code_version: manifest.code_version.clone(),
        fingerprint: manifest.fingerprint.clone(),
        progress,
        progress_error,
        members: members.unwrap_or_default(),
    }
}

/// Who committed last, by what the commits themselves say.
fn members(log: &SharedLog, progress: &Progress) -> Result<Vec<String>, LogError> {
    let partition = |input: &InputProgress| TopicPartition::new(input.topic.as_str(), input.partition);
    let partitions: Vec<TopicPartition> = progress.inputs.iter().map(partition).collect();
    let committed = log.group_offsets(&progress.id.group())?.peek(&partitions, DEADLINE)?;
    let owners = committed.into_iter().flatten().filter_map(|offset| owner(&offset.metadata));
    Ok(owners.collect::<BTreeSet<String>>().into_iter().collect())
}

fn owner(metadata: &str) -> Option<String> {
    Some(OffsetMetadata::decode(metadata).transactional_id).filter(|id| !id.is_empty())
}

fn print(
    arguments: &Arguments,
    log: &SharedLog,
    snapshot: &Snapshot,
    versions: &[VersionStatus],
    only: Option<&AppName>,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let map = &snapshot.view_map;
    writeln!(out, "registry {} on {}", arguments.registry, log.describe())?;
    match map.revision {
        0 => writeln!(out, "nothing is live yet")?,
        revision => writeln!(out, "revision {revision}, {} by {}", ago(map.at_ms, now_ms), map.by)?,
    }
    for version in versions {
        print_version(version, now_ms, out)?;
    }
    let views: Vec<_> =
        map.views.iter().filter(|(_, entry)| only.is_none_or(|app| entry.serves.app() == app)).collect();
    if views.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nviews")?;
    let width = views.iter().map(|(view, _)| view.len()).max().unwrap_or(0);
    for (view, entry) in views {
        let before = entry.previous.as_ref().map_or_else(String::new, |id| format!("  (before: {id})"));
        writeln!(out, "  {view:width$}  {}{before}", entry.serves)?;
    }
    Ok(())
}

fn print_version(version: &VersionStatus, now_ms: i64, out: &mut dyn Write) -> Result<(), Failure> {
    let how = match (&version.progress, &version.progress_error) {
        (Some(progress), _) if progress.caught_up() => "caught up".to_owned(),
        (Some(progress), _) if progress.behind == 1 => "1 record behind".to_owned(),
        (Some(progress), _) => format!("{} records behind", number(progress.behind)),
        (None, Some(error)) => format!("how far it is can't be said: {error}"),
        (None, None) => String::new(),
    };
    writeln!(out, "\n{}  {}, {}  {how}", version.id, version.phase, ago(version.phase_at_ms, now_ms))?;
    let Some(progress) = &version.progress else { return Ok(()) };
    let topics = by_topic(progress);
    let width = topics.iter().map(|topic| topic.name.len()).max().unwrap_or(0).max("input".len());
    writeln!(out, "  {:width$}  {:>10}  {:>12}  {:>12}  {:>10}", "input", "partitions", "committed", "end", "lag")?;
    for topic in topics {
        let (name, partitions) = (topic.name, topic.partitions);
        let [committed, end, lag] = [topic.committed, topic.end, topic.lag].map(number);
        writeln!(out, "  {name:width$}  {partitions:>10}  {committed:>12}  {end:>12}  {lag:>10}")?;
    }
    if !version.members.is_empty() {
        writeln!(out, "  last committed by {}", version.members.join(", "))?;
    }
    Ok(())
}

struct TopicSum<'p> {
    name: &'p str,
    partitions: u32,
    committed: u64,
    end: u64,
    lag: u64,
}

fn by_topic(progress: &Progress) -> Vec<TopicSum<'_>> {
    let mut topics: Vec<TopicSum<'_>> = Vec::new();
    for input in &progress.inputs {
        if topics.last().is_none_or(|topic| topic.name != input.topic) {
            topics.push(TopicSum { name: &input.topic, partitions: 0, committed: 0, end: 0, lag: 0 });
        }
        let Some(topic) = topics.last_mut() else { continue };
        topic.partitions += 1;
        topic.committed += input.committed.unwrap_or(0).unsigned_abs();
        topic.end += input.end.unsigned_abs();
        topic.lag += input.lag;
    }
    topics
}
