//! The versioned store against a model that knows all versions there ever were, and against answers of Kafka Streams.

use super::{Deleted, Put, VersionedOptions, VersionedStore};
use crate::testing::Random;
use crate::{
    BufferOptions, Codec, CodecError, ManagedStore, MemoryBackend, StateBackend, StateError, StoreId, TailBound,
};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug)]
struct Text;

impl Codec<String> for Text {
    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value.as_bytes());
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CodecError> {
        String::from_utf8(bytes.to_vec()).map_err(CodecError::new)
    }
}

type Logged = (Vec<u8>, Option<Vec<u8>>, i64);

fn open(backend: &MemoryBackend, options: VersionedOptions) -> VersionedStore<String> {
    let id = StoreId { task: "t-0".into(), store: "vs".into() };
    let behind = backend.open(&id).unwrap();
    VersionedStore::open(id, behind, Arc::new(Text), options).unwrap()
}

fn fresh(history_ms: i64, segment_ms: i64) -> VersionedStore<String> {
    let options = VersionedOptions { history_ms, segment_ms, buffer: BufferOptions::default() };
    let mut store = open(&MemoryBackend::new(), options);
    store.restored(0, &[]).unwrap();
    store
}

impl VersionedStore<String> {
    fn text(&mut self, value: &str, timestamp_ms: i64) -> Put {
        self.put(b"k", Some(value.to_owned()), timestamp_ms).unwrap()
    }

    fn null(&mut self, timestamp_ms: i64) -> Put {
        self.put(b"k", None, timestamp_ms).unwrap()
    }

    fn now(&mut self) -> Option<(String, i64)> {
        self.get(b"k").unwrap().map(|(value, since_ms)| (value.clone(), since_ms))
    }

    fn at(&mut self, as_of_ms: i64) -> Option<(String, i64)> {
        self.get_as_of(b"k", as_of_ms).unwrap().map(|(value, since_ms)| (value.clone(), since_ms))
    }
}

fn some(value: &str, since_ms: i64) -> Option<(String, i64)> {
    Some((value.to_owned(), since_ms))
}

#[test]
fn versions_end_where_the_next_begin() {
    let mut store = fresh(100, 10);
    assert_eq!(store.text("a", 10), Put::Latest);
    assert_eq!(store.text("c", 30), Put::Latest);
    assert_eq!(store.text("b", 20), Put::Until(30));
    assert_eq!(store.null(25), Put::Until(30));
    assert_eq!(store.now(), some("c", 30));
    let seen: Vec<_> = [9, 10, 19, 20, 24, 25, 29, 30, 99].into_iter().map(|time_ms| store.at(time_ms)).collect();
    let (a, b, c) = (some("a", 10), some("b", 20), some("c", 30));
    assert_eq!(seen, [None, a.clone(), a, b.clone(), b, None, None, c.clone(), c]);
}

#[test]
fn what_is_older_than_the_history_is_neither_put_nor_found_but_the_latest_always_is() {
    let mut store = fresh(100, 10);
    store.text("a", 10);
    store.text("b", 20);
    store.put(b"other", Some("x".into()), 200).unwrap();
    assert_eq!(store.text("late", 99), Put::TooLate);
    assert_eq!(store.delete(b"k", 99).unwrap(), Deleted::TooLate);
    assert_eq!((store.at(15), store.at(20), store.now()), (None, some("b", 20), some("b", 20)));
    assert_eq!(store.text("in time", 100), Put::Latest);
    assert_eq!(store.delete(b"k", 150).unwrap(), Deleted::Was(some("in time", 100)));
    assert_eq!((store.now(), store.at(149)), (None, some("in time", 100)));
}

/// As Kafka Streams 4.3 does it: see `oracle/`, topology `versioned_store`.
#[test]
fn a_value_deleted_with_its_own_timestamp_leaves_no_trace() {
    let mut store = fresh(100, 10);
    store.text("a", 50);
    assert_eq!(store.null(50), Put::Latest);
    assert_eq!(store.text("older", 30), Put::Latest, "nothing says that the key was deleted at 50");
    let mut store = fresh(100, 10);
    store.text("a", 40);
    store.text("b", 50);
    assert_eq!(store.null(50), Put::Latest);
    assert_eq!(store.text("older", 45), Put::Until(50), "the end of a version says it");
}

#[test]
fn history_leaves_the_store() {
    let mut store = fresh(100, 10);
    for time_ms in 0..10_000 {
        store.text(&time_ms.to_string(), time_ms);
        if time_ms % 100 == 0 {
            store.stage(|_, _, _| Ok::<_, StateError>(())).unwrap();
            store.committed(Some(time_ms), &[], time_ms).unwrap();
            store.flush(time_ms, true).unwrap();
        }
    }
    store.stage(|_, _, _| Ok::<_, StateError>(())).unwrap();
    store.committed(Some(10_000), &[], 0).unwrap();
    store.flush(0, true).unwrap();
    // 12 segments of ten versions, about 20 bytes each.
    assert!(store.size_bytes() < 4_000, "{} bytes", store.size_bytes());
}

/// Every version there ever was.
#[derive(Clone, Default)]
struct Model {
    versions: BTreeMap<u64, BTreeMap<i64, Option<String>>>,
    time_ms: i64,
}

impl Model {
    fn at(&self, key: u64, as_of_ms: i64, history_ms: i64) -> Option<(String, i64)> {
        let versions = self.versions.get(&key)?;
        let (since_ms, value) = versions.range(..=as_of_ms).next_back()?;
        let latest = versions.keys().next_back() == Some(since_ms);
        let kept = latest || as_of_ms >= self.time_ms - history_ms;
        Some((value.clone()?, *since_ms)).filter(|_| kept)
    }
}

struct Run {
    options: VersionedOptions,
    backend: MemoryBackend,
    store: Option<VersionedStore<String>>,
    model: Model,
    committed: Model,
    pending: Vec<Logged>,
    changelog: Vec<Logged>,
    random: Random,
    what: String,
}

impl Run {
    fn store(&mut self) -> &mut VersionedStore<String> {
        self.store.as_mut().unwrap()
    }

    fn put(&mut self) {
        let key = self.random.below(3);
        let jump = if self.random.below(10) == 0 { 200 } else { 20 };
        let time_ms = (self.model.time_ms + self.random.below(jump) as i64 - 15).max(0);
        let versions = self.model.versions.entry(key).or_default();
        let newest = versions.last_key_value().map(|(since_ms, value)| (*since_ms, value.is_some()));
        let mut value = (self.random.below(4) > 0).then(|| self.random.below(100).to_string());
        if value.is_none() && newest == Some((time_ms, true)) {
            // That has a test of its own.
            value = Some("instead".into());
        }
        let expected = if time_ms < self.model.time_ms - self.options.history_ms {
            Put::TooLate
        } else {
            let next = versions.range(time_ms + 1..).next().map(|(until_ms, _)| *until_ms);
            versions.insert(time_ms, value.clone());
            self.model.time_ms = self.model.time_ms.max(time_ms);
            next.map_or(Put::Latest, Put::Until)
        };
        let put = self.store().put(&key.to_be_bytes(), value, time_ms).unwrap();
        assert_eq!(put, expected, "{}", self.what);
    }

    fn look(&mut self) {
        for key in 0..3 {
            let as_of_ms = (self.model.time_ms + 10 - self.random.below(150) as i64).max(0);
            let expected = self.model.at(key, as_of_ms, self.options.history_ms);
            let found = self.store().get_as_of(&key.to_be_bytes(), as_of_ms).unwrap();
            let found = found.map(|(value, since_ms)| (value.clone(), since_ms));
            assert_eq!(found, expected, "{key} as of {as_of_ms}: {}", self.what);
            let expected = self.model.at(key, i64::MAX, self.options.history_ms);
            let found = self.store().get(&key.to_be_bytes()).unwrap();
            let found = found.map(|(value, since_ms)| (value.clone(), since_ms));
            assert_eq!(found, expected, "{key}: {}", self.what);
        }
    }

    fn stage(&mut self) {
        let mut pending = std::mem::take(&mut self.pending);
        let visit = |key: &[u8], value: Option<&[u8]>, timestamp_ms| {
            pending.push((key.to_vec(), value.map(<[u8]>::to_vec), timestamp_ms));
            Ok::<_, StateError>(())
        };
        self.store().stage(visit).unwrap();
        self.pending = pending;
    }

    fn undo(&mut self) {
        let model = self.model.clone();
        self.store().begin_record();
        self.put();
        self.put();
        let staged = self.random.below(4) == 0;
        if staged {
            self.stage();
        }
        if self.random.below(2) == 0 {
            if self.store().undo_record().unwrap() {
                self.model = model;
            } else {
                assert!(staged, "only what is staged can't be taken back: {}", self.what);
                self.abort();
            }
        }
    }

    fn commit(&mut self) {
        self.stage();
        let wrote = !self.pending.is_empty();
        self.changelog.append(&mut self.pending);
        let end = self.changelog.len() as i64;
        self.store().committed(wrote.then_some(end), b"time", 0).unwrap();
        let force = self.random.below(3) == 0;
        self.store().flush(0, force).unwrap();
        self.committed = self.model.clone();
    }

    fn abort(&mut self) {
        self.store().aborted();
        self.pending.clear();
        self.model = self.committed.clone();
    }

    /// Comes up again where the store is, or somewhere else with nothing but the changelog.
    fn crash(&mut self) {
        self.store = None;
        self.pending.clear();
        self.model = self.committed.clone();
        if self.random.below(3) == 0 {
            self.backend = MemoryBackend::new();
        }
        self.start();
    }

    fn start(&mut self) {
        let mut store = open(&self.backend, self.options);
        let mut at = store.mark().map_or(0, |mark| mark.changelog_offset as usize);
        while at < self.changelog.len() {
            let end = (at + 1 + self.random.below(20) as usize).min(self.changelog.len());
            let mut records = self.changelog[at..end]
                .iter()
                .map(|(key, value, timestamp_ms)| (key.as_slice(), value.as_deref(), *timestamp_ms));
            store.restore(&mut records, end as i64).unwrap();
            at = end;
        }
        store.restored(at as i64, b"time").unwrap();
        self.store = Some(store);
    }
}

#[test]
fn a_store_has_the_versions_of_the_model_through_commits_aborts_and_restores() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let options = VersionedOptions {
            history_ms: [0, 5, 40, 100][random.below(4) as usize],
            segment_ms: [1, 7, 30, 2_000][random.below(4) as usize],
            buffer: BufferOptions {
                tail_bound: TailBound { records: 20, bytes: 10_000, age_ms: 50 },
                cache_bytes: [0, 1_000_000][random.below(2) as usize],
                keep_old: false,
            },
        };
        let mut run = Run {
            options,
            backend: MemoryBackend::new(),
            store: None,
            model: Model::default(),
            committed: Model::default(),
            pending: Vec::new(),
            changelog: Vec::new(),
            random,
            what: String::new(),
        };
        run.start();
        for step in 0..200 {
            run.what = format!("seed {seed}, step {step}, {options:?}");
            match run.random.below(20) {
                0..=9 => run.put(),
                10 | 11 => run.undo(),
                12..=14 => run.look(),
                15 => run.stage(),
                16 | 17 => run.commit(),
                18 => run.abort(),
                _ => run.crash(),
            }
        }
        run.look();
    }
}

/// What compaction leaves of a changelog still has each key's latest version.
#[test]
fn a_compacted_changelog_gives_the_latest_versions() {
    for seed in 0..50 {
        let mut random = Random::new(seed);
        let mut store = fresh(50, 10);
        let (mut compacted, mut newest) = (BTreeMap::new(), BTreeMap::new());
        for _ in 0..40 {
            let (key, time_ms) = (random.below(3) as u8, 50 + random.below(50) as i64);
            let value = (random.below(4) > 0).then(|| random.below(100).to_string());
            if newest.get(&key).is_some_and(|newest: &(i64, _)| newest.0 == time_ms) {
                continue;
            }
            store.put(&[key], value.clone(), time_ms).unwrap();
            let entry = newest.entry(key).or_insert((time_ms, value.clone()));
            if entry.0 < time_ms {
                *entry = (time_ms, value);
            }
        }
        store
            .stage(|key, value, time_ms| {
                compacted.insert(key.to_vec(), (value.map(<[u8]>::to_vec), time_ms));
                Ok::<_, StateError>(())
            })
            .unwrap();
        for (key, (time_ms, value)) in newest {
            let expected = (value.map(String::into_bytes), time_ms);
            assert_eq!(compacted.get(&vec![key]), Some(&expected), "seed {seed}");
        }
    }
}
