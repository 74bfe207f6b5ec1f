//! From the graph to sub-topologies: what is connected without a topic between runs in one task.
//!
//! **Invariants:** the result depends on names and connections alone, not on the order of building.

use super::graph::{Graph, Kind, NodeId, StoreIndex};
use super::{ChangelogSource, SourcePlan, StorePlan, SubTopologyPlan, TopicRef, TopologyError};

/// A sub-topology with the parts of the graph it is made of.
#[derive(Debug, Clone)]
pub(crate) struct SubTopology {
    pub(crate) plan: SubTopologyPlan,
    pub(crate) nodes: Vec<NodeId>,
    /// Source nodes, in the plan's order.
    pub(crate) sources: Vec<NodeId>,
    /// Stores, in the plan's order.
    pub(crate) stores: Vec<StoreIndex>,
}

/// Cuts the graph into sub-topologies, sorted by name.
pub(crate) fn sub_topologies(graph: &Graph) -> Result<Vec<SubTopology>, TopologyError> {
    let mut subs =
        components(graph).into_iter().map(|nodes| sub_topology(graph, nodes)).collect::<Result<Vec<_>, _>>()?;
    subs.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
    for pair in subs.windows(2) {
        if pair[0].plan.name == pair[1].plan.name {
            return Err(TopologyError::DuplicateName { what: "sub-topologie", name: pair[0].plan.name.clone() });
        }
    }
    Ok(subs)
}

/// Sets of nodes connected by edges and shared stores.
fn components(graph: &Graph) -> Vec<Vec<NodeId>> {
    let mut sets = Sets::new(graph.nodes.len());
    let mut user_of = vec![None; graph.stores.len()];
    for (id, node) in graph.nodes.iter().enumerate() {
        node.parents.iter().for_each(|parent| sets.join(*parent, id));
        for store in &node.stores {
            sets.join(*user_of[*store].get_or_insert(id), id);
        }
    }
    sets.groups()
}

fn sub_topology(graph: &Graph, nodes: Vec<NodeId>) -> Result<SubTopology, TopologyError> {
    let mut stores: Vec<StoreIndex> = (0..graph.stores.len())
        .filter(|index| graph.stores[*index].needed && nodes.iter().any(|id| graph.nodes[*id].stores.contains(index)))
        .collect();
    stores.sort_by_key(|index| &graph.stores[*index].name);
    let mut sources: Vec<(SourcePlan, NodeId)> = nodes.iter().filter_map(|id| source(graph, *id)).collect();
    sources.sort_by(|a, b| a.0.topic.cmp(&b.0.topic));
    let (source_plans, sources): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
    let mut outputs: Vec<TopicRef> = nodes.iter().filter_map(|id| sink(graph, *id)).collect();
    let logged = stores.iter().map(|index| &graph.stores[*index]).filter(|store| store.from_topic.is_none());
    outputs.extend(logged.map(|store| TopicRef::Changelog(store.name.clone())));
    outputs.sort();
    outputs.dedup();
    let store_plans = stores.iter().map(|index| store(graph, *index, &sources, &outputs)).collect();
    let name = name(graph, &stores, &source_plans);
    let copartitioned = copartitioned(graph, &nodes, &sources);
    check_counts(&name, &source_plans, &copartitioned)?;
    let plan = SubTopologyPlan { name, sources: source_plans, outputs, stores: store_plans, copartitioned };
    Ok(SubTopology { plan, nodes, sources, stores })
}

fn source(graph: &Graph, id: NodeId) -> Option<(SourcePlan, NodeId)> {
    let Kind::Source { topic, partitions, .. } = &graph.nodes[id].kind else { return None };
    Some((SourcePlan { topic: topic.clone(), partitions: *partitions, aligned: !graph.unaligned.contains(topic) }, id))
}

fn sink(graph: &Graph, id: NodeId) -> Option<TopicRef> {
    match &graph.nodes[id].kind {
        Kind::Sink { topic, .. } => Some(topic.clone()),
        _ => None,
    }
}

fn store(graph: &Graph, index: StoreIndex, sources: &[NodeId], outputs: &[TopicRef]) -> StorePlan {
    let name = graph.stores[index].name.clone();
    let topic = TopicRef::Changelog(name.clone());
    let from_topic = graph.stores[index].from_topic.as_ref();
    let input = from_topic.and_then(|from| sources.iter().position(|source| *source == from.source));
    let changelog = match (input, outputs.iter().position(|output| *output == topic)) {
        (Some(source), _) => ChangelogSource::Input { source },
        (None, Some(output)) => ChangelogSource::Own { output },
        (None, None) => ChangelogSource::None,
    };
    StorePlan { name, changelog, kind: graph.stores[index].kind }
}

/// A sub-topology is named by its first store; without one by its first source, with an ending that
/// keeps it apart from stores of the same name.
fn name(graph: &Graph, stores: &[StoreIndex], sources: &[SourcePlan]) -> String {
    match (stores.first(), sources.first().map(|source| &source.topic)) {
        (Some(store), _) => graph.stores[*store].name.clone(),
        (None, Some(TopicRef::Repartition(name))) => format!("{name}-repartition"),
        (
            None,
            Some(TopicRef::External(name) | TopicRef::Changelog(name) | TopicRef::View(name) | TopicRef::Control(name)),
        ) => {
            format!("{name}-source")
        }
        (None, None) => "nothing".to_owned(),
    }
}

/// Which sources meet in an operator that needs equal keys in equal partitions.
fn copartitioned(graph: &Graph, nodes: &[NodeId], sources: &[NodeId]) -> Vec<Vec<usize>> {
    let mut sets = Sets::new(sources.len());
    for id in nodes.iter().filter(|id| graph.nodes[**id].copartitioned) {
        let stores = graph.nodes[*id].stores.iter().map(|store| &graph.stores[*store]);
        let owners = stores.filter_map(|store| store.owner.or(store.from_topic.as_ref().map(|from| from.source)));
        let meeting: Vec<usize> = owners
            .chain([*id])
            .flat_map(|node| graph.upstream(node))
            .filter_map(|node| sources.iter().position(|source| *source == node))
            .collect();
        meeting.windows(2).for_each(|pair| sets.join(pair[0], pair[1]));
    }
    sets.groups().into_iter().filter(|group| group.len() > 1).collect()
}

fn check_counts(name: &str, sources: &[SourcePlan], groups: &[Vec<usize>]) -> Result<(), TopologyError> {
    for group in groups {
        let set: Vec<(&TopicRef, i32)> =
            group.iter().filter_map(|index| sources[*index].partitions.map(|n| (&sources[*index].topic, n))).collect();
        if set.windows(2).any(|pair| pair[0].1 != pair[1].1) {
            let topics: Vec<String> = set.iter().map(|(topic, n)| format!("{} ({n})", display(topic))).collect();
            return Err(TopologyError::PartitionCounts { operator: name.to_owned(), topics: topics.join(", ") });
        }
    }
    Ok(())
}

/// A topic's name without the application id, as Kafka Streams shows it.
pub(crate) fn display(topic: &TopicRef) -> String {
    match topic {
        TopicRef::External(name) => name.clone(),
        TopicRef::Repartition(name) => format!("{name}-repartition"),
        TopicRef::Changelog(name) => format!("{name}-changelog"),
        TopicRef::View(name) => format!("{name}-view"),
        TopicRef::Control(name) => format!("{name}-control"),
    }
}

/// Disjoint sets of small numbers.
struct Sets(Vec<usize>);

impl Sets {
    fn new(len: usize) -> Self {
        Self((0..len).collect())
    }

    fn root(&self, mut of: usize) -> usize {
        while self.0[of] != of {
            of = self.0[of];
        }
        of
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }

    /// The sets, each ascending, ordered by their smallest members.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups = vec![Vec::new(); self.0.len()];
        (0..self.0.len()).for_each(|member| groups[self.root(member)].push(member));
        groups.retain(|group| !group.is_empty());
        groups
    }
}
