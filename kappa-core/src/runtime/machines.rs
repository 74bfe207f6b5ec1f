//! A process of an application without its threads: the state machines that production threads loop over, to be given turns one
//! at a time. The simulator and other tests drive processes so, many on one thread, over an embedded log.

use super::{
    AppLayout, Coordinator, GlobalReader, LocalState, Purger, Restorer, RuntimeMetrics, Settings, Shared, Worker,
};
use crate::Error;
use crate::log::SharedLog;
use crate::task::{Globals, Program};
use kappa_state::StateBackend;
use std::sync::Arc;
use std::time::Duration;

/// A thread of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A stream thread.
    Worker(usize),
    /// The group's member.
    Coordinator,
    /// Restores stores.
    Restorer,
    /// Reads global tables.
    Globals,
    /// Purges repartition topics.
    Purger,
    /// Before there are threads.
    Start,
}

/// A thread's state machine.
#[derive(Debug)]
pub enum Machine {
    /// A stream thread.
    Worker(Box<Worker>),
    /// The group's member.
    Coordinator(Box<Coordinator>),
    /// Restores stores.
    Restorer(Box<Restorer>),
    /// Reads global tables.
    Globals(Box<GlobalReader>),
    /// Purges repartition topics.
    Purger(Purger),
}

impl Machine {
    /// One turn, as the production threads do it; `None` when the thread has ended.
    pub fn turn(mut self, shared: &Shared, tasks: usize, now_ms: i64) -> (Option<Self>, Result<(), Error>) {
        let stopping = shared.is_stopping();
        let done = match &mut self {
            Self::Worker(worker) => match worker.turn(now_ms, Duration::ZERO) {
                Ok(turn) if turn.stopped => return self.end(Ok(())),
                Ok(_) => Ok(()),
                Err(error) => {
                    let error = worker.give_up(error);
                    return self.end(Err(error));
                }
            },
            Self::Restorer(_) | Self::Globals(_) | Self::Purger(_) if stopping => return self.end(Ok(())),
            Self::Restorer(restorer) => restorer.turn(now_ms, Duration::ZERO).map(drop),
            Self::Globals(reader) => reader.turn(Duration::ZERO),
            Self::Purger(purger) => {
                purger.turn(now_ms);
                Ok(())
            }
            Self::Coordinator(_) if stopping => {
                // It leaves when the workers have given everything back.
                if shared.failure().is_some() || !(0..tasks).any(|task| shared.holder(task).is_some()) {
                    return self.end(Ok(()));
                }
                Ok(())
            }
            Self::Coordinator(coordinator) => coordinator.turn(now_ms, Duration::ZERO),
        };
        (Some(self), done)
    }

    fn end(self, with: Result<(), Error>) -> (Option<Self>, Result<(), Error>) {
        self.close();
        (None, with)
    }

    /// Closes its clients, in good order.
    pub fn close(self) {
        match self {
            Self::Worker(worker) => worker.close(),
            Self::Coordinator(coordinator) => coordinator.leave(),
            Self::Restorer(restorer) => restorer.close(),
            Self::Globals(reader) => reader.close(),
            Self::Purger(_) => {}
        }
    }
}

/// A process that has just been started.
#[derive(Debug)]
pub struct Started {
    /// The application on the log.
    pub layout: Arc<AppLayout>,
    /// What its threads share.
    pub shared: Arc<Shared>,
    /// Its threads.
    pub machines: Vec<(Part, Option<Machine>)>,
}

/// Starts a process as the runtime does.
pub fn start(
    log: &SharedLog,
    application_id: &str,
    program: &Arc<dyn Program>,
    settings: Settings,
    identity: &str,
    state: Arc<dyn StateBackend>,
    now_ms: i64,
) -> Result<Started, Error> {
    settings.check()?;
    let layout = Arc::new(super::prepare(&mut *log.topics()?, application_id, program.plan(), &settings)?);
    let settings = Arc::new(settings);
    let metrics = RuntimeMetrics::new(application_id)?;
    let shared = Arc::new(Shared::new(layout.task_count(), settings.stream_threads, metrics));
    let mut machines = Vec::new();
    let globals = Globals::open(program.plan().globals.iter().map(|global| global.name.as_str()), &*state)?;
    if !layout.globals.is_empty() {
        let reader = GlobalReader::new(
            &**log,
            &layout,
            Arc::clone(program),
            &settings,
            globals.clone(),
            shared.metrics.clone(),
        )?;
        machines.push((Part::Globals, Some(Machine::Globals(Box::new(reader)))));
    }
    let restorer = Restorer::new(
        0,
        Arc::clone(log),
        Arc::clone(program),
        Arc::clone(&layout),
        Arc::clone(&settings),
        Arc::clone(&shared),
        LocalState { backend: state, globals },
    )?;
    machines.push((Part::Restorer, Some(Machine::Restorer(Box::new(restorer)))));
    for index in 0..settings.stream_threads {
        let (log, layout, settings) = (Arc::clone(log), Arc::clone(&layout), Arc::clone(&settings));
        let worker = Worker::new(index, identity, log, layout, settings, Arc::clone(&shared), now_ms)?;
        machines.push((Part::Worker(index), Some(Machine::Worker(Box::new(worker)))));
    }
    let purger = Purger::new(log, &layout, &settings, &shared, now_ms);
    machines.extend(purger.map(|purger| (Part::Purger, Some(Machine::Purger(purger)))));
    let coordinator = Coordinator::join(identity, log, Arc::clone(&layout), settings, Arc::clone(&shared))?;
    machines.push((Part::Coordinator, Some(Machine::Coordinator(Box::new(coordinator)))));
    Ok(Started { layout, shared, machines })
}
