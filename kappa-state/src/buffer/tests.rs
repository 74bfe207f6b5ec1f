use std::sync::Arc;

use super::*;
use crate::{CodecError, ManagedStore, MemoryBackend, StateBackend, StoreId};

#[derive(Debug)]
struct Number;

impl Codec<u64> for Number {
    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&value.to_be_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, CodecError> {
        bytes.try_into().map(u64::from_be_bytes).map_err(CodecError::new)
    }
}

fn store_in(backend: &MemoryBackend, options: BufferOptions) -> BufferedStore<u64> {
    let id = StoreId { task: "t-0".into(), store: "s".into() };
    let behind = backend.open(&id).unwrap();
    BufferedStore::open(id, behind, Arc::new(Number), options).unwrap()
}

type Staged = (Vec<u8>, Option<u64>, Option<u64>, i64);

fn stage(store: &mut BufferedStore<u64>) -> Vec<Staged> {
    let mut out = Vec::new();
    let visit = |change: crate::Change<'_, u64>| {
        let bytes = change.value_bytes.map(|bytes| Number.decode(bytes).unwrap());
        assert_eq!(bytes, change.value.copied());
        out.push((change.key.to_vec(), bytes, change.old.copied(), change.timestamp_ms));
        Ok::<_, StateError>(())
    };
    store.stage(visit).unwrap();
    out
}

#[test]
fn stages_in_the_order_of_the_last_write_and_elides_what_never_was() {
    let mut store = store_in(&MemoryBackend::new(), BufferOptions { keep_old: true, ..Default::default() });
    store.put(b"a", Some(1), 10).unwrap();
    store.put(b"b", Some(2), 11).unwrap();
    store.put(b"never", None, 12).unwrap();
    store.update(b"a", |row| row.map(|(value, ts)| (value + 4, ts + 5))).unwrap();
    assert_eq!(stage(&mut store), [(b"b".to_vec(), Some(2), None, 11), (b"a".to_vec(), Some(5), None, 15)]);
    assert!(!store.is_dirty());
    store.put(b"a", None, 20).unwrap();
    assert_eq!(stage(&mut store), [(b"a".to_vec(), None, Some(5), 20)]);
    store.put(b"a", None, 21).unwrap();
    assert_eq!(stage(&mut store), []);
}

#[test]
fn an_abort_goes_back_to_the_last_commit() {
    let backend = MemoryBackend::new();
    let mut store = store_in(&backend, BufferOptions::default());
    store.put(b"a", Some(1), 10).unwrap();
    stage(&mut store);
    store.committed(Some(1), b"T", 0).unwrap();
    store.put(b"a", Some(2), 11).unwrap();
    stage(&mut store);
    store.put(b"a", Some(3), 12).unwrap();
    store.put(b"b", Some(3), 12).unwrap();
    store.flush(0, true).unwrap();
    store.aborted();
    store.cells.check();
    assert_eq!(store.get(b"a").unwrap(), Some((&1, 10)));
    assert_eq!(store.get(b"b").unwrap(), None);
    assert_eq!(store.dirty_bytes(), 0);
    drop(store);
    let mut store = store_in(&backend, BufferOptions::default());
    assert_eq!(store.get(b"a").unwrap(), Some((&1, 10)));
    assert_eq!(store.mark(), Some(Mark { changelog_offset: 1, operator_time: b"T".to_vec() }));
}

#[test]
fn an_absent_key_takes_no_memory_and_the_cache_keeps_its_bound() {
    let backend = MemoryBackend::new();
    let cache_bytes = 10_000;
    let mut store = store_in(&backend, BufferOptions { cache_bytes, ..Default::default() });
    for key in 0..10_000_u32 {
        assert_eq!(store.get(&key.to_be_bytes()).unwrap(), None);
        store.put(&key.to_be_bytes(), Some(key.into()), 0).unwrap();
        if store.over_cache() {
            stage(&mut store);
        }
    }
    stage(&mut store);
    store.committed(Some(10_000), b"", 0).unwrap();
    assert_eq!(store.tail_records(), 10_000);
    assert!(store.cells.clean_bytes() <= cache_bytes);
    for key in 0..10_000_u32 {
        assert_eq!(store.get(&key.to_be_bytes()).unwrap(), Some((&key.into(), 0)));
    }
    store.flush(0, true).unwrap();
    assert!(store.cells.clean_bytes() <= cache_bytes, "{}", store.cells.clean_bytes());
    for key in 0..10_000_u32 {
        assert_eq!(store.get(&key.to_be_bytes()).unwrap(), Some((&key.into(), 0)));
        assert!(store.cells.clean_bytes() <= 2 * cache_bytes, "{}", store.cells.clean_bytes());
    }
}

#[test]
fn a_large_restore_is_written_in_steps_that_a_crash_may_cut_off() {
    let backend = MemoryBackend::new();
    let mut store = store_in(&backend, BufferOptions::default());
    let records = |from: u64, to: u64| (from..to).map(|number| (number % 1_000, number));
    for batch in 0..12_u64 {
        let rows: Vec<_> = records(batch * 100_000, (batch + 1) * 100_000)
            .map(|(key, value)| (key.to_be_bytes(), value.to_be_bytes()))
            .collect();
        let mut batch_of = rows.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()), 5));
        store.restore(&mut batch_of, (batch as i64 + 1) * 100_000).unwrap();
    }
    assert_eq!(store.mark().unwrap().changelog_offset, 1_200_000);
    // A crash: what was written ends with a batch.
    drop(store);
    let mut store = store_in(&backend, BufferOptions::default());
    let written = store.mark().unwrap().changelog_offset;
    assert!(written > 0 && written % 100_000 == 0 && written < 1_200_000, "{written}");
    assert_eq!(store.get(&7_u64.to_be_bytes()).unwrap(), Some((&(written as u64 - 993), 5)));
    store.restored(written, b"T").unwrap();
    assert_eq!(store.mark(), Some(Mark { changelog_offset: written, operator_time: b"T".to_vec() }));
}

/// In these tests a filter walks over its store after two look-ups in vain, three keys at a time.
#[cfg(feature = "testing")]
#[test]
fn the_contract_holds_while_filters_are_being_filled() {
    let place = || {
        let backend = MemoryBackend::new();
        Box::new(move || Box::new(backend.clone()) as Box<dyn StateBackend>) as Box<crate::testing::Place<'static>>
    };
    crate::testing::check_buffer(place, 1_000);
}

#[test]
fn a_filter_that_begins_late_comes_to_know_its_store() {
    let backend = MemoryBackend::new();
    let options = BufferOptions::default();
    let mut store = store_in(&backend, options);
    for key in 0..20_u8 {
        store.put(&[key], Some(1), 0).unwrap();
    }
    store.put(&[], Some(1), 0).unwrap();
    stage(&mut store);
    store.committed(Some(21), b"", 0).unwrap();
    assert!(matches!(store.filter, Knowledge::All(_)), "a store that was empty is known from its beginning");
    store.flush(0, true).unwrap();
    drop(store);

    let mut store = store_in(&backend, options);
    store.put(&[30], Some(2), 0).unwrap();
    stage(&mut store);
    store.committed(Some(22), b"", 0).unwrap();
    store.flush(0, false).unwrap();
    assert!(matches!(store.filter, Knowledge::Nothing { .. }), "nothing was looked for in vain");
    for key in 40..42_u8 {
        assert_eq!(store.get(&[key]).unwrap(), None);
    }
    let mut rounds = 0;
    while !matches!(store.filter, Knowledge::All(_)) {
        // New keys on either side of where the walk is.
        for key in [50 + rounds, 200 - rounds] {
            store.put(&[key], Some(3), 0).unwrap();
        }
        stage(&mut store);
        store.committed(Some(23), b"", 0).unwrap();
        store.flush(0, rounds % 2 == 0).unwrap();
        rounds += 1;
        assert!(rounds < 30);
    }
    assert!(rounds >= 7, "three keys at a time: {rounds}");
    let there = (0..20).chain([30]).chain(50..50 + rounds).chain(200 - rounds + 1..=200);
    for key in there {
        assert!(store.get(&[key]).unwrap().is_some(), "{key}");
    }
    assert!(store.get(&[]).unwrap().is_some());
    assert!(!store.filter.may_have(store.cells.hash(&[45])));
}

#[test]
fn new_keys_do_not_drive_out_those_that_come_again() {
    let cache_bytes = 100_000;
    let mut store = store_in(&MemoryBackend::new(), BufferOptions { cache_bytes, ..Default::default() });
    let hot = |key: u32| (key % 100).to_be_bytes();
    for key in 0..50_000_u32 {
        store.put(&(1_000 + key).to_be_bytes(), Some(1), 0).unwrap();
        store.update(&hot(key), |row| row.or(Some((0, 0))).map(|(value, time)| (value + 1, time))).unwrap();
        if key % 500 == 0 {
            stage(&mut store);
            store.cells.check();
            store.committed(Some(1), b"", 0).unwrap();
            assert!(store.cells.clean_bytes() <= cache_bytes / 4, "{}", store.cells.clean_bytes());
        }
    }
    for key in 0..100 {
        let cell = store.cells.peek(store.cells.hash(&hot(key)), &hot(key));
        assert!(matches!(cell.map(|cell| &cell.current), Some(Current::Present(500))), "{key}");
    }
}
