//! A full disk is an error that says so, loses nothing, and is over when there is room again.
//!
//! Needs a small file system (some MiB) of its own: `KAPPA_TEST_SMALL_DISK` names a directory on it, for
//! example one made with `mount -t tmpfs -o size=8m tmpfs DIRECTORY`. Without it the test says that it did
//! not run.
#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "testing", feature = "rocksdb"))]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kappa_state::testing::{Random, contents};
use kappa_state::{
    KeyValueStore, Layer, Mark, MemoryBudget, RocksBackend, RocksOptions, StateBackend, StateError, StoreId,
};

const KEYS: u64 = 500;

fn open(path: &Path) -> RocksBackend {
    RocksBackend::open(&RocksOptions {
        path: path.to_owned(),
        application_id: "full-v1".into(),
        topology_fingerprint: "f00d".into(),
        memory: MemoryBudget::new(8 << 20),
    })
    .unwrap()
}

/// New values that don't compress for all keys.
fn entries(number: i64) -> Vec<([u8; 8], Option<Vec<u8>>)> {
    let mut random = Random::new(number as u64);
    let value = |random: &mut Random| (0..1_000).map(|_| random.number() as u8).collect();
    (0..KEYS).map(|key| (key.to_be_bytes(), Some(value(&mut random)))).collect()
}

fn apply(store: &mut dyn KeyValueStore, number: i64) -> Result<(), StateError> {
    store.apply(&Layer::of(&entries(number)), &Mark { changelog_offset: number, operator_time: vec![] })
}

fn check(store: &dyn KeyValueStore, number: i64) {
    assert_eq!(store.mark().map(|mark| mark.changelog_offset), Some(number));
    let entries = entries(number).into_iter();
    let expected: BTreeMap<Vec<u8>, Vec<u8>> = entries.filter_map(|(key, value)| Some((key.into(), value?))).collect();
    assert_eq!(contents(store), expected);
}

#[test]
fn a_full_disk_leaves_the_last_layer_and_room_mends_it() {
    let Ok(disk) = std::env::var("KAPPA_TEST_SMALL_DISK") else {
        println!("NOT RUN: KAPPA_TEST_SMALL_DISK is not set");
        return;
    };
    let root = tempfile::tempdir_in(disk).unwrap();
    let (path, ballast) = (root.path().join("state"), root.path().join("ballast"));
    let backend = open(&path);
    let id = StoreId { task: "full-0".into(), store: "rows".into() };
    let mut store = backend.open(&id).unwrap();
    apply(&mut *store, 1).unwrap();
    backend.settle().unwrap();
    // All room goes, then the last of it to the store.
    let mut fill = fs::File::create(&ballast).unwrap();
    while std::io::Write::write_all(&mut fill, &[1; 4096]).is_ok() {}
    drop(fill);
    let error = apply(&mut *store, 2).unwrap_err();
    assert!(matches!(error, StateError::DiskFull { .. }), "{error}");
    check(&*store, 1);
    fs::remove_file(&ballast).unwrap();
    apply(&mut *store, 3).unwrap();
    check(&*store, 3);
    drop((store, backend));
    let backend = open(&path);
    check(&*backend.open(&id).unwrap(), 3);
}
