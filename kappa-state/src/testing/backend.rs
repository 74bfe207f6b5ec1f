//! The contract of a backend and its stores, case by case and against a model.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Place;
use super::random::{Random, within};
use crate::{Direction, KeyValueStore, Layer, Mark, StateError, StoreId};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Checks a backend: a fresh place from `new_place` for every case.
pub fn check_backend<'p>(mut new_place: impl FnMut() -> Box<Place<'p>>, seeds: u64) {
    a_store_is_open_once(&mut new_place());
    a_new_store_has_nothing(&mut new_place());
    stores_are_listed_and_removed(&mut new_place());
    empty_keys_and_values_are_not_absence(&mut new_place());
    keys_are_unsigned_bytes(&mut new_place());
    a_mark_alone_is_a_step(&mut new_place());
    stores_do_not_mix(&mut new_place());
    long_keys_and_values_come_back(&mut new_place());
    a_dropped_range_is_gone(&mut new_place());
    for seed in 0..seeds {
        like_the_model(&mut new_place(), seed);
    }
}

fn id(store: &str) -> StoreId {
    StoreId { task: "delays-3".into(), store: store.into() }
}

fn mark(changelog_offset: i64) -> Mark {
    Mark { changelog_offset, operator_time: format!("at {changelog_offset}").into_bytes() }
}

fn layer<'l>(entries: &[(&'l [u8], Option<&'l [u8]>)]) -> Layer<'l> {
    Layer { entries: entries.to_vec() }
}

fn get(store: &dyn KeyValueStore, key: &[u8]) -> Option<Vec<u8>> {
    // `get` appends.
    let mut into = b"before".to_vec();
    let found = store.get(key, &mut into).unwrap();
    assert!(into.starts_with(b"before"), "get must append");
    if !found {
        assert_eq!(into, b"before", "get must leave the buffer alone where there is nothing");
    }
    found.then(|| into.split_off(6))
}

fn scan(store: &dyn KeyValueStore, from: Bound<&[u8]>, to: Bound<&[u8]>, direction: Direction) -> Pairs {
    let mut cursor = store.scan(from, to, direction).unwrap();
    let mut pairs = Vec::new();
    while let Some((key, value)) = cursor.next().unwrap() {
        pairs.push((key.to_vec(), value.to_vec()));
    }
    assert!(cursor.next().unwrap().is_none(), "a cursor at its end stays there");
    pairs
}

/// All entries of a store, in order.
pub fn contents(store: &dyn KeyValueStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    scan(store, Bound::Unbounded, Bound::Unbounded, Direction::Forward).into_iter().collect()
}

fn a_store_is_open_once(place: &mut Place<'_>) {
    let backend = place();
    let held = backend.open(&id("a")).unwrap();
    assert!(matches!(backend.open(&id("a")), Err(StateError::Misuse { .. })), "open twice");
    assert!(matches!(backend.remove(&id("a")), Err(StateError::Misuse { .. })), "removed while open");
    drop(held);
    backend.open(&id("a")).unwrap();
}

fn a_new_store_has_nothing(place: &mut Place<'_>) {
    let backend = place();
    let store = backend.open(&id("a")).unwrap();
    assert_eq!(store.mark(), None, "S2");
    assert_eq!(get(&*store, b""), None);
    assert!(contents(&*store).is_empty(), "a new store shows something of its own");
}

fn stores_are_listed_and_removed(place: &mut Place<'_>) {
    let backend = place();
    assert_eq!(backend.stored().unwrap(), []);
    let mut store = backend.open(&id("b")).unwrap();
    store.apply(&layer(&[(b"k", Some(b"v"))]), &mark(1)).unwrap();
    drop(backend.open(&id("a")).unwrap());
    assert_eq!(backend.stored().unwrap(), [id("a"), id("b")]);
    drop((store, backend));
    let backend = place();
    assert_eq!(backend.stored().unwrap(), [id("a"), id("b")]);
    backend.remove(&id("b")).unwrap();
    backend.remove(&id("never")).unwrap();
    assert_eq!(backend.stored().unwrap(), [id("a")]);
    let store = backend.open(&id("b")).unwrap();
    assert_eq!((store.mark(), get(&*store, b"k")), (None, None), "a removed store came back");
}

fn empty_keys_and_values_are_not_absence(place: &mut Place<'_>) {
    let backend = place();
    let mut store = backend.open(&id("a")).unwrap();
    store.apply(&layer(&[(b"", Some(b"")), (b"\0", Some(b"zero"))]), &mark(1)).unwrap();
    assert_eq!(get(&*store, b""), Some(vec![]), "S4");
    assert_eq!(get(&*store, b"\0"), Some(b"zero".to_vec()));
    assert_eq!(get(&*store, b"\0\0"), None);
    assert_eq!(contents(&*store).len(), 2);
    store.apply(&layer(&[(b"", None)]), &mark(2)).unwrap();
    assert_eq!(get(&*store, b""), None, "S4");
    assert_eq!(contents(&*store).len(), 1);
}

fn keys_are_unsigned_bytes(place: &mut Place<'_>) {
    let backend = place();
    let mut store = backend.open(&id("a")).unwrap();
    let keys: [&[u8]; 6] = [b"\0", b"\0\0", b"\x01", b"\x7f", b"\x80", b"\xff\xff\xff"];
    let entries: Vec<_> = keys.iter().map(|key| (*key, Some(*key))).collect();
    store.apply(&layer(&entries), &mark(1)).unwrap();
    let forward: Vec<_> = keys.iter().map(|key| (key.to_vec(), key.to_vec())).collect();
    assert_eq!(scan(&*store, Bound::Unbounded, Bound::Unbounded, Direction::Forward), forward, "S3");
    let backward: Vec<_> = forward.into_iter().rev().collect();
    assert_eq!(scan(&*store, Bound::Unbounded, Bound::Unbounded, Direction::Backward), backward, "S3");
}

fn a_mark_alone_is_a_step(place: &mut Place<'_>) {
    let backend = place();
    let mut store = backend.open(&id("a")).unwrap();
    store.apply(&layer(&[(b"k", Some(b"v"))]), &mark(1)).unwrap();
    store.apply(&Layer::default(), &mark(9)).unwrap();
    assert_eq!(store.mark(), Some(&mark(9)), "S2");
    drop((store, backend));
    let backend = place();
    let store = backend.open(&id("a")).unwrap();
    assert_eq!(store.mark(), Some(&mark(9)), "S2");
    assert_eq!(get(&*store, b"k"), Some(b"v".to_vec()));
}

fn stores_do_not_mix(place: &mut Place<'_>) {
    let backend = place();
    let mut a = backend.open(&id("a")).unwrap();
    let mut b = backend.open(&StoreId { task: "delays-4".into(), store: "a".into() }).unwrap();
    a.apply(&layer(&[(b"k", Some(b"a"))]), &mark(1)).unwrap();
    b.apply(&layer(&[(b"k", Some(b"b"))]), &mark(2)).unwrap();
    assert_eq!((get(&*a, b"k"), a.mark()), (Some(b"a".to_vec()), Some(&mark(1))));
    assert_eq!((get(&*b, b"k"), b.mark()), (Some(b"b".to_vec()), Some(&mark(2))));
}

fn long_keys_and_values_come_back(place: &mut Place<'_>) {
    let backend = place();
    let mut store = backend.open(&id("a")).unwrap();
    let mut model = Model::new();
    for len in (100..140).chain([1_000, 100_000]) {
        model.insert(vec![7; len], vec![9; len * 3]);
    }
    let entries: Vec<_> = model.iter().map(|(key, value)| (&key[..], Some(&value[..]))).collect();
    store.apply(&layer(&entries), &mark(1)).unwrap();
    assert!(model.iter().all(|(key, value)| get(&*store, key).as_ref() == Some(value)));
    assert_eq!(contents(&*store), model);
    assert!(store.size_bytes() > 0);
}

fn a_dropped_range_is_gone(place: &mut Place<'_>) {
    let backend = place();
    let mut store = backend.open(&id("a")).unwrap();
    let mut other = backend.open(&id("b")).unwrap();
    let entries: Vec<_> = (0..100_u8).map(|key| ([key], Some([key]))).collect();
    store.apply(&Layer::of(&entries), &mark(1)).unwrap();
    other.apply(&Layer::of(&entries), &mark(1)).unwrap();
    store.drop_range(&[10], &[90]).unwrap();
    store.drop_range(&[95], &[95]).unwrap();
    store.drop_range(&[96], &[95]).unwrap();
    // What is written later is there.
    store.apply(&layer(&[(&[50], Some(b"later"))]), &mark(2)).unwrap();
    drop((store, backend, other));
    let backend = place();
    let store = backend.open(&id("a")).unwrap();
    assert_eq!(store.mark(), Some(&mark(2)), "S5");
    let mut expected: Model = (0..10).chain(90..100).map(|key: u8| (vec![key], vec![key])).collect();
    expected.insert(vec![50], b"later".to_vec());
    assert_eq!(contents(&*store), expected, "S5");
    assert_eq!((get(&*store, &[10]), get(&*store, &[89]), get(&*store, &[90])), (None, None, Some(vec![90])), "S5");
    assert_eq!(contents(&*backend.open(&id("b")).unwrap()).len(), 100, "S5: another store's rows are gone");
}

/// Random layers, reads, scans and reopenings, compared with a map.
fn like_the_model(place: &mut Place<'_>, seed: u64) {
    let mut random = Random::new(seed);
    let mut backend = place();
    let mut store = backend.open(&id("a")).unwrap();
    let mut model = Model::new();
    let mut last = None;
    for step in 0..30 {
        let what = format!("seed {seed}, step {step}");
        match random.below(9) {
            0 => {
                drop((store, backend));
                backend = place();
                store = backend.open(&id("a")).unwrap();
                assert_eq!(store.mark(), last.as_ref(), "S2: {what}");
            }
            1..=3 => {
                let mut entries = BTreeMap::new();
                for _ in 0..random.below(20) {
                    let value = (random.below(3) > 0).then(|| random.value());
                    entries.insert(random.key(), value);
                }
                let as_layer: Vec<_> = entries.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
                last = Some(mark(step));
                store.apply(&layer(&as_layer), &mark(step)).unwrap();
                for (key, value) in entries {
                    match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                }
            }
            4 => {
                let (from, to) = (random.key(), random.key());
                store.drop_range(&from, &to).unwrap();
                model.retain(|key, _| *key < from || *key >= to);
            }
            _ => reads_like(&*store, &model, &mut random, &what),
        }
    }
    assert_eq!(contents(&*store), model, "seed {seed}");
}

fn reads_like(store: &dyn KeyValueStore, model: &Model, random: &mut Random, what: &str) {
    for _ in 0..5 {
        let key = random.key();
        assert_eq!(get(store, &key), model.get(&key).cloned(), "get {key:?}: {what}");
    }
    let (from, to) = (random.bound(), random.bound());
    let mut expected: Pairs = model.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    expected.retain(|(key, _)| within(key, &from, &to));
    let as_slices = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
    let forward = scan(store, as_slices.0, as_slices.1, Direction::Forward);
    assert_eq!(forward, expected, "from {from:?} to {to:?}: {what}");
    expected.reverse();
    let backward = scan(store, as_slices.0, as_slices.1, Direction::Backward);
    assert_eq!(backward, expected, "from {from:?} to {to:?}, backward: {what}");
}
