//! A topology as a picture: a row for each sub-topology, those that feed others first; the topics it reads on the left, its
//! operators in a box, the topics it writes on the right. An operator's stores are in its box. All text is in one
//! width of letters, so that sizes are known without a font.

mod layout;

use super::planner::display;
use super::{NodeDescription, NodeKind, SubTopologyDescription, TopicRef, TopologyDescription};
use layout::{Placed, place};
use std::fmt::Write;

/// Of one letter.
const LETTER: f64 = 7.3;
const LINE: f64 = 17.0;
const PAD: f64 = 10.0;
/// Between a topic and the box.
const TOPIC_GAP: f64 = 44.0;
const TITLE: f64 = 30.0;
const MARGIN: f64 = 20.0;

const STYLE: &str = "text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2933}\
.small{font-size:11px;fill:#52606d}.sub{fill:#f5f7fa;stroke:#cbd2d9}.node{fill:#fff;stroke:#52606d}\
.source,.sink{fill:#e3f1ff;stroke:#2b6cb0}.topic{fill:#fff8e1;stroke:#b7791f}.own{fill:#fdf0e3;stroke:#c05621}\
.store{fill:#e6f6ec;stroke:#2f855a}.edge{fill:none;stroke:#52606d;stroke-width:1.2}.title{font-weight:bold}";

/// The picture.
pub(crate) fn svg(topology: &TopologyDescription) -> String {
    let mut picture = Picture::default();
    let mut y = MARGIN;
    for index in in_order(&topology.sub_topologies) {
        y += picture.row(&topology.sub_topologies, index, y) + MARGIN;
    }
    for global in &topology.global_stores {
        y += picture.global(&global.topic, &global.name, y) + MARGIN;
    }
    let (width, height) = (picture.width + MARGIN, y);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <style>{STYLE}</style>\n\
         <defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <path d=\"M0 0L8 4L0 8z\" fill=\"#52606d\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{}</svg>\n",
        picture.body
    )
}

/// Sub-topologies with those that write before those that read; by index where that leaves a choice.
fn in_order(subs: &[SubTopologyDescription]) -> Vec<usize> {
    let mut waiting: Vec<usize> = (0..subs.len()).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let fed =
            |reader: usize| waiting.iter().any(|writer| *writer != reader && feeds(&subs[*writer], &subs[reader]));
        let next = waiting.iter().position(|sub| !fed(*sub)).unwrap_or(0);
        order.push(waiting.remove(next));
    }
    order
}

fn reads(sub: &SubTopologyDescription) -> impl Iterator<Item = (&NodeDescription, &TopicRef)> {
    sub.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Source(read) => Some((node, &read.topic)),
        _ => None,
    })
}

fn writes(sub: &SubTopologyDescription) -> impl Iterator<Item = (&NodeDescription, &TopicRef)> {
    sub.nodes.iter().filter_map(|node| match &node.kind {
        NodeKind::Sink(written) => Some((node, &written.topic)),
        _ => None,
    })
}

fn feeds(writer: &SubTopologyDescription, reader: &SubTopologyDescription) -> bool {
    writes(writer).any(|(_, topic)| reads(reader).any(|(_, read)| read == topic))
}

fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

#[derive(Default)]
struct Picture {
    body: String,
    width: f64,
}

impl Picture {
    /// One sub-topology; gives back its height.
    fn row(&mut self, subs: &[SubTopologyDescription], index: usize, top: f64) -> f64 {
        let sub = &subs[index];
        let others = |topic: &TopicRef, feeding: bool| {
            let does = |other: &SubTopologyDescription| match feeding {
                true => writes(other).any(|(_, written)| written == topic),
                false => reads(other).any(|(_, read)| read == topic),
            };
            let which: Vec<String> =
                (0..subs.len()).filter(|other| does(&subs[*other])).map(|other| other.to_string()).collect();
            which.join(", ")
        };
        let label = |topic: &TopicRef, feeding: bool| {
            let (which, word) = (others(topic, feeding), if feeding { "from" } else { "to" });
            (!which.is_empty()).then(|| format!("{word} sub-topology {which}"))
        };
        let inputs: Vec<_> = reads(sub).map(|(node, topic)| (node, topic, label(topic, true))).collect();
        let outputs: Vec<_> = writes(sub).map(|(node, topic)| (node, topic, label(topic, false))).collect();
        let widest = |topics: &[(&NodeDescription, &TopicRef, Option<String>)]| {
            let width = |(_, topic, label): &(&NodeDescription, &TopicRef, Option<String>)| {
                text_width(&display(topic)).max(label.as_deref().map_or(0.0, text_width)) + 2.0 * PAD
            };
            topics.iter().map(width).fold(0.0, f64::max)
        };
        let (left, right) = (widest(&inputs), widest(&outputs));
        let box_x = MARGIN + left + TOPIC_GAP;
        let placed = place(sub, box_x + PAD + 4.0, top + TITLE + PAD);
        let title = format!("Sub-topology {index}: {}", sub.name);
        let bottom = placed.nodes.iter().map(|node| node.y + node.height).fold(top + TITLE, f64::max);
        let end = placed.nodes.iter().map(|node| node.x + node.width).fold(box_x + text_width(&title) + 4.0, f64::max);
        let (box_width, height) = (end + PAD + 4.0 - box_x, bottom + PAD + 4.0 - top);
        self.rect("sub", (box_x, top, box_width, height), 8.0);
        self.text("title", box_x + PAD, top + 20.0, &title);
        for points in &placed.edges {
            self.curve(points);
        }
        for node in &placed.nodes {
            self.node(node);
        }
        let place_of = |node: &NodeDescription| placed.nodes.iter().find(|placed| placed.node.name == node.name);
        for (node, topic, label) in &inputs {
            let Some(at) = place_of(node) else { continue };
            let middle = at.y + at.height / 2.0;
            self.topic(topic, label.as_deref(), (MARGIN, middle, left));
            self.curve(&[(MARGIN + left, middle), (at.x, middle)]);
        }
        let out_x = box_x + box_width + TOPIC_GAP;
        for (node, topic, label) in &outputs {
            let Some(at) = place_of(node) else { continue };
            let middle = at.y + at.height / 2.0;
            self.topic(topic, label.as_deref(), (out_x, middle, right));
            self.curve(&[(at.x + at.width, middle), (out_x, middle)]);
        }
        self.width = self.width.max(out_x + right);
        height
    }

    /// A global store; gives back its height.
    fn global(&mut self, topic: &str, store: &str, top: f64) -> f64 {
        let title = "Global store, in every process";
        let left = text_width(topic) + 2.0 * PAD;
        let box_x = MARGIN + left + TOPIC_GAP;
        let width = text_width(title).max(text_width(store) + 4.0 * PAD) + 2.0 * PAD;
        let height = TITLE + LINE + 3.0 * PAD;
        self.rect("sub", (box_x, top, width, height), 8.0);
        self.text("title", box_x + PAD, top + 20.0, title);
        let middle = top + TITLE + PAD + LINE / 2.0;
        self.chip(store, box_x + PAD + 4.0, middle - LINE / 2.0);
        self.topic(&TopicRef::External(topic.to_owned()), None, (MARGIN, middle, left));
        self.curve(&[(MARGIN + left, middle), (box_x + PAD + 4.0, middle)]);
        self.width = self.width.max(box_x + width);
        height
    }

    fn node(&mut self, placed: &Placed<'_>) {
        let class = match placed.node.kind {
            NodeKind::Source(_) => "source",
            NodeKind::Processor => "node",
            NodeKind::Sink(_) => "sink",
        };
        self.rect(class, (placed.x, placed.y, placed.width, placed.height), 4.0);
        self.text("", placed.x + PAD, placed.y + 18.0, &placed.node.name);
        for (index, store) in placed.node.stores.iter().enumerate() {
            self.chip(store, placed.x + PAD, placed.y + 26.0 + index as f64 * (LINE + 4.0));
        }
    }

    /// A store: a small drum with its name.
    fn chip(&mut self, store: &str, x: f64, y: f64) {
        let (w, h) = (11.0, LINE - 4.0);
        let _ = writeln!(
            self.body,
            "<path class=\"store\" d=\"M{x:.1} {:.1}v{:.1}a{r:.1} 2.5 0 0 0 {w:.1} 0v-{:.1}a{r:.1} 2.5 0 0 0 -{w:.1} 0a{r:.1} 2.5 0 0 0 {w:.1} 0\"/>",
            y + 4.0,
            h - 3.0,
            h - 3.0,
            r = w / 2.0
        );
        self.text("small", x + w + 6.0, y + LINE - 4.0, store);
    }

    fn topic(&mut self, topic: &TopicRef, label: Option<&str>, (x, middle, width): (f64, f64, f64)) {
        let class = if matches!(topic, TopicRef::External(_)) { "topic" } else { "own" };
        self.rect(class, (x, middle - 13.0, width, 26.0), 13.0);
        self.text("", x + PAD, middle + 4.0, &display(topic));
        if let Some(label) = label {
            self.text("small", x + PAD, middle + 27.0, label);
        }
    }

    fn rect(&mut self, class: &str, (x, y, width, height): (f64, f64, f64, f64), round: f64) {
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.0}\"/>"
        );
    }

    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.body, "<text{class} x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    /// A line through points, level at each.
    fn curve(&mut self, points: &[(f64, f64)]) {
        let Some(((x, y), rest)) = points.split_first() else { return };
        let mut path = format!("M{x:.1} {y:.1}");
        let (mut from_x, mut from_y) = (*x, *y);
        for (x, y) in rest {
            if (y - from_y).abs() < 0.5 {
                let _ = write!(path, "L{x:.1} {y:.1}");
            } else {
                let middle = (from_x + x) / 2.0;
                let _ = write!(path, "C{middle:.1} {from_y:.1} {middle:.1} {y:.1} {x:.1} {y:.1}");
            }
            (from_x, from_y) = (*x, *y);
        }
        let _ = writeln!(self.body, "<path class=\"edge\" marker-end=\"url(#to)\" d=\"{path}\"/>");
    }
}
