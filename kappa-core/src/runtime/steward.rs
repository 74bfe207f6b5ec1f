//! Looks after a running version from the side: makes the first version of an app live when it has caught up, and measures
//! how far behind it is.
//!
//! Invariant: nothing of the data path waits for this thread; trouble here is logged and tried again.

use super::clock::Clock;
use super::shared::Shared;
use crate::deploy::{Progress, caught_up};
use crate::log::SharedLog;
use crate::registry::{FirstLive, Manifest, Registry};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PACE: Duration = Duration::from_millis(250);
const LAG_INTERVAL_MS: i64 = 5_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// The steward of one running version.
pub(crate) struct Steward {
    pub(crate) log: SharedLog,
    pub(crate) registry: Registry,
    pub(crate) manifest: Manifest,
    pub(crate) shared: Arc<Shared>,
    pub(crate) clock: Clock,
    pub(crate) progress: Arc<Mutex<Option<Progress>>>,
}

impl Steward {
    pub(crate) fn run(mut self) {
        let mut decided = false;
        let mut lag_at_ms = self.clock.now_ms();
        while !self.shared.is_stopping() {
            if !decided && self.shared.all_running() {
                decided = self.try_to_go_live();
            }
            if self.clock.now_ms() >= lag_at_ms {
                self.measure();
                lag_at_ms = self.clock.now_ms() + LAG_INTERVAL_MS;
            }
            std::thread::sleep(PACE);
        }
        if let Err(error) = self.registry.close(DEADLINE) {
            tracing::debug!(%error, "registry reader not closed in time");
        }
    }

    /// True once there is nothing more to decide.
    fn try_to_go_live(&mut self) -> bool {
        let id = &self.manifest.id;
        match self.registry.go_live_if_first(id.app(), id.version(), self.clock.now_ms()) {
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

    fn measure(&mut self) {
        match caught_up(&self.log, &self.manifest, DEADLINE) {
            Ok(progress) => {
                for input in &progress.inputs {
                    let partition = input.partition.to_string();
                    let lag = self.shared.metrics.lag.with_label_values(&[&*input.topic, &partition]);
                    lag.set(input.lag as i64);
                }
                *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
            }
            Err(error) => tracing::debug!(%error, "lag not measured"),
        }
    }
}
