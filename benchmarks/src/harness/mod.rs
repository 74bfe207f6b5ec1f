//! The bench: kappa, Kafka Streams and the bare client in turns, on one broker and the same records.
//!
//! Every run is a process of its own, with an application id, an output topic and a state directory of its own.
//! Where it has an output to compare, that is digested and must equal what plain loops over the generated events
//! give, else the cell fails. Afterwards topics, group and state are removed. A cell that fails is named, and the
//! bench goes on.

mod cell;
mod charts;
mod child;
mod figures;
mod floor;
mod growth;
mod input;
mod kafka_streams;
mod latency;
mod machine;
mod memory;
mod recovery;
mod render;
mod replay;
mod restore;
mod results;
mod row;
mod system;
mod table;
mod targets;
mod throughput;

pub use cell::{Cell, QueryCell};
pub use figures::Spread;
pub use machine::Machine;
pub use render::write_results;
pub use results::Results;
pub use row::{Length, Outcome, Point, Row};
pub use system::System;
pub use table::Table;

use crate::cluster::{Cluster, ClusterError};
use crate::loader::LoadError;
use crate::reading::ReadError;
use input::Inputs;
use kafka_streams::KafkaStreams;
use kappa_core::codec::CodecError;
use std::path::PathBuf;
use std::time::Duration;

/// What to measure, and how.
#[derive(Debug, Clone)]
pub struct Bench {
    /// Where the cluster is.
    pub brokers: String,
    /// What to measure.
    pub cells: Vec<Cell>,
    /// Runs of each system in each cell.
    pub runs: usize,
    /// Events generated for each length of input, ascending; 46 of 50 are bids.
    pub lengths: Vec<u64>,
    /// The generator's seed.
    pub seed: u64,
    /// Partitions of the input, and of everything else.
    pub partitions: i32,
    /// Transactions last so long.
    pub commit_ms: u64,
    /// Cache in front of the stores, whole application.
    pub cache_mb: u64,
    /// How long the live cells take, and how much the growing ones.
    pub durations: Durations,
    /// A run that takes longer is killed and fails its cell.
    pub deadline: Duration,
    /// State directories and logs of the runs go below this.
    pub scratch: PathBuf,
    /// The Kafka Streams peer's sources.
    pub peer_dir: PathBuf,
    /// Results are added to this file after each cell.
    pub results: PathBuf,
}

/// How long the live cells take, and how much the growing ones.
#[derive(Debug, Clone, Copy)]
pub struct Durations {
    /// Before latencies count.
    pub warm_up: Duration,
    /// While they count.
    pub latency: Duration,
    /// Live before a process is killed or restarted, and after.
    pub before_kill: Duration,
    /// The most keys.
    pub keys_max: u64,
    /// Records of a point of growth.
    pub growth_records: u64,
}

impl Durations {
    /// For figures to keep.
    pub fn full() -> Self {
        Self {
            warm_up: Duration::from_secs(15),
            latency: Duration::from_secs(30),
            before_kill: Duration::from_secs(10),
            keys_max: 10_000_000,
            growth_records: 1_000_000,
        }
    }

    /// For a look.
    pub fn quick() -> Self {
        Self {
            warm_up: Duration::from_secs(3),
            latency: Duration::from_secs(5),
            before_kill: Duration::from_secs(3),
            keys_max: 1_000_000,
            growth_records: 200_000,
        }
    }
}

impl Bench {
    /// What figures depend on, in words.
    fn settings(&self) -> String {
        format!(
            "{} partitions, exactly-once, commit each {} ms, cache {} MiB, one stream thread, lz4, {} events",
            self.partitions,
            self.commit_ms,
            self.cache_mb,
            self.lengths.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ")
        )
    }
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

/// What all cells need.
#[derive(Debug)]
struct Context<'a> {
    bench: &'a Bench,
    cluster: &'a Cluster,
    /// `None` where there is no Java.
    peer: Option<KafkaStreams>,
}

impl Context<'_> {
    /// What takes turns in the query cells.
    fn systems(&self) -> Vec<System> {
        let mut systems = self.applications();
        systems.push(System::Pipe);
        systems
    }

    /// kappa, and Kafka Streams where it is.
    fn applications(&self) -> Vec<System> {
        let streams = self.peer.as_ref().map(|_| System::KafkaStreams);
        [System::Kappa].into_iter().chain(streams).collect()
    }
}

/// What a bench found.
#[derive(Debug)]
pub struct Sitting {
    /// One for each cell and system, in the order of the cells.
    pub rows: Vec<Row>,
    /// Cells of which nothing is known, and why.
    pub failures: Vec<String>,
}

impl Sitting {
    /// Whether every run of every cell counts.
    pub fn is_sound(&self) -> bool {
        self.failures.is_empty() && self.rows.iter().all(|row| row.failures.is_empty())
    }
}

/// Measures, and adds each cell to the results when it is done.
pub fn bench(bench: &Bench) -> Result<Sitting, BenchError> {
    let cluster = Cluster::connect(&bench.brokers)?;
    let peer = KafkaStreams::find(&bench.peer_dir);
    if let Err(why) = &peer {
        eprintln!("KAFKA STREAMS IS NOT MEASURED: {why}");
    }
    let context = Context { bench, cluster: &cluster, peer: peer.ok() };
    let java = context.peer.as_ref().map(KafkaStreams::java);
    let mut inputs = Inputs::default();
    let mut sitting = Sitting { rows: Vec::new(), failures: Vec::new() };
    for &cell in &bench.cells {
        let found = measure(&context, &mut inputs, cell);
        match found {
            Ok(rows) => {
                let mut results = Results::new(bench.settings(), java.clone());
                results.rows.clone_from(&rows);
                match Results::read(&bench.results)? {
                    Some(older) => older.merged(results),
                    None => results,
                }
                .write(&bench.results)?;
                sitting.rows.extend(rows);
            }
            Err(error) => {
                eprintln!("{cell}: FAILED: {error}");
                sitting.failures.push(format!("{cell}: {error}"));
            }
        }
    }
    Ok(sitting)
}

fn measure(context: &Context<'_>, inputs: &mut Inputs, cell: Cell) -> Result<Vec<Row>, BenchError> {
    match cell {
        Cell::Query(cell) => throughput::measure(context, inputs, cell),
        Cell::Restore => restore::measure(context, inputs),
        Cell::Replay => replay::measure(context, inputs),
        Cell::Latency => latency::measure(context),
        Cell::Recovery => recovery::measure(context),
        Cell::Memory => memory::measure(context, inputs),
        Cell::Growth => growth::measure(context, inputs),
    }
}
