//! One process of the application: its state machines, and its state, which outlives it.

use crate::job::APPLICATION;
use kappa_core::Error;
use kappa_core::log::SharedLog;
use kappa_core::runtime::{
    AppLayout, Coordinator, LocalState, Restorer, RuntimeMetrics, Settings, Shared, Worker, prepare,
};
use kappa_core::task::{Globals, Program};
use kappa_state::{MemoryBackend, StateBackend};
use std::sync::Arc;
use std::time::Duration;

/// A thread of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Worker(usize),
    Coordinator,
    Restorer,
    /// Before there are threads.
    Start,
}

/// A thread's state machine.
pub(crate) enum Machine {
    Worker(Box<Worker>),
    Coordinator(Box<Coordinator>),
    Restorer(Box<Restorer>),
}

impl Machine {
    /// One turn, as the production threads do it; false when the thread has ended.
    pub(crate) fn turn(mut self, shared: &Shared, tasks: usize, now_ms: i64) -> (Option<Self>, Result<(), Error>) {
        match &mut self {
            Self::Worker(worker) => match worker.turn(now_ms, Duration::ZERO) {
                Ok(turn) if turn.stopped => {
                    self.close();
                    (None, Ok(()))
                }
                Ok(_) => (Some(self), Ok(())),
                Err(error) => {
                    let error = worker.give_up(error);
                    self.close();
                    (None, Err(error))
                }
            },
            Self::Restorer(_) if shared.is_stopping() => {
                self.close();
                (None, Ok(()))
            }
            Self::Restorer(restorer) => {
                let done = restorer.turn(now_ms, Duration::ZERO).map(drop);
                (Some(self), done)
            }
            Self::Coordinator(_) if shared.is_stopping() => {
                if shared.failure().is_none() && (0..tasks).any(|task| shared.holder(task).is_some()) {
                    return (Some(self), Ok(()));
                }
                self.close();
                (None, Ok(()))
            }
            Self::Coordinator(coordinator) => {
                let done = coordinator.turn(now_ms, Duration::ZERO);
                (Some(self), done)
            }
        }
    }

    pub(crate) fn close(self) {
        match self {
            Self::Worker(worker) => worker.close(),
            Self::Coordinator(coordinator) => coordinator.leave(),
            Self::Restorer(restorer) => restorer.close(),
        }
    }
}

/// A process, running or not.
pub(crate) struct Instance {
    pub(crate) name: char,
    /// Counts its lives: what was begun in an earlier one must not go on.
    pub(crate) life: u32,
    pub(crate) alive: bool,
    /// Not scheduled before this (a stopped process, a zombie to be).
    pub(crate) frozen_until_ms: i64,
    /// Can't reach the log before this.
    pub(crate) cut_off_until_ms: i64,
    /// Machines in mid-turn.
    pub(crate) in_flight: usize,
    pub(crate) backend: MemoryBackend,
    /// Counts lost disks: state begins from nothing, under a new identity.
    pub(crate) disk: u32,
    /// Its state has been looked at since its last life.
    pub(crate) inspected: bool,
    pub(crate) shared: Option<Arc<Shared>>,
    pub(crate) machines: Vec<(Part, Option<Machine>)>,
}

impl Instance {
    pub(crate) fn new(at: usize) -> Self {
        Self {
            name: char::from(b'A' + at as u8),
            life: 0,
            alive: false,
            frozen_until_ms: 0,
            cut_off_until_ms: 0,
            in_flight: 0,
            backend: MemoryBackend::new(),
            disk: 0,
            inspected: true,
            shared: None,
            machines: Vec::new(),
        }
    }

    pub(crate) fn identity(&self) -> String {
        format!("{}{}", self.name, self.disk)
    }

    /// The process is gone; machines in mid-turn notice at their next call of the log.
    pub(crate) fn die(&mut self) {
        self.life += 1;
        self.alive = false;
        self.inspected = false;
        self.frozen_until_ms = 0;
        self.machines.clear();
        self.shared = None;
    }

    /// Parts that can be given a turn.
    pub(crate) fn idle_parts(&self) -> Vec<Part> {
        self.machines.iter().filter(|(_, machine)| machine.is_some()).map(|(part, _)| *part).collect()
    }

    pub(crate) fn take(&mut self, part: Part) -> Option<Machine> {
        self.machines.iter_mut().find(|(of, _)| *of == part)?.1.take()
    }

    pub(crate) fn put_back(&mut self, part: Part, machine: Machine) {
        if let Some((_, place)) = self.machines.iter_mut().find(|(of, _)| *of == part) {
            *place = Some(machine);
        }
    }
}

/// A process that has just been started.
pub(crate) struct Started {
    pub(crate) layout: Arc<AppLayout>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) machines: Vec<(Part, Option<Machine>)>,
}

/// Starts a process as the runtime does.
pub(crate) fn start(
    log: &SharedLog,
    program: &Arc<dyn Program>,
    settings: Settings,
    identity: &str,
    backend: &MemoryBackend,
    now_ms: i64,
) -> Result<Started, Error> {
    settings.check()?;
    let layout = Arc::new(prepare(&mut *log.topics()?, APPLICATION, program.plan(), &settings)?);
    let settings = Arc::new(settings);
    let shared = Arc::new(Shared::new(layout.task_count(), settings.stream_threads, RuntimeMetrics::new(APPLICATION)?));
    let state: Arc<dyn StateBackend> = Arc::new(backend.clone());
    let restorer = Restorer::new(
        0,
        Arc::clone(log),
        Arc::clone(program),
        Arc::clone(&layout),
        Arc::clone(&settings),
        Arc::clone(&shared),
        LocalState { backend: state, globals: Globals::default() },
    )?;
    let mut machines = vec![(Part::Restorer, Some(Machine::Restorer(Box::new(restorer))))];
    for index in 0..settings.stream_threads {
        let (log, layout, settings) = (Arc::clone(log), Arc::clone(&layout), Arc::clone(&settings));
        let worker = Worker::new(index, identity, log, layout, settings, Arc::clone(&shared), now_ms)?;
        machines.push((Part::Worker(index), Some(Machine::Worker(Box::new(worker)))));
    }
    let coordinator = Coordinator::join(identity, log, Arc::clone(&layout), settings, Arc::clone(&shared))?;
    machines.push((Part::Coordinator, Some(Machine::Coordinator(Box::new(coordinator)))));
    Ok(Started { layout, shared, machines })
}
