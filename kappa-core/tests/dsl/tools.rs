//! Descriptions: the text that visualisers read, pictures, and what is different between two versions.

use super::Outcome;
use kappa_core::codec::{i64_be, json, utf8};
use kappa_core::dsl::KStream;
use kappa_core::processor::{Processor, ProcessorContext};
use kappa_core::record::Record;
use kappa_core::task::ProcessError;
use kappa_core::topology::{ChangeKind, TopicRef, Topology, TopologyDescription, TopologyError, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What differs between the versions of a shop.
#[derive(Default, Clone, Copy)]
struct Shop {
    filters: usize,
    filter_behind_select: bool,
    json_totals: bool,
    store: Option<&'static str>,
    by_other_key: bool,
}

fn shop(options: Shop) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let customers = app.table("customers", utf8(), utf8());
    let rates = app.global_table("rates", utf8(), i64_be());
    let mut orders = app.stream("orders", utf8(), utf8());
    let filters = if options.filter_behind_select { 0 } else { options.filters };
    for _ in 0..filters {
        orders = orders.filter(|_, _| true);
    }
    let mut keyed: KStream<String, String> = orders.select_key(utf8(), |_, customer| customer.clone());
    for _ in filters..options.filters {
        keyed = keyed.filter(|_, _| true);
    }
    keyed.join(&customers, |order, customer| format!("{order} {customer}")).with_value_codec(utf8()).to_view("named");
    let paid = orders.left_join_global(&rates, |_, order| Some(order.clone()), |_, rate| rate.copied().unwrap_or(1));
    let paid = paid.with_value_codec(i64_be());
    let paid = if options.by_other_key { paid.select_key(utf8(), |key, _| key.clone()) } else { paid };
    let store = options.store.unwrap_or("totals");
    match options.json_totals {
        true => paid.group_by_key().aggregate(store, json::<i64>(), || 0, |_, n, sum| sum + n).to("out"),
        false => paid.group_by_key().aggregate(store, i64_be(), || 0, |_, n, sum| sum + n).to("out"),
    }
    app.build()
}

fn described(options: Shop) -> Result<TopologyDescription, TopologyError> {
    Ok(shop(options)?.description())
}

/// What `convertTopoToDot` of kafka-streams-viz makes of a description, written to its three patterns:
/// `Sub-topology: ([0-9]*)`, `(Source\:|Processor\:|Sink:)\s+(\S+)\s+\((topics|topic|stores)\:(.*)\)`, `\-\-\>\s+(.*)$`.
#[derive(Default, Debug)]
struct Drawn {
    clusters: usize,
    entities: BTreeSet<String>,
    edges: BTreeSet<(String, String)>,
}

fn visualise(text: &str) -> Drawn {
    let mut drawn = Drawn::default();
    let mut entity = String::new();
    for line in text.lines() {
        if line.contains("Sub-topology: ") {
            drawn.clusters += 1;
            continue;
        }
        let kind = ["Source:", "Processor:", "Sink:"].iter().find_map(|kind| line.split_once(kind));
        let parsed = kind.and_then(|(_, rest)| {
            let (name, rest) = rest.trim_start().split_once(char::is_whitespace)?;
            let (_, rest) = rest.split_once('(')?;
            let (linked, what) = (rest.split_once(':')?, ["topics", "topic", "stores"]);
            let names = linked.1.rsplit_once(')')?.0.replace(['[', ']'], "");
            what.contains(&linked.0).then(|| (name.to_owned(), linked.0 == "topics", names))
        });
        if let Some((name, reads, names)) = parsed {
            for linked in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                let (from, to) = if reads { (linked, name.as_str()) } else { (name.as_str(), linked) };
                drawn.edges.insert((from.to_owned(), to.to_owned()));
            }
            drawn.entities.insert(name.clone());
            entity = name;
        } else if let Some((_, targets)) = line.split_once("--> ") {
            let targets = targets.split(',').map(str::trim).filter(|target| *target != "none");
            drawn.edges.extend(targets.map(|target| (entity.clone(), target.to_owned())));
        }
    }
    drawn
}

#[test]
fn visualisers_of_kafka_streams_read_the_text() -> Outcome {
    let description = described(Shop { filters: 1, ..Shop::default() })?;
    let drawn = visualise(&description.to_string());
    assert_eq!(drawn.clusters, 3, "two sub-topologies and the global store's: {description}");
    let edge = |from: &str, to: &str| {
        assert!(drawn.edges.contains(&(from.to_owned(), to.to_owned())), "{from} -> {to}: {drawn:#?}")
    };
    edge("orders", "orders.source");
    edge("orders.source", "orders.filter");
    edge("customers-join.repartition", "customers-join-repartition");
    edge("customers-join-repartition", "customers-join.source");
    edge("customers-join.join", "customers");
    edge("totals.aggregate", "totals");
    edge("out.sink", "out");
    edge("rates", "rates.source");
    edge("rates.global", "rates");
    // Every edge between operators ends at an operator.
    let nodes: usize = description.sub_topologies.iter().map(|sub| sub.nodes.len()).sum();
    assert_eq!(drawn.entities.len(), nodes + 2);
    Ok(())
}

/// Kafka Streams 4.3 was given the same topology, with our names: `Describe.java` in integration-tests/interop.
#[test]
fn the_text_is_kafka_streams_own() -> Outcome {
    let ours = described(Shop { filters: 1, ..Shop::default() })?.to_string();
    let theirs = include_str!("describe/kafka-streams-4.3.txt");
    assert_eq!(blocks(&ours), blocks(theirs));
    Ok(())
}

/// A shop of stores that are made of topics: one that a function keeps for all processes, and a read-only one.
fn stores(global: &'static str, rows_are_numbers: bool) -> Result<TopologyDescription, TopologyError> {
    let mut app = Topology::builder();
    let limits = app.read_only_store("limits", "account-limits", utf8(), utf8());
    let checked = app.stream("payments", utf8(), utf8()).process("check", &[&limits], || Nothing);
    checked.with_codecs(utf8(), utf8()).to("checked");
    match rows_are_numbers {
        true => drop(app.global_store(global, "airports", utf8(), utf8(), (utf8(), i64_be()), |_, _| Ok(()))),
        false => drop(app.global_store(global, "airports", utf8(), utf8(), (utf8(), utf8()), |_, _| Ok(()))),
    }
    Ok(app.build()?.description())
}

struct Nothing;

impl Processor<String, String> for Nothing {
    type Key = String;
    type Value = String;

    fn process(
        &mut self,
        _: &Record<'_, String, String>,
        _: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<(), ProcessError> {
        Ok(())
    }
}

/// As above, of `addGlobalStore` and `addReadOnlyStateStore`.
#[test]
fn stores_made_of_topics_are_described_as_kafka_streams_does() -> Outcome {
    let described = stores("by-country", false)?;
    assert_eq!(blocks(&described.to_string()), blocks(include_str!("describe/kafka-streams-4.3-stores.txt")));
    let [sub] = described.sub_topologies.as_slice() else { panic!("one: {described}") };
    assert_eq!(sub.stores[0].changelog, TopicRef::External("account-limits".into()));
    for picture in [described.svg(), described.mermaid()] {
        for name in ["account-limits", "limits", "by-country", "airports"] {
            assert!(picture.contains(name), "{name} is not in {picture}");
        }
        assert!(!picture.contains("changelog"), "{picture}");
    }
    assert_eq!(TopologyDescription::from_json(&described.to_json())?, described);
    Ok(())
}

#[test]
fn a_diff_says_what_becomes_of_stores_made_of_topics() -> Outcome {
    let before = stores("by-country", false)?;
    let diff = before.diff(&stores("by-country", true)?);
    assert_eq!(diff.verdict, Verdict::NewVersion);
    let [change] = diff.changes.as_slice() else { panic!("one: {diff}") };
    assert_eq!((change.kind, change.what.as_str()), (ChangeKind::Changed, "global store by-country"));
    assert!(change.detail.as_ref().is_some_and(|detail| detail.contains("i64")), "{diff}");

    let mut app = Topology::builder();
    app.stream("payments", utf8(), utf8()).to("checked");
    let without = app.build()?.description();
    assert!(without.diff(&before).to_string().contains("made of topic account-limits and restored from there"));
    let gone = before.diff(&without).to_string();
    assert!(gone.contains("topic account-limits, which they are made of, stays as it is"), "{gone}");
    Ok(())
}

/// Operators with their lines, by sub-topology: the order of sub-topologies and of operators in them is nobody's promise, nor is
/// that of names in a list.
fn blocks(text: &str) -> BTreeSet<BTreeMap<String, Vec<String>>> {
    let list = |line: &str| match line.split_once("> ").or_else(|| line.split_once("- ")) {
        Some((arrow, names)) => {
            let mut names: Vec<&str> = names.split(", ").collect();
            names.sort_unstable();
            format!("{arrow} {}", names.join(", "))
        }
        None => line.to_owned(),
    };
    let head = text.strip_prefix("Topologies:\n ").expect("the first line, and the blank before the second");
    let subs = head.split("  Sub-topology: ").skip(1).map(|sub| {
        let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut last = String::new();
        let mut lines = sub.lines();
        let title = lines.next().unwrap_or_default().split_once(' ').map_or("", |(_, title)| title);
        nodes.insert(format!("sub-topology {title}"), vec![]);
        for line in lines.filter(|line| !line.trim().is_empty()) {
            match line.starts_with("      ") {
                true => nodes.entry(last.clone()).or_default().push(list(line)),
                false => {
                    last = line.to_owned();
                    nodes.entry(last.clone()).or_default();
                }
            }
        }
        nodes
    });
    subs.collect()
}

/// Nothing that state, changelogs or repartition topics are named by changes with stateless operators.
#[test]
fn stateless_operators_rename_nothing() -> Outcome {
    let plain = shop(Shop::default())?;
    for changed in [
        Shop { filters: 1, ..Shop::default() },
        Shop { filters: 3, ..Shop::default() },
        Shop { filters: 1, filter_behind_select: true, ..Shop::default() },
    ] {
        let other = shop(changed)?;
        assert_eq!(other.plan(), plain.plan());
        let diff = plain.description().diff(&other.description());
        assert_eq!(diff.verdict, Verdict::InPlace, "{diff}");
        assert!(diff.changes.iter().all(|change| change.what.starts_with("operator ")), "{diff}");
        assert_eq!(other.description().diff(&plain.description()).verdict, Verdict::InPlace, "removed");
    }
    let moved = described(Shop { filters: 1, ..Shop::default() })?.diff(&described(Shop {
        filters: 1,
        filter_behind_select: true,
        ..Shop::default()
    })?);
    assert_eq!(moved.verdict, Verdict::InPlace, "{moved}");
    assert_eq!(plain.description().diff(&plain.description()).verdict, Verdict::Same);
    Ok(())
}

fn kinds(old: Shop, new: Shop) -> Result<(Verdict, Vec<(ChangeKind, String)>), TopologyError> {
    let diff = described(old)?.diff(&described(new)?);
    Ok((diff.verdict, diff.changes.into_iter().map(|change| (change.kind, change.what)).collect()))
}

#[test]
fn a_diff_says_what_becomes_of_state() -> Outcome {
    let base = Shop::default();
    let what = |kind, what: &str| (kind, what.to_owned());
    let (verdict, changes) = kinds(base, Shop { json_totals: true, ..base })?;
    let expected = vec![what(ChangeKind::Changed, "store totals"), what(ChangeKind::Changed, "output out")];
    assert_eq!((verdict, changes), (Verdict::NewVersion, expected));
    let (verdict, changes) = kinds(base, Shop { store: Some("sums"), ..base })?;
    assert_eq!(verdict, Verdict::NewVersion);
    assert_eq!(changes[..2], [what(ChangeKind::Added, "store sums"), what(ChangeKind::Removed, "store totals")]);
    let renamed = described(base)?.diff(&described(Shop { store: Some("sums"), ..base })?).to_string();
    assert!(renamed.contains("give it the old name"), "{renamed}");
    let (verdict, changes) = kinds(base, Shop { by_other_key: true, ..base })?;
    assert_eq!(verdict, Verdict::NewVersion);
    assert!(changes.contains(&what(ChangeKind::Added, "repartition topic totals-repartition")), "{changes:?}");
    assert!(changes.contains(&what(ChangeKind::Changed, "store totals")), "made of another topic: {changes:?}");
    Ok(())
}

/// Whenever fingerprints differ a change is named, and the other way round, for what state depends on.
#[test]
fn a_new_version_is_never_asked_for_without_a_reason() -> Outcome {
    let versions = [
        Shop::default(),
        Shop { filters: 2, ..Shop::default() },
        Shop { json_totals: true, ..Shop::default() },
        Shop { store: Some("sums"), ..Shop::default() },
        Shop { by_other_key: true, ..Shop::default() },
    ];
    for old in versions {
        for new in versions {
            let diff = described(old)?.diff(&described(new)?);
            let of_state = diff.changes.iter().any(|change| !change.what.starts_with("operator "));
            assert_eq!(diff.verdict == Verdict::NewVersion, of_state, "{diff}");
        }
    }
    Ok(())
}

/// Tags are closed in the order in which they were opened, every operator and store is in the pictures.
#[test]
fn pictures_are_whole() -> Outcome {
    let description = described(Shop { filters: 1, by_other_key: true, ..Shop::default() })?;
    let (svg, mermaid) = (description.svg(), description.mermaid());
    if let Ok(file) = std::env::var("KAPPA_SVG") {
        std::fs::write(file, &svg)?;
    }
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(tag, _)| tag) {
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) => assert_eq!(open.pop(), Some(name)),
            (false, false) => open.push(name),
            (false, true) => {}
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    for sub in &description.sub_topologies {
        for name in sub.nodes.iter().map(|node| &node.name).chain(sub.stores.iter().map(|store| &store.name)) {
            assert!(svg.contains(&format!(">{name}<")), "{name} in the picture");
            assert!(mermaid.contains(&format!("\"{name}\"")), "{name} in the chart");
        }
    }
    assert_eq!(mermaid.matches("subgraph ").count(), mermaid.matches("\n    end\n").count());
    Ok(())
}
