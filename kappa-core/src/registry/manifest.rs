//! Manifests: what a version is, as the registry keeps it.
//!
//! **Invariants:**
//! - A manifest is a function of its arguments: the same plan, id and partition counts give equal bytes.
//! - `stages` are in topological order: a stage reads what earlier ones write (a loop through a topic of the
//!   user's is cut at the stage whose name sorts first).

use crate::app::ApplicationId;
use crate::topology::{SubTopologyPlan, TopicRef, TopologyDescription, TopologyPlan};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A sub-topology as the registry knows it: topics by their physical names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The sub-topology's name.
    pub name: String,
    /// The topics it reads, sorted.
    pub reads: Vec<String>,
    /// The topics it writes, changelogs included, sorted.
    pub writes: Vec<String>,
    /// Its stores, in the order of the plan.
    pub stores: Vec<String>,
}

/// What a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version.
    pub id: ApplicationId,
    /// The topology's fingerprint: another one is another version.
    pub fingerprint: String,
    /// The version of the code that first started it, for people.
    pub code_version: String,
    /// When it first started, ms since 1970.
    pub created_at_ms: i64,
    /// The topics it reads and does not write itself, sorted.
    pub inputs: Vec<String>,
    /// The user's topics it writes, sorted.
    pub outputs: Vec<String>,
    /// Its views, and the topic of each.
    pub views: BTreeMap<String, String>,
    /// Its sub-topologies, those that feed others first.
    pub stages: Vec<Stage>,
    /// The partitions of every topic it reads or writes, as they were when it first started.
    pub partitions: BTreeMap<String, i32>,
    /// Its topology as it was when it first started, to be drawn and compared; none where only the plan is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology: Option<TopologyDescription>,
}

impl Manifest {
    /// The manifest of a topology under an id. `partitions` are the topics' by their physical names.
    pub fn new(
        id: ApplicationId,
        plan: &TopologyPlan,
        partitions: BTreeMap<String, i32>,
        code_version: &str,
        created_at_ms: i64,
    ) -> Self {
        let stages = in_order(plan.sub_topologies.iter().map(|sub| stage(&id, sub)).collect());
        let written: BTreeSet<&String> = stages.iter().flat_map(|stage| &stage.writes).collect();
        let records = plan.sub_topologies.iter().flat_map(|sub| &sub.sources).map(|source| &source.topic);
        let records = records.filter(|topic| !matches!(topic, TopicRef::Control(_)));
        let inputs: BTreeSet<String> = records.map(|topic| id.topic(topic)).collect();
        let inputs = inputs.into_iter().filter(|topic| !written.contains(topic)).collect();
        let outputs: BTreeSet<String> = plan.sub_topologies.iter().flat_map(external_outputs).collect();
        Self {
            fingerprint: plan.fingerprint.clone(),
            code_version: code_version.to_owned(),
            created_at_ms,
            inputs,
            outputs: outputs.into_iter().collect(),
            views: plan.views.iter().map(|view| (view.clone(), id.view(view))).collect(),
            stages,
            partitions,
            topology: None,
            id,
        }
    }

    /// With the topology as data.
    #[must_use]
    pub fn with_topology(self, topology: Option<TopologyDescription>) -> Self {
        Self { topology, ..self }
    }

    /// The partitions of a topic; 1 where the manifest does not say.
    pub fn partitions_of(&self, topic: &str) -> i32 {
        self.partitions.get(topic).copied().unwrap_or(1)
    }
}

fn stage(id: &ApplicationId, sub: &SubTopologyPlan) -> Stage {
    let mut reads: Vec<String> = sub.sources.iter().map(|source| id.topic(&source.topic)).collect();
    let mut writes: Vec<String> = sub.outputs.iter().map(|topic| id.topic(topic)).collect();
    reads.sort();
    writes.sort();
    Stage { name: sub.name.clone(), reads, writes, stores: sub.stores.iter().map(|store| store.name.clone()).collect() }
}

fn external_outputs(sub: &SubTopologyPlan) -> impl Iterator<Item = String> {
    sub.outputs.iter().filter_map(|topic| match topic {
        TopicRef::External(name) => Some(name.clone()),
        _ => None,
    })
}

/// Stages with every writer before its readers; the order is by name where that leaves a choice.
fn in_order(mut waiting: Vec<Stage>) -> Vec<Stage> {
    waiting.sort_by(|a, b| a.name.cmp(&b.name));
    let mut ordered = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let fed = |stage: &Stage| waiting.iter().any(|other| other.name != stage.name && feeds(other, stage));
        let next = waiting.iter().position(|stage| !fed(stage)).unwrap_or(0);
        ordered.push(waiting.remove(next));
    }
    ordered
}

fn feeds(writer: &Stage, reader: &Stage) -> bool {
    reader.reads.iter().any(|topic| writer.writes.contains(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(name: &str, reads: &[&str], writes: &[&str]) -> Stage {
        let owned = |topics: &[&str]| topics.iter().map(ToString::to_string).collect();
        Stage { name: name.into(), reads: owned(reads), writes: owned(writes), stores: vec![] }
    }

    fn names(stages: &[Stage]) -> Vec<&str> {
        stages.iter().map(|stage| stage.name.as_str()).collect()
    }

    #[test]
    fn writers_come_before_their_readers() {
        let stages = vec![bare("a", &["r2"], &["view"]), bare("b", &["r1"], &["r2"]), bare("c", &["in"], &["r1"])];
        assert_eq!(names(&in_order(stages)), ["c", "b", "a"]);
    }

    #[test]
    fn a_loop_is_cut_at_the_first_name() {
        let stages = vec![bare("b", &["x"], &["y"]), bare("a", &["y"], &["x"]), bare("c", &["in"], &[])];
        assert_eq!(names(&in_order(stages)), ["c", "a", "b"]);
        assert_eq!(names(&in_order(vec![bare("self", &["x"], &["x"])])), ["self"]);
    }
}
