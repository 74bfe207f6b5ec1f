//! Starting and stopping an application.

use super::clock::Clock;
use super::coordinator::Coordinator;
use super::global::GlobalReader;
use super::prepare::prepare;
use super::purge::Purger;
use super::restore::{LocalState, Restorer};
use super::settings::Settings;
use super::shared::Shared;
use super::state_home::StateHome;
use super::steward::Steward;
use super::worker::Worker;
use super::{AppLayout, RuntimeMetrics, http, threads};
use crate::Error;
use crate::app::{App, ApplicationId};
use crate::deploy::Progress;
use crate::log::{Recovery, SharedLog};
use crate::registry::{Manifest, Registry, RegistrySettings};
use crate::task::Globals;
use crate::topology::TopologyPlan;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const STOP_DEADLINE: Duration = Duration::from_secs(30);
const GLOBAL_WAIT: Duration = Duration::from_millis(50);
const WATCH_PACE: Duration = Duration::from_millis(50);

/// What applications run on: a log and settings (Kafka Streams: `KafkaStreams`).
#[derive(Debug, Clone)]
pub struct Runtime {
    log: SharedLog,
    settings: Settings,
}

impl Runtime {
    /// A runtime on that log.
    pub fn new(log: SharedLog, settings: Settings) -> Self {
        Self { log, settings }
    }

    /// A runtime on the Kafka cluster that `KAPPA_BROKERS` names, with settings from the other `KAPPA_*` variables
    /// ([`Settings`] lists them). `KAPPA_KAFKA_SECURITY_PROTOCOL=SASL_SSL` and the like pass any librdkafka property on.
    #[cfg(feature = "kafka")]
    pub fn from_env() -> Result<Self, Error> {
        let log = crate::log::kafka::KafkaLog::connect(crate::log::kafka::KafkaSettings::from_env()?)?;
        Ok(Self::new(Arc::new(log), Settings::from_env()?))
    }

    /// The log.
    pub fn log(&self) -> &SharedLog {
        &self.log
    }

    /// Starts an application and returns once its threads run.
    ///
    /// # Errors
    /// Everything that can be known beforehand: missing topics, partition counts that do not fit, a state directory of
    /// another topology, a registered version with another topology, a taken HTTP port.
    pub fn start(&self, app: &App) -> Result<RunningApp, Error> {
        self.settings.check()?;
        let clock = Clock::start();
        let (id, program) = (app.id().clone(), Arc::clone(app.program()));
        let settings = Arc::new(self.settings.clone());
        let (layout, registry) = self.look_around(&id, program.plan(), &settings)?;
        let manifest =
            Manifest::new(id.clone(), program.plan(), partitions(&layout), app.code_version(), clock.now_ms())
                .with_topology(program.description());
        let mut registry = match registry {
            Some(registry) => registry,
            None => Registry::open_with(Arc::clone(&self.log), registry_settings(&settings))?,
        };
        registry.register(&manifest)?;
        let state = StateHome::open(&settings, &id, &program.plan().fingerprint)?;
        let metrics = RuntimeMetrics::new(&id.to_string())?;
        let shared = Arc::new(Shared::new(layout.task_count(), settings.stream_threads, metrics));
        let mut running = RunningApp {
            id,
            shared: Arc::clone(&shared),
            progress: Arc::default(),
            threads: Vec::new(),
            http_addr: None,
        };
        running.launch(self, &settings, &layout, &program, state, clock)?;
        let steward = Steward {
            log: Arc::clone(&self.log),
            registry: Some(registry),
            manifest,
            shared: Arc::clone(&shared),
            clock,
            progress: Arc::clone(&running.progress),
            may_replay: settings.replay_interval_ms().is_some(),
            purger: Purger::new(&self.log, &layout, &settings, &shared, clock.now_ms()),
        };
        running.threads.push(threads::spawn("kappa-steward".into(), &shared, move || {
            steward.run();
            Ok(())
        })?);
        tracing::info!(id = %running.id, log = self.log.describe(), tasks = layout.task_count(), "started");
        Ok(running)
    }

    /// Checks and creates topics while the registry, where there is one, is read: a restart waits for one of them only.
    fn look_around(
        &self,
        id: &ApplicationId,
        plan: &TopologyPlan,
        settings: &Settings,
    ) -> Result<(Arc<AppLayout>, Option<Registry>), Error> {
        let mut topics = self.log.topics()?;
        std::thread::scope(|scope| {
            let log = Arc::clone(&self.log);
            let registry = scope.spawn(move || Registry::open_existing(log, registry_settings(settings)));
            let layout = prepare(&mut *topics, &id.to_string(), plan, settings);
            let layout = layout.map_err(|error| self.unreachable(error))?;
            let registry = registry.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((Arc::new(layout), registry))
        })
    }

    /// No answer to the first question most often means a wrong address: says which one it was.
    fn unreachable(&self, error: Error) -> Error {
        match error {
            Error::Log(error) if error.recovery() == Recovery::Retry => {
                Error::Unreachable { log: self.log.describe(), error }
            }
            other => other,
        }
    }

    /// Runs an application until ctrl-C or SIGTERM, which commit, leave the group and return `Ok`; or until it fails.
    pub async fn run(self, app: App) -> Result<(), Error> {
        let signal = stop_signal()?;
        let running = blocking(move || self.start(&app)).await?;
        let shared = Arc::clone(&running.shared);
        let ended = async move {
            while !shared.is_stopping() {
                tokio::time::sleep(WATCH_PACE).await;
            }
        };
        tokio::select! {
            name = signal => tracing::info!(signal = name, "stopping: committing and leaving the group"),
            () = ended => {}
        }
        blocking(move || running.stop(STOP_DEADLINE)).await
    }
}

fn registry_settings(settings: &Settings) -> RegistrySettings {
    RegistrySettings { topic: settings.registry_topic.clone(), ..RegistrySettings::default() }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::System { operation: "running a blocking call", reason: error.to_string() }),
    }
}

/// Resolves at ctrl-C or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = &'static str>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed =
        |error: std::io::Error| Error::System { operation: "listening for signals", reason: error.to_string() };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}

/// The partitions of every topic of the application, by physical name.
fn partitions(layout: &AppLayout) -> BTreeMap<String, i32> {
    let topics = layout.sub_topologies.iter().flat_map(|sub| sub.sources.iter().chain(&sub.outputs));
    topics.map(|topic| (topic.topic.to_string(), topic.partitions)).collect()
}

/// How a running application is doing.
#[derive(Debug, Clone)]
pub struct AppStatus {
    /// Tasks the group has given this process.
    pub tasks_assigned: usize,
    /// Whether all of them run.
    pub all_running: bool,
    /// Records processed by this process since its start.
    pub records: u64,
    /// How far the version is behind its inputs, as last measured.
    pub progress: Option<Progress>,
    /// Whether it has ended by itself.
    pub failed: bool,
}

/// An application whose threads run. Dropping it asks them to stop and does not wait.
#[derive(Debug)]
pub struct RunningApp {
    id: ApplicationId,
    shared: Arc<Shared>,
    progress: Arc<Mutex<Option<Progress>>>,
    threads: Vec<JoinHandle<()>>,
    http_addr: Option<SocketAddr>,
}

impl RunningApp {
    fn launch(
        &mut self,
        runtime: &Runtime,
        settings: &Arc<Settings>,
        layout: &Arc<AppLayout>,
        program: &Arc<dyn crate::task::Program>,
        state: StateHome,
        clock: Clock,
    ) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        if let Some(addr) = settings.http_addr {
            let until = Arc::clone(&shared);
            let (bound, thread) = http::serve(addr, Arc::clone(&shared), move || until.is_stopping())?;
            self.http_addr = Some(bound);
            self.threads.push(thread);
        }
        let names = program.plan().globals.iter().map(|global| global.name.as_str());
        let globals = Globals::open(names, &*state.backend)?;
        if !layout.globals.is_empty() {
            let (log, layout, program) = (Arc::clone(&runtime.log), Arc::clone(layout), Arc::clone(program));
            let (settings, globals) = (Arc::clone(settings), globals.clone());
            let until = Arc::clone(&shared);
            let body = move || {
                let metrics = until.metrics.clone();
                let mut reader = GlobalReader::new(&*log, &layout, program, &settings, globals, metrics)?;
                while !until.is_stopping() {
                    reader.turn(GLOBAL_WAIT)?;
                }
                reader.close();
                Ok(())
            };
            self.threads.push(threads::spawn("kappa-global".into(), &shared, body)?);
        }
        for index in 0..settings.restore_threads {
            let restorer = Restorer::new(
                index,
                Arc::clone(&runtime.log),
                Arc::clone(program),
                Arc::clone(layout),
                Arc::clone(settings),
                Arc::clone(&shared),
                LocalState { backend: Arc::clone(&state.backend), globals: globals.clone() },
            )?;
            let until = Arc::clone(&shared);
            let body = move || threads::run_restorer(restorer, clock, &until);
            self.threads.push(threads::spawn(format!("kappa-restore-{index}"), &shared, body)?);
        }
        for index in 0..settings.stream_threads {
            let (log, layout, settings) = (Arc::clone(&runtime.log), Arc::clone(layout), Arc::clone(settings));
            let (own, until, identity) = (Arc::clone(&shared), Arc::clone(&shared), state.identity.clone());
            let body = move || {
                let worker = Worker::new(index, &identity, log, layout, settings, own, clock.now_ms())?;
                threads::run_worker(worker, clock, &until)
            };
            self.threads.push(threads::spawn(format!("kappa-stream-{index}"), &shared, body)?);
        }
        let coordinator = Coordinator::join(
            &state.identity,
            &runtime.log,
            Arc::clone(layout),
            Arc::clone(settings),
            Arc::clone(&shared),
        )?;
        let until = Arc::clone(&shared);
        let body = move || threads::run_coordinator(coordinator, clock, &until);
        self.threads.push(threads::spawn("kappa-group".into(), &shared, body)?);
        Ok(())
    }

    /// The application id.
    pub fn id(&self) -> &ApplicationId {
        &self.id
    }

    /// How it is doing.
    pub fn status(&self) -> AppStatus {
        let assigned = self.shared.assigned();
        AppStatus {
            tasks_assigned: assigned.len(),
            all_running: !assigned.is_empty() && self.shared.all_running(),
            records: self.shared.metrics.records.get(),
            progress: self.progress.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            failed: self.shared.failure().is_some(),
        }
    }

    /// The metrics, as `/metrics` serves them.
    pub fn metrics(&self) -> &RuntimeMetrics {
        &self.shared.metrics
    }

    /// Where HTTP is served, if it is.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Commits, closes all tasks, leaves the group. Returns why the application had ended by itself, if it had.
    pub fn stop(mut self, deadline: Duration) -> Result<(), Error> {
        self.shared.stop();
        let until = Instant::now() + deadline;
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            if Instant::now() >= until {
                let reason = format!("{} did not stop within {} s", self.id, deadline.as_secs());
                return Err(Error::System { operation: "stopping", reason });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for thread in self.threads.drain(..) {
            // Panics inside were caught and recorded as the failure.
            let _ = thread.join();
        }
        match self.shared.take_failure() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Drop for RunningApp {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
