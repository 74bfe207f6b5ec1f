//! Stateless operators: nulls, timestamps, headers, order.

use super::{Outcome, at};
use kappa_core::codec::{i64_be, nullable, unkeyed, utf8};
use kappa_core::log::Headers;
use kappa_core::testing::{TestDriver, TestError, TestOptions};
use kappa_core::topology::Topology;

#[test]
fn null_values_pass_what_keeps_keys_and_are_dropped_by_what_needs_them() -> Outcome {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8());
    input
        .filter(|_, _| panic!("called for a null value"))
        .map_values(|_, _: &String| -> String { panic!("called for a null value") })
        .with_value_codec(utf8())
        .peek(|_, _| panic!("called for a null value"))
        .to("kept");
    input.select_key(utf8(), |_, value| value.clone()).to("re-keyed");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", utf8(), utf8()).pipe_null("k", 7)?;
    assert_eq!(driver.output("kept", utf8(), utf8()).read_all()?, [at("k", None, 7)]);
    assert_eq!(driver.output("re-keyed", utf8(), utf8()).read_all()?, []);
    assert_eq!(driver.dropped(), [("null-value", 1)].into());
    Ok(())
}

#[test]
fn a_nullable_codec_makes_null_a_value() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), nullable(utf8()))
        .map_values(|_, value| Some(value.clone().unwrap_or("none".into())))
        .with_value_codec(nullable(utf8()))
        .to("out");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", utf8(), utf8()).pipe_null("k", 7)?;
    assert_eq!(driver.output("out", utf8(), utf8()).read_all()?, [at("k", Some("none".to_owned()), 7)]);
    Ok(())
}

#[test]
fn timestamps_and_headers_are_passed_on() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .flat_map(|key, value| [(value.clone(), key.clone()), (key.clone(), value.clone())])
        .with_codecs(utf8(), utf8())
        .repartition("between")
        .map_values(|_, value| value.clone())
        .with_value_codec(utf8())
        .to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let headers = Headers::empty().with("trace", Some(b"17"));
    driver.input("in", utf8(), utf8()).pipe_with("k", Some("v".into()), 42, headers.clone())?;
    let out = driver.output("out", utf8(), utf8()).read_records()?;
    assert_eq!(out.len(), 2);
    assert!(out.iter().all(|record| record.timestamp_ms == 42 && record.headers == headers));
    assert_eq!((out[0].key.as_str(), out[1].key.as_str()), ("v", "k"));
    Ok(())
}

/// Branches are walked depth first, in the order in which they were made.
#[test]
fn branches_run_in_the_order_of_registration_depth_first() -> Outcome {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8());
    let tag = |tag: &'static str| move |_: &String, value: &String| format!("{value}{tag}");
    let first = input.map_values(tag("1")).with_value_codec(utf8());
    let second = app.stream("in", utf8(), utf8()).map_values(tag("2")).with_value_codec(utf8());
    second.to("out");
    first.map_values(tag("a")).with_value_codec(utf8()).to("out");
    first.to("out");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 0)?;
    let values: Vec<_> = driver.output("out", utf8(), utf8()).read_values()?.into_iter().flatten().collect();
    assert_eq!(values, ["v1a", "v1", "v2"]);
    Ok(())
}

#[test]
fn a_merged_stream_takes_from_both_sides_and_ends_in_one_place() -> Outcome {
    let mut app = Topology::builder();
    let left = app.stream("left", utf8(), utf8());
    let right = app.stream("right", utf8(), utf8());
    left.merge(&right).group_by_key().count("both").to("out");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("left", utf8(), utf8()).pipe("k", "x", 1)?;
    driver.input("right", utf8(), utf8()).pipe("k", "y", 2)?;
    driver.input("left", utf8(), utf8()).pipe("k", "z", 3)?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(1), Some(2), Some(3)]);
    Ok(())
}

/// A stream merged with itself brings each record twice.
#[test]
fn a_stream_may_be_merged_with_itself() -> Outcome {
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), utf8());
    input.merge(&input).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 0)?;
    assert_eq!(driver.output("out", utf8(), utf8()).read_values()?.len(), 2);
    Ok(())
}

#[test]
fn bad_records_are_found_where_they_enter() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", utf8(), i64_be()).to("out");
    let driver = TestDriver::new(&app.build()?)?;
    let input = driver.input("in", utf8(), i64_be());
    input.pipe("good", 1, 0)?;
    let error = input.pipe_bytes(Some(b"k"), Some(b"short"), 0).unwrap_err();
    assert!(matches!(error, TestError::Process { offset: 1, .. }));
    assert_eq!(error.to_string(), "in, partition 0, offset 1: value can't be decoded: expected 8 bytes, found 5");
    let error = input.pipe_bytes(None, None, 0).unwrap_err().to_string();
    assert!(error.contains("key can't be decoded") && error.contains("nullable()"), "{error}");
    Ok(())
}

#[test]
fn keys_nobody_looks_at_keep_their_bytes_and_go_where_they_did() -> Outcome {
    let mut app = Topology::builder();
    app.stream("in", unkeyed(), utf8()).to("out");
    let driver = TestDriver::with_options(&app.build()?, TestOptions { partitions: 4, ..Default::default() })?;
    driver.input("in", utf8(), utf8()).pipe("foobar", "v", 0)?;
    driver.input("in", unkeyed(), utf8()).pipe((), "w", 0)?;
    let out = driver.output("out", nullable(utf8()), utf8()).read_records()?;
    assert_eq!(out[0].key.as_deref(), Some("foobar"));
    // Kafka's vector: murmur2("foobar") = -790332482; (-790332482 & 0x7fffffff) % 4 = 2.
    assert_eq!(out[0].partition, 2);
    assert_eq!(out[1].key, None);
    Ok(())
}
