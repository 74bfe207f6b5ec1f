//! A process that ends at any point of its writing leaves a store at the end of one of its layers.
//!
//! The test starts itself again as a child, which applies numbered layers and ends in mid-write.
#![allow(clippy::unwrap_used)]
#![cfg(all(feature = "testing", feature = "rocksdb"))]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kappa_state::testing::{POINTS_PER_APPLY, Random, abort_at_point, contents};
use kappa_state::{
    KeyValueStore, Layer, Mark, MemoryBudget, RocksBackend, RocksOptions, StateBackend, StateError, StoreId,
};

const DIRECTORY: &str = "KAPPA_STATE_CRASH_DIRECTORY";
const SEED: &str = "KAPPA_STATE_CRASH_SEED";
const POINT: &str = "KAPPA_STATE_CRASH_POINT";
const LAYERS: u64 = 12;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn open(path: &Path) -> Result<RocksBackend, StateError> {
    RocksBackend::open(&RocksOptions {
        path: path.to_owned(),
        application_id: "crash-v1".into(),
        topology_fingerprint: "f00d".into(),
        memory: MemoryBudget::new(8 << 20),
    })
}

fn id() -> StoreId {
    StoreId { task: "crash-0".into(), store: "rows".into() }
}

fn mark(number: u64) -> Mark {
    Mark { changelog_offset: number as i64, operator_time: number.to_string().into_bytes() }
}

/// Layer `number` (from 1) of a seed.
fn entries(seed: u64, number: u64) -> BTreeMap<Box<[u8]>, Option<Box<[u8]>>> {
    let mut random = Random::new(seed * 1_000 + number);
    let mut entries = BTreeMap::new();
    for _ in 0..random.below(60) {
        let value = (random.below(3) > 0).then(|| random.value().into_boxed_slice());
        entries.insert(random.key().into_boxed_slice(), value);
    }
    entries
}

/// What the first `count` layers make.
fn rows_after(seed: u64, count: u64) -> Rows {
    let mut rows = Rows::new();
    for number in 1..=count {
        for (key, value) in entries(seed, number) {
            match value {
                Some(value) => rows.insert(key.into(), value.into()),
                None => rows.remove(&*key),
            };
        }
    }
    rows
}

fn number_of(mark: Option<&Mark>) -> u64 {
    mark.map_or(0, |mark| mark.changelog_offset as u64)
}

/// Not a test of its own: what a child does.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let number_in = |name| std::env::var(name).map_or(0, |value| value.parse::<u64>().unwrap());
    let (seed, point) = (number_in(SEED), number_in(POINT));
    let backend = open(Path::new(&directory)).unwrap();
    let mut store = backend.open(&id()).unwrap();
    let first = number_of(store.mark()) + 1;
    abort_at_point(point);
    // Without a point it goes on until it is killed.
    let last = if point == 0 { u64::MAX } else { LAYERS };
    for number in first..=last {
        let entries: Vec<_> = entries(seed, number).into_iter().collect();
        store.apply(&Layer::of(&entries), &mark(number)).unwrap();
        println!("applied {number}");
    }
}

fn spawn(directory: &Path, seed: u64, point: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(SEED, seed.to_string())
        .env(POINT, point.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The store is exactly what some number of layers make, and its mark says which; gives the number.
fn check(directory: &Path, seed: u64, what: &str) -> u64 {
    let backend = open(directory).unwrap();
    assert_eq!(std::fs::read_dir(directory.join("sst")).unwrap().count(), 0, "left-overs stay: {what}");
    let store: Box<dyn KeyValueStore> = backend.open(&id()).unwrap();
    let number = number_of(store.mark());
    if number > 0 {
        assert_eq!(store.mark(), Some(&mark(number)), "{what}");
    }
    assert_eq!(contents(&*store), rows_after(seed, number), "after {number} layers: {what}");
    number
}

#[test]
fn an_abort_at_every_point_leaves_whole_layers() {
    for seed in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        // Each child goes on where the one before was cut off: one layer after the other, each cut at
        // every point.
        let mut done = 0;
        for round in 0..LAYERS {
            for point in 1..=POINTS_PER_APPLY {
                let what = format!("seed {seed}, layer {}, point {point}", done + 1);
                let before = done;
                let output = spawn(directory.path(), seed, point).wait_with_output().unwrap();
                if before == LAYERS {
                    assert!(output.status.success(), "{what}");
                    continue;
                }
                assert!(!output.status.success(), "the child was to be cut off: {what}");
                done = check(directory.path(), seed, &what);
                // Only the last point comes after the step.
                let taken = u64::from(point == POINTS_PER_APPLY);
                assert_eq!(done, before + taken, "{what}, round {round}");
            }
        }
        assert_eq!(done, LAYERS);
    }
}

#[test]
fn an_abort_deep_into_the_layers_leaves_whole_layers() {
    for seed in 10..12 {
        for point in 1..=LAYERS * POINTS_PER_APPLY {
            let directory = tempfile::tempdir().unwrap();
            let output = spawn(directory.path(), seed, point).wait_with_output().unwrap();
            let what = format!("seed {seed}, point {point}");
            assert!(!output.status.success(), "the child was to be cut off: {what}");
            assert_eq!(check(directory.path(), seed, &what), point / POINTS_PER_APPLY, "{what}");
        }
    }
}

#[test]
fn a_kill_at_any_moment_leaves_whole_layers() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(7);
    let mut done = 0;
    for round in 0..20 {
        let mut child = spawn(directory.path(), 99, 0);
        let stop_after = random.below(8) + 1;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let reported = lines.filter_map(|line| line.split("applied ").nth(1)?.parse::<u64>().ok());
        let last = reported.take(stop_after as usize).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let now = check(directory.path(), 99, &format!("round {round}"));
        assert!(now >= last, "round {round}: {last} layers were reported, {now} are there");
        assert!(now >= done);
        done = now;
    }
}

#[test]
fn a_directory_held_by_another_process_is_refused_until_it_dies() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = spawn(directory.path(), 5, 0);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The first report says that it has the directory.
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("applied"))).unwrap().unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(
        matches!(&error, StateError::Locked { holder, .. } if *holder == format!("process id {}", child.id())),
        "{error}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    check(directory.path(), 5, "after the holder");
}

#[test]
fn a_torn_manifest_is_refused_and_deletes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    spawn(directory.path(), 3, 4).wait().unwrap();
    let manifest = directory.path().join("manifest");
    let whole = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    let error = open(directory.path()).unwrap_err();
    assert!(matches!(error, StateError::Manifest { .. }), "{error}");
    std::fs::write(&manifest, &whole).unwrap();
    assert_eq!(check(directory.path(), 3, "mended"), 1);
}
