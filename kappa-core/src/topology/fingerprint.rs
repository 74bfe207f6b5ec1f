//! A number for everything that state and topics depend on.
//!
//! Stateless operators are not part of it: putting a filter in changes what is computed, and so wants a
//! new version of the application, but not what stored bytes mean.

use super::graph::{GlobalUpdate, Graph, Kind, NodeId};
use super::parking;
use super::planner::{SubTopology, display};
use std::fmt::Write;

/// The number, in hexadecimal.
pub(crate) fn fingerprint(graph: &Graph, subs: &[SubTopology]) -> String {
    let mut text = String::new();
    for sub in subs {
        let _ = writeln!(text, "sub-topology {}", sub.plan.name);
        let mut lines: Vec<String> = sub.nodes.iter().filter_map(|id| line(graph, *id)).collect();
        lines.extend(sub.stores.iter().map(|store| {
            let store = &graph.stores[*store];
            format!("store {} {}", store.name, store.shape)
        }));
        lines.sort();
        lines.iter().for_each(|line| text.extend([line.as_str(), "\n"]));
    }
    let mut globals: Vec<String> = (graph.globals.iter())
        .map(|global| {
            let rows = |update: &GlobalUpdate| format!(" into {} {}", update.rows.0.name, update.rows.1.name);
            let into = global.update.as_ref().map_or_else(String::new, rows);
            format!("global {} {} {} {}{into}\n", global.topic, global.name, global.key.name, global.value.name)
        })
        .collect();
    globals.sort();
    text.extend(globals);
    text.extend(graph.parks.then(parking::line));
    format!("{:032x}", fnv1a(text.as_bytes()))
}

/// What a node means to state and topics, and which such nodes feed it.
fn line(graph: &Graph, id: NodeId) -> Option<String> {
    let node = &graph.nodes[id];
    let what = anchor(graph, id)?;
    let mut feeds: Vec<String> = Vec::new();
    let mut open = node.parents.clone();
    while let Some(parent) = open.pop() {
        match anchor(graph, parent) {
            Some(feed) => feeds.push(feed),
            None => open.extend(&graph.nodes[parent].parents),
        }
    }
    feeds.sort();
    feeds.dedup();
    Some(format!("{what} <- {}", feeds.join(", ")))
}

/// What state or topics hang on at this node; `None` for stateless operators.
fn anchor(graph: &Graph, id: NodeId) -> Option<String> {
    let node = &graph.nodes[id];
    match &node.kind {
        Kind::Source { topic, partitions, key, value } => {
            Some(format!("source {} {partitions:?} {} {}", display(topic), key.name, value.name))
        }
        Kind::Sink { topic, key, value } => Some(format!("sink {} {} {}", display(topic), key.name, value.name)),
        Kind::Operator => {
            let mut stores: Vec<&str> = (node.stores.iter().map(|store| &graph.stores[*store]))
                .filter(|store| store.needed)
                .map(|store| store.name.as_str())
                .collect();
            stores.sort_unstable();
            (!stores.is_empty()).then(|| format!("operator on {}", stores.join(", ")))
        }
    }
}

/// 128-bit FNV-1a: the same on every platform and in every build.
fn fnv1a(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published vectors of 128-bit FNV-1a.
    #[test]
    fn fnv1a_equals_its_vectors() {
        assert_eq!(fnv1a(b""), 0x6c62272e07bb014262b821756295c58d);
        assert_eq!(fnv1a(b"a"), 0xd228cb696f1a8caf78912b704e4a8964);
    }
}
