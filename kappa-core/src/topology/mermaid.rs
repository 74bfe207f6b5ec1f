//! A topology as a Mermaid flow chart.

use super::planner::display;
use super::{NodeKind, TopicRef, TopologyDescription};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The chart.
pub(crate) fn mermaid(topology: &TopologyDescription) -> String {
    let mut chart = Chart { text: String::from("flowchart LR\n"), topics: BTreeMap::new(), edges: Vec::new() };
    let mut count = 0;
    for (index, sub) in topology.sub_topologies.iter().enumerate() {
        chart.line(1, format_args!("subgraph s{index} [\"{}\"]", quoted(&format!("{index}: {}", sub.name))));
        let ids: BTreeMap<&str, usize> = sub.nodes.iter().map(|node| node.name.as_str()).zip(count..).collect();
        count += sub.nodes.len();
        for node in &sub.nodes {
            let id = ids[node.name.as_str()];
            chart.line(2, format_args!("n{id}[\"{}\"]", quoted(&node.name)));
            match &node.kind {
                NodeKind::Source(read) => chart.read(&read.topic, id),
                NodeKind::Sink(written) => chart.written(&written.topic, id),
                NodeKind::Processor => {}
            }
            let children = node.children.iter().filter_map(|child| ids.get(child.as_str()));
            chart.edges.extend(children.map(|child| format!("n{id} --> n{child}")));
        }
        for (place, store) in sub.stores.iter().enumerate() {
            chart.line(2, format_args!("k{index}_{place}[(\"{}\")]", quoted(&store.name)));
            let users = sub.nodes.iter().filter(|node| node.stores.contains(&store.name));
            chart.edges.extend(users.map(|node| format!("n{} -.- k{index}_{place}", ids[node.name.as_str()])));
        }
        chart.line(1, format_args!("end"));
    }
    for (index, global) in topology.global_stores.iter().enumerate() {
        chart.line(1, format_args!("g{index}[(\"{} (global)\")]", quoted(&global.name)));
        let topic = chart.topic(&TopicRef::External(global.topic.clone()));
        chart.edges.push(format!("t{topic} --> g{index}"));
    }
    let Chart { mut text, topics, edges } = chart;
    for (topic, id) in topics {
        let _ = writeln!(text, "    t{id}([\"{}\"])", quoted(&display(&topic)));
    }
    for edge in edges {
        let _ = writeln!(text, "    {edge}");
    }
    text
}

struct Chart {
    text: String,
    topics: BTreeMap<TopicRef, usize>,
    edges: Vec<String>,
}

impl Chart {
    fn line(&mut self, depth: usize, line: std::fmt::Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = writeln!(self.text, "{:width$}{line}", "", width = 4 * depth);
    }

    fn topic(&mut self, topic: &TopicRef) -> usize {
        let next = self.topics.len();
        *self.topics.entry(topic.clone()).or_insert(next)
    }

    fn read(&mut self, topic: &TopicRef, node: usize) {
        let topic = self.topic(topic);
        self.edges.push(format!("t{topic} --> n{node}"));
    }

    fn written(&mut self, topic: &TopicRef, node: usize) {
        let topic = self.topic(topic);
        self.edges.push(format!("n{node} --> t{topic}"));
    }
}

/// Text between quotation marks.
fn quoted(text: &str) -> String {
    text.replace('&', "#amp;").replace('"', "#quot;")
}
