//! The five workloads.

use super::measured;
use crate::nexmark::{Bid, BinCodec, BinEvent, Generator};
use kappa_core::codec::{Codec, i64_be, json};
use kappa_core::log::{Headers, RecordView, TopicHandle};
use kappa_core::task::{CallPool, Globals, Output, OutputTopic, Program, SourceRecord, TaskProcessor, TaskScope};
use kappa_core::topology::{Topology, TopologyBuilder};
use kappa_state::{MemoryBackend, MemoryBudget, RocksBackend, RocksOptions, StateBackend, TailBound};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

/// Records between two commits: what a stream thread does in about 20 ms.
const COMMIT_RECORDS: usize = 20_000;
/// Output bytes after which a stream thread sends.
const SEND_BYTES: usize = 1 << 20;
const CACHE_BYTES: usize = 10 << 20;
const SEED: u64 = 1;

type Outcome = Result<(), Box<dyn Error>>;

/// One workload.
#[derive(Debug)]
pub struct Workload {
    /// Its name, in the baseline and on the command line.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Records it processes.
    pub records: usize,
    run: fn(usize, &Path) -> Outcome,
}

/// All of them.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "pass-bin",
        about: "bids in the plain encoding, checked and passed on",
        records: 100_000,
        run: pass_bin,
    },
    Workload {
        name: "filter-json",
        about: "bids in JSON, decoded, one auction in 123 kept",
        records: 50_000,
        run: filter_json,
    },
    Workload { name: "count-hot", about: "bids counted by auction, state in memory", records: 200_000, run: count_hot },
    Workload {
        name: "count-new",
        about: "every record a key never seen; layers go to RocksDB",
        records: 200_000,
        run: count_new,
    },
    Workload {
        name: "restore",
        about: "a changelog of distinct keys put into RocksDB",
        records: 200_000,
        run: restore,
    },
];

impl Workload {
    /// Runs it; `scratch` is a directory that may be written to.
    pub fn run(&self, scratch: &Path) -> Outcome {
        (self.run)(self.records, scratch)
    }
}

type Bytes = (Vec<u8>, Vec<u8>, i64);

fn bids(records: usize, encode: impl Fn(&Bid, &mut Vec<u8>)) -> Vec<Bytes> {
    let bid = |bid: Bid| {
        let mut value = Vec::new();
        encode(&bid, &mut value);
        (bid.auction.to_be_bytes().to_vec(), value, bid.date_time)
    };
    // 46 of 50 events are bids.
    Generator::new(SEED).bids((records as u64 * 50).div_ceil(46) + 50).take(records).map(bid).collect()
}

fn bin(bid: &Bid, out: &mut Vec<u8>) {
    bid.write(out).expect("the generator's strings are short");
}

/// Spreads numbers over the key space, the same in every run.
fn key(number: usize) -> [u8; 8] {
    (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()
}

fn topology(build: impl FnOnce(&mut TopologyBuilder)) -> Result<Topology, Box<dyn Error>> {
    let mut app = Topology::builder();
    build(&mut app);
    Ok(app.build()?)
}

fn pass_bin(records: usize, _: &Path) -> Outcome {
    let topology = topology(|app| app.stream::<i64, Bid>("in", i64_be(), BinCodec).to("out"))?;
    run(&topology, &MemoryBackend::new(), &bids(records, bin))
}

fn filter_json(records: usize, _: &Path) -> Outcome {
    let topology = topology(|app| {
        app.stream("in", i64_be(), json::<Bid>()).filter(|_, bid| bid.auction % 123 == 0).to("out");
    })?;
    let encode = |bid: &Bid, out: &mut Vec<u8>| json::<Bid>().encode(bid, out).expect("bids are plain");
    run(&topology, &MemoryBackend::new(), &bids(records, encode))
}

fn count_hot(records: usize, _: &Path) -> Outcome {
    let topology = topology(|app| {
        let bids = app.stream::<i64, Bid>("in", i64_be(), BinCodec);
        bids.group_by_key().count("counts").to("out");
    })?;
    run(&topology, &MemoryBackend::new(), &bids(records, bin))
}

fn count_new(records: usize, scratch: &Path) -> Outcome {
    let input: Vec<Bytes> = (0..records).map(|number| (key(number).to_vec(), vec![0; 8], number as i64)).collect();
    run(&counts()?, &rocks(scratch)?, &input)
}

fn counts() -> Result<Topology, Box<dyn Error>> {
    topology(|app| app.stream("in", i64_be(), i64_be()).group_by_key().count("counts").to("out"))
}

fn rocks(scratch: &Path) -> Result<RocksBackend, Box<dyn Error>> {
    Ok(RocksBackend::open(&RocksOptions {
        path: scratch.to_owned(),
        application_id: "guard-v1".into(),
        topology_fingerprint: "0".into(),
        memory: MemoryBudget::new(256 << 20),
    })?)
}

fn task(topology: &Topology, state: &dyn StateBackend) -> Result<Box<dyn TaskProcessor>, Box<dyn Error>> {
    let tail_bound = TailBound { age_ms: i64::MAX, ..TailBound::default() };
    let calls = Arc::new(CallPool);
    let scope = TaskScope {
        name: "0-0",
        partition: 0,
        state,
        tail_bound,
        cache_bytes_per_store: CACHE_BYTES,
        calls,
        globals: Globals::default(),
        undo_records: false,
    };
    Ok(Program::instantiate(topology, 0, &scope)?)
}

fn run(topology: &Topology, state: &dyn StateBackend, input: &[Bytes]) -> Outcome {
    let mut task = task(topology, state)?;
    let outputs = topology.plan().sub_topologies[0].outputs.len();
    let topics = (0..outputs).map(|at| OutputTopic { handle: TopicHandle(at as u32), partitions: 4 }).collect();
    let mut out = Output::new(topics, 0);
    let mut outcome = Ok(());
    measured(&mut || outcome = process(&mut *task, &mut out, input));
    outcome
}

fn process(task: &mut dyn TaskProcessor, out: &mut Output, input: &[Bytes]) -> Outcome {
    for (offset, (key, value, timestamp_ms)) in input.iter().enumerate() {
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        let view = RecordView { offset: offset as i64, timestamp_ms: *timestamp_ms, key, value };
        task.process(0, &SourceRecord { view, headers: Headers::empty() }, out)?;
        if out.batch.bytes.len() >= SEND_BYTES {
            out.batch.clear();
        }
        if (offset + 1) % COMMIT_RECORDS == 0 || offset + 1 == input.len() {
            task.flush(out)?;
            out.batch.clear();
            for index in 0..task.store_count() {
                task.store(index).committed(Some(offset as i64 + 1), b"time", 0)?;
                task.store(index).flush(0, false)?;
            }
        }
    }
    Ok(())
}

fn restore(records: usize, scratch: &Path) -> Outcome {
    let backend = rocks(scratch)?;
    let mut task = task(&counts()?, &backend)?;
    let changelog: Vec<([u8; 8], [u8; 8])> = (0..records).map(|number| (key(number), 1_i64.to_be_bytes())).collect();
    let mut outcome = Ok(());
    measured(&mut || {
        outcome = (|| {
            let store = task.store(0);
            for (at, batch) in changelog.chunks(10_000).enumerate() {
                let next_offset = (at * 10_000 + batch.len()) as i64;
                let mut entries = batch.iter().map(|(key, value)| (key.as_slice(), Some(value.as_slice()), 0));
                store.restore(&mut entries, next_offset)?;
            }
            Ok(store.restored(changelog.len() as i64, b"time")?)
        })();
    });
    outcome
}
