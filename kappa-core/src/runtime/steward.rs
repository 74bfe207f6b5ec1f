//! Looks after a running version from the side: makes the first version of an app live when it has caught up, and measures
//! how far behind it is.
//!
//! Invariants:
//! - Nothing of the data path waits for this thread; trouble here is logged and tried again.
//! - Clients are kept as long as they are of use and no longer: each costs several threads and connections.

use super::clock::Clock;
use super::shared::Shared;
use crate::deploy::{CatchUp, Progress};
use crate::log::{LogError, SharedLog};
use crate::registry::{FirstLive, Manifest, Registry};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PACE: Duration = Duration::from_millis(250);
const LAG_INTERVAL_MS: i64 = 5_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// The steward of one running version.
pub(crate) struct Steward {
    pub(crate) log: SharedLog,
    /// Until it is decided whether this version goes live by itself.
    pub(crate) registry: Option<Registry>,
    pub(crate) manifest: Manifest,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) progress: Arc<Mutex<Option<Progress>>>,
}

impl Steward {
    pub(crate) fn run(mut self) {
        let mut question = None;
        let mut lag_at_ms = self.clock.now_ms();
        while !self.shared.is_stopping() {
            if self.shared.all_running()
                && let Some(mut registry) = self.registry.take()
            {
                match self.try_to_go_live(&mut registry) {
                    true => close(registry),
                    false => self.registry = Some(registry),
                }
            }
            if self.clock.now_ms() >= lag_at_ms {
                self.measure(&mut question);
                lag_at_ms = self.clock.now_ms() + LAG_INTERVAL_MS;
            }
            self.shared.wait_for_stop(PACE);
        }
        self.registry.take().into_iter().for_each(close);
    }

    /// True once there is nothing more to decide.
    fn try_to_go_live(&self, registry: &mut Registry) -> bool {
        let id = &self.manifest.id;
        match registry.go_live_if_first(id.app(), id.version(), self.clock.now_ms()) {
            Ok(FirstLive::WentLive(_) | FirstLive::Live) => true,
            Ok(FirstLive::Hidden { first }) => {
                tracing::info!(%id, %first, "hidden: readers stay with the live version until this one is promoted");
                true
            }
            Ok(FirstLive::Behind(_)) => false,
            Err(error) => {
                tracing::warn!(%error, "registry not reached, tried again");
                self.shared.metrics.error("registry");
                false
            }
        }
    }

    fn measure(&self, question: &mut Option<CatchUp>) {
        match self.ask(question) {
            Ok(progress) => {
                for input in &progress.inputs {
                    let partition = input.partition.to_string();
                    let lag = self.shared.metrics.lag.with_label_values(&[&*input.topic, &partition]);
                    lag.set(input.lag as i64);
                }
                *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
            }
            Err(error) => {
                tracing::debug!(%error, "lag not measured");
                *question = None;
            }
        }
    }

    fn ask(&self, question: &mut Option<CatchUp>) -> Result<Progress, LogError> {
        let question = match question {
            Some(question) => {
                question.put_again()?;
                question
            }
            None => question.insert(CatchUp::new(&self.log, &self.manifest)?),
        };
        question.check(DEADLINE)
    }
}

fn close(registry: Registry) {
    if let Err(error) = registry.close(DEADLINE) {
        tracing::debug!(%error, "registry reader not closed in time");
    }
}
