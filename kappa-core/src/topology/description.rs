//! What a topology is, as data: to be printed, drawn, kept in a file or the registry, and compared.
//!
//! **Invariants:** a description is a function of names and connections, not of the order in which sub-topologies were built; it
//! holds nothing of a process, so those of two builds of a program are equal.

use super::graph::{Graph, Kind, NodeId};
use super::planner::SubTopology;
use super::{ChangelogSource, StoreKind, TopicRef, TopologyDiff, TopologyPlan, describe, mermaid, parking, svg};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A topology as data (Kafka Streams: `TopologyDescription`). Its text form, by `Display`, is that of Kafka Streams.
///
/// ```
/// use kappa_core::{codec::utf8, topology::{Topology, TopologyDescription}};
///
/// let mut app = Topology::builder();
/// app.stream("flights", utf8(), utf8()).group_by_key().count("flights-by-number").to("out");
/// let description = app.build()?.description();
/// assert!(description.to_string().starts_with("Topologies:\n   Sub-topology: 0\n    Source: flights.source (topics: [flights])"));
/// assert!(description.mermaid().starts_with("flowchart LR\n"));
/// assert!(description.svg().starts_with("<svg "));
///
/// // What a file or the registry keeps.
/// let kept = description.to_json();
/// assert_eq!(TopologyDescription::from_json(&kept)?, description);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyDescription {
    /// The plan's fingerprint: state and topics of two versions with the same one are the same.
    pub fingerprint: String,
    /// The sub-topologies, in the plan's order.
    pub sub_topologies: Vec<SubTopologyDescription>,
    /// The global stores, sorted by topic.
    #[serde(default)]
    pub global_stores: Vec<GlobalStoreDescription>,
}

/// What one task runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubTopologyDescription {
    /// Its name.
    pub name: String,
    /// Its operators: every one behind its parents.
    pub nodes: Vec<NodeDescription>,
    /// Its stores, sorted by name.
    #[serde(default)]
    pub stores: Vec<StoreDescription>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Its name.
    pub name: String,
    /// What it does with topics.
    #[serde(flatten)]
    pub kind: NodeKind,
    /// Stores it reads or writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<String>,
    /// Operators before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// Operators behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<String>,
}

/// What an operator does with topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum NodeKind {
    /// Reads one.
    Source(TopicDescription),
    /// Neither reads nor writes one.
    Processor,
    /// Writes one.
    Sink(TopicDescription),
}

/// A topic with how it is read or written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicDescription {
    /// The topic.
    pub topic: TopicRef,
    /// Its partitions, where the topology says how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
    /// The codec of its keys.
    pub key: String,
    /// The codec of its values.
    pub value: String,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreDescription {
    /// Its name.
    pub name: String,
    /// The kind of operator that keeps it, and its codecs.
    pub shape: String,
    /// How its changelog is kept.
    pub kind: StoreKind,
    /// Where its changes are logged, or come from.
    pub changelog: TopicRef,
}

/// A global store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalStoreDescription {
    /// Its name.
    pub name: String,
    /// The topic it is made of.
    pub topic: String,
    /// The codec of the topic's keys.
    pub key: String,
    /// The codec of the topic's values.
    pub value: String,
    /// Where a function makes its rows of the topic's records, the codecs of the rows' keys and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<(String, String)>,
}

impl TopologyDescription {
    pub(crate) fn new(graph: &Graph, subs: &[SubTopology], plan: &TopologyPlan) -> Self {
        let mut global_stores: Vec<GlobalStoreDescription> = (graph.globals.iter())
            .map(|global| GlobalStoreDescription {
                name: global.name.clone(),
                topic: global.topic.clone(),
                key: global.key.name.to_string(),
                value: global.value.name.to_string(),
                rows: (global.update.as_ref())
                    .map(|update| (update.rows.0.name.to_string(), update.rows.1.name.to_string())),
            })
            .collect();
        global_stores.sort_by(|a, b| a.topic.cmp(&b.topic));
        let mut sub_topologies: Vec<SubTopologyDescription> = subs.iter().map(|sub| sub_topology(graph, sub)).collect();
        if graph.parks {
            sub_topologies.iter_mut().for_each(parking::describe);
        }
        Self { fingerprint: plan.fingerprint.clone(), sub_topologies, global_stores }
    }

    /// As a flow chart for [Mermaid](https://mermaid.js.org), which many places show where text is shown.
    pub fn mermaid(&self) -> String {
        mermaid::mermaid(self)
    }

    /// As a picture that needs nothing else: one SVG document.
    pub fn svg(&self) -> String {
        svg::svg(self)
    }

    /// What is different in `newer`, and what that means for state.
    pub fn diff(&self, newer: &Self) -> TopologyDiff {
        TopologyDiff::new(self, newer)
    }

    /// As JSON, for a file.
    pub fn to_json(&self) -> String {
        let written = serde_json::to_string_pretty(self);
        written.expect("a description holds nothing but strings, numbers and lists") + "\n"
    }

    /// What [`to_json`](Self::to_json) wrote.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl fmt::Display for TopologyDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        describe::describe(self, f)
    }
}

fn sub_topology(graph: &Graph, sub: &SubTopology) -> SubTopologyDescription {
    let stores = sub.stores.iter().zip(&sub.plan.stores).map(|(index, plan)| StoreDescription {
        name: plan.name.clone(),
        shape: graph.stores[*index].shape.clone(),
        kind: plan.kind,
        changelog: match plan.changelog {
            ChangelogSource::Input { source } => sub.plan.sources[source].topic.clone(),
            ChangelogSource::Own { .. } | ChangelogSource::None => TopicRef::Changelog(plan.name.clone()),
        },
    });
    SubTopologyDescription {
        name: sub.plan.name.clone(),
        nodes: in_order(graph, sub).into_iter().map(|id| node(graph, sub, id)).collect(),
        stores: stores.collect(),
    }
}

fn node(graph: &Graph, sub: &SubTopology, id: NodeId) -> NodeDescription {
    let node = &graph.nodes[id];
    let names = |ids: &[NodeId]| ids.iter().map(|id| graph.nodes[*id].name.clone()).collect();
    let kind = match &node.kind {
        Kind::Source { topic, partitions, key, value } => NodeKind::Source(TopicDescription {
            topic: topic.clone(),
            partitions: *partitions,
            key: key.name.to_string(),
            value: value.name.to_string(),
        }),
        Kind::Operator => NodeKind::Processor,
        Kind::Sink { topic, key, value } => NodeKind::Sink(TopicDescription {
            topic: topic.clone(),
            partitions: None,
            key: key.name.to_string(),
            value: value.name.to_string(),
        }),
    };
    let mut stores: Vec<String> = (node.stores.iter().filter(|store| sub.stores.contains(store)))
        .map(|store| graph.stores[*store].name.clone())
        .collect();
    stores.sort();
    stores.dedup();
    NodeDescription {
        name: node.name.clone(),
        kind,
        stores,
        parents: names(&node.parents),
        children: names(&node.children),
    }
}

/// Sources by topic, each followed by what it leads to; a node comes after all its parents.
fn in_order(graph: &Graph, sub: &SubTopology) -> Vec<NodeId> {
    let mut order = Vec::with_capacity(sub.nodes.len());
    for source in &sub.sources {
        visit(graph, *source, &mut order);
    }
    order
}

fn visit(graph: &Graph, id: NodeId, order: &mut Vec<NodeId>) {
    let node = &graph.nodes[id];
    if order.contains(&id) || !node.parents.iter().all(|parent| order.contains(parent)) {
        return;
    }
    order.push(id);
    node.children.iter().for_each(|child| visit(graph, *child, order));
}
