//! Window and session stores over a backend, against a map with a retention.

use std::collections::BTreeMap;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use super::random::Random;
use super::{Place, contents};
use crate::{
    BufferOptions, Change, Codec, CodecError, Direction, ManagedStore, Reached, Session, SessionOptions, SessionStore,
    StateBackend, StateError, StoreId, TailBound, WindowOptions, WindowStore,
};

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
}

/// Key, time, and what tells rows of a time apart: the start of a session, or the number of a duplicate.
type RowKey = (Vec<u8>, i64, i64);
type Row = (Vec<u8>, i64);
type Rows = Vec<(RowKey, Row)>;
type Logged = (Vec<u8>, Option<Vec<u8>>, i64);

/// How a store is made, and how the test remembers what it must be told again.
#[derive(Debug, Clone, Copy)]
struct Settings {
    sessions: bool,
    duplicates: bool,
    retention_ms: i64,
    segment_ms: i64,
    held: bool,
    buffer: BufferOptions,
}

enum Tested {
    Windows(WindowStore<Vec<u8>>),
    Sessions(SessionStore<Vec<u8>>),
}

impl Tested {
    fn managed(&mut self) -> &mut dyn ManagedStore {
        match self {
            Self::Windows(store) => store,
            Self::Sessions(store) => store,
        }
    }

    fn put(&mut self, (key, time_ms, rest): &RowKey, value: Option<Vec<u8>>, timestamp_ms: i64) -> bool {
        match self {
            Self::Windows(store) => store.put(key, *time_ms, value, timestamp_ms).unwrap(),
            Self::Sessions(store) => {
                store.put(key, Session { start_ms: *rest, end_ms: *time_ms }, value, timestamp_ms).unwrap()
            }
        }
    }

    fn get(&mut self, (key, time_ms, rest): &RowKey) -> Option<Row> {
        let found = match self {
            Self::Windows(store) => store.get(key, *time_ms).unwrap(),
            Self::Sessions(store) => store.get(key, Session { start_ms: *rest, end_ms: *time_ms }).unwrap(),
        };
        found.map(|(value, timestamp_ms)| (value.clone(), timestamp_ms))
    }

    /// The rows of a key; times of sessions go to the end of time.
    fn of_key(&mut self, key: &[u8], from_ms: i64, to_ms: i64, direction: Direction) -> Vec<(i64, i64, Row)> {
        let mut found = Vec::new();
        match self {
            Self::Windows(store) => store.fetch(key, from_ms, to_ms, direction, |start_ms, value, timestamp_ms| {
                found.push((start_ms, 0, (value.clone(), timestamp_ms)));
                Continue(())
            }),
            Self::Sessions(store) => store.find(key, from_ms, to_ms, direction, |session, value, timestamp_ms| {
                found.push((session.end_ms, session.start_ms, (value.clone(), timestamp_ms)));
                Continue(())
            }),
        }
        .unwrap();
        found
    }

    fn of_all(
        &mut self,
        keys: (Option<&[u8]>, Option<&[u8]>),
        from_ms: i64,
        to_ms: i64,
        direction: Direction,
        at_most: usize,
    ) -> Rows {
        let mut found: Rows = Vec::new();
        let mut take = |key: &[u8], time_ms, rest, value: &Vec<u8>, timestamp_ms| {
            found.push(((key.to_vec(), time_ms, rest), (value.clone(), timestamp_ms)));
            if found.len() == at_most { Break(()) } else { Continue(()) }
        };
        match self {
            Self::Windows(store) => store
                .fetch_range(keys, from_ms, to_ms, direction, |key, start, value, ts| take(key, start, 0, value, ts)),
            Self::Sessions(store) => store.find_range(keys, from_ms, to_ms, direction, |key, session, value, ts| {
                take(key, session.end_ms, session.start_ms, value, ts)
            }),
        }
        .unwrap();
        found
    }

    fn held(&mut self, from_ms: i64, to_ms: i64) -> Rows {
        let mut found: Rows = Vec::new();
        let mut take = |key: &[u8], time_ms, rest, value: &Vec<u8>, timestamp_ms| -> ControlFlow<()> {
            found.push(((key.to_vec(), time_ms, rest), (value.clone(), timestamp_ms)));
            Continue(())
        };
        match self {
            Self::Windows(store) => {
                store.fetch_held(from_ms, to_ms, |key, start, value, ts| take(key, start, 0, value, ts))
            }
            Self::Sessions(store) => store.ended_held(from_ms, to_ms, |key, session, value, ts| {
                take(key, session.end_ms, session.start_ms, value, ts)
            }),
        }
        .unwrap();
        found
    }
}

/// What must be there.
#[derive(Debug, Clone)]
struct Model {
    rows: BTreeMap<RowKey, Row>,
    observed_ms: i64,
    hold_ms: i64,
    /// Rows written, for the number of a duplicate.
    sequence: i64,
}

impl Model {
    fn expired(&self, time_ms: i64, retention_ms: i64) -> bool {
        time_ms <= self.observed_ms.saturating_sub(retention_ms)
    }
}

struct Run<'p, 'q> {
    place: &'p mut Place<'q>,
    backend: Option<Box<dyn StateBackend>>,
    store: Option<Tested>,
    settings: Settings,
    now: Model,
    committed: Model,
    pending: Vec<Logged>,
    changelog: Vec<Logged>,
    random: Random,
    now_ms: i64,
    what: String,
}

/// Checks window and session stores over a backend: a fresh place from `new_place` for every seed.
pub fn check_expiring<'p>(mut new_place: impl FnMut() -> Box<Place<'p>>, seeds: u64) {
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let sessions = random.below(3) == 0;
        let settings = Settings {
            sessions,
            duplicates: !sessions && random.below(3) == 0,
            retention_ms: random.below(60) as i64,
            segment_ms: [1, 7, 20, 1_000][random.below(4) as usize],
            held: random.below(3) == 0,
            buffer: BufferOptions {
                tail_bound: TailBound { records: [1, 10, 1_000][random.below(3) as usize], ..TailBound::default() },
                cache_bytes: [0, 1_000, 1_000_000][random.below(3) as usize],
                keep_old: random.below(2) == 0,
            },
        };
        let model = Model { rows: BTreeMap::new(), observed_ms: i64::MIN, hold_ms: i64::MIN, sequence: 0 };
        let mut place = new_place();
        let mut run = Run {
            place: &mut *place,
            backend: None,
            store: None,
            settings,
            now: model.clone(),
            committed: model,
            pending: Vec::new(),
            changelog: Vec::new(),
            random,
            now_ms: 0,
            what: String::new(),
        };
        run.start();
        for step in 0..120 {
            run.what = format!("seed {seed}, step {step}, {settings:?}");
            run.step();
        }
        run.crash();
    }
}

impl Run<'_, '_> {
    fn step(&mut self) {
        match self.random.below(30) {
            0..=11 => self.put(),
            12 => self.undo(),
            13..=15 => self.get(),
            16..=18 => self.of_key(),
            19..=20 => self.of_all(),
            21 => self.hold(),
            22 => self.stage(),
            23..=26 => self.commit(),
            27 => self.abort(),
            28 => self.flush(),
            _ => self.crash(),
        }
    }

    fn store(&mut self) -> &mut Tested {
        self.store.as_mut().unwrap()
    }

    /// Times near the newest, so that some have just expired.
    fn time(&mut self) -> i64 {
        let around = self.now.observed_ms.max(30);
        (around - 80 + self.random.below(100) as i64).max(0)
    }

    fn row_key(&mut self) -> RowKey {
        let (key, time_ms) = (self.random.key(), self.time());
        let rest = if self.settings.sessions { self.random.below(time_ms as u64 + 1) as i64 } else { 0 };
        (key, time_ms, rest)
    }

    fn put(&mut self) {
        let (mut at, timestamp_ms) = (self.row_key(), self.random.below(1_000) as i64);
        if self.random.below(3) == 0
            && let Some(known) = self.now.rows.keys().nth(self.random.below(20) as usize)
        {
            at = known.clone();
            at.2 = if self.settings.sessions { at.2 } else { 0 };
        }
        let value = (self.random.below(5) > 0).then(|| self.random.value());
        let written = self.store().put(&at, value.clone(), timestamp_ms);
        let Settings { duplicates, retention_ms, .. } = self.settings;
        let model = &mut self.now;
        if duplicates {
            if value.is_none() {
                assert!(written, "{}", self.what);
                return;
            }
            model.sequence += 1;
            at.2 = model.sequence;
        }
        model.observed_ms = model.observed_ms.max(at.1);
        assert_eq!(written, !model.expired(at.1, retention_ms), "put {at:?}: {}", self.what);
        if written {
            match value {
                Some(value) => model.rows.insert(at, (value, timestamp_ms)),
                None => model.rows.remove(&at),
            };
        }
    }

    fn undo(&mut self) {
        let before = self.now.clone();
        self.store().managed().begin_record();
        (0..self.random.below(4)).for_each(|_| self.put());
        if self.random.below(3) > 0 {
            assert!(self.store().managed().undo_record().unwrap(), "B5: {}", self.what);
            self.now = before;
        }
    }

    fn get(&mut self) {
        if self.settings.duplicates {
            return;
        }
        let at = self.row_key();
        let expired = self.now.expired(at.1, self.settings.retention_ms);
        let expected = self.now.rows.get(&at).filter(|_| !expired).cloned();
        let found = self.store().get(&at);
        assert_eq!(found, expected, "get {at:?}: {}", self.what);
    }

    fn visible(&self) -> Rows {
        let visible = |time_ms: i64| !self.now.expired(time_ms, self.settings.retention_ms);
        let rows = self.now.rows.iter().filter(|((_, time_ms, _), _)| visible(*time_ms));
        rows.map(|(at, row)| (at.clone(), row.clone())).collect()
    }

    fn of_key(&mut self) {
        let (key, from_ms, to_ms) = (self.random.key(), self.time(), self.time());
        let sessions = self.settings.sessions;
        let mut expected = self.visible();
        expected.retain(|((of, time_ms, start_ms), _)| {
            *of == key && *time_ms >= from_ms && if sessions { *start_ms <= to_ms } else { *time_ms <= to_ms }
        });
        let rest = |rest: i64| if sessions { rest } else { 0 };
        let mut expected: Vec<_> =
            expected.into_iter().map(|((_, time, start), row)| (time, rest(start), row)).collect();
        for direction in [Direction::Forward, Direction::Backward] {
            let found = self.store().of_key(&key, from_ms, to_ms, direction);
            assert_eq!(found, expected, "{key:?} from {from_ms} to {to_ms}, {direction:?}: {}", self.what);
            expected.reverse();
        }
    }

    fn of_all(&mut self) {
        let (from_ms, to_ms) = (self.time(), self.time());
        let keys = [self.random.key(), self.random.key()].map(Some).map(|key| key.filter(|key| key.len() > 1));
        let Settings { sessions, segment_ms, .. } = self.settings;
        let mut expected = self.visible();
        expected.retain(|((key, time_ms, start_ms), _)| {
            keys[0].as_ref().is_none_or(|smallest| key >= smallest)
                && keys[1].as_ref().is_none_or(|largest| key <= largest)
                && *time_ms >= from_ms
                && if sessions { *start_ms <= to_ms } else { *time_ms <= to_ms }
        });
        // By segment, then by bytes.
        expected.sort_by_key(|((key, time_ms, rest), _)| {
            (time_ms / segment_ms, [key.as_slice(), &time_ms.to_be_bytes(), &rest.to_be_bytes()].concat())
        });
        let rest = |rest: i64| if sessions { rest } else { 0 };
        let mut expected: Rows =
            expected.into_iter().map(|((key, time, start), row)| ((key, time, rest(start)), row)).collect();
        for direction in [Direction::Forward, Direction::Backward] {
            let at_most = self.random.below(20) as usize + 1;
            let range = (keys[0].as_deref(), keys[1].as_deref());
            let found = self.store().of_all(range, from_ms, to_ms, direction, at_most);
            let first = &expected[..at_most.min(expected.len())];
            assert_eq!(found, first, "{keys:?} from {from_ms} to {to_ms}, {direction:?}: {}", self.what);
            expected.reverse();
        }
    }

    fn hold(&mut self) {
        if !self.settings.held {
            return;
        }
        // What is held must be there, expired or not.
        let from_ms = self.now.hold_ms.max(0);
        let mut expected: Vec<RowKey> =
            self.now.rows.keys().filter(|(_, time_ms, _)| *time_ms >= from_ms).cloned().collect();
        if !self.settings.sessions {
            expected.iter_mut().for_each(|at| at.2 = 0);
        }
        let mut found: Vec<RowKey> = self.store().held(from_ms, i64::MAX - 1).into_iter().map(|(at, _)| at).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "held from {from_ms}: {}", self.what);
        let hold_ms = self.time();
        self.now.hold_ms = self.now.hold_ms.max(hold_ms);
        match self.store() {
            Tested::Windows(store) => store.hold(hold_ms),
            Tested::Sessions(store) => store.hold(hold_ms),
        }
    }

    fn stage(&mut self) {
        let pending = &mut self.pending;
        let visit = |change: Change<'_, Vec<u8>>| {
            pending.push((change.key.to_vec(), change.value.cloned(), change.timestamp_ms));
            Ok::<_, StateError>(())
        };
        match self.store.as_mut().unwrap() {
            Tested::Windows(store) => store.stage(visit),
            Tested::Sessions(store) => store.stage(visit),
        }
        .unwrap();
    }

    fn commit(&mut self) {
        self.stage();
        let end = (!self.pending.is_empty()).then_some((self.changelog.len() + self.pending.len()) as i64);
        self.changelog.append(&mut self.pending);
        self.now_ms += 1;
        let now_ms = self.now_ms;
        self.store().managed().committed(end, &[], now_ms).unwrap();
        self.committed = self.now.clone();
        if self.random.below(2) == 0 {
            self.flush();
        }
    }

    fn abort(&mut self) {
        self.store().managed().aborted();
        self.pending.clear();
        self.now = self.committed.clone();
    }

    fn flush(&mut self) {
        let (force, now_ms) = (self.random.below(2) == 0, self.now_ms);
        self.store().managed().flush(now_ms, force).unwrap();
    }

    fn crash(&mut self) {
        if self.random.below(2) == 0 {
            let now_ms = self.now_ms;
            self.store().managed().aborted();
            self.store().managed().flush(now_ms, true).unwrap();
            self.store = None;
            self.expired_has_left();
        }
        self.store = None;
        self.backend = None;
        self.pending.clear();
        self.now = self.committed.clone();
        self.start();
        self.of_all();
    }

    /// Nothing lies before the segment of the first row that has not expired.
    fn expired_has_left(&mut self) {
        let backend = self.backend.as_ref().unwrap();
        let behind = backend.open(&id()).unwrap();
        let model = &self.committed;
        let until_ms = model.observed_ms.saturating_sub(self.settings.retention_ms).saturating_add(1);
        let until_ms = if self.settings.held { until_ms.min(model.hold_ms) } else { until_ms };
        let first_segment = until_ms.max(0) / self.settings.segment_ms;
        for key in contents(&*behind).keys() {
            let segment = i64::from_be_bytes(*key.first_chunk().unwrap());
            assert!(segment >= first_segment, "segment {segment} is before {first_segment}: {}", self.what);
        }
    }

    fn start(&mut self) {
        let backend = (self.place)();
        let behind = backend.open(&id()).unwrap();
        let Settings { retention_ms, segment_ms, held, buffer, duplicates, sessions } = self.settings;
        let mut store = if sessions {
            let options = SessionOptions { buffer, retention_ms, segment_ms, held };
            Tested::Sessions(SessionStore::open(id(), behind, Arc::new(Plain), options).unwrap())
        } else {
            let options = WindowOptions { buffer, retention_ms, segment_ms, held, retain_duplicates: duplicates };
            Tested::Windows(WindowStore::open(id(), behind, Arc::new(Plain), options).unwrap())
        };
        self.restore(store.managed());
        // What the owner keeps beside the offsets.
        let Model { observed_ms, hold_ms, sequence, .. } = self.committed;
        store.managed().resume_from(Reached { observed_ms, sequence });
        match &mut store {
            Tested::Windows(store) => {
                store.hold(hold_ms);
                assert_eq!(store.observed_ms(), observed_ms, "{}", self.what);
            }
            Tested::Sessions(store) => {
                store.hold(hold_ms);
                assert_eq!(store.observed_ms(), observed_ms, "{}", self.what);
            }
        }
        // Counted from the last commit: an abort goes back to it.
        store.managed().committed(None, &[], self.now_ms).unwrap();
        (self.store, self.backend) = (Some(store), Some(backend));
    }

    fn restore(&mut self, store: &mut dyn ManagedStore) {
        let from = store.mark().map_or(0, |mark| mark.changelog_offset) as usize;
        let mut at = from;
        while at < self.changelog.len() {
            let end = (at + self.random.below(30) as usize + 1).min(self.changelog.len());
            let mut batch = self.changelog[at..end]
                .iter()
                .map(|(key, value, timestamp_ms)| (key.as_slice(), value.as_deref(), *timestamp_ms));
            store.restore(&mut batch, end as i64).unwrap();
            at = end;
        }
        store.restored(self.changelog.len() as i64, &[]).unwrap();
    }
}

fn id() -> StoreId {
    StoreId { task: "t-0".into(), store: "w".into() }
}
