//! The contract of a buffered store over any backend, against a model with a changelog.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::Place;
use super::backend::contents;
use super::random::{Random, within};
use crate::{
    BufferOptions, BufferedStore, Change, Codec, CodecError, Direction, ManagedStore, StateBackend, StateError,
    StoreId, TailBound,
};

/// Values that are bytes; `b"null"` is one that is written as null.
#[derive(Debug)]
struct Plain;

impl Codec<Vec<u8>> for Plain {
    fn encode(&self, value: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(value);
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }

    fn is_null(&self, value: &Vec<u8>) -> bool {
        value == b"null"
    }
}

/// The prefix by which these stores are scanned.
fn first_byte(key: &[u8]) -> usize {
    key.len().min(1)
}

type Rows = BTreeMap<Vec<u8>, (Vec<u8>, i64)>;
/// A record of the changelog.
type Logged = (Vec<u8>, Option<Vec<u8>>, i64);

/// What the buffer has to be like.
#[derive(Default)]
struct Model {
    now: Rows,
    /// As of the last staging.
    staged: Rows,
    committed: Rows,
    /// Keys written since the last staging, in the order of the last write, with the timestamp.
    dirty: Vec<(Vec<u8>, i64)>,
    /// Records of the running transaction.
    pending: Vec<Logged>,
    changelog: Vec<Logged>,
    /// Every commit: offset and operator time.
    commits: Vec<(i64, Vec<u8>)>,
}

struct Run<'r, 'p> {
    place: &'r mut Place<'p>,
    backend: Option<Box<dyn StateBackend>>,
    store: Option<BufferedStore<Vec<u8>>>,
    options: BufferOptions,
    model: Model,
    random: Random,
    now_ms: i64,
    what: String,
}

/// Checks the buffer over a backend: a fresh place from `new_place` for every seed.
pub fn check_buffer<'p>(mut new_place: impl FnMut() -> Box<Place<'p>>, seeds: u64) {
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let records = [1, 20, 1_000][random.below(3) as usize];
        let age_ms = [1, 50, 10_000][random.below(3) as usize];
        let options = BufferOptions {
            tail_bound: TailBound { records, bytes: 10_000, age_ms },
            cache_bytes: [0, 1_000, 1_000_000][random.below(3) as usize],
            keep_old: random.below(2) == 0,
        };
        let mut place = new_place();
        // The end of an empty restore is a place to start from, like a commit.
        let model = Model { commits: vec![(0, Vec::new())], ..Model::default() };
        let mut run = Run {
            place: &mut *place,
            backend: None,
            store: None,
            options,
            model,
            random,
            now_ms: 0,
            what: String::new(),
        };
        run.start();
        for step in 0..150 {
            run.what = format!("seed {seed}, step {step}, {options:?}");
            run.step();
        }
        run.crash();
    }
}

impl Run<'_, '_> {
    fn store(&mut self) -> &mut BufferedStore<Vec<u8>> {
        self.store.as_mut().unwrap()
    }

    fn step(&mut self) {
        self.now_ms += self.random.below(20) as i64;
        match self.random.below(40) {
            0..=12 => self.put(),
            13..=20 => self.update(),
            21..=25 => self.get(),
            26..=27 => self.scan(),
            28 => self.scan_prefix(),
            29..=31 => self.stage(),
            32..=34 => self.commit(),
            35 => self.undo(),
            36 => self.abort(),
            37..=38 => self.flush(),
            _ => self.crash(),
        }
        if self.store().over_cache() {
            self.stage();
        }
    }

    fn wrote(&mut self, key: Vec<u8>, timestamp_ms: i64) {
        self.model.dirty.retain(|(dirty, _)| *dirty != key);
        self.model.dirty.push((key, timestamp_ms));
    }

    fn put(&mut self) {
        let (key, timestamp_ms) = (self.random.key(), self.random.below(1_000) as i64);
        let value = match self.random.below(6) {
            0 => None,
            1 => Some(b"null".to_vec()),
            _ => Some(self.random.value()),
        };
        self.store().put(&key, value.clone(), timestamp_ms).unwrap();
        match value {
            Some(value) if value != b"null" => self.model.now.insert(key.clone(), (value, timestamp_ms)),
            _ => self.model.now.remove(&key),
        };
        self.wrote(key, timestamp_ms);
    }

    fn update(&mut self) {
        let key = self.random.key();
        let (deletes, added) = (self.random.below(5) == 0, self.random.number() as u8);
        let before = self.model.now.get(&key).cloned();
        let change = move |row: Option<(Vec<u8>, i64)>| {
            let (mut value, timestamp_ms) = row.unwrap_or_default();
            value.push(added);
            (!deletes).then_some((value, timestamp_ms + 1))
        };
        let mut seen = None;
        self.store()
            .update(&key, |row| {
                seen = row.clone();
                change(row)
            })
            .unwrap();
        assert_eq!(seen, before, "B1, update of {key:?}: {}", self.what);
        match change(before.clone()) {
            Some(row) => {
                let timestamp_ms = row.1;
                self.model.now.insert(key.clone(), row);
                self.wrote(key, timestamp_ms);
            }
            None => {
                if let Some((_, timestamp_ms)) = before {
                    self.model.now.remove(&key);
                    self.wrote(key, timestamp_ms);
                }
            }
        }
    }

    /// A record that is taken back, unless it stages half-way: then the transaction is aborted.
    fn undo(&mut self) {
        let before = (self.model.now.clone(), self.model.dirty.clone());
        self.store().begin_record();
        let stages = self.random.below(4) == 0;
        for step in 0..self.random.below(8) {
            match self.random.below(3) {
                0 => self.put(),
                1 => self.update(),
                _ => self.get(),
            }
            if stages && step == 2 && self.store().is_dirty() {
                self.stage();
                assert!(!self.store().undo_record().unwrap(), "B5, staged: {}", self.what);
                return self.abort();
            }
        }
        if self.random.below(4) > 0 {
            assert!(self.store().undo_record().unwrap(), "B5: {}", self.what);
            (self.model.now, self.model.dirty) = before;
        }
    }

    fn get(&mut self) {
        let key = self.random.key();
        let found = self.store().get(&key).unwrap().map(|(value, timestamp_ms)| (value.clone(), timestamp_ms));
        assert_eq!(found.as_ref(), self.model.now.get(&key), "B1, get {key:?}: {}", self.what);
    }

    fn scan(&mut self) {
        let (from, to) = (self.random.bound(), self.random.bound());
        self.scan_range(from, to);
    }

    /// All keys with the first byte of one.
    fn scan_prefix(&mut self) {
        let key = self.random.key();
        let prefix = &key[..first_byte(&key)];
        let mut found = Vec::new();
        let mut visit = |key: &[u8], value: &Vec<u8>, timestamp_ms: i64| {
            found.push((key.to_vec(), (value.clone(), timestamp_ms)));
            ControlFlow::Continue(())
        };
        self.store().scan_prefix(prefix, &mut visit).unwrap();
        let expected = self.model.now.iter().filter(|(key, _)| key.starts_with(prefix));
        let expected: Vec<_> = expected.map(|(key, row)| (key.clone(), row.clone())).collect();
        assert_eq!(found, expected, "B1, keys that begin with {prefix:?}: {}", self.what);
    }

    fn scan_range(&mut self, from: Bound<Vec<u8>>, to: Bound<Vec<u8>>) {
        let mut expected: Vec<_> = self.model.now.iter().map(|(key, row)| (key.clone(), row.clone())).collect();
        expected.retain(|(key, _)| within(key, &from, &to));
        let as_slices = (from.as_ref().map(Vec::as_slice), to.as_ref().map(Vec::as_slice));
        let stop_after = self.random.below(12) as usize + 1;
        for direction in [Direction::Forward, Direction::Backward] {
            let mut found = Vec::new();
            let mut visit = |key: &[u8], value: &Vec<u8>, timestamp_ms: i64| {
                found.push((key.to_vec(), (value.clone(), timestamp_ms)));
                if found.len() == stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            self.store().scan(as_slices.0, as_slices.1, direction, &mut visit).unwrap();
            let first = expected.iter().take(stop_after);
            assert!(found.iter().eq(first), "B1, {found:?} is not {expected:?}, {direction:?}: {}", self.what);
            expected.reverse();
        }
    }

    fn stage(&mut self) {
        let keep_old = self.options.keep_old;
        let mut seen = Vec::new();
        let mut olds = Vec::new();
        let visit = |change: Change<'_, Vec<u8>>| {
            assert_eq!(change.value.map(Vec::as_slice), change.value_bytes);
            olds.push(change.old.cloned());
            seen.push((change.key.to_vec(), change.value.cloned(), change.timestamp_ms));
            Ok::<_, StateError>(())
        };
        self.store().stage(visit).unwrap();
        assert!(!self.store().is_dirty());
        let model = &mut self.model;
        let (mut expected, mut expected_olds) = (Vec::new(), Vec::new());
        for (key, timestamp_ms) in model.dirty.drain(..) {
            let value = model.now.get(&key).map(|(value, _)| value.clone());
            let old = model.staged.get(&key).map(|(value, _)| value.clone());
            // A null for what never was is left out.
            if value.is_some() || old.is_some() {
                expected_olds.push(old.filter(|_| keep_old));
                expected.push((key, value, timestamp_ms));
            }
        }
        assert_eq!(seen, expected, "staged: {}", self.what);
        assert_eq!(olds, expected_olds, "old values: {}", self.what);
        model.staged = model.now.clone();
        model.pending.extend(expected);
    }

    fn commit(&mut self) {
        self.stage();
        let model = &mut self.model;
        let wrote = !model.pending.is_empty();
        model.changelog.append(&mut model.pending);
        model.committed = model.now.clone();
        let offset = model.changelog.len() as i64;
        let operator_time = self.random.value();
        model.commits.push((offset, operator_time.clone()));
        let (what, now_ms) = (self.what.clone(), self.now_ms);
        let store = self.store();
        store.committed(wrote.then_some(offset), &operator_time, now_ms).unwrap();
        let mark = store.mark().unwrap();
        assert_eq!((mark.changelog_offset, mark.operator_time), (offset, operator_time), "{what}");
    }

    fn abort(&mut self) {
        self.store().aborted();
        assert_eq!(self.store().dirty_bytes(), 0, "B3: {}", self.what);
        let model = &mut self.model;
        model.dirty.clear();
        model.pending.clear();
        model.now = model.committed.clone();
        model.staged = model.committed.clone();
        self.scan_range(Bound::Unbounded, Bound::Unbounded);
    }

    fn flush(&mut self) {
        let (force, now_ms, bound) = (self.random.below(3) == 0, self.now_ms, self.options.tail_bound);
        let store = self.store();
        store.flush(now_ms, force).unwrap();
        assert!(store.tail_records() < bound.records, "the tail is over its bound: {}", self.what);
        if force {
            assert_eq!(self.store().tail_records(), 0, "{}", self.what);
        }
    }

    /// Everything in memory goes; then the store is brought up again from the changelog.
    fn crash(&mut self) {
        self.store = None;
        self.backend = None;
        self.model.dirty.clear();
        self.model.pending.clear();
        self.model.now = self.model.committed.clone();
        self.model.staged = self.model.committed.clone();
        self.start();
        self.scan_range(Bound::Unbounded, Bound::Unbounded);
    }

    fn start(&mut self) {
        let backend = (self.place)();
        let id = StoreId { task: "t-0".into(), store: "s".into() };
        let behind = backend.open(&id).unwrap();
        self.check_behind(&contents(&*behind), behind.mark().cloned());
        let store = BufferedStore::open(id, behind, Arc::new(Plain), self.options).unwrap();
        // Without prefixes a store is scanned by them all the same.
        let store = if self.options.keep_old { store } else { store.with_prefixes(first_byte) };
        (self.store, self.backend) = (Some(store), Some(backend));
        self.restore();
    }

    /// B2: the store behind is the changelog up to the mark, and the mark is that of a commit.
    fn check_behind(&self, behind: &BTreeMap<Vec<u8>, Vec<u8>>, mark: Option<crate::Mark>) {
        let Some(mark) = mark else {
            assert!(behind.is_empty(), "B2, data without a mark: {}", self.what);
            return;
        };
        let known = self.model.commits.contains(&(mark.changelog_offset, mark.operator_time.clone()));
        assert!(known, "B2, {mark:?} is no commit: {}", self.what);
        let mut expected = BTreeMap::new();
        for (key, value, timestamp_ms) in &self.model.changelog[..mark.changelog_offset as usize] {
            match value {
                Some(value) => {
                    let row = [&timestamp_ms.to_be_bytes()[..], value].concat();
                    expected.insert(key.clone(), row)
                }
                None => expected.remove(key),
            };
        }
        assert_eq!(*behind, expected, "B2: {}", self.what);
    }

    fn restore(&mut self) {
        let changelog = self.model.changelog.clone();
        let from = self.store().mark().map_or(0, |mark| mark.changelog_offset) as usize;
        let mut at = from;
        while at < changelog.len() {
            let end = (at + self.random.below(30) as usize + 1).min(changelog.len());
            let mut batch = changelog[at..end]
                .iter()
                .map(|(key, value, timestamp_ms)| (key.as_slice(), value.as_deref(), *timestamp_ms));
            self.store().restore(&mut batch, end as i64).unwrap();
            at = end;
            assert_eq!(self.store().mark().map(|mark| mark.changelog_offset), Some(end as i64));
        }
        let operator_time = self.model.commits.last().map(|(_, time)| time.clone()).unwrap_or_default();
        let end = changelog.len() as i64;
        self.store().restored(end, &operator_time).unwrap();
        // B4: not while there are changes.
        self.store().put(b"change", Some(vec![]), 0).unwrap();
        let refused = self.store().restore(&mut std::iter::empty(), end);
        assert!(matches!(refused, Err(StateError::Misuse { .. })), "B4: {}", self.what);
        self.store().aborted();
    }
}
