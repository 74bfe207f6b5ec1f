//! Bytes are decoded once where a record enters, later only when somebody looks, and never encoded again
//! while they are unchanged.

use super::{AT_COMMIT, AT_ONCE, Outcome};
use kappa_core::codec::{Codec, CodecError, bytes, i64_be, utf8};
use kappa_core::testing::TestDriver;
use kappa_core::topology::Topology;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Text that counts how often it is decoded and encoded.
#[derive(Debug, Clone, Default)]
struct Counted {
    checked: Arc<AtomicUsize>,
    decoded: Arc<AtomicUsize>,
    encoded: Arc<AtomicUsize>,
}

impl Counted {
    /// How often, since the last call: decoded, encoded.
    fn take(&self) -> (usize, usize) {
        (self.decoded.swap(0, Relaxed), self.encoded.swap(0, Relaxed))
    }
}

impl Codec<String> for Counted {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.encoded.fetch_add(1, Relaxed);
        utf8().encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        self.decoded.fetch_add(1, Relaxed);
        utf8().decode(bytes)
    }

    fn check(&self, bytes: &[u8]) -> Result<(), CodecError> {
        self.checked.fetch_add(1, Relaxed);
        utf8().decode(bytes).map(drop)
    }
}

/// What is only counted, or passed on in the codec it came in, is checked where it enters and never decoded.
#[test]
fn a_value_that_nobody_looks_at_is_only_checked() -> Outcome {
    let value = Counted::default();
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), value.clone());
    input.to("same");
    input.group_by_key().count("counts").to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 0)?;
    assert_eq!((value.checked.swap(0, Relaxed), value.take()), (1, (0, 0)));
    let refused = driver.input("in", utf8(), bytes()).pipe("k".to_owned(), vec![0xff], 1);
    assert!(refused.unwrap_err().to_string().contains("value can't be"), "found where it enters");
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(1)]);
    Ok(())
}

/// One operator that looks is enough: the value is decoded once, for all.
#[test]
fn a_value_that_somebody_looks_at_is_decoded_and_not_checked() -> Outcome {
    let value = Counted::default();
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), value.clone());
    input.to("same");
    input.filter(|_, value| value.is_empty()).to("empty");
    input.with_value_codec(utf8()).to("other");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 0)?;
    assert_eq!((value.checked.swap(0, Relaxed), value.take()), (0, (1, 0)));
    Ok(())
}

#[test]
fn count_never_decodes_what_comes_from_a_repartition_topic_and_nothing_is_encoded_twice() -> Outcome {
    let (key, value, new_key) = (Counted::default(), Counted::default(), Counted::default());
    let mut app = Topology::builder();
    app.stream("in", key.clone(), value.clone())
        .filter(|_, value| !value.is_empty())
        .group_by(new_key.clone(), |_, value| value.clone())
        .count("counts")
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 0)?;
    assert_eq!(driver.output("out", utf8(), i64_be()).read_values()?, [Some(1)]);
    assert_eq!(key.take(), (1, 0), "decoded on arrival, never written");
    assert_eq!(value.take(), (1, 0), "decoded on arrival, passed on as bytes, not decoded by count");
    assert_eq!(new_key.take(), (0, 1), "encoded once for the repartition topic, then used as bytes by store and sink");
    Ok(())
}

#[test]
fn an_aggregate_decodes_a_repartitioned_value_once() -> Outcome {
    let value = Counted::default();
    let mut app = Topology::builder();
    let stream = app.stream("in", utf8(), value.clone()).select_key(utf8(), |_, v| v.clone()).repartition("by-value");
    stream.group_by_key().aggregate("a", i64_be(), || 0, |_, v, n| n + v.len() as i64).to("lengths");
    stream.group_by_key().aggregate("b", i64_be(), || 0, |_, v, n| n + v.len() as i64).to("lengths");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", utf8(), utf8()).pipe("k", "four", 0)?;
    assert_eq!(driver.output("lengths", utf8(), i64_be()).read_values()?, [Some(4), Some(4)]);
    assert_eq!(value.take(), (2, 0), "once on arrival, once behind the topic for both aggregates");
    Ok(())
}

#[test]
fn a_pass_through_copies_bytes_only_where_the_codecs_are_the_same() -> Outcome {
    let (value, other) = (Counted::default(), Counted::default());
    let mut app = Topology::builder();
    let input = app.stream("in", utf8(), value.clone());
    input.peek(|_, _| {}).to("same");
    input.with_value_codec(utf8()).to("other");
    let driver = TestDriver::new(&app.build()?)?;
    driver.input("in", utf8(), utf8()).pipe("k", "v", 0)?;
    assert_eq!(value.take(), (1, 0));
    assert_eq!(other.take(), (0, 0));
    assert_eq!(driver.output("other", utf8(), utf8()).read_values()?, [Some("v".into())]);
    Ok(())
}

/// A hot key is encoded once a commit, for store, changelog and output together.
#[test]
fn an_aggregates_value_is_encoded_once_a_commit() -> Outcome {
    let sum = Counted::default();
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8())
        .group_by_key()
        .aggregate("joined", sum.clone(), String::new, |_, v, joined| joined + v)
        .to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_COMMIT)?;
    let input = driver.input("in", utf8(), utf8());
    for letter in ["a", "b", "c"] {
        input.pipe("k", letter, 0)?;
    }
    driver.commit()?;
    assert_eq!(driver.output("out", utf8(), utf8()).read_values()?, [Some("abc".into())]);
    assert_eq!(sum.take(), (0, 1));
    Ok(())
}

/// Only what passes a filter of keys is decoded; what can't be is found there, and fails as processing does.
#[test]
fn lazy_values_are_decoded_where_something_looks() -> Outcome {
    let value = Counted::default();
    let mut app = Topology::builder();
    let input = app.stream("in", i64_be(), value.clone()).with_lazy_values();
    input.to("same");
    input.filter_keys(|key| key % 2 == 0).map_values(|_, text| text.len() as i64).with_value_codec(i64_be()).to("out");
    let driver = TestDriver::with_options(&app.build()?, AT_ONCE)?;
    let texts = driver.input("in", i64_be(), utf8());
    texts.pipe(1, "odd", 0)?;
    assert_eq!((value.checked.swap(0, Relaxed), value.take()), (0, (0, 0)));
    texts.pipe(2, "even", 1)?;
    assert_eq!((value.checked.swap(0, Relaxed), value.take()), (0, (1, 0)));
    let raw = driver.input("in", i64_be(), bytes());
    raw.pipe(3, vec![0xff], 2)?;
    assert_eq!(driver.output("same", i64_be(), bytes()).read_values()?.len(), 3, "passed on as they came");
    let refused = raw.pipe(4, vec![0xff], 3).unwrap_err().to_string();
    assert!(refused.contains("offset 3: operator in.source: a value can't be decoded"), "{refused}");
    assert_eq!(driver.output("out", i64_be(), i64_be()).read_values()?, [Some(4)]);
    Ok(())
}

#[test]
fn lazy_values_are_asked_for_where_records_enter() {
    let mut app = Topology::builder();
    app.stream("in", utf8(), utf8()).map_values(|_, text| text.len()).with_lazy_values().for_each(|_, _| {});
    let error = app.build().unwrap_err().to_string();
    assert!(
        error.contains("with_lazy_values() is called behind in.map_values: call it right behind stream()"),
        "{error}"
    );
}
