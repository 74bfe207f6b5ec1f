//! Where the operators of a sub-topology are drawn: in columns by their distance from the sources. A line that passes a column
//! has a place there as an operator has, so that it runs between them.

use super::{LETTER, LINE, PAD, text_width};
use crate::topology::{NodeDescription, NodeKind, SubTopologyDescription, TopicRef};
use std::collections::BTreeMap;

const COLUMN_GAP: f64 = 44.0;
const ROW_GAP: f64 = 18.0;
const SWEEPS: usize = 4;
/// Of an operator of a topic that other sub-topologies read or write: what is said below the topic needs room.
const LABEL: f64 = 18.0;

/// An operator in its place.
pub(super) struct Placed<'d> {
    pub(super) node: &'d NodeDescription,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// All of them, and the points each line goes through.
pub(super) struct Layout<'d> {
    pub(super) nodes: Vec<Placed<'d>>,
    pub(super) edges: Vec<Vec<(f64, f64)>>,
}

/// An operator, or a line on its way through a column.
struct Cell {
    node: Option<usize>,
    column: usize,
    before: Vec<usize>,
    behind: Vec<usize>,
    height: f64,
    /// Where lines meet it, below its top.
    middle: f64,
    y: f64,
}

/// Places the operators right of `x` and below `y`.
pub(super) fn place(sub: &SubTopologyDescription, x: f64, y: f64) -> Layout<'_> {
    let (mut cells, chains) = cells(sub);
    let columns = ordered(&mut cells);
    heights(&mut cells, &columns);
    let top = cells.iter().map(|cell| cell.y).fold(f64::INFINITY, f64::min);
    cells.iter_mut().for_each(|cell| cell.y += y - top);
    let width = |cell: &Cell| cell.node.map_or(0.0, |node| node_width(&sub.nodes[node]));
    let widths: Vec<f64> =
        columns.iter().map(|column| column.iter().map(|cell| width(&cells[*cell])).fold(LETTER, f64::max)).collect();
    let starts: Vec<f64> =
        (widths.iter()).scan(x, |next, width| Some(std::mem::replace(next, *next + width + COLUMN_GAP))).collect();
    let left = |cell: &Cell| starts[cell.column];
    let middle = |cell: &Cell| cell.y + cell.middle;
    let nodes = (cells.iter())
        .filter_map(|cell| {
            let node = &sub.nodes[cell.node?];
            // Sinks stand at the edge, with nothing between them and their topics.
            let column = if matches!(node.kind, NodeKind::Sink(_)) { widths.len() - 1 } else { cell.column };
            let (x, width) = (starts[column], widths[column]);
            Some(Placed { node, x, y: cell.y, width, height: node_height(node) })
        })
        .collect();
    let edges = (chains.iter())
        .map(|chain| {
            let mut points = Vec::with_capacity(2 * chain.len());
            for (place, cell) in chain.iter().enumerate() {
                let cell = &cells[*cell];
                if place > 0 {
                    points.push((left(cell), middle(cell)));
                }
                if place + 1 < chain.len() {
                    points.push((left(cell) + widths[cell.column], middle(cell)));
                }
            }
            points
        })
        .collect();
    Layout { nodes, edges }
}

fn node_width(node: &NodeDescription) -> f64 {
    let stores = node.stores.iter().map(|store| text_width(store) + LINE);
    stores.fold(text_width(&node.name), f64::max) + 2.0 * PAD
}

fn node_height(node: &NodeDescription) -> f64 {
    28.0 + node.stores.len() as f64 * (LINE + 4.0)
}

/// The operators, then the places of long lines; and each line as the cells it goes through.
fn cells(sub: &SubTopologyDescription) -> (Vec<Cell>, Vec<Vec<usize>>) {
    let index: BTreeMap<&str, usize> = sub.nodes.iter().map(|node| node.name.as_str()).zip(0..).collect();
    let mut columns = vec![0; sub.nodes.len()];
    // Every node is behind its parents.
    for (id, node) in sub.nodes.iter().enumerate() {
        let parents = node.parents.iter().filter_map(|parent| index.get(parent.as_str()));
        columns[id] = parents.map(|parent| columns[*parent] + 1).max().unwrap_or(0);
    }
    let last = columns.iter().copied().max().unwrap_or(0);
    let labelled = |node: &NodeDescription| match &node.kind {
        NodeKind::Source(topic) | NodeKind::Sink(topic) => {
            !matches!(topic.topic, TopicRef::External(_) | TopicRef::View(_))
        }
        NodeKind::Processor => false,
    };
    let mut cells: Vec<Cell> = (sub.nodes.iter().enumerate())
        .map(|(id, node)| Cell {
            node: Some(id),
            column: if matches!(node.kind, NodeKind::Sink(_)) { last } else { columns[id] },
            before: Vec::new(),
            behind: Vec::new(),
            height: node_height(node) + if labelled(node) { LABEL } else { 0.0 },
            middle: node_height(node) / 2.0,
            y: 0.0,
        })
        .collect();
    let mut chains = Vec::new();
    for (id, node) in sub.nodes.iter().enumerate() {
        for child in node.children.iter().filter_map(|child| index.get(child.as_str())) {
            let mut chain = vec![id];
            for column in cells[id].column + 1..cells[*child].column {
                chain.push(cells.len());
                cells.push(Cell {
                    node: None,
                    column,
                    before: vec![],
                    behind: vec![],
                    height: 2.0,
                    middle: 1.0,
                    y: 0.0,
                });
            }
            chain.push(*child);
            for pair in chain.windows(2) {
                cells[pair[0]].behind.push(pair[1]);
                cells[pair[1]].before.push(pair[0]);
            }
            chains.push(chain);
        }
    }
    (cells, chains)
}

/// The cells of each column, ordered so that few lines cross: each near the middle of its neighbours, from both sides in turn.
fn ordered(cells: &mut [Cell]) -> Vec<Vec<usize>> {
    let count = cells.iter().map(|cell| cell.column + 1).max().unwrap_or(0);
    let mut columns: Vec<Vec<usize>> = (0..count).map(|_| Vec::new()).collect();
    (0..cells.len()).for_each(|cell| columns[cells[cell].column].push(cell));
    let mut place = vec![0.0; cells.len()];
    let rank = |column: &[usize], place: &mut Vec<f64>| {
        column.iter().enumerate().for_each(|(rank, cell)| place[*cell] = rank as f64);
    };
    columns.iter().for_each(|column| rank(column, &mut place));
    for sweep in 0..SWEEPS {
        let forward = sweep % 2 == 0;
        for step in 0..count {
            let column = &mut columns[if forward { step } else { count - 1 - step }];
            let weight = |cell: &usize| {
                let near = if forward { &cells[*cell].before } else { &cells[*cell].behind };
                mean(near.iter().map(|other| place[*other])).unwrap_or(place[*cell])
            };
            let mut weighed: Vec<(f64, usize)> = column.iter().map(|cell| (weight(cell), *cell)).collect();
            weighed.sort_by(|a, b| a.0.total_cmp(&b.0));
            *column = weighed.into_iter().map(|(_, cell)| cell).collect();
            rank(column, &mut place);
        }
    }
    columns
}

/// Gives each cell its height on the page: level with what comes before it where there is room.
fn heights(cells: &mut [Cell], columns: &[Vec<usize>]) {
    for column in columns {
        let mut free = 0.0;
        for cell in column {
            let before = cells[*cell].before.iter().map(|other| cells[*other].y + cells[*other].middle);
            let wanted = mean(before).map_or(free, |middle| middle - cells[*cell].middle);
            cells[*cell].y = wanted.max(free);
            free = cells[*cell].y + cells[*cell].height + ROW_GAP;
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
