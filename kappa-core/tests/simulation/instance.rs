//! One process of the application: its state machines, and its state, which outlives it.

use kappa_core::runtime::Shared;
use kappa_core::runtime::machines::{Machine, Part};
use kappa_state::MemoryBackend;
use std::sync::Arc;

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
