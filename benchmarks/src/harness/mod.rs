//! The bench: kappa, Kafka Streams and the bare client in turns, on one broker and the same records.
//!
//! A cell is a query in a format. Every run of a cell is a process of its own, with an application id, an output
//! topic and a state directory of its own; the output is digested and must equal what plain loops over the
//! generated events give, else the cell fails. Afterwards topics, group and state are removed.

mod cell;
mod child;
mod kafka_streams;
mod machine;
mod report;
mod system;

pub use cell::Cell;
pub use report::{Report, Summary};
pub use system::System;

use crate::cluster::{Cluster, ClusterError};
use crate::digest::Digest;
use crate::expected::Query;
use crate::loader::{self, Load, LoadError};
use crate::nexmark::{Format, Kind};
use crate::reading::{self, ReadError};
use crate::stats::Cost;
use kafka_streams::KafkaStreams;
use kappa_core::codec::CodecError;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use system::Run;

/// What to measure, and how.
#[derive(Debug, Clone)]
pub struct Bench {
    /// Where the cluster is.
    pub brokers: String,
    /// What to measure.
    pub cells: Vec<Cell>,
    /// Runs of each system in each cell.
    pub runs: usize,
    /// Events generated; 46 of 50 are bids.
    pub events: u64,
    /// The generator's seed.
    pub seed: u64,
    /// Partitions of the input, and of everything else.
    pub partitions: i32,
    /// Transactions last so long.
    pub commit_ms: u64,
    /// Cache in front of the stores, whole application.
    pub cache_mb: u64,
    /// A run that takes longer is killed and fails its cell.
    pub deadline: Duration,
    /// State directories and logs of the runs go below this.
    pub scratch: PathBuf,
    /// The Kafka Streams peer's sources.
    pub peer_dir: PathBuf,
}

/// Why there are no figures at all.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The input could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A topic could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The expected results could not be worked out.
    #[error("expected results: {0}")]
    Codec(#[from] CodecError),
    /// Files.
    #[error("{path}: {source}", path = .path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// One run: what it cost and what it put out, or why it failed.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    /// What it cost; `None` when it failed.
    pub cost: Option<Cost>,
    /// The digest of its output.
    pub digest: Option<String>,
    /// Why the run does not count.
    pub failure: Option<String>,
    /// The machine's load average (1 minute) when the run began.
    pub load_average: Option<f64>,
}

/// Measures.
pub fn bench(bench: &Bench) -> Result<Report, BenchError> {
    let cluster = Cluster::connect(&bench.brokers)?;
    let peer = match KafkaStreams::find(&bench.peer_dir) {
        Ok(peer) => Some(peer),
        Err(why) => {
            eprintln!("KAFKA STREAMS IS NOT MEASURED: {why}");
            None
        }
    };
    let expected = prepare(bench, &cluster)?;
    let mut systems = vec![System::Kappa, System::KafkaStreams, System::Pipe];
    systems.retain(|system| *system != System::KafkaStreams || peer.is_some());
    let mut report = Report::new(bench, peer.as_ref().map(KafkaStreams::java));
    for &cell in &bench.cells {
        let mut outcomes: BTreeMap<System, Vec<Outcome>> = BTreeMap::new();
        for round in 1..=bench.runs {
            for &system in &systems {
                let outcome = measure(bench, &cluster, peer.as_ref(), cell, system, &expected);
                progress(cell, system, round, &outcome);
                outcomes.entry(system).or_default().push(outcome);
            }
        }
        report.add(cell, outcomes);
    }
    Ok(report)
}

type Expected = BTreeMap<(Query, Format), Digest>;

/// Works out what must come out, and loads what goes in unless it is there already.
fn prepare(bench: &Bench, cluster: &Cluster) -> Result<Expected, BenchError> {
    let mut expected = Expected::new();
    for cell in &bench.cells {
        // The pipe passes the bids on as q0 does.
        for query in [cell.query, Query::Q0] {
            if let Entry::Vacant(entry) = expected.entry((query, cell.format)) {
                entry.insert(query.expected(cell.format, bench.seed, bench.events)?);
            }
        }
    }
    let inputs = expected.iter().filter(|((query, _), _)| *query == Query::Q0);
    for (&(_, format), bids) in inputs {
        let topic = format.topic(Kind::Bid);
        if is_loaded(bench, cluster, &topic, bids)? {
            eprintln!("{topic}: {} bids are there already", bids.count());
            continue;
        }
        let &Bench { events, seed, partitions, .. } = bench;
        let load = Load { format, events, seed, partitions, kinds: vec![Kind::Bid] };
        let loaded = loader::load(cluster, &load)?;
        eprintln!("{topic}: loaded {} bids in {:.1} s", loaded.records, loaded.wall_s);
    }
    Ok(expected)
}

fn is_loaded(bench: &Bench, cluster: &Cluster, topic: &str, bids: &Digest) -> Result<bool, BenchError> {
    if cluster.partitions(topic)? != Some(bench.partitions as usize) {
        return Ok(false);
    }
    let records: i64 = cluster.extents(topic)?.iter().map(|extent| extent.end - extent.start).sum();
    if records != bids.count() as i64 {
        return Ok(false);
    }
    Ok(reading::digest(cluster, topic, Query::Q0.mode())?.finish() == *bids)
}

/// One run from its output topic's creation to the removal of all it left.
fn measure(
    bench: &Bench,
    cluster: &Cluster,
    peer: Option<&KafkaStreams>,
    cell: Cell,
    system: System,
    expected: &Expected,
) -> Outcome {
    let load_average = machine::load_average();
    let id = format!("bench-{system}-{cell}-{}", unique());
    let run = Run { bench, cell, system, id: &id, peer };
    let query = if system == System::Pipe { Query::Q0 } else { cell.query };
    let result = (|| {
        cluster.create(&run.output(), bench.partitions).map_err(|error| error.to_string())?;
        let cost = run.execute()?;
        let digest = reading::digest(cluster, &run.output(), query.mode()).map_err(|error| error.to_string())?.finish();
        Ok::<_, String>((cost, digest))
    })();
    let cleaned = run.clean(cluster);
    let mut outcome = match result {
        Ok((cost, digest)) => {
            let wanted = expected.get(&(query, cell.format));
            let failure = (wanted != Some(&digest)).then(|| {
                let wanted = wanted.map_or_else(String::new, Digest::to_string);
                format!("wrong output: digest {digest} of {} records, expected {wanted}", digest.count())
            });
            Outcome { cost: Some(cost), digest: Some(digest.to_string()), failure, load_average }
        }
        Err(why) => Outcome { cost: None, digest: None, failure: Some(why), load_average },
    };
    if let Err(error) = cleaned {
        eprintln!("{id} left something behind: {error}");
        outcome.failure.get_or_insert(format!("could not clean up: {error}"));
    }
    outcome
}

fn progress(cell: Cell, system: System, round: usize, outcome: &Outcome) {
    match (&outcome.failure, &outcome.cost) {
        (Some(why), _) => eprintln!("{cell:<18} {system:<14} run {round}: FAILED: {why}"),
        (None, Some(cost)) => {
            eprintln!("{cell:<18} {system:<14} run {round}: {:.2} CPU-s/M in {:.1} s", cost.cpu_s_per_m(), cost.wall_s);
        }
        (None, None) => {}
    }
}

/// Different for each run, also of benches one after the other.
fn unique() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis()
}
