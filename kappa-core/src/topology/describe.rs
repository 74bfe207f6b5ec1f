//! A topology as text, in the form of Kafka Streams' `Topology.describe()`, which visualisers read.

use super::planner::display;
use super::{GlobalStoreDescription, NodeDescription, NodeKind, TopologyDescription};
use std::fmt::{self, Write};

/// Writes the text.
pub(crate) fn describe(topology: &TopologyDescription, text: &mut impl Write) -> fmt::Result {
    // The blank before the first sub-topology is Kafka Streams'.
    text.write_str("Topologies:\n ")?;
    for (index, sub) in topology.sub_topologies.iter().enumerate() {
        writeln!(text, "  Sub-topology: {index}")?;
        sub.nodes.iter().try_for_each(|described| node(described, text))?;
        text.write_str("\n")?;
    }
    for (index, GlobalStoreDescription { name, topic, .. }) in
        (topology.sub_topologies.len()..).zip(&topology.global_stores)
    {
        writeln!(text, "  Sub-topology: {index} for global store (will not generate tasks)")?;
        writeln!(text, "    Source: {topic}.source (topics: [{topic}])\n      --> {name}.global")?;
        writeln!(text, "    Processor: {name}.global (stores: [{name}])\n      --> none\n      <-- {topic}.source")?;
    }
    Ok(())
}

fn node(node: &NodeDescription, text: &mut impl Write) -> fmt::Result {
    let NodeDescription { name, kind, stores, parents, children } = node;
    let names = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let (parents, children, stores) = (names(parents), names(children), stores.join(", "));
    match kind {
        NodeKind::Source(read) => {
            writeln!(text, "    Source: {name} (topics: [{}])\n      --> {children}", display(&read.topic))
        }
        NodeKind::Processor => {
            writeln!(text, "    Processor: {name} (stores: [{stores}])\n      --> {children}\n      <-- {parents}")
        }
        NodeKind::Sink(written) => {
            writeln!(text, "    Sink: {name} (topic: {})\n      <-- {parents}", display(&written.topic))
        }
    }
}
