//! A topology as text, in the form of Kafka Streams' `Topology.describe()`.

use super::graph::{Global, Graph, Kind, NodeId};
use super::planner::{SubTopology, display};
use std::fmt::Write;

/// The text.
pub(crate) fn describe(graph: &Graph, subs: &[SubTopology], views: &[String]) -> String {
    let mut text = String::from("Topologies:\n ");
    for (index, sub) in subs.iter().enumerate() {
        let _ = writeln!(text, "  Sub-topology: {index}");
        for id in in_order(graph, sub) {
            node(graph, sub, id, &mut text);
        }
        text.push('\n');
    }
    let mut globals: Vec<_> = graph.globals.iter().collect();
    globals.sort_by(|a, b| a.topic.cmp(&b.topic));
    for (index, Global { name, topic, .. }) in globals.into_iter().enumerate() {
        let index = subs.len() + index;
        let _ = writeln!(text, "  Sub-topology: {index} for global store (will not generate tasks)");
        let _ = writeln!(text, "    Source: {topic}.source (topics: [{topic}])\n      --> {name}");
        let _ = writeln!(text, "    Processor: {name} (stores: [{name}])\n      --> none\n      <-- {topic}.source\n");
    }
    if !views.is_empty() {
        let _ = writeln!(text, "  Views: [{}]", views.join(", "));
    }
    text
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

fn node(graph: &Graph, sub: &SubTopology, id: NodeId, text: &mut String) {
    let node = &graph.nodes[id];
    let name = &node.name;
    let names = |ids: &[NodeId]| match ids {
        [] => "none".to_owned(),
        ids => ids.iter().map(|id| graph.nodes[*id].name.as_str()).collect::<Vec<_>>().join(", "),
    };
    let children = names(&node.children);
    let parents = names(&node.parents);
    // Writing to a string can't fail.
    let _ = match &node.kind {
        Kind::Source { topic, .. } => {
            writeln!(text, "    Source: {name} (topics: [{}])\n      --> {children}", display(topic))
        }
        Kind::Operator => {
            let stores: Vec<&str> = (node.stores.iter().filter(|store| sub.stores.contains(store)))
                .map(|store| graph.stores[*store].name.as_str())
                .collect();
            let stores = stores.join(", ");
            writeln!(text, "    Processor: {name} (stores: [{stores}])\n      --> {children}\n      <-- {parents}")
        }
        Kind::Sink { topic, .. } => {
            writeln!(text, "    Sink: {name} (topic: {})\n      <-- {parents}", display(topic))
        }
    };
}
