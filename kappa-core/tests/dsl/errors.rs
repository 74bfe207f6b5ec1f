//! What `build()` refuses: each message names the operator and the mend.

use kappa_core::codec::{Codec, CodecError, i32_be, i64_be, json, unkeyed, utf8};
use kappa_core::dsl::Repartition;
use kappa_core::topology::{Topology, TopologyBuilder, TopologyError};

#[track_caller]
fn refused(build: impl FnOnce(&mut TopologyBuilder), words: &[&str]) -> TopologyError {
    let mut app = Topology::builder();
    build(&mut app);
    let error = app.build().expect_err("the topology is refused");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
    error
}

#[test]
fn nothing_and_results_that_go_nowhere() {
    assert_eq!(refused(|_| {}, &["stream()"]), TopologyError::Empty);
    let error = refused(|app| drop(app.stream("in", utf8(), utf8()).filter(|_, _| true)), &["in.filter", "to()"]);
    assert_eq!(error, TopologyError::Unsunk { operator: "in.filter".into() });
    refused(|app| drop(app.stream("in", utf8(), utf8())), &["in.source"]);
    refused(|app| drop(app.table("in", utf8(), utf8())), &["in.table"]);
}

#[test]
fn codecs_that_are_not_known_where_bytes_are_needed() {
    let lengths = |app: &mut TopologyBuilder| app.stream("in", utf8(), utf8()).map_values(|_, v| v.len() as i64);
    refused(|app| lengths(app).to("out"), &["to(out)", "in.map_values", ".with_value_codec(..)"]);
    refused(
        |app| lengths(app).group_by(utf8(), |k, _| k.clone()).count("counts").to("out"),
        &["count(counts)", "in.map_values", ".with_value_codec(..)"],
    );
    refused(
        |app| lengths(app).group_by_key().reduce("longest", |a, b| a.max(*b)).to("out"),
        &["reduce(longest)", ".with_value_codec(..)"],
    );
    refused(
        |app| app.stream("in", utf8(), utf8()).map(|k, v| (v.clone(), k.clone())).with_value_codec(utf8()).to("out"),
        &["to(out)", "in.map", "key", ".with_key_codec(..)"],
    );
}

#[test]
fn names() {
    let twice = |app: &mut TopologyBuilder| {
        app.stream("a", utf8(), utf8()).group_by_key().count("n").to("out");
        app.stream("b", utf8(), utf8()).group_by_key().count("n").to("out");
    };
    assert_eq!(refused(twice, &[]), TopologyError::DuplicateName { what: "store", name: "n".into() });
    let joins = |app: &mut TopologyBuilder| {
        let table = app.table("t", utf8(), utf8());
        for out in ["x", "y"] {
            let rekeyed = app.stream("in", utf8(), utf8()).select_key(utf8(), |_, v| v.clone());
            rekeyed.join(&table, |v, _| v.clone()).with_value_codec(utf8()).to(out);
        }
    };
    refused(joins, &["t-join", ".repartition("]);
    refused(|app| app.stream("in", utf8(), utf8()).group_by_key().count("no spaces").to("out"), &["\"no spaces\""]);
    refused(|app| app.stream("in", utf8(), utf8()).to(""), &["topic", "\"\""]);
}

#[test]
fn one_topic_read_in_two_ways() {
    let build = |app: &mut TopologyBuilder| {
        app.stream("in", utf8(), utf8()).to("a");
        app.stream("in", utf8(), json::<String>()).to("b");
    };
    refused(build, &["topic in", "value", "Utf8", "Json"]);
    // One codec type for several value types: still two ways.
    let build = |app: &mut TopologyBuilder| {
        app.stream("in", utf8(), Number).map_values(|_, n: &i32| *n).with_value_codec(Number).to("a");
        app.stream("in", utf8(), Number).map_values(|_, n: &i64| *n).with_value_codec(Number).to("b");
    };
    refused(build, &["topic in", "Number of i32", "Number of i64"]);
}

/// A codec for several types of value.
#[derive(Debug)]
struct Number;

impl Codec<i32> for Number {
    fn encode(&self, value: &i32, out: &mut Vec<u8>) -> Result<(), CodecError> {
        i32_be().encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<i32, CodecError> {
        i32_be().decode(bytes)
    }
}

impl Codec<i64> for Number {
    fn encode(&self, value: &i64, out: &mut Vec<u8>) -> Result<(), CodecError> {
        i64_be().encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<i64, CodecError> {
        i64_be().decode(bytes)
    }
}

#[test]
fn joins_whose_keys_do_not_meet() {
    let codecs = |app: &mut TopologyBuilder| {
        let table = app.table("t", utf8(), utf8());
        let stream = app.stream("in", json::<String>(), utf8());
        stream.join(&table, |v, _| v.clone()).with_value_codec(utf8()).to("out");
    };
    refused(codecs, &["join(t)", "Json", "Utf8", ".select_key("]);
    let counts = |app: &mut TopologyBuilder| {
        let through = |topic: &str, n| Repartition::named(topic).partitions(n);
        let counted = app.stream("a", utf8(), utf8()).repartition(through("x", 3)).group_by_key().count("n");
        let stream = app.stream("b", utf8(), utf8()).repartition(through("y", 4));
        stream.join(&counted, |_, n| *n).with_value_codec(i64_be()).to("out");
    };
    refused(counts, &["x-repartition (3)", "y-repartition (4)"]);
    refused(|app| app.stream("in", unkeyed(), utf8()).group_by_key().count("n").to("out"), &["count(n)", "unkeyed()"]);
}

#[test]
fn parts_of_two_topologies() {
    let build = |app: &mut TopologyBuilder| {
        let mut other = Topology::builder();
        let table = other.table("t", utf8(), utf8());
        app.stream("in", utf8(), utf8()).join(&table, |v, _| v.clone()).with_value_codec(utf8()).to("out");
    };
    refused(build, &["join(t)", "one builder"]);
}

#[test]
fn tables() {
    let table = |app: &mut TopologyBuilder, topic: &str| app.table(topic, utf8(), utf8());
    refused(
        |app| drop(table(app, "in").map_values(|_, v| v.len() as i64).materialized("lengths")),
        &["materialized(lengths)", "in.map_values", ".with_value_codec(..)"],
    );
    refused(|app| drop(table(app, "in").filter(|_, _| true)), &["in.filter", "to()"]);
    refused(
        |app| drop(app.stream("in", utf8(), utf8()).group_by_key().count("n").materialized("m")),
        &["n.count", "store n already", "materialized(\"m\")"],
    );
    refused(
        |app| {
            let other = app.table("numbers", i64_be(), utf8()).map_values(|_, v| v.clone());
            let names = app.table("names", json::<i64>(), utf8());
            names.join(&other, |a, b| format!("{a}{b}")).with_value_codec(utf8()).to("out");
        },
        &["names-numbers.join", "one key codec"],
    );
    refused(
        |app| {
            let (left, right) = (table(app, "left"), table(app, "right"));
            for topic in ["one", "two"] {
                left.join_foreign_key("fk", utf8(), &right, |_, v| Some(v.clone()), |a, b| format!("{a}{b}")).to(topic);
            }
        },
        &["foreign-key join", "fk"],
    );
    refused(
        |app| {
            let _ = app.global_table("global", utf8(), utf8()).materialized("n");
            app.stream("in", utf8(), utf8()).group_by_key().count("n").to("out");
            let _ = app.global_table("global", utf8(), i64_be());
        },
        &["global", "value"],
    );
}
