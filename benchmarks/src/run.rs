//! One run of a query on kappa: from start over running and drained to stopped, with what it cost.

use crate::cluster::{Cluster, ClusterError};
use crate::drain::Drain;
use crate::expected::Query;
use crate::nexmark::Format;
use crate::queries;
use crate::stats::{self, Cost, Mark};
use kappa_core::app::{App, NameError, Version};
use kappa_core::log::LogError;
use kappa_core::log::kafka::{KafkaLog, KafkaSettings};
use kappa_core::runtime::{RunningApp, Runtime, Settings};
use kappa_core::topology::TopologyError;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// How closely the moment is met from which all tasks run.
const LOOK_WHETHER_RUNNING: Duration = Duration::from_millis(1);
const LOOK_WHETHER_TOLD: Duration = Duration::from_millis(5);
const LOOK_WHETHER_DRAINED: Duration = Duration::from_millis(100);

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Run {
    /// The query.
    pub query: Query,
    /// The encoding of the events.
    pub format: Format,
    /// The topics of the query's events, in the order of its kinds.
    pub inputs: Vec<String>,
    /// The application's name; its topics and its group begin with it.
    pub app_id: String,
    /// Where the results go; it must exist.
    pub output: String,
    /// Transactions last so long.
    pub commit_ms: i64,
    /// And so long while the version is not live and has not caught up; 0: no difference.
    pub replay_commit_ms: i64,
    /// Changes that may wait in front of the stores.
    pub cache_bytes: usize,
    /// RocksDB's memory, all stores together.
    pub memory_bytes: usize,
    /// Stream threads.
    pub threads: usize,
    /// Stores that share the auctions, in one task; more than one for `count-local` on JSON alone.
    pub stores: usize,
    /// A static seat in the group.
    pub instance_id: Option<String>,
    /// Where state lives; `None`: in memory.
    pub state_dir: Option<PathBuf>,
    /// Whether to stop when all input has been processed; else it runs until it is told to end (SIGTERM).
    pub stop_at_end: bool,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The cluster could not be asked.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The topology is not sound.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The name is not legal.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The log's settings are not sound.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The application failed.
    #[error(transparent)]
    App(#[from] kappa_core::Error),
    /// Signals can't be heard.
    #[error("listen for SIGTERM: {0}")]
    Signals(std::io::Error),
    /// Several stores for a query that has but one.
    #[error("several stores are for count-local on JSON alone")]
    Stores,
    /// A query in a format that it does not read.
    #[error("q3, q4, q5, q7 and q8 read JSON alone")]
    JsonAlone,
    /// It ended before it was asked to.
    #[error("the application ended by itself")]
    Ended,
}

/// Runs over all input, and says what it cost; or until told to end.
pub fn run(cluster: &Cluster, run: &Run) -> Result<Option<Cost>, RunError> {
    let app = app(run)?;
    if !run.stop_at_end {
        return until_told(cluster, run, &app).map(|()| None);
    }
    let drain = Drain::new(cluster, &app.id().to_string(), &run.inputs)?;
    let running = start(cluster, run, &app)?;
    let drained = watch(&running, &drain);
    // What made the application fail tells more than that it is not running.
    running.stop(STOP_DEADLINE)?;
    Ok(Some(ended(drained?)))
}

/// Starts an application that has run before, and says what it cost until it ran again; input records are those restored.
pub fn restore(cluster: &Cluster, run: &Run) -> Result<Cost, RunError> {
    let app = app(run)?;
    let begin = Mark::now();
    let running = start(cluster, run, &app)?;
    let mut restoring: Option<Instant> = None;
    let up = await_running(&running, || {
        if running.metrics().tasks_restoring.get() > 0 {
            restoring.get_or_insert_with(Instant::now);
        }
    });
    let cost = Cost {
        input_records: running.metrics().restored_records.get(),
        wall_s: begin.wall_seconds(),
        cpu_s: begin.cpu_seconds(),
        cpu_total_s: 0.0,
        start_cpu_s: begin.cpu_before(),
        restoring_s: restoring.map_or(0.0, |first| first.elapsed().as_secs_f64()),
        peak_rss_mib: 0.0,
        threads: stats::threads().unwrap_or_default(),
    };
    running.stop(STOP_DEADLINE)?;
    up?;
    Ok(ended(cost))
}

fn app(run: &Run) -> Result<App, RunError> {
    let topology = match run.stores {
        0 | 1 if run.query.site().is_some() && run.format != Format::Json => return Err(RunError::JsonAlone),
        0 | 1 => queries::topology_from(run.query, run.format, &run.inputs, &run.output)?,
        stores if (run.query, run.format) == (Query::CountLocal, Format::Json) => {
            queries::counted_in_stores(stores, run.inputs.first().map_or("", String::as_str), &run.output)?
        }
        _ => return Err(RunError::Stores),
    };
    Ok(App::new(&run.app_id, Version(1), topology)?)
}

fn start(cluster: &Cluster, run: &Run, app: &App) -> Result<RunningApp, RunError> {
    let log = KafkaLog::connect(KafkaSettings::new(cluster.brokers()))?;
    Ok(Runtime::new(Arc::new(log), settings(run)).start(app)?)
}

/// Says `running` when it is, and ends well on SIGTERM.
fn until_told(cluster: &Cluster, run: &Run, app: &App) -> Result<(), RunError> {
    let told = told_to_end().map_err(RunError::Signals)?;
    let running = start(cluster, run, app)?;
    let mut said = false;
    let outcome = loop {
        if told.load(Ordering::Relaxed) {
            break Ok(());
        }
        if let Err(error) = check(&running) {
            break Err(error);
        }
        if !said && running.status().all_running {
            println!("running");
            said = true;
        }
        std::thread::sleep(LOOK_WHETHER_TOLD);
    };
    running.stop(STOP_DEADLINE)?;
    outcome
}

/// Becomes true with SIGTERM.
fn told_to_end() -> std::io::Result<Arc<AtomicBool>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signal = {
        let _context = runtime.enter();
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?
    };
    let told = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&told);
    std::thread::spawn(move || {
        runtime.block_on(signal.recv());
        tell.store(true, Ordering::Relaxed);
    });
    Ok(told)
}

/// Figures that are only known at the very end.
fn ended(cost: Cost) -> Cost {
    Cost { cpu_total_s: stats::cpu_seconds(), peak_rss_mib: stats::peak_rss_mib().unwrap_or_default(), ..cost }
}

fn settings(run: &Run) -> Settings {
    Settings {
        commit_interval_ms: run.commit_ms,
        replay_commit_interval_ms: run.replay_commit_ms,
        cache_bytes: run.cache_bytes,
        memory_bytes: run.memory_bytes,
        instance_id: run.instance_id.clone(),
        stream_threads: run.threads,
        state_dir: run.state_dir.clone(),
        replication_factor: Some(1),
        registry_topic: format!("{}-registry", run.app_id),
        ..Settings::default()
    }
}

fn await_running(running: &RunningApp, mut each_time: impl FnMut()) -> Result<(), RunError> {
    while !running.status().all_running {
        check(running)?;
        each_time();
        std::thread::sleep(LOOK_WHETHER_RUNNING);
    }
    Ok(())
}

/// Waits until it runs, then until it has drained its input.
fn watch(running: &RunningApp, drain: &Drain<'_>) -> Result<Cost, RunError> {
    await_running(running, || ())?;
    let start = Mark::now();
    while !drain.is_drained()? {
        check(running)?;
        std::thread::sleep(LOOK_WHETHER_DRAINED);
    }
    Ok(Cost {
        input_records: drain.input_records(),
        wall_s: start.wall_seconds(),
        cpu_s: start.cpu_seconds(),
        cpu_total_s: 0.0,
        start_cpu_s: start.cpu_before(),
        restoring_s: 0.0,
        peak_rss_mib: 0.0,
        threads: stats::threads().unwrap_or_default(),
    })
}

fn check(running: &RunningApp) -> Result<(), RunError> {
    if running.status().failed { Err(RunError::Ended) } else { Ok(()) }
}
