//! What must hold of a whole topology, beyond what each operator can see when it is added.

use super::TopologyError;
use super::graph::{Graph, Kind};

/// The first thing that is wrong with it.
pub(super) fn check(graph: &Graph) -> Result<(), TopologyError> {
    if graph.nodes.is_empty() {
        return Err(TopologyError::Empty);
    }
    let stores = graph.stores.iter().filter(|store| store.needed).map(|store| &*store.name);
    let mut names: Vec<&str> = stores.chain(graph.globals.iter().map(|global| &*global.name)).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(TopologyError::DuplicateName { what: "store", name: twice[0].to_owned() });
    }
    for store in &graph.stores {
        let from = store.from_topic.as_ref().map(|from| from.source);
        if let Some(source) = from.filter(|source| graph.timestamps.iter().any(|(node, _)| node == source)) {
            let operator = graph.nodes[source].name.clone();
            let reason = format!(
                "read-only store {} is restored from this topic, where records have their own times: read it without with_timestamps()",
                store.name
            );
            return Err(TopologyError::BadTime { operator, reason });
        }
    }
    for node in &graph.nodes {
        let ends_here = matches!(node.kind, Kind::Sink { .. }) || node.terminal;
        let kept = node.stores.iter().any(|store| graph.stores[*store].needed);
        if node.children.is_empty() && !ends_here && !kept {
            return Err(TopologyError::Unsunk { operator: node.name.clone() });
        }
    }
    Ok(())
}
