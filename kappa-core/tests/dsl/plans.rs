//! Plans: names, order, co-partitioning, fingerprints.

use super::Outcome;
use kappa_core::codec::{i64_be, json, utf8};
use kappa_core::dsl::Repartition;
use kappa_core::topology::{ChangelogSource, StoreKind, StorePlan, TopicRef, Topology, TopologyError};

fn topology(forwards: bool, filtered: bool) -> Result<Topology, TopologyError> {
    let mut app = Topology::builder();
    let orders = |app: &mut kappa_core::topology::TopologyBuilder| {
        let customers = app.table("customers", utf8(), utf8());
        let orders = app.stream("orders", utf8(), utf8());
        let orders = if filtered { orders.filter(|_, _| true) } else { orders };
        orders
            .select_key(utf8(), |_, customer| customer.clone())
            .join(&customers, |order, customer| format!("{order} {customer}"))
            .with_value_codec(utf8())
            .to_view("orders-by-customer");
    };
    let clicks = |app: &mut kappa_core::topology::TopologyBuilder| {
        app.stream("clicks", utf8(), utf8()).group_by_key().count("clicks-by-page").to_view("clicks-by-page");
        app.stream("clicks", utf8(), utf8()).to("archive");
    };
    if forwards {
        orders(&mut app);
        clicks(&mut app);
    } else {
        clicks(&mut app);
        orders(&mut app);
    }
    app.build()
}

#[test]
fn the_plan_is_a_function_of_names() -> Outcome {
    let plan = topology(true, false)?.plan().clone();
    assert_eq!(&plan, topology(false, false)?.plan());
    let names: Vec<&str> = plan.sub_topologies.iter().map(|sub| sub.name.as_str()).collect();
    assert_eq!(names, ["clicks-by-page", "customers", "orders-source"]);
    assert_eq!(plan.views, ["clicks-by-page", "orders-by-customer"]);
    let clicks = &plan.sub_topologies[0];
    let outputs = [
        TopicRef::External("archive".into()),
        TopicRef::Changelog("clicks-by-page".into()),
        TopicRef::View("clicks-by-page".into()),
    ];
    assert_eq!(clicks.outputs, outputs);
    let store = StorePlan {
        name: "clicks-by-page".into(),
        changelog: ChangelogSource::Own { output: 1 },
        kind: StoreKind::KeyValue,
    };
    assert_eq!(clicks.stores, [store]);
    let join = &plan.sub_topologies[1];
    let sources: Vec<&TopicRef> = join.sources.iter().map(|source| &source.topic).collect();
    assert_eq!(sources, [&TopicRef::External("customers".into()), &TopicRef::Repartition("customers-join".into())]);
    assert_eq!(join.copartitioned, [[0, 1]]);
    Ok(())
}

#[test]
fn a_stateless_operator_changes_neither_names_nor_fingerprint() -> Outcome {
    assert_eq!(topology(true, false)?.plan(), topology(true, true)?.plan());
    Ok(())
}

#[test]
fn the_fingerprint_knows_what_state_depends_on() -> Outcome {
    let base = |store: &str, topic: &str, out: &str, json_sums: bool| -> Result<String, TopologyError> {
        let mut app = Topology::builder();
        let grouped = app.stream(topic, utf8(), i64_be()).group_by_key();
        let sums = match json_sums {
            true => grouped.aggregate(store, json::<i64>(), || 0, |_, n, sum| sum + n),
            false => grouped.aggregate(store, i64_be(), || 0, |_, n, sum| sum + n),
        };
        sums.to(out);
        Ok(app.build()?.plan().fingerprint.clone())
    };
    let prints = [
        base("sums", "in", "out", false)?,
        base("sums-2", "in", "out", false)?,
        base("sums", "in-2", "out", false)?,
        base("sums", "in", "out-2", false)?,
        base("sums", "in", "out", true)?,
    ];
    for (index, print) in prints.iter().enumerate() {
        assert_eq!(print.len(), 32);
        assert!(!prints[..index].contains(print), "{index} is as one before");
    }
    assert_eq!(prints[0], base("sums", "in", "out", false)?);
    Ok(())
}

/// Keys written in two ways don't meet without a repartition topic, merged or written anew.
#[test]
fn keys_written_in_another_way_are_repartitioned() -> Outcome {
    let mut app = Topology::builder();
    let one = app.stream("one", utf8(), utf8());
    let other = app.stream("other", json::<String>(), utf8());
    one.merge(&other).with_key_codec(utf8()).group_by_key().count("merged").to("out");
    one.with_key_codec(json()).group_by_key().count("rewritten").to("out");
    let names: Vec<String> = app.build()?.plan().sub_topologies.iter().map(|sub| sub.name.clone()).collect();
    assert_eq!(names, ["merged", "one-source", "rewritten"]);
    Ok(())
}

#[test]
fn a_topic_read_twice_as_a_table_is_one_table() -> Outcome {
    let mut app = Topology::builder();
    for out in ["a", "b"] {
        let table = app.table("t", utf8(), utf8());
        app.stream("in", utf8(), utf8()).join(&table, |v, _| v.clone()).with_value_codec(utf8()).to(out);
    }
    let topology = app.build()?;
    assert_eq!(topology.plan().sub_topologies.len(), 1);
    assert_eq!(topology.plan().sub_topologies[0].stores.len(), 1);
    Ok(())
}

#[test]
fn a_topology_is_shared_by_threads() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Topology>();
}

#[test]
fn explicit_partition_counts_are_in_the_plan() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8()).repartition(Repartition::named("wide").partitions(12)).to("out");
    let topology = app.build()?;
    let subs = &topology.plan().sub_topologies;
    let names: Vec<&str> = subs.iter().map(|sub| sub.name.as_str()).collect();
    assert_eq!(names, ["in-source", "wide-repartition"]);
    assert_eq!(subs[1].sources[0].partitions, Some(12));
    Ok(())
}
