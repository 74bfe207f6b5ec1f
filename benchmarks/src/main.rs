//! The bench's commands: `kappa-benchmarks --help` lists them.

use clap::{Parser, Subcommand};
use kappa_benchmarks::cluster::Cluster;
use kappa_benchmarks::digest::Mode;
use kappa_benchmarks::expected::Query;
use kappa_benchmarks::harness::{self, Bench, Cell, Durations, Results, Table};
use kappa_benchmarks::nexmark::{Format, Kind};
use kappa_benchmarks::run::{self, Run};
use kappa_benchmarks::{loader, pieces, pipe, reading};
use serde_json::json;
use std::error::Error;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// As the README advises for applications: it is linked in place of `malloc`, so librdkafka and RocksDB use it as well.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Parser)]
#[command(about = "Nexmark on kappa, on Kafka Streams and on the bare client")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replaces the input topics of a format.
    Load(LoadArguments),
    /// Digests what a read_committed reader sees of a topic.
    Digest(DigestArguments),
    /// Runs a query on kappa.
    Run(RunArguments),
    /// Starts a query on kappa that has run before, and says what it cost until it ran again.
    Restore(RunArguments),
    /// Measures a part of a query by itself.
    Piece(PieceArguments),
    /// Measures kappa, Kafka Streams and the bare client in turns.
    Bench(BenchArguments),
    /// Passes bids from topic to topic in transactions, by the bare client.
    Pipe(PipeArguments),
}

#[derive(Debug, clap::Args)]
struct Target {
    /// Where the cluster is.
    #[arg(long, env = "KAPPA_BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
}

#[derive(Debug, clap::Args)]
struct LoadArguments {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value = "json")]
    format: Format,
    /// Events of all kinds; 46 of 50 are bids.
    #[arg(long)]
    events: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Load the bids alone.
    #[arg(long)]
    bids_only: bool,
}

#[derive(Debug, clap::Args)]
struct DigestArguments {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value = "table")]
    mode: Mode,
}

#[derive(Debug, clap::Args)]
struct PipeArguments {
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value = "json")]
    format: Format,
    /// The topic with the bids; that of `load` unless named.
    #[arg(long)]
    input: Option<String>,
    #[arg(long)]
    app_id: String,
    /// Made if it is not there; `APP_ID-out` unless named.
    #[arg(long)]
    output: Option<String>,
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    #[command(flatten)]
    target: Target,
    #[arg(long)]
    query: Query,
    #[arg(long, default_value = "json")]
    format: Format,
    /// The topics with what the query reads, of persons, auctions and bids in this order; those of `load` unless named.
    #[arg(long, value_delimiter = ',')]
    input: Vec<String>,
    #[arg(long)]
    app_id: String,
    /// Made if it is not there; `APP_ID-out` unless named.
    #[arg(long)]
    output: Option<String>,
    /// Where state lives; in memory unless named.
    #[arg(long)]
    state_dir: Option<PathBuf>,
    #[arg(long, default_value_t = 100)]
    commit_ms: i64,
    /// How long transactions last while the version is not live and has not caught up. 0: as ever, which is what a live
    /// version costs.
    #[arg(long, default_value_t = 0)]
    replay_commit_ms: i64,
    #[arg(long, default_value_t = 64)]
    cache_mb: usize,
    /// RocksDB's memory.
    #[arg(long, default_value_t = 256)]
    memory_mb: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Stores that share the auctions, in one task; for count-local on JSON.
    #[arg(long, default_value_t = 1)]
    stores: usize,
    /// A static seat in the group.
    #[arg(long)]
    instance_id: Option<String>,
    /// Stop when all input has been processed, and print what it cost.
    #[arg(long)]
    stop_at_end: bool,
}

#[derive(Debug, clap::Args)]
struct PieceArguments {
    piece: pieces::Piece,
    #[command(flatten)]
    target: Target,
    #[arg(long, default_value = "json")]
    format: Format,
    /// The topics, as for `run`.
    #[arg(long, value_delimiter = ',')]
    input: Vec<String>,
    /// Whose keys the state has.
    #[arg(long)]
    query: Query,
    #[arg(long)]
    state_dir: PathBuf,
    #[arg(long, default_value_t = 64)]
    cache_mb: usize,
}

#[derive(Debug, clap::Args)]
struct BenchArguments {
    #[command(flatten)]
    target: Target,
    /// What to measure: a query (q0, q2, count-local, count, count-unique, q3, q4, q5, q7, q8) and a format (json, bin) as in
    /// `count-local-json`, or restore, replay, latency, recovery, memory, growth.
    cells: Vec<Cell>,
    /// Runs of each system in each cell [default: 5, with --quick 1].
    #[arg(long)]
    runs: Option<usize>,
    /// Lengths of the input: events generated, 46 of 50 are bids [default: 2000000,6000000, with --quick
    /// 250000,750000]. Between the first and the last lies the marginal cost.
    #[arg(long, value_delimiter = ',')]
    events: Vec<u64>,
    /// A look in a few minutes: fewer cells, one short run each. No figures to compare with.
    #[arg(long)]
    quick: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
    #[arg(long, default_value_t = 64)]
    cache_mb: u64,
    /// A run that takes longer is killed and fails its cell.
    #[arg(long, default_value_t = 300)]
    deadline_s: u64,
    /// Print one JSON object a cell and system instead of the table.
    #[arg(long)]
    json: bool,
    /// Write RESULTS.md and charts from all results there are; without cells nothing is measured first.
    #[arg(long)]
    write_results: bool,
    /// The file that results are added to [default: results/results.json beside the benchmarks' sources].
    #[arg(long)]
    results: Option<PathBuf>,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    match Arguments::parse().command {
        Command::Load(arguments) => load(&arguments)?,
        Command::Digest(arguments) => digest(&arguments)?,
        Command::Pipe(arguments) => run_pipe(&arguments)?,
        Command::Run(arguments) => run_query(arguments, false)?,
        Command::Restore(arguments) => run_query(arguments, true)?,
        Command::Piece(arguments) => run_piece(arguments)?,
        Command::Bench(arguments) => return bench(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn load(arguments: &LoadArguments) -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::connect(&arguments.target.brokers)?;
    let kinds = if arguments.bids_only { vec![Kind::Bid] } else { loader::ALL_KINDS.to_vec() };
    let &LoadArguments { format, events, seed, partitions, .. } = arguments;
    let topics = kinds.into_iter().map(|kind| (kind, format.topic(kind))).collect();
    let loaded = loader::load(&cluster, &loader::Load { format, events, seed, partitions, topics })?;
    println!("{}", serde_json::to_string(&loaded)?);
    Ok(())
}

fn digest(arguments: &DigestArguments) -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::connect(&arguments.target.brokers)?;
    let digester = reading::digest(&cluster, &arguments.topic, arguments.mode)?;
    let (records, digest) = (digester.records(), digester.finish());
    let topic = &arguments.topic;
    println!("{}", json!({"topic": topic, "records": records, "count": digest.count(), "digest": digest.to_string()}));
    Ok(())
}

fn run_pipe(arguments: &PipeArguments) -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::connect(&arguments.target.brokers)?;
    let input = arguments.input.clone().unwrap_or_else(|| arguments.format.topic(Kind::Bid));
    let first = input.split(',').next().unwrap_or_default();
    let output = output_topic(&cluster, arguments.output.as_deref(), &arguments.app_id, first)?;
    let commit_interval = Duration::from_millis(arguments.commit_ms);
    let inputs: Vec<&str> = input.split(',').collect();
    let pipe = pipe::Pipe { inputs: &inputs, output: &output, id: &arguments.app_id, commit_interval };
    let cost = pipe::run(&cluster, &pipe)?;
    println!("{}", serde_json::to_string(&cost)?);
    Ok(())
}

fn run_piece(arguments: PieceArguments) -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::connect(&arguments.target.brokers)?;
    let PieceArguments { piece, format, input: inputs, query, state_dir, cache_mb, .. } = arguments;
    let cache_bytes = cache_mb * 1024 * 1024;
    let measurement = pieces::Measurement { piece, inputs, format, query, state_dir, cache_bytes };
    println!("{}", serde_json::to_string(&pieces::run(&cluster, &measurement)?)?);
    Ok(())
}

fn run_query(arguments: RunArguments, restore: bool) -> Result<(), Box<dyn Error>> {
    // Messages go to standard error: standard output is for the result.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .init();
    let cluster = Cluster::connect(&arguments.target.brokers)?;
    let mut inputs = arguments.input;
    if inputs.is_empty() {
        inputs.extend(arguments.query.inputs().iter().map(|kind| arguments.format.topic(*kind)));
    }
    let output = output_topic(
        &cluster,
        arguments.output.as_deref(),
        &arguments.app_id,
        inputs.first().map_or("", String::as_str),
    )?;
    let run = Run {
        inputs,
        query: arguments.query,
        format: arguments.format,
        app_id: arguments.app_id,
        output,
        commit_ms: arguments.commit_ms,
        replay_commit_ms: arguments.replay_commit_ms,
        cache_bytes: arguments.cache_mb * 1024 * 1024,
        memory_bytes: arguments.memory_mb * 1024 * 1024,
        threads: arguments.threads,
        stores: arguments.stores,
        instance_id: arguments.instance_id,
        state_dir: arguments.state_dir,
        stop_at_end: arguments.stop_at_end,
    };
    let cost = if restore { Some(run::restore(&cluster, &run)?) } else { run::run(&cluster, &run)? };
    if let Some(cost) = cost {
        println!("{}", serde_json::to_string(&cost)?);
    }
    Ok(())
}

/// The topic named, or one by the application's id, with the input's number of partitions; made if it is not there.
fn output_topic(cluster: &Cluster, named: Option<&str>, id: &str, input: &str) -> Result<String, Box<dyn Error>> {
    let output = named.map_or_else(|| format!("{id}-out"), str::to_owned);
    if cluster.partitions(&output)?.is_none() {
        cluster.create(&output, cluster.extents(input)?.len() as i32)?;
    }
    Ok(output)
}

fn bench(arguments: BenchArguments) -> Result<ExitCode, Box<dyn Error>> {
    let (as_json, write_results) = (arguments.json, arguments.write_results);
    let only_write = write_results && arguments.cells.is_empty();
    let bench = plan(arguments);
    if only_write {
        return write(&bench.results).map(|()| ExitCode::SUCCESS);
    }
    let sitting = harness::bench(&bench)?;
    if as_json {
        sitting.rows.iter().for_each(|row| println!("{}", row.line()));
    } else {
        println!("{}", Table(&sitting.rows));
    }
    if write_results {
        write(&bench.results)?;
    }
    sitting.failures.iter().for_each(|failure| eprintln!("FAILED: {failure}"));
    eprintln!("every run, of earlier sittings too: {}", bench.results.display());
    Ok(if sitting.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Renders what has been measured, in this sitting and before.
fn write(results: &Path) -> Result<(), Box<dyn Error>> {
    let found = Results::read(results)?.ok_or_else(|| format!("{} is not there: measure first", results.display()))?;
    harness::write_results(&found, benchmarks_dir())?;
    eprintln!("written: {}", benchmarks_dir().join("RESULTS.md").display());
    Ok(())
}

fn plan(arguments: BenchArguments) -> Bench {
    let (runs, lengths, cells, results) = if arguments.quick {
        (1, vec![250_000, 750_000], Cell::quick(), "quick.json")
    } else {
        (5, vec![2_000_000, 6_000_000], Cell::usual(), "results.json")
    };
    let mut lengths = if arguments.events.is_empty() { lengths } else { arguments.events };
    lengths.sort_unstable();
    lengths.dedup();
    Bench {
        brokers: arguments.target.brokers,
        cells: if arguments.cells.is_empty() { cells } else { arguments.cells },
        runs: arguments.runs.unwrap_or(runs),
        lengths,
        seed: arguments.seed,
        partitions: arguments.partitions,
        commit_ms: arguments.commit_ms,
        cache_mb: arguments.cache_mb,
        durations: if arguments.quick { Durations::quick() } else { Durations::full() },
        deadline: Duration::from_secs(arguments.deadline_s),
        scratch: std::env::temp_dir().join("kappa-bench"),
        peer_dir: benchmarks_dir().join("kafka-streams"),
        results: arguments.results.unwrap_or_else(|| benchmarks_dir().join("results").join(results)),
    }
}

/// Where the peer's sources are and the results go: this crate's directory, as it was when built.
fn benchmarks_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
