//! Prints what state costs a record: `cargo run --release -p kappa-state --example measure`.
//!
//! Figures are CPU time of the working thread unless they say otherwise, so that a busy machine shows less.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kappa_state::{
    BufferOptions, BufferedStore, Codec, CodecError, KeyValueStore, Layer, ManagedStore, Mark, MemoryBackend,
    MemoryBudget, RocksBackend, RocksOptions, StateBackend, StateError, StoreId, TailBound,
};

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

const RECORDS: u64 = 2_000_000;

/// Spreads numbers over the key space, the same in every run.
fn key(number: u64) -> [u8; 8] {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn print(what: &str, spent: Duration, records: u64) {
    println!("{what:<58} {:>8.0} ns", spent.as_nanos() as f64 / records as f64);
}

fn id(store: &str) -> StoreId {
    StoreId { task: "0-0".into(), store: store.into() }
}

fn buffered(behind: Box<dyn KeyValueStore>, cache_bytes: usize) -> Result<BufferedStore<u64>, StateError> {
    let tail_bound = TailBound { records: 100_000, bytes: u64::MAX, age_ms: i64::MAX };
    let options = BufferOptions { tail_bound, cache_bytes, keep_old: false };
    BufferedStore::open(id("buffered"), behind, Arc::new(Number), options)
}

fn hot_updates(keys: u64) -> Result<(), StateError> {
    let mut store = buffered(MemoryBackend::new().open(&id("hot"))?, 64 << 20)?;
    let start = thread_time();
    for number in 0..RECORDS {
        let count = |row: Option<(u64, i64)>| Some((row.map_or(1, |(count, _)| count + 1), number as i64));
        store.update(&key(number % keys), count)?;
    }
    print(&format!("update of {keys} hot keys"), thread_time() - start, RECORDS);
    Ok(())
}

fn unique_keys(backend: &RocksBackend, chunk: u64) -> Result<(), StateError> {
    let mut store = buffered(backend.open(&id(&format!("unique-{chunk}")))?, 10 << 20)?;
    let mut flushing = Duration::ZERO;
    let (start, own, cpu) = (Instant::now(), thread_time(), cpu_time());
    for number in 0..RECORDS {
        store.update(&key(number), |row| Some((row.map_or(1, |(count, _)| count + 1), 0)))?;
        if (number + 1) % chunk == 0 {
            store.stage(|_| Ok::<_, StateError>(()))?;
            store.committed(Some(number as i64 + 1), b"", 0)?;
            let before = thread_time();
            store.flush(0, true)?;
            flushing += thread_time() - before;
        }
    }
    print(&format!("update, stage, commit, flush; unique keys, chunks of {chunk}"), thread_time() - own, RECORDS);
    print("  of it flush", flushing, RECORDS);
    backend.settle()?;
    print("  all with merges to the end: wall", start.elapsed(), RECORDS);
    print("  all with merges to the end: CPU", cpu_time() - cpu, RECORDS);
    Ok(())
}

/// Keys that are all there and seldom in memory: each update reads a row that lies in any of the files.
fn cold_updates(backend: &RocksBackend) -> Result<(), StateError> {
    const CHUNK: u64 = 50_000;
    let mut store = buffered(backend.open(&id("cold"))?, 4 << 20)?;
    for round in 0..2 {
        let (own, cpu) = (thread_time(), cpu_time());
        for number in 0..RECORDS {
            // In another order with each round.
            let at = if round == 0 { number } else { number * 1_000_003 % RECORDS };
            store.update(&key(at), |row| Some((row.map_or(1, |(count, _)| count + 1), 0)))?;
            if (number + 1) % CHUNK == 0 {
                store.stage(|_| Ok::<_, StateError>(()))?;
                store.committed(Some((round * RECORDS + number) as i64 + 1), b"", 0)?;
                store.flush(0, false)?;
            }
        }
        if round == 1 {
            print("update of keys that are there, not in memory", thread_time() - own, RECORDS);
            print("  with merges: CPU", cpu_time() - cpu, RECORDS);
        }
    }
    Ok(())
}

fn apply(backend: &RocksBackend, chunk: u64) -> Result<(), StateError> {
    let mut store = backend.open(&id(&format!("apply-{chunk}")))?;
    let mut applying = Duration::ZERO;
    let mut cpu = Duration::ZERO;
    let mut own = Duration::ZERO;
    let start = Instant::now();
    for first in (0..RECORDS).step_by(chunk as usize) {
        let mut entries: Vec<_> = (first..first + chunk).map(|number| (key(number), Some([7_u8; 16]))).collect();
        entries.sort();
        let before = (Instant::now(), cpu_time(), thread_time());
        store.apply(&Layer::of(&entries), &Mark { changelog_offset: first as i64, operator_time: vec![] })?;
        applying += before.0.elapsed();
        cpu += cpu_time() - before.1;
        own += thread_time() - before.2;
    }
    print(&format!("apply, chunks of {chunk}: wall"), applying, RECORDS);
    print("  CPU of the applying thread", own, RECORDS);
    let before = cpu_time();
    backend.settle()?;
    print("  CPU in apply and merges", cpu + (cpu_time() - before), RECORDS);
    println!("  settled after {:?}, {} bytes", start.elapsed(), store.size_bytes());
    gets(&*store)
}

fn gets(store: &dyn KeyValueStore) -> Result<(), StateError> {
    let mut row = Vec::new();
    for (what, offset, expected) in [("get hit", 0, true), ("get miss", RECORDS, false)] {
        // Twice: the first round fills the cache.
        for round in 0..2 {
            let start = thread_time();
            for number in 0..RECORDS / 4 {
                row.clear();
                let found = store.get(&key(offset + number * 7 % RECORDS), &mut row)?;
                assert_eq!(found, expected);
            }
            if round == 1 {
                print(&format!("  {what}"), thread_time() - start, RECORDS / 4);
            }
        }
    }
    Ok(())
}

fn tiny(backend: &RocksBackend, entries: u64) -> Result<(), StateError> {
    let mut store = backend.open(&id(&format!("tiny-{entries}")))?;
    let start = Instant::now();
    for round in 0..100 {
        let mut entries: Vec<_> = (0..entries).map(|n| (key(n + round * 7), Some([7_u8; 16]))).collect();
        entries.sort();
        store.apply(&Layer::of(&entries), &Mark { changelog_offset: round as i64, operator_time: vec![] })?;
    }
    print(&format!("apply of {entries} entries, a layer"), start.elapsed(), 100);
    Ok(())
}

/// Time this thread has had a processor.
fn thread_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0))
}

/// User and system time of the process so far.
fn cpu_time() -> Duration {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return Duration::ZERO };
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    // A tick is 10 ms on Linux.
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let backend = RocksBackend::open(&RocksOptions {
        path: dir.path().to_owned(),
        application_id: "measure-v1".into(),
        topology_fingerprint: "0".into(),
        memory: MemoryBudget::new(256 << 20),
    })?;
    // Which part; all without an argument.
    let part = std::env::args().nth(1);
    let wanted = |name| part.as_deref().is_none_or(|part| part == name);
    if wanted("hot") {
        [100, 10_000, 100_000].into_iter().try_for_each(hot_updates)?;
    }
    if wanted("unique") {
        [20_000, 100_000].into_iter().try_for_each(|chunk| unique_keys(&backend, chunk))?;
    }
    if wanted("cold") {
        cold_updates(&backend)?;
    }
    if wanted("apply") {
        [20_000, 100_000].into_iter().try_for_each(|chunk| apply(&backend, chunk))?;
    }
    if wanted("tiny") {
        [1, 100].into_iter().try_for_each(|entries| tiny(&backend, entries))?;
    }
    Ok(())
}
