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
use std::time::Duration;

const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// How closely the moment is met from which all tasks run.
const LOOK_WHETHER_RUNNING: Duration = Duration::from_millis(1);
const LOOK_WHETHER_DRAINED: Duration = Duration::from_millis(100);

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Run {
    /// The query.
    pub query: Query,
    /// The encoding of the bids.
    pub format: Format,
    /// The topic with the bids.
    pub input: String,
    /// The application's name; its topics and its group begin with it.
    pub app_id: String,
    /// Where the results go; it must exist.
    pub output: String,
    /// Transactions last so long.
    pub commit_ms: i64,
    /// Changes that may wait in front of the stores.
    pub cache_bytes: usize,
    /// Stream threads.
    pub threads: usize,
    /// Where state lives; `None`: in memory.
    pub state_dir: Option<PathBuf>,
    /// Whether to stop when all input has been processed; else it runs until it fails.
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
    /// It ended before it was asked to.
    #[error("the application ended by itself")]
    Ended,
}

/// Runs.
pub fn run(cluster: &Cluster, run: &Run) -> Result<Cost, RunError> {
    let app =
        App::new(&run.app_id, Version(1), queries::topology_from(run.query, run.format, &run.input, &run.output)?)?;
    let drain = Drain::new(cluster, &app.id().to_string(), &run.input)?;
    let log = KafkaLog::connect(KafkaSettings::new(cluster.brokers()))?;
    let running = Runtime::new(Arc::new(log), settings(run)).start(&app)?;
    let drained = watch(&running, &drain, run.stop_at_end);
    // What made the application fail tells more than that it is not running.
    running.stop(STOP_DEADLINE)?;
    Ok(Cost { cpu_total_s: stats::cpu_seconds(), peak_rss_mib: stats::peak_rss_mib().unwrap_or_default(), ..drained? })
}

fn settings(run: &Run) -> Settings {
    Settings {
        commit_interval_ms: run.commit_ms,
        cache_bytes: run.cache_bytes,
        stream_threads: run.threads,
        state_dir: run.state_dir.clone(),
        replication_factor: Some(1),
        registry_topic: format!("{}-registry", run.app_id),
        ..Settings::default()
    }
}

/// Waits until it runs, then until it has drained its input.
fn watch(running: &RunningApp, drain: &Drain<'_>, stop_at_end: bool) -> Result<Cost, RunError> {
    while !running.status().all_running {
        check(running)?;
        std::thread::sleep(LOOK_WHETHER_RUNNING);
    }
    let start = Mark::now();
    while !stop_at_end || !drain.is_drained()? {
        check(running)?;
        std::thread::sleep(LOOK_WHETHER_DRAINED);
    }
    Ok(Cost {
        input_records: drain.input_records(),
        wall_s: start.wall_seconds(),
        cpu_s: start.cpu_seconds(),
        cpu_total_s: 0.0,
        start_cpu_s: start.cpu_before(),
        peak_rss_mib: 0.0,
        threads: stats::threads().unwrap_or_default(),
    })
}

fn check(running: &RunningApp) -> Result<(), RunError> {
    if running.status().failed { Err(RunError::Ended) } else { Ok(()) }
}
