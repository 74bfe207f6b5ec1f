//! The changes, one kind of thing after the other.

use super::{ChangeKind, TopologyChange};
use crate::topology::planner::display;
use crate::topology::{
    NodeDescription, NodeKind, StoreDescription, StoreKind, TopicDescription, TopicRef, TopologyDescription,
};
use std::collections::{BTreeMap, BTreeSet};

/// All changes, those of state first.
pub(super) fn changes(older: &TopologyDescription, newer: &TopologyDescription) -> Vec<TopologyChange> {
    let mut changes = Vec::new();
    stores(older, newer, &mut changes);
    globals(older, newer, &mut changes);
    topics(&read(older), &read(newer), "reads", &mut changes);
    topics(&written(older), &written(newer), "writes", &mut changes);
    feeds(older, newer, &mut changes);
    operators(older, newer, &mut changes);
    changes
}

fn change(kind: ChangeKind, what: String, detail: Option<String>, meaning: impl Into<String>) -> TopologyChange {
    TopologyChange { kind, what, detail, meaning: meaning.into() }
}

/// What is in the one only, in both, and in the other only.
fn compare<'d, T>(
    older: &'d BTreeMap<String, T>,
    newer: &'d BTreeMap<String, T>,
) -> impl Iterator<Item = (&'d str, Option<&'d T>, Option<&'d T>)> {
    let names: BTreeSet<&String> = older.keys().chain(newer.keys()).collect();
    names.into_iter().map(|name| (name.as_str(), older.get(name), newer.get(name)))
}

type Stores<'d> = BTreeMap<String, (&'d str, &'d StoreDescription)>;

/// By name, with their sub-topologies.
fn stores_of(topology: &TopologyDescription) -> Stores<'_> {
    (topology.sub_topologies.iter())
        .flat_map(|sub| sub.stores.iter().map(|store| (store.name.clone(), (sub.name.as_str(), store))))
        .collect()
}

fn stores(older: &TopologyDescription, newer: &TopologyDescription, changes: &mut Vec<TopologyChange>) {
    let (old, new) = (stores_of(older), stores_of(newer));
    for (name, before, after) in compare(&old, &new) {
        let what = format!("store {name}");
        match (before, after) {
            (None, Some((_, store))) => {
                let twin = twin(store, &old, &new);
                let again = twin.map_or_else(String::new, |twin| {
                    format!(
                        " It is like {twin}, which is gone: if it is the same under another name, give it the old name."
                    )
                });
                let topic = display(&store.changelog);
                let meaning = match is_read_only(store) {
                    true => format!("a new store, made of topic {topic} and restored from there.{again}"),
                    false => format!(
                        "a new store with a changelog {topic} of its own, empty at first and filled from the inputs.{again}"
                    ),
                };
                changes.push(change(ChangeKind::Added, what, Some(said(store)), meaning));
            }
            (Some((_, store)), None) => {
                let topic = display(&store.changelog);
                let meaning = match is_read_only(store) {
                    true => {
                        format!("its rows are not carried over; topic {topic}, which they are made of, stays as it is")
                    }
                    false => format!(
                        "its rows are not carried over; they and changelog {topic} stay with the old version until that is \
                         retired"
                    ),
                };
                changes.push(change(ChangeKind::Removed, what, Some(said(store)), meaning));
            }
            (Some((old_sub, old)), Some((new_sub, new))) => {
                if old.shape != new.shape || old.kind != new.kind || old.changelog != new.changelog {
                    let detail = format!("{} -> {}", said(old), said(new));
                    let meaning =
                        "rows written before can't be read as the new ones: the store is filled anew from the inputs";
                    changes.push(change(ChangeKind::Changed, what, Some(detail), meaning));
                } else if old_sub != new_sub {
                    let detail = format!("sub-topology {old_sub} -> {new_sub}");
                    let meaning = "the store belongs to other tasks than before, and is filled anew in theirs";
                    changes.push(change(ChangeKind::Changed, what, Some(detail), meaning));
                }
            }
            (None, None) => {}
        }
    }
}

/// A store that is gone and like this one.
fn twin<'d>(store: &StoreDescription, old: &'d Stores<'_>, new: &Stores<'_>) -> Option<&'d str> {
    let like = |old: &StoreDescription| old.shape == store.shape && old.kind == store.kind;
    old.iter().find(|(name, (_, old))| !new.contains_key(*name) && like(old)).map(|(name, _)| name.as_str())
}

/// It has no changelog of its own, but is made of a topic.
fn is_read_only(store: &StoreDescription) -> bool {
    !matches!(store.changelog, TopicRef::Changelog(_))
}

fn said(store: &StoreDescription) -> String {
    let kind = match store.kind {
        StoreKind::KeyValue => "key-value".to_owned(),
        StoreKind::Windowed { retention_ms, .. } => format!("windowed, kept {retention_ms} ms"),
        StoreKind::Versioned { history_ms } => format!("versioned, history {history_ms} ms"),
    };
    format!("{} ({kind})", store.shape)
}

fn globals(older: &TopologyDescription, newer: &TopologyDescription, changes: &mut Vec<TopologyChange>) {
    let of = |topology: &TopologyDescription| -> BTreeMap<String, String> {
        let said = |global: &crate::topology::GlobalStoreDescription| {
            let rows = global.rows.as_ref();
            let into = rows.map_or_else(String::new, |(key, value)| format!(" into ({key}, {value})"));
            format!("from {} ({}, {}){into}", global.topic, global.key, global.value)
        };
        topology.global_stores.iter().map(|global| (global.name.clone(), said(global))).collect()
    };
    let (old, new) = (of(older), of(newer));
    for (name, before, after) in compare(&old, &new).filter(|(_, before, after)| before != after) {
        let kind = kind_of(before, after);
        let meaning = match kind {
            ChangeKind::Removed => "it is not read any more",
            _ => "every process reads its topic from the beginning when it starts, so nothing has to be carried over",
        };
        changes.push(change(kind, format!("global store {name}"), from_to(before, after), meaning));
    }
}

fn kind_of<T>(before: Option<&T>, after: Option<&T>) -> ChangeKind {
    match (before, after) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    }
}

fn from_to(before: Option<&String>, after: Option<&String>) -> Option<String> {
    match (before, after) {
        (Some(before), Some(after)) => Some(format!("{before} -> {after}")),
        (one, other) => one.or(other).cloned(),
    }
}

type Topics = BTreeMap<String, (TopicRef, String)>;

fn read(topology: &TopologyDescription) -> Topics {
    topics_of(topology, |kind| match kind {
        NodeKind::Source(topic) => Some(topic),
        _ => None,
    })
}

fn written(topology: &TopologyDescription) -> Topics {
    topics_of(topology, |kind| match kind {
        NodeKind::Sink(topic) => Some(topic),
        _ => None,
    })
}

fn topics_of(topology: &TopologyDescription, which: impl Fn(&NodeKind) -> Option<&TopicDescription>) -> Topics {
    let said = |topic: &TopicDescription| {
        let partitions = topic.partitions.map_or_else(String::new, |count| format!(", {count} partitions"));
        (display(&topic.topic), (topic.topic.clone(), format!("({}, {}){partitions}", topic.key, topic.value)))
    };
    nodes(topology).filter_map(|node| which(&node.kind)).map(said).collect()
}

fn nodes(topology: &TopologyDescription) -> impl Iterator<Item = &NodeDescription> {
    topology.sub_topologies.iter().flat_map(|sub| &sub.nodes)
}

fn topics(older: &Topics, newer: &Topics, does: &str, changes: &mut Vec<TopologyChange>) {
    for (name, before, after) in compare(older, newer).filter(|(_, before, after)| before != after) {
        let kind = kind_of(before, after);
        let Some((topic, _)) = after.or(before) else { continue };
        // A repartition topic is written and read: once is enough.
        if matches!(topic, TopicRef::Repartition(_)) && does == "writes" && kind != ChangeKind::Changed {
            continue;
        }
        let (what, meaning) = match (topic, does, kind) {
            (TopicRef::Repartition(_), _, ChangeKind::Added) => (
                "repartition topic",
                "a topic of the version's own is created; records go through it from the inputs' beginning",
            ),
            (TopicRef::Repartition(_), _, ChangeKind::Removed) => {
                ("repartition topic", "it stays with the old version until that is retired")
            }
            (TopicRef::Repartition(_), ..) => (
                "repartition topic",
                "what the old version wrote there can't be taken over: the new one has a topic of its own",
            ),
            (TopicRef::View(_), _, ChangeKind::Added) => ("view", "readers find it once the new version is promoted"),
            (TopicRef::View(_), _, ChangeKind::Removed) => {
                ("view", "its readers have nothing to follow once the new version is promoted")
            }
            (TopicRef::View(_), ..) => ("view", "readers must be able to read both, before and after the promotion"),
            (TopicRef::Control(_), _, ChangeKind::Removed) => ("parking", "records that fail are not parked any more"),
            (TopicRef::Control(_), ..) => {
                ("parking", "records that fail are parked with their keys until they are released")
            }
            (_, "reads", ChangeKind::Added) => ("input", "it is read from its beginning"),
            (_, "reads", ChangeKind::Removed) => ("input", "it is not read any more"),
            (_, "reads", _) => ("input", "the records that are there must be readable in the new way too"),
            (_, _, ChangeKind::Added) => ("output", "it must be there, or be created, before the new version starts"),
            (_, _, ChangeKind::Removed) => ("output", "it is not written any more; what is in it stays"),
            _ => ("output", "readers must be able to read both: what is in it stays"),
        };
        let detail = from_to(before.map(|(_, said)| said), after.map(|(_, said)| said));
        changes.push(change(kind, format!("{what} {name}"), detail, meaning));
    }
}

/// What a topic's records or a store's rows are made of: the nearest topics and stores before it.
fn feeds_of(topology: &TopologyDescription) -> BTreeMap<String, BTreeSet<String>> {
    let mut feeds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for sub in &topology.sub_topologies {
        let by_name: BTreeMap<&str, &NodeDescription> =
            sub.nodes.iter().map(|node| (node.name.as_str(), node)).collect();
        for node in &sub.nodes {
            let fed = anchors(node);
            if fed.is_empty() || matches!(node.kind, NodeKind::Source(_)) {
                continue;
            }
            let mut open: Vec<&str> = node.parents.iter().map(String::as_str).collect();
            let mut from = BTreeSet::new();
            while let Some(parent) = open.pop().and_then(|name| by_name.get(name)) {
                let anchors = anchors(parent);
                if anchors.is_empty() {
                    open.extend(parent.parents.iter().map(String::as_str));
                }
                from.extend(anchors);
            }
            fed.into_iter().for_each(|fed| feeds.entry(fed).or_default().extend(from.iter().cloned()));
        }
    }
    feeds
}

/// What state or topics hang on at a node.
fn anchors(node: &NodeDescription) -> Vec<String> {
    match &node.kind {
        NodeKind::Source(topic) | NodeKind::Sink(topic) => vec![format!("topic {}", display(&topic.topic))],
        NodeKind::Processor => node.stores.iter().map(|store| format!("store {store}")).collect(),
    }
}

fn feeds(older: &TopologyDescription, newer: &TopologyDescription, changes: &mut Vec<TopologyChange>) {
    let (old, new) = (feeds_of(older), feeds_of(newer));
    for (name, before, after) in compare(&old, &new) {
        let (Some(before), Some(after)) = (before, after) else { continue };
        if before != after {
            let list = |feeds: &BTreeSet<String>| feeds.iter().cloned().collect::<Vec<_>>().join(", ");
            let detail = format!("made of {} -> of {}", list(before), list(after));
            let meaning = "what is in it follows from something else: it is made anew from the inputs";
            changes.push(change(ChangeKind::Changed, name.to_owned(), Some(detail), meaning));
        }
    }
}

/// Operators that neither topics nor stores hang on: their names are for people.
fn operators(older: &TopologyDescription, newer: &TopologyDescription, changes: &mut Vec<TopologyChange>) {
    let stateless = |topology| -> BTreeMap<String, &NodeDescription> {
        let nodes = nodes(topology).filter(|node| anchors(node).is_empty());
        nodes.map(|node| (node.name.clone(), node)).collect()
    };
    let (old, new) = (stateless(older), stateless(newer));
    let gone: Vec<&NodeDescription> =
        old.iter().filter(|(name, _)| !new.contains_key(*name)).map(|(_, node)| *node).collect();
    let mut came: Vec<&NodeDescription> =
        new.iter().filter(|(name, _)| !old.contains_key(*name)).map(|(_, node)| *node).collect();
    for node in gone {
        let same_place = |other: &&NodeDescription| other.parents == node.parents && other.children == node.children;
        let what = format!("operator {}", node.name);
        match came.iter().position(same_place) {
            Some(index) => {
                let detail = format!("{} -> {}", node.name, came.remove(index).name);
                let meaning = "no store and no topic is named after it";
                changes.push(change(ChangeKind::Renamed, what, Some(detail), meaning));
            }
            None => changes.push(change(ChangeKind::Removed, what, None, "it keeps no state")),
        }
    }
    let (before_old, before_new) = (before(older), before(newer));
    for name in old.keys().filter(|name| new.contains_key(*name)) {
        let common = |before: &BTreeMap<String, BTreeSet<String>>| -> BTreeSet<String> {
            let both = |name: &&String| old.contains_key(*name) && new.contains_key(*name);
            before.get(name).into_iter().flatten().filter(both).cloned().collect()
        };
        if common(&before_old) != common(&before_new) {
            let detail = format!("behind {} -> behind {}", old[name].parents.join(", "), new[name].parents.join(", "));
            changes.push(change(
                ChangeKind::Changed,
                format!("operator {name}"),
                Some(detail),
                "moved; it keeps no state",
            ));
        }
    }
    for node in came {
        let detail = format!("behind {}", node.parents.join(", "));
        changes.push(change(ChangeKind::Added, format!("operator {}", node.name), Some(detail), "it keeps no state"));
    }
}

/// All operators before each, within its sub-topology.
fn before(topology: &TopologyDescription) -> BTreeMap<String, BTreeSet<String>> {
    let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // Every node is behind its parents.
    for node in nodes(topology) {
        let above = |parent: &String| before.get(parent).into_iter().flatten().cloned().chain([parent.clone()]);
        let all = node.parents.iter().flat_map(above).collect();
        before.insert(node.name.clone(), all);
    }
    before
}
